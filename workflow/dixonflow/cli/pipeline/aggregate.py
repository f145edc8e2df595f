"""Collect the rows of all shards in the tables, and check that no scan was lost."""

import logging
import os
import sys
from pathlib import Path

# Arrow's allocator reads it on import: memory that the rows of one structure took is kept for those of the next. Else
# the kernel clears it again each time, which takes longer a row where there are more of them.
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "-1")

import pandas as pd

from dixonflow.aggregate.bids_dataset import write_dataset_files
from dixonflow.aggregate.build import aggregate, read_scans
from dixonflow.aggregate.departures import Row, departures, write_departures
from dixonflow.aggregate.pictures import remove_orphaned_pictures
from dixonflow.aggregate.summary import format_summary
from dixonflow.cli.options import CONFIG, ConfigOption, start_logging
from dixonflow.cohort.conservation import check_conservation
from dixonflow.cohort.included import Included, read_included
from dixonflow.cohort.sources import sources_of
from dixonflow.cohort.table import read_files
from dixonflow.cohort.withdrawn import read_withdrawn
from dixonflow.config import Config, read_config
from dixonflow.errors import DixonflowError
from dixonflow.models.load import load_models
from dixonflow.models.runnable import models_by_sequence
from dixonflow.paths import Results
from dixonflow.system.atomic import write_bytes
from dixonflow.tables.schema import TableError
from dixonflow.vocabulary import ScanId, ScanSequence

log = logging.getLogger(__name__)


def aggregate_command(config: ConfigOption = CONFIG) -> None:
    """Write results/tables/ and results/summary.txt; fails if a scan in the raw folders has no row."""
    start_logging()
    try:
        settings = read_config(config)
        results = settings.paths
        before = _earlier(results)
        models = load_models(settings)
        of_sequence = models_by_sequence(models, settings)
        cohort = settings.cohort
        withdrawn = read_withdrawn(cohort.withdrawn) if cohort.withdrawn else frozenset()
        summary = aggregate(
            results,
            of_sequence,
            settings.max_attempts,
            cohort.covariates,
            withdrawn,
            with_profiles=settings.measure.profiles,
            count_withdrawn=cohort.withdrawn_rows == "counted",
            takes_dixon=settings.segment.labels_of_dixon,
        )
        write_dataset_files(results, of_sequence, [source.folder for source in cohort.sources])
        scans = read_scans(results.scan_table)
        included = read_included(cohort.include) if cohort.include else None
        files = read_files(results.scans)
        check_conservation(sources_of(cohort), scans, withdrawn, included=included, files=files)
        remove_orphaned_pictures(results)
        if before is not None:
            write_departures(
                results, departures(before, scans, withdrawn, lambda row: is_chosen(row, settings, included))
            )
        results.scans_before.unlink(missing_ok=True)
    except DixonflowError as error:
        sys.exit(f"aggregate: {error}")
    write_bytes(results.summary, (format_summary(summary) + "\n").encode())


def is_chosen(row: Row, config: Config, included: Included | None) -> bool:
    """Whether a configuration asks for a scan of the table `scans`."""
    scan = ScanId(row["participant_id"], row["session_id"], ScanSequence(row["sequence"]))
    return (included is None or scan in included) and any(
        scan.sequence in source.looked_for and Path(row["source"]).is_relative_to(source.folder)
        for source in config.cohort.sources
    )


def _earlier(results: Results) -> pd.DataFrame | None:
    """Read the table of the run before. A damaged one is about to be replaced and must not keep the run from that.

    A copy stays until what left is written down: if this process dies before, the next one finds the table replaced.
    """
    if not results.scans_before.exists():
        if not results.scan_table.exists():
            return None
        write_bytes(results.scans_before, results.scan_table.read_bytes())
    try:
        return read_scans(results.scans_before)
    except TableError as error:
        log.warning("the scans removed since the last run cannot be determined: %s", error)
        return None
