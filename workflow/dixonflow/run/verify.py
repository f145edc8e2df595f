"""The verification pass: list every file that should be there, and ask for what was lost."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dixonflow.cohort.shards import read_shard, read_shard_names
from dixonflow.config import KeepConfig
from dixonflow.execution.outcome import OUTCOMES, read_outcomes
from dixonflow.models.model import Model
from dixonflow.models.runnable import models_for
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.report.contact_sheet import sheet_name
from dixonflow.run.plan import Plan
from dixonflow.run.retry import TABLES, request_retry
from dixonflow.tables.definitions import SHARD_QUALITY
from dixonflow.tables.measurements import SHARD_MEASUREMENTS, SHARD_PROFILES
from dixonflow.tables.parquet import check_file
from dixonflow.tables.schema import TableError
from dixonflow.vocabulary import SHARD_STAGES, ScanId, Stage, Status

log = logging.getLogger(__name__)


def files_of(results: Results, entry: RawScan, models: Iterable[Model], keep: KeepConfig) -> list[Path]:
    """Every file that a scan with status ok has once its run has ended."""
    scan = entry.scan
    files = [results.stitched(scan, contrast) for contrast in scan.sequence.contrasts] if keep.stitched else []
    files.append(results.stitched_sidecar(scan))
    for model in models:
        files += [results.labels(scan, model.name), results.labels_sidecar(scan, model.name)]
    if keep.contact_sheets:
        files.append(results.contact_sheets / sheet_name(scan, entry.raw_key))
    return files


def lost_files(plan: Plan) -> dict[str, list[Path]]:
    """Files that should be there and are not, by shard; rows that cannot be read are as lost.

    Costs one look per file; of rows the end of the file is read, and those of the last stage whole.
    """
    lost: dict[str, list[Path]] = {}
    for shard in read_shard_names(plan.results.shards):
        outcomes = plan.results.outcomes(Stage.MEASURE, shard)
        if not outcomes.exists():
            continue  # this shard has not ended yet: the run itself makes what is missing
        missing = _lost_rows(plan, shard)
        members = read_shard(plan.results.shard(shard))
        models = models_for(members.sequence, plan.models, plan.config)
        done: set[ScanId] = set()
        try:
            rows = read_outcomes(outcomes, members.sequence)
            done = {outcome.scan for outcome in rows if outcome.status is Status.OK}
        except TableError:
            missing.append(outcomes)
        missing += [
            file
            for entry in members.scans
            if entry.scan in done
            for file in files_of(plan.results, entry, models, plan.config.keep)
            if not file.exists()
        ]
        if missing:
            lost[shard] = missing
    return lost


def _lost_rows(plan: Plan, shard: str) -> list[Path]:
    """Rows of a shard in addition to the outcomes of its last stage."""
    results = plan.results
    tables = [(results.outcomes(stage, shard), OUTCOMES) for stage in SHARD_STAGES if stage is not Stage.MEASURE]
    tables += [(results.measurements(shard), SHARD_MEASUREMENTS), (results.quality(shard), SHARD_QUALITY)]
    if plan.config.measure.profiles:
        tables.append((results.profiles(shard), SHARD_PROFILES))
    lost = []
    for path, table in tables:
        try:
            check_file(path, table)
        except TableError:
            lost.append(path)
    return lost


def lost_tables(results: Results) -> list[Path]:
    """Tables that their description names and that are gone or cut off."""
    if not results.datapackage.exists():
        return []  # they are not made yet: the run itself makes them
    try:
        resources = json.loads(results.datapackage.read_text(encoding="utf-8"))["resources"]
        paths = [results.tables / resource["path"] for resource in resources]
    except (ValueError, LookupError, TypeError):
        return [results.datapackage]
    return [path for path in paths if not _has_footer(path)]


def _has_footer(path: Path) -> bool:
    try:
        pq.read_schema(path)
    except (OSError, pa.ArrowInvalid):
        return False
    return True


def request_lost_files(plan: Plan) -> None:
    """Have the run that is starting remake what was lost, scan by scan."""
    lost = lost_files(plan)
    for shard, files in lost.items():
        request_retry(plan.results, shard)
        log.warning("shard %s: %d files are lost and will be rebuilt", shard, len(files))
    if tables := lost_tables(plan.results):
        log.warning("%d tables are lost and will be rebuilt", len(tables))
        request_retry(plan.results, TABLES)
    log.warning("verified: %d files lost in %d shards", sum(map(len, lost.values())), len(lost))
