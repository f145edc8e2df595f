"""The tables quality and measurements, the latter with the grades that the former decides, and those made from them."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dixonflow.aggregate.rated import ModelsOfSequence, Opinions, with_ratings
from dixonflow.measure.checks.of_model import expected_checks
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.ratings.effects import GoodRatings
from dixonflow.tables.cohort_verdicts import (
    cohort_thresholds,
    protocol_thresholds,
    with_verdicts,
    with_verdicts_of_protocol,
)
from dixonflow.tables.columns import Table
from dixonflow.tables.definitions import QUALITY, SCANS
from dixonflow.tables.fat_comparison import COMPARED, FAT_FRACTION_COMPARISON, comparison_rows
from dixonflow.tables.grading import Grading, objections_of, scan_grades
from dixonflow.tables.measurements import MEASUREMENTS
from dixonflow.tables.parquet import table_writer
from dixonflow.tables.raw_checks import raw_values, with_raw_checks
from dixonflow.tables.row_reordering import row_reordering
from dixonflow.tables.schema import arrow_schema, to_arrow
from dixonflow.tables.shards import SCAN_KEYS, in_scan_order
from dixonflow.tables.wide import wide_tables, widen
from dixonflow.vocabulary import Grade, Status

OF_GRADES = ("scan_grade", "scan_grade_decided_by", "values_failed", "values_to_review")
"""Columns of the table `scans` that follow from the grades."""


def checks_of_models(models: Sequence[Model]) -> frozenset[tuple[str, str, str]]:
    """Check, structure and model of the rows of `quality` that every scan with status ok has."""
    return frozenset[tuple[str, str, str]]().union(*(expected_checks(model, models) for model in models))


_COUNTED = (Grade.FAIL, Grade.REVIEW)


@dataclass(frozen=True)
class Checked:
    """What the tables of scans and values need to know of `quality`.

    Attributes
    ----------
    objections
        Rows that did not pass, as `objections_of` gives them.
    repairs
        Scans that were repaired: columns of `SCAN_KEYS`, and `repair`, a remark.
    good
        What raters found good.
    """

    objections: pa.Table
    repairs: pd.DataFrame
    good: GoodRatings


def write_quality(
    results: Results, cohort: pd.DataFrame, ok: pd.DataFrame, models: ModelsOfSequence, rated: Opinions
) -> Checked:
    """Write the table `quality`, with the verdicts of the cohort and of raters."""
    files = {str(shard): results.quality(shard) for shard in ok["shard"].unique()}
    thresholds = {
        sequence: cohort_thresholds(files, ok[ok["sequence"].eq(sequence.value)], checks_of_models(each))
        for sequence, each in models.items()
    }
    layouts = cohort.loc[cohort["participant_id"].notna(), [*SCAN_KEYS, "layout"]].drop_duplicates(SCAN_KEYS)
    extents = pd.concat(
        [protocol_thresholds(files, ok[ok["sequence"].eq(sequence.value)], layouts) for sequence in models]
    )
    first_ok = cohort.sort_values("status", key=lambda status: status.ne(Status.OK.value), kind="stable")
    raw = raw_values(first_ok[first_ok["participant_id"].notna()].drop_duplicates(SCAN_KEYS))
    names = {sequence.value: [model.name for model in each] for sequence, each in models.items()}
    nothing = arrow_schema(QUALITY).empty_table()
    objections, repairs, good = [objections_of(nothing)], [_repairs(nothing)], GoodRatings()
    with table_writer(results.tables / "quality.parquet", QUALITY) as quality:
        for rows in in_scan_order(files, ok, QUALITY):
            parts = [
                with_verdicts(rows.filter(pc.equal(rows["sequence"], sequence.value)), of_sequence)
                for sequence, of_sequence in thresholds.items()
            ]
            judged = with_verdicts_of_protocol(pa.concat_tables(parts), extents, layouts)
            whole, found_good = with_ratings(with_raw_checks(judged, raw, names), rated)
            good |= found_good
            quality.write(whole.sort_by([(key, "ascending") for key in QUALITY.keys]))
            objections.append(objections_of(whole))
            repairs.append(_repairs(whole))
    return Checked(pa.concat_tables(objections), pd.concat(repairs).drop_duplicates(SCAN_KEYS), good)


def _repairs(quality: pa.Table) -> pd.DataFrame:
    """Scans with swaps of water and fat that were undone; `place` names the stations."""
    swapped = quality.filter(pc.and_(pc.equal(quality["check"], "swaps_repaired"), pc.greater(quality["value"], 0)))
    rows = swapped.select([*SCAN_KEYS, "place"]).to_pandas()
    remarks = "water and fat of " + rows["place"].astype(str) + " were swapped back"
    remarked: pd.DataFrame = rows[SCAN_KEYS].assign(repair=remarks)
    return remarked


def write_measurements(
    results: Results, ok: pd.DataFrame, models: ModelsOfSequence, grading: Grading
) -> tuple[list[Table], pd.DataFrame]:
    """Write the table `measurements`, graded, and those that are generated from it.

    Returns
    -------
    The latter, and the `value_counts` of all scans.
    """
    tables = results.tables
    wide = {sequence: wide_tables(each) for sequence, each in models.items()}
    all_wide = [each for tables_of in wide.values() for each in tables_of]
    files = {str(shard): results.measurements(shard) for shard in ok["shard"].unique()}
    counts = [value_counts(arrow_schema(MEASUREMENTS).empty_table())]
    with ExitStack() as stack:
        turned = stack.enter_context(row_reordering(tables / "measurements.parquet", MEASUREMENTS))
        writers = {
            each.table.name: stack.enter_context(table_writer(tables / f"{each.table.name}.parquet", each.table))
            for each in all_wide
        }
        for ungraded in in_scan_order(files, ok, MEASUREMENTS):
            rows = grading.graded(ungraded).cast(arrow_schema(MEASUREMENTS))
            turned.add(rows)
            counts.append(value_counts(rows))
            for sequence, tables_of in wide.items():
                of_sequence = rows.filter(pc.equal(rows["sequence"], sequence.value))
                for each in tables_of:
                    writers[each.table.name].write(widen(of_sequence, each))
        long = stack.enter_context(table_writer(tables / "measurements.parquet", MEASUREMENTS))
        for rows in turned.turned():
            long.write(rows)
    generated = [each.table for each in all_wide]
    both = {sequence: models[sequence][0] for sequence in COMPARED if models.get(sequence)}
    if len(both) == len(COMPARED):
        with table_writer(tables / f"{FAT_FRACTION_COMPARISON.name}.parquet", FAT_FRACTION_COMPARISON) as writer:
            for compared in comparison_rows(tables / "measurements.parquet", both):
                writer.write(to_arrow(compared, FAT_FRACTION_COMPARISON))
        generated.append(FAT_FRACTION_COMPARISON)
    return generated, pd.concat(counts, ignore_index=True)


def value_counts(measurements: pa.Table) -> pd.DataFrame:
    """Columns of `SCAN_KEYS`, `values_failed` and `values_to_review` of scans with such values."""
    graded = measurements.filter(pc.is_in(measurements["grade"], value_set=pa.array([each.value for each in _COUNTED])))
    rows = graded.select([*SCAN_KEYS, "grade"]).to_pandas()
    rows["values_failed"], rows["values_to_review"] = (rows["grade"].eq(each.value) for each in _COUNTED)
    counted: pd.DataFrame = rows.groupby(SCAN_KEYS, as_index=False)[["values_failed", "values_to_review"]].sum()
    return counted


def with_grades(scans: pd.DataFrame, checked: Checked, counts: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table `scans` with the grade of each scan that is ok, the checks that decided it, and repairs.

    Parameters
    ----------
    counts
        From `value_counts`.
    """
    graded = scans.drop(columns=list(OF_GRADES))
    for found in (scan_grades(checked.objections, checked.good), checked.repairs, counts):
        graded = graded.merge(found, how="left", on=SCAN_KEYS, validate="many_to_one")
    notes = graded["note"].fillna("")
    both = notes + np.where(notes.eq("") | graded["repair"].isna(), "", "; ") + graded["repair"].fillna("")
    graded["note"] = both.where(graded["repair"].notna(), graded["note"])
    ok = graded["status"].eq(Status.OK.value)
    graded["scan_grade"] = graded["scan_grade"].fillna(Grade.PASS.value).where(ok)
    graded["scan_grade_decided_by"] = graded["scan_grade_decided_by"].where(ok)
    for name in ("values_failed", "values_to_review"):
        graded[name] = graded[name].fillna(0).astype("Int64").where(ok)
    return graded[list(SCANS.names)]
