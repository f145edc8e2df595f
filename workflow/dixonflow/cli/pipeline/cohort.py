"""Find every scan in the raw folders and assign the complete ones to shards."""

import logging
import sys
from typing import Annotated

import typer

from dixonflow.cli.options import CONFIG, ConfigOption, start_logging
from dixonflow.cohort.build import build_cohort, write_cohort
from dixonflow.cohort.earlier_version import outdated_results_of_0_1
from dixonflow.cohort.included import read_included
from dixonflow.cohort.shards import read_shards
from dixonflow.cohort.sources import sources_of
from dixonflow.cohort.table import CohortScan, read_scans
from dixonflow.cohort.withdrawn import read_withdrawn
from dixonflow.config import read_config
from dixonflow.errors import DixonflowError
from dixonflow.execution.reinstated import shards_of_reinstated_scans
from dixonflow.paths import Results
from dixonflow.run.progress import note_inspected
from dixonflow.run.resources import cohort_scan_mb, scan_seconds
from dixonflow.run.retry import COHORT, Failure, record_failures, request_retry
from dixonflow.system.guard import Allowance
from dixonflow.tables.schema import TableError
from dixonflow.vocabulary import Status

log = logging.getLogger(__name__)


def cohort_command(
    config: ConfigOption = CONFIG,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that inspect raw files.")] = 1,
    memory_mb: Annotated[
        float | None,
        typer.Option("--memory-mb", help="Memory of the job. A scan that needs more fails: out_of_memory."),
    ] = None,
) -> None:
    """Write results/cohort/: one row per scan, and the shard lists. Only new or changed scans are opened."""
    start_logging()
    try:
        settings = read_config(config)
        results = settings.paths
        shards, previous = read_shards(results.shards), _earlier(results)
        rescaled, outdated = outdated_results_of_0_1(results, shards, previous)
        result = build_cohort(
            sources_of(settings.cohort),
            withdrawn=read_withdrawn(settings.cohort.withdrawn) if settings.cohort.withdrawn else frozenset(),
            included=read_included(settings.cohort.include) if settings.cohort.include else None,
            previous=previous,
            shards=shards,
            rescaled=rescaled,
            outdated=outdated,
            scans_per_shard=settings.cohort.scans_per_shard,
            max_attempts=settings.max_attempts,
            workers=jobs,
            inspected=note_inspected(results.inspected),
            allowance=Allowance(
                None if memory_mb is None else cohort_scan_mb(memory_mb, jobs), scan_seconds(settings.scan_minutes)
            ),
        )
        write_cohort(result, results.scans, results.shards)
        results.inspected.unlink(missing_ok=True)
        shard_of = {row.scan: row.shard for row in result.scans if row.scan and row.shard}
        for shard in shards_of_reinstated_scans(results, shard_of):
            request_retry(results, shard)
        failures = [
            Failure(row.reason, row.attempt) for row in result.scans if row.status is Status.FAILED or row.is_unopened
        ]
        record_failures(results, COHORT, COHORT, failures, settings.max_attempts)
    except DixonflowError as error:
        sys.exit(f"cohort: {error}")


def _earlier(results: Results) -> list[CohortScan]:
    """Rows of the run before. They only spare a second look at the raw data: damaged ones count as none."""
    if not results.scans.exists():
        return []
    try:
        return read_scans(results.scans)
    except TableError as error:
        log.warning("the table of known scans is unreadable, all scans are inspected again: %s", error)
        return []
