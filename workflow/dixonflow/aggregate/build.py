"""Rows of all shards to the tables: no scan that went in is missing from them."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from dixonflow.aggregate.body_profiles import lost_profiles, write_profiles
from dixonflow.aggregate.explained import explaining_tables
from dixonflow.aggregate.graded_tables import (
    OF_GRADES,
    checks_of_models,
    with_grades,
    write_measurements,
    write_quality,
)
from dixonflow.aggregate.rated import ModelsOfSequence, judged_ratings, opinions
from dixonflow.aggregate.scan_rows import StageRows, fail, scan_rows, stage_rows, timing_rows
from dixonflow.aggregate.summary import Summary, summarise
from dixonflow.analyse.covariates import COVARIATE_TABLE, PROBLEM_TABLE, Covariates, covariates
from dixonflow.cohort.table import COHORT_SCANS
from dixonflow.cohort.withdrawn import COUNTED
from dixonflow.config.cohort import CovariatesConfig
from dixonflow.paths import Results
from dixonflow.ratings.table import RATING_TABLE, rating_rows
from dixonflow.run.retry import COHORT, Failure, read_retry, record_failures, request_retry
from dixonflow.system.atomic import remove_leftovers, write_json
from dixonflow.tables.acquisitions import ACQUISITIONS, acquisition_rows
from dixonflow.tables.columns import Table
from dixonflow.tables.definitions import DICTIONARY, FILE_COUNTS, QUALITY, SCANS, SHARD_QUALITY, TIMINGS
from dixonflow.tables.dictionary import datapackage, dictionary_rows
from dixonflow.tables.fat_comparison import FAT_FRACTION_COMPARISON
from dixonflow.tables.grading import Grading
from dixonflow.tables.measurements import BODY_PROFILES, MEASUREMENTS, SHARD_MEASUREMENTS, expected_rows
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.tables.schema import TableError, to_pandas
from dixonflow.tables.shards import SCAN_KEYS, scan_problems
from dixonflow.tables.wide import WIDE_NAMES
from dixonflow.vocabulary import SHARD_STAGES, Layout, Reason, ScanSequence, Stage, Status

_AGGREGATE = "aggregate"
"""Name, in the mark of a shard, of what was found lost here."""


def aggregate(
    results: Results,
    models: ModelsOfSequence,
    max_attempts: int,
    people: CovariatesConfig | None = None,
    withdrawn: Collection[str] = frozenset(),
    *,
    with_profiles: bool = False,
    count_withdrawn: bool = False,
    takes_dixon: Collection[ScanSequence] = (),
) -> Summary:
    """Write all tables, their dictionary and, last, datapackage.json.

    Checks whose threshold follows from the cohort get it, and their verdict, here: from all scans that are ok.

    Parameters
    ----------
    results
        Holds the list of scans and the rows of every shard that the list names; `tables` is written below it.
    models
        The models in force, by the sequence whose scans they segment: they name the columns of the wide tables and the
        rows that every ok scan must have.
    max_attempts
        How often a shard with incomplete rows is processed again, by as many runs.
    people
        The file of covariates, if there is one.
    withdrawn
        Participants who have withdrawn, with or without a scan.
    with_profiles
        Whether the shards have profiles along the body.
    count_withdrawn
        Whether the rows of those who have withdrawn bear neither id nor file.
    takes_dixon
        Sequences whose scans take the label map of the Dixon scan of their session.

    Raises
    ------
    ConfigError
        If the file of covariates cannot be used.
    RatingError
        If a file of ratings is damaged.
    TableError
        If the list of scans is unreadable; the next run rebuilds it. Whatever is wrong with the rows of a shard
        makes its scans failed instead.
    """
    try:
        cohort = to_pandas(read_table(results.scans, COHORT_SCANS))
    except TableError:
        request_retry(results, COHORT)
        raise
    shards = sorted(cohort["shard"].dropna().unique())
    stages = {stage: stage_rows(results, stage, shards) for stage in SHARD_STAGES}
    scans = _checked(scan_rows(cohort, stages), results, models, with_profiles=with_profiles)
    broken = _broken(scans, stages)
    for shard in shards:
        _note_loss(results, shard, max_attempts, lost=shard in broken)
    ok = scans.loc[scans["status"].eq(Status.OK.value), [*SCAN_KEYS, "shard"]]

    tables = results.tables
    read = cohort[cohort["status"].ne(Status.WITHDRAWN.value) & cohort["participant_id"].notna()]
    rated = judged_ratings(results, read, ok, models)
    checked = write_quality(results, cohort, ok, models, opinions(rated, ok, models, takes_dixon))
    grading = Grading(checked.objections, models, checked.good)
    further, counts = write_measurements(results, ok, models, grading)
    if with_profiles:
        write_profiles(results, ok, grading)
        further.append(BODY_PROFILES)
    scans = with_grades(scans, checked, counts)
    write_table(tables / "timings.parquet", TIMINGS, timing_rows(scans, stages))
    write_table(results.scan_table, SCANS, _without_names(scans) if count_withdrawn else scans)
    write_table(tables / "acquisitions.parquet", ACQUISITIONS, acquisition_rows(read))
    found = covariates(people, read, withdrawn) if people else None
    of_people = _write_covariates(tables, found) if found else ()
    if rated:
        write_table(tables / f"{RATING_TABLE.name}.parquet", RATING_TABLE, rating_rows(rated))
        further.append(RATING_TABLE)
    explaining = explaining_tables(models)
    for table, rows in explaining.items():
        write_table(tables / f"{table.name}.parquet", table, rows)
    of_scans = (SCANS, ACQUISITIONS, TIMINGS, MEASUREMENTS, *further, QUALITY, *of_people)
    all_tables = (*of_scans, *explaining, DICTIONARY)
    write_table(tables / "dictionary.parquet", DICTIONARY, dictionary_rows(all_tables))
    remove_leftovers(results.datapackage)
    _remove_other_tables(tables, {each.name for each in all_tables})
    write_json(results.datapackage, datapackage(all_tables))
    return summarise(scans, found)


def _without_names(scans: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table `scans` in which those of withdrawn participants have no id and no file: they are counted."""
    counted = scans.copy()
    withdrawn = counted["status"].eq(Status.WITHDRAWN.value).fillna(False).astype(bool)
    numbers = range(1, int(withdrawn.sum()) + 1)
    counted.loc[withdrawn, "source"] = [f"{COUNTED} {number}" for number in numbers]
    counted.loc[withdrawn, ["participant_id", "session_id", "raw_key", "content_key"]] = None
    return counted


def _write_covariates(tables: Path, found: Covariates) -> tuple[Table, ...]:
    write_table(tables / f"{COVARIATE_TABLE.name}.parquet", COVARIATE_TABLE, found.rows)
    write_table(tables / f"{PROBLEM_TABLE.name}.parquet", PROBLEM_TABLE, found.problems)
    return COVARIATE_TABLE, PROBLEM_TABLE


def read_scans(path: Path) -> pd.DataFrame:
    """Read the table `scans` that `aggregate` wrote, in this version or an earlier one. Raises TableError."""
    scans = to_pandas(read_table(path, SCANS, added=("sequence", *FILE_COUNTS, *OF_GRADES)))
    unsaid = scans["sequence"].eq("") & scans["participant_id"].notna()  # by versions that had one sequence a layout
    usual = {layout.value: layout.usual_sequence.value for layout in Layout}
    scans.loc[unsaid, "sequence"] = scans.loc[unsaid, "layout"].map(usual)
    return scans


def _broken(scans: pd.DataFrame, stages: Mapping[Stage, StageRows]) -> frozenset[str]:
    """Shards with lost rows, including rows of scans that ended at an earlier stage."""
    lost = {shard for each in stages.values() for shard in each.lost}
    failed_here = scans["status"].eq(Status.FAILED.value) & scans["content_key"].isna() & scans["shard"].notna()
    return frozenset(lost | set(scans.loc[failed_here, "shard"]))


def _note_loss(results: Results, shard: str, max_attempts: int, *, lost: bool) -> None:
    """Have the next run rebuild lost rows from the records of the stages, up to a limited number of times."""
    attempt = min(read_retry(results, shard).failed.get(_AGGREGATE, 0) + 1, max_attempts)
    failures = [Failure(Reason.INTERNAL_ERROR, attempt)] if lost else []
    record_failures(results, shard, _AGGREGATE, failures, max_attempts)


def _checked(scans: pd.DataFrame, results: Results, models: ModelsOfSequence, *, with_profiles: bool) -> pd.DataFrame:
    """Fail the scans that are ok by their outcome and whose rows of measurements or quality are not all there."""
    scans = scans.copy()
    wanted = {
        sequence.value: {
            SHARD_MEASUREMENTS: (
                results.measurements,
                frozenset[tuple[str, str, str]]().union(*map(expected_rows, each)),
            ),
            SHARD_QUALITY: (results.quality, checks_of_models(each)),
        }
        for sequence, each in models.items()
    }
    for shard, members in scans[scans["status"].eq(Status.OK.value)].groupby("shard", sort=True):
        for table, (path, rows) in wanted[str(members["sequence"].iloc[0])].items():
            problems = scan_problems(path(str(shard)), table, members, rows)
            fail(scans, problems, Reason.INTERNAL_ERROR)
    if with_profiles:
        there = scans.loc[scans["status"].eq(Status.OK.value), "shard"].astype(str)
        fail(scans, lost_profiles(results, dict(there.items())), Reason.INTERNAL_ERROR)
    for column in ("status", "reason"):
        scans[f"{Stage.MEASURE.value}_{column}"] = scans[column]
    return scans


def _remove_other_tables(tables: Path, names: Collection[str]) -> None:
    """Take away tables of models and sequences that are not in the run any more: nobody must take them for current.

    Before datapackage.json says that all is done: a run that is killed in between is repeated.
    """
    of_people = (COVARIATE_TABLE.name, PROBLEM_TABLE.name)
    for name in (*WIDE_NAMES, FAT_FRACTION_COMPARISON.name, BODY_PROFILES.name, RATING_TABLE.name, *of_people):
        for path in (tables / f"{name}.parquet", *tables.glob(f"{name}_*.parquet")):
            if path.stem not in names:
                path.unlink(missing_ok=True)
