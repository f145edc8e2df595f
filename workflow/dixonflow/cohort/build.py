"""The cohort stage: from raw folders to rows and shard lists."""

import hashlib
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dixonflow.atomic import write_bytes
from dixonflow.cohort.discover import discover
from dixonflow.cohort.look import Finding, look_into, open_pool
from dixonflow.cohort.raw import RawScan, Source
from dixonflow.cohort.reader import DEFAULT_OPTIONS, InspectOptions
from dixonflow.cohort.shards import Shard, ShardScan, assign_shards, shard_by_scan, write_shards
from dixonflow.cohort.table import CohortScan, write_scans
from dixonflow.cohort.withdrawn import WITHDRAWN_MESSAGE, check_zeros
from dixonflow.vocabulary import Reason, Status

log = logging.getLogger(__name__)

INSPECT_VERSION = 1
"""Raised when a change of the code changes what is said about a scan: rows of earlier versions are not used again."""


@dataclass(frozen=True)
class CohortResult:
    """What the cohort stage found.

    Attributes
    ----------
    scans
        One row per entry of the raw folders, sorted.
    shards
        All shards, those of earlier runs included.
    ignored
        Files and folders that are known to be no scans.
    n_inspected
        Scans that were looked into; for all others an earlier row was used, or there was no need.
    """

    scans: tuple[CohortScan, ...]
    shards: tuple[Shard, ...]
    ignored: tuple[Path, ...]
    n_inspected: int

    @property
    def n_by_status(self) -> Mapping[Status, int]:
        """Number of scans of each status."""
        counts = Counter(row.status for row in self.scans)
        return {status: counts[status] for status in Status}


def build_cohort(
    sources: Sequence[Source],
    *,
    withdrawn: frozenset[str] = frozenset(),
    previous: Iterable[CohortScan] = (),
    shards: Iterable[Shard] = (),
    scans_per_shard: int = 64,
    options: InspectOptions = DEFAULT_OPTIONS,
    max_attempts: int = 3,
    workers: int = 1,
) -> CohortResult:
    """Find all scans, look into those that are new, and put the whole ones into shards.

    Parameters
    ----------
    sources
        Raw folders.
    withdrawn
        Ids of participants who have withdrawn: their scans are counted and not opened.
    previous
        Rows of the run before; used again for scans whose content and options have not changed.
    shards
        Shards of earlier runs, which keep their members.
    scans_per_shard
        Size of new shards.
    options
        What is asked of a scan.
    max_attempts
        How often a scan that failed is looked into before its failure stands.
    workers
        Processes that open zips.

    Returns
    -------
    CohortResult
        Nothing is written; see `write_cohort`.

    Raises
    ------
    ConfigError
        If a source folder or the list of withdrawn participants is not what it should be.
    ShardError
        If shard lists contradict each other.
    """
    with open_pool(workers) as pool:
        return _build(sources, withdrawn, previous, tuple(shards), scans_per_shard, options, max_attempts, pool)


def _build(
    sources: Sequence[Source],
    withdrawn: frozenset[str],
    previous: Iterable[CohortScan],
    shards: Iterable[Shard],
    scans_per_shard: int,
    options: InspectOptions,
    max_attempts: int,
    pool: ProcessPoolExecutor,
) -> CohortResult:
    found = discover(sources, pool)
    log.info("found %d scans, %d other files", len(found.scans), len(found.ignored))
    check_zeros(withdrawn, (raw.scan.participant for raw in found.scans if raw.scan))
    previous = tuple(previous)
    known = {row.content_key: row for row in previous if row.content_key}
    unopened = {(row.scan, row.source): row.attempt for row in previous if row.could_not_be_opened}
    rows: list[CohortScan] = []
    new: list[tuple[RawScan, CohortScan]] = []
    for raw in found.scans:
        row = CohortScan(raw.scan, raw.layout, raw.path, raw.raw_key, note=raw.note)
        if raw.scan is not None and raw.scan.participant in withdrawn:
            rows.append(replace(row, reason=Reason.CONSENT_WITHDRAWN, message=WITHDRAWN_MESSAGE))
        elif raw.problem is not None:
            row = replace(row, reason=raw.problem[0], message=raw.problem[1])
            if row.could_not_be_opened:
                row = replace(row, attempt=unopened.get((row.scan, row.source), 0) + 1)
            rows.append(row)
        else:
            key = _content_key(raw, options)
            before = known.get(key)
            if before is not None and (before.status is not Status.FAILED or before.attempt >= max_attempts):
                rows.append(replace(before, scan=raw.scan, source=raw.path))
            else:
                new.append((raw, replace(row, content_key=key, attempt=before.attempt + 1 if before else 1)))
    rows += _look_into_new(new, options, pool)
    whole = [
        ShardScan(row.scan, row.layout, row.source, row.raw_key)
        for row in rows
        if row.scan is not None and row.status is Status.OK
    ]
    assigned = assign_shards(whole, shards, scans_per_shard)
    shard_of = shard_by_scan(assigned)
    rows = [
        replace(row, shard=shard_of[row.scan] if row.scan is not None and row.status is Status.OK else "")
        for row in rows
    ]
    rows.sort(key=lambda row: (row.scan is None, row.scan.name if row.scan else "", str(row.source)))
    return CohortResult(tuple(rows), tuple(assigned), found.ignored, len(new))


def write_cohort(result: CohortResult, scans_path: Path, shards_folder: Path) -> None:
    """Write shard lists, `shards.txt`, `ignored.txt` and last `scans.parquet`: a run that is cut off repeats itself."""
    write_shards(shards_folder, result.shards)
    write_bytes(scans_path.with_name("ignored.txt"), "".join(f"{path}\n" for path in result.ignored).encode())
    write_scans(scans_path, result.scans)


def _content_key(raw: RawScan, options: InspectOptions) -> str:
    name = raw.scan.name if raw.scan else ""
    asked = [options.stations(raw.layout), options.match_patient_id]
    content = [INSPECT_VERSION, raw.raw_key, name, raw.layout.value, *asked]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _look_into_new(
    new: list[tuple[RawScan, CohortScan]], options: InspectOptions, pool: ProcessPoolExecutor
) -> list[CohortScan]:
    columns = (TextColumn("cohort"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # a bar for people; in a log file a line every twentieth of the way
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("cohort", total=len(new))
        step = max(1, len(new) // 20)
        count = 0

        def advance() -> None:
            nonlocal count
            count += 1
            progress.advance(task)
            if count % step == 0:
                log.info("looked into %d of %d new scans", count, len(new))

        findings = look_into([raw for raw, _ in new], options, pool, advance)
    return [_completed(row, finding) for (_, row), finding in zip(new, findings, strict=True)]


def _completed(row: CohortScan, finding: Finding) -> CohortScan:
    return replace(
        row,
        reason=finding.reason,
        message=finding.message,
        note="; ".join(filter(None, [row.note, finding.note])),
        n_stations=finding.n_stations,
        n_slices=finding.n_slices,
    )
