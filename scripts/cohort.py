#!/usr/bin/env python3
"""Find every scan in the raw folders and put the whole ones into shards."""

import logging
import sys
from typing import Annotated

import typer

from dixonflow.cohort.build import build_cohort, write_cohort
from dixonflow.cohort.raw import Source
from dixonflow.cohort.shards import read_shards
from dixonflow.cohort.table import CohortScan, read_scans
from dixonflow.cohort.withdrawn import read_withdrawn, shards_of_returned
from dixonflow.command import CONFIG, ConfigOption, run, start_logging
from dixonflow.config import read_config
from dixonflow.errors import DixonflowError
from dixonflow.layout import Results
from dixonflow.retry import COHORT, Failure, ask_for_look, note_failures
from dixonflow.tables.schema import TableError
from dixonflow.vocabulary import Status

log = logging.getLogger(__name__)


def main(
    config: ConfigOption = CONFIG,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that look into raw files.")] = 1,
) -> None:
    """Write results/cohort/: one row per scan, and the shard lists. Only scans that are new or changed are opened."""
    start_logging()
    try:
        settings = read_config(config)
        results = Results(settings.results)
        result = build_cohort(
            [Source(source.layout, source.folder) for source in settings.cohort.sources],
            withdrawn=read_withdrawn(settings.cohort.withdrawn) if settings.cohort.withdrawn else frozenset(),
            previous=_earlier(results),
            shards=read_shards(results.shards),
            scans_per_shard=settings.cohort.scans_per_shard,
            max_attempts=settings.max_attempts,
            workers=jobs,
        )
        write_cohort(result, results.scans, results.shards)
        shard_of = {row.scan: row.shard for row in result.scans if row.scan and row.shard}
        for shard in shards_of_returned(results, shard_of):
            ask_for_look(results, shard)
        failures = [
            Failure(row.reason, row.attempt)
            for row in result.scans
            if row.status is Status.FAILED or row.could_not_be_opened
        ]
        note_failures(results, COHORT, COHORT, failures, settings.max_attempts)
    except DixonflowError as error:
        sys.exit(f"cohort: {error}")


def _earlier(results: Results) -> list[CohortScan]:
    """Rows of the run before. They only spare a second look at the raw data: damaged ones count as none."""
    if not results.scans.exists():
        return []
    try:
        return read_scans(results.scans)
    except TableError as error:
        log.warning("what was known of the raw data is lost, all scans are looked into again: %s", error)
        return []


if __name__ == "__main__":
    run(main)
