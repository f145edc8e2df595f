"""Before Snakemake compares dates and checksums: make sure that it detects what must be rebuilt.

Snakemake does nothing where the last files of a run are there and newer than what they were made from. That is not
enough where a file in between is gone, where the clock was wrong, or where the tables do not account for what lies in
the raw folders.
"""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from dixonflow.cohort.sources import sources_of
from dixonflow.paths import Results
from dixonflow.run.plan import Plan
from dixonflow.run.retry import COHORT, TABLES, request_retry
from dixonflow.vocabulary import Stage

log = logging.getLogger(__name__)

CLOCK_TOLERANCE_S = 60
"""By so much the clocks of a file server and of this machine may differ."""

_LONG_AGO = 86_400
"""Date for files whose own date cannot be: older than everything, so that they are checked again."""


def mark_stale_results(plan: Plan) -> None:
    """Have the starting run check results that it would wrongly take for complete.

    Raises
    ------
    DixonflowError
        If a raw folder or the list of withdrawn participants cannot be read, or a raw folder has lost all of its scans.
    """
    _age_dates_to_come(plan.results)
    results = plan.results
    if not (results.shard_names.exists() and results.found_digest.exists()):
        # A cohort job died. To Snakemake its files are none that anything still waits for.
        results.datapackage.unlink(missing_ok=True)
    if results.datapackage.exists() and not _accounts_for_all(plan):
        log.warning("the tables do not match the raw folders and are rebuilt")
        for name in (COHORT, TABLES):
            request_retry(results, name)


def _accounts_for_all(plan: Plan) -> bool:
    # Not above: it needs pandas, and the Snakefile is read again in every job.
    from dixonflow.cohort.conservation import (  # noqa: PLC0415
        ConservationError,
        check_conservation,
        check_not_emptied,
    )
    from dixonflow.cohort.included import read_included  # noqa: PLC0415
    from dixonflow.cohort.table import read_files  # noqa: PLC0415
    from dixonflow.cohort.withdrawn import read_withdrawn  # noqa: PLC0415
    from dixonflow.tables.definitions import SCANS  # noqa: PLC0415
    from dixonflow.tables.parquet import read_table  # noqa: PLC0415
    from dixonflow.tables.schema import TableError, to_pandas  # noqa: PLC0415

    cohort = plan.config.cohort
    withdrawn = read_withdrawn(cohort.withdrawn) if cohort.withdrawn else frozenset()
    included = read_included(cohort.include) if cohort.include else None
    sources = sources_of(cohort)
    try:
        scans = to_pandas(read_table(plan.results.scan_table, SCANS))
        check_not_emptied(sources, scans)
        files = read_files(plan.results.scans)
        check_conservation(sources, scans, withdrawn, included=included, files=files)
    except (ConservationError, TableError):
        return False
    return True


def _age_dates_to_come(results: Results) -> None:
    """Give files with a date that has not come yet one that is long past: the clock was wrong when they were written.

    Nothing that changes from now on would be newer than they are.
    """
    latest = time.time() + CLOCK_TOLERANCE_S
    count = 0
    for path in _dated_files(results):
        try:
            if path.stat().st_mtime > latest:
                os.utime(path, (_LONG_AGO, _LONG_AGO))
                count += 1
        except OSError:  # gone this moment, or another user's
            continue
    if count:
        log.warning("%d files have dates in the future: their content is checked again", count)


def _dated_files(results: Results) -> Iterator[Path]:
    yield from (results.look_again, results.shard_names, results.found_digest, results.datapackage)
    yield from results.report.glob("*.html")
    for folder in (
        results.shards,
        *(results.outcomes(stage, "x").parent for stage in Stage if stage is not Stage.COHORT),
    ):
        try:
            with os.scandir(folder) as entries:
                yield from (Path(entry.path) for entry in entries)
        except OSError:
            continue
