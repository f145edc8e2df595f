"""The table fat_fraction_comparison: the scanner's proton density fat fraction next to the signal fat fraction."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dixonflow.measure.structures import structures_of
from dixonflow.models.model import Model
from dixonflow.tables.columns import Column, ColumnType, Table, text_column
from dixonflow.tables.definitions import GRADE_DEFINITION, PARTICIPANT, SESSION
from dixonflow.vocabulary import Grade, ScanSequence

_KEYS = ["participant_id", "session_id"]
_COVERAGE = "coverage_fraction"

_SIDES = {
    ScanSequence.DIXON: {
        "fat_fraction": "fat_fraction",
        "fat_fraction_eroded_mean": "fat_fraction_eroded_mean",
        "fat_fraction_of_sums": "fat_fraction_of_sums",
        _COVERAGE: "dixon_coverage_fraction",
    },
    ScanSequence.ME_VIBE: {
        "pdff": "pdff",
        "pdff_eroded_mean": "pdff_eroded_mean",
        "pdff_mean": "pdff_mean",
        _COVERAGE: "me_vibe_coverage_fraction",
    },
}
"""Measures of each sequence, and the columns that they become."""

COMPARED = tuple(_SIDES)
"""Sequences that a run must have both."""

_GRADED = {ScanSequence.DIXON: "fat_fraction", ScanSequence.ME_VIBE: "pdff"}


def _fraction(name: str, description: str) -> Column:
    return Column(name, ColumnType.DOUBLE, description, "1", nullable=True, minimum=0, maximum=1)


def _grade(name: str, description: str) -> Column:
    return text_column(name, description, GRADE_DEFINITION, nullable=True, allowed=Grade)


FAT_FRACTION_COMPARISON = Table(
    "fat_fraction_comparison",
    "One row per session with a Dixon and a multi-echo VIBE scan, and structure that both have: two fat fractions. "
    "Each is measured in the label map of its own scan. Neither is calibrated by the other.",
    ("structure", "participant_id", "session_id"),
    (
        text_column("structure", "Structure of both models"),
        PARTICIPANT,
        SESSION,
        _fraction("fat_fraction", "Signal fat fraction of the Dixon scan, as in measurements"),
        _fraction("fat_fraction_eroded_mean", "Mean signal fat fraction of the eroded structure, as in measurements"),
        _fraction("fat_fraction_of_sums", "Signal fat fraction over all voxels, as in measurements"),
        _grade("fat_fraction_grade", "Verdict on fat_fraction"),
        _fraction("dixon_coverage_fraction", "Coverage of the structure in the Dixon scan"),
        text_column("dixon_model", "Segmentation model of the Dixon scan"),
        _fraction("pdff", "Proton density fat fraction of the multi-echo VIBE scan, as in measurements"),
        _fraction("pdff_eroded_mean", "Mean proton density fat fraction of the eroded structure, as in measurements"),
        _fraction("pdff_mean", "Mean proton density fat fraction over all voxels, as in measurements"),
        _grade("pdff_grade", "Verdict on pdff"),
        _fraction("me_vibe_coverage_fraction", "Coverage of the structure in the multi-echo VIBE scan"),
        text_column("me_vibe_model", "Segmentation model of the multi-echo VIBE scan"),
    ),
    since=2,
)


def comparison_rows(measurements: Path, models: Mapping[ScanSequence, Model]) -> Iterator[pd.DataFrame]:
    """Rows of the table, a structure at a time, in its order.

    Parameters
    ----------
    measurements
        The table of all scans.
    models
        The model of each of the two sequences whose values are taken, as it is used on its scans.
    """
    columns = ["participant_id", "session_id", "sequence", "structure", "measure", "model", "value", "grade"]
    each = [{structure.name for structure in structures_of(models[sequence])} for sequence in _SIDES]
    for structure in sorted(set.intersection(*each)):
        rows = pq.read_table(measurements, columns=columns, filters=pc.field("structure") == structure).to_pandas()
        sides = [_side(rows, sequence, models[sequence].name) for sequence in _SIDES]
        both = sides[0].merge(sides[1], how="inner", on=_KEYS, validate="one_to_one").sort_values(_KEYS)
        if not both.empty:
            yield both.assign(structure=structure)[list(FAT_FRACTION_COMPARISON.names)]


def _side(rows: pd.DataFrame, sequence: ScanSequence, model: str) -> pd.DataFrame:
    wanted = _SIDES[sequence]
    own = rows[rows["sequence"].eq(sequence.value) & rows["model"].eq(model) & rows["measure"].isin(wanted)]
    values = own.pivot(index=_KEYS, columns="measure", values="value").reindex(columns=list(wanted))
    grades = own[own["measure"].eq(_GRADED[sequence])].set_index(_KEYS)["grade"]
    prefix = "fat_fraction" if sequence is ScanSequence.DIXON else "pdff"
    found = values.rename(columns=wanted)
    found[f"{prefix}_grade"] = grades
    found[f"{sequence.value}_model"] = model
    return found.reset_index()
