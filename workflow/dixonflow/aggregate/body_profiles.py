"""The table `body_profiles`: cross-sections along the body, with the grade of their tissue."""

from collections.abc import Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dixonflow.paths import Results
from dixonflow.tables.grading import Grading
from dixonflow.tables.measurements import BODY_PROFILES, SHARD_PROFILES
from dixonflow.tables.parquet import read_table, table_writer
from dixonflow.tables.schema import TableError, arrow_schema
from dixonflow.tables.shards import in_scan_order
from dixonflow.vocabulary import Grade

_GRADED_AS = {"area_cm2": ("area", "area_grade"), "fat_fraction": ("fat_fraction_mean", "fat_fraction_grade")}
"""Measure whose verdict a column has, and the column of its grade."""


def lost_profiles(results: Results, shards: Mapping[object, str]) -> dict[object, str]:
    """What is wrong with the profiles of shards that have none that can be read, by the keys of `shards`."""
    problems = {}
    for shard in sorted(set(shards.values())):
        try:
            read_table(results.profiles(shard), SHARD_PROFILES)
        except TableError as error:
            problems[shard] = str(error)
    return {key: problems[shard] for key, shard in shards.items() if shard in problems}


def write_profiles(results: Results, ok: pd.DataFrame, grading: Grading) -> None:
    """Write the table; what a check failed is null in it."""
    files = {str(shard): results.profiles(shard) for shard in ok["shard"].unique()}
    with table_writer(results.tables / f"{BODY_PROFILES.name}.parquet", BODY_PROFILES) as writer:
        for rows in in_scan_order(files, ok, BODY_PROFILES):
            writer.write(_graded(rows, grading))


def _graded(rows: pa.Table, grading: Grading) -> pa.Table:
    columns = {name: rows[name] for name in rows.column_names}
    for name, (measure, grade) in _GRADED_AS.items():
        as_measured = rows.select(["participant_id", "session_id", "sequence", "structure", "model", "missing_reason"])
        as_measured = as_measured.append_column("measure", pa.repeat(measure, rows.num_rows))
        judged = grading.graded(as_measured.append_column("value", rows[name]))
        columns[name], columns[grade] = judged["value"], judged["grade"]
        failed = pc.equal(pc.fill_null(judged["grade"], ""), Grade.FAIL.value)
        if name == "area_cm2":
            columns["missing_reason"] = judged["missing_reason"]
            no_area = failed
        else:  # of an area that failed no fraction is right
            columns[name] = pc.if_else(no_area, pa.scalar(None, pa.float64()), columns[name])
            columns[grade] = pc.if_else(no_area, pa.scalar(None, pa.string()), columns[grade])
    return pa.table(columns).select(list(BODY_PROFILES.names)).cast(arrow_schema(BODY_PROFILES))
