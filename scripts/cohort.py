#!/usr/bin/env python3
"""Find every scan in the raw folders and put the whole ones into shards."""

import sys
from typing import Annotated

import typer

from dixonflow.cohort.build import build_cohort, write_cohort
from dixonflow.cohort.raw import Source
from dixonflow.cohort.shards import read_shards
from dixonflow.cohort.table import read_scans
from dixonflow.cohort.withdrawn import read_withdrawn
from dixonflow.command import CONFIG, ConfigOption, run, start_logging
from dixonflow.config import read_config
from dixonflow.errors import DixonflowError
from dixonflow.layout import Results
from dixonflow.retry import ask_for_look
from dixonflow.vocabulary import Status


def main(
    config: ConfigOption = CONFIG,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that look into raw files.")] = 1,
) -> None:
    """Write results/cohort/: one row per scan, and the shard lists. Only scans that are new or changed are opened."""
    start_logging()
    try:
        settings = read_config(config)
        results = Results(settings.results)
        previous = list(read_scans(results.scans)) if results.scans.exists() else []
        result = build_cohort(
            [Source(source.layout, source.folder) for source in settings.cohort.sources],
            withdrawn=read_withdrawn(settings.cohort.withdrawn) if settings.cohort.withdrawn else frozenset(),
            previous=previous,
            shards=read_shards(results.shards),
            scans_per_shard=settings.cohort.scans_per_shard,
            max_attempts=settings.max_attempts,
            workers=jobs,
        )
        write_cohort(result, results.scans, results.shards)
        # whoever is no longer on the list of withdrawn participants was passed over by the jobs of the shard meanwhile
        withdrawn = {row.scan for row in previous if row.status is Status.WITHDRAWN}
        for shard in {row.shard for row in result.scans if row.shard and row.scan in withdrawn}:
            ask_for_look(results, shard)
    except DixonflowError as error:
        sys.exit(f"cohort: {error}")


if __name__ == "__main__":
    run(main)
