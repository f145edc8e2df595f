"""The long tables: `measurements`, the truth that the wide tables are generated from, and `body_profiles`."""

from dataclasses import replace

import pandas as pd

from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.measure.compartments.compartment import compartments_of
from dixonflow.measure.definitions import MEASURES
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.measure.structures import structures_of
from dixonflow.models.model import Model
from dixonflow.tables.columns import Column, ColumnType, Rule, Table, text_column
from dixonflow.tables.definitions import GRADE_DEFINITION, PARTICIPANT, SESSION, with_sequence
from dixonflow.vocabulary import Grade

MISSING_REASON_DEFINITION = "; ".join(f"{reason.value}: {reason.description}" for reason in MissingReason)
_UNITS = sorted({measure.unit for measure in MEASURES.values()})
_KEYS = [measure.key for measure in MEASURES.values()]
_DEFINED = ["\t".join((measure.name, measure.unit, measure.key)) for measure in MEASURES.values()]


def _value_or_reason(rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows["value"].isna().eq(rows["missing_reason"].notna()).astype(bool)


def _grade_of_values(rows: pd.DataFrame) -> "pd.Series[bool]":
    failed = rows["grade"].eq(Grade.FAIL.value).fillna(False)
    objected = rows["grade"].ne(Grade.PASS.value).fillna(False)
    return (
        rows["grade"].isna().eq(rows["value"].isna() & ~failed)
        & failed.eq(rows["missing_reason"].eq(MissingReason.FAILED_CHECK.value).fillna(False))
        & failed.eq(rows["value_before_grade"].notna())
        & objected.eq(rows["decided_by"].notna())
    ).astype(bool)


def _as_defined(rows: pd.DataFrame) -> "pd.Series[bool]":
    return (rows["measure"] + "\t" + rows["unit"] + "\t" + rows["definition"]).isin(_DEFINED).astype(bool)


def _in_bounds(rows: pd.DataFrame) -> "pd.Series[bool]":
    value = rows["value"]
    fraction = rows["unit"].eq("1") & ((value < 0) | (value > 1)).fillna(False)
    volume = rows["unit"].isin(["mL", "cm2"]) & (value < 0).fillna(False)
    return (~(fraction | volume)).astype(bool)


SHARD_MEASUREMENTS = Table(
    "measurements",
    "One row per scan with status ok, structure and measure: the value, or the reason why there is none. Levels are "
    "measured of single vertebrae only.",
    # who reads it asks for some structures of all scans: these lie together, and the rest of the file is not read
    ("structure", "measure", "model", "participant_id", "session_id"),
    (
        PARTICIPANT,
        SESSION,
        text_column(
            "structure",
            "Structure of the model, a composite, or a compartment: a tissue in a part of the body",
            "the table structures says what each is",
        ),
        text_column(
            "measure",
            "Name of the measure",
            "the table measures has its definition, for each structure",
            allowed=MEASURES,
        ),
        Column("value", ColumnType.DOUBLE, "Measured value, in the unit of its row", nullable=True),
        text_column(
            "unit",
            "Unit of value; 1 for fractions, empty for signal in arbitrary units",
            allowed=_UNITS,
        ),
        text_column(
            "definition", "Version of the measure's definition", "its text is in the table measures", allowed=_KEYS
        ),
        text_column(
            "missing_reason",
            "Reason for a missing value; null if there is a value",
            MISSING_REASON_DEFINITION,
            nullable=True,
            allowed=MissingReason,
        ),
        text_column("model", "Segmentation model of the structure"),
    ),
    (
        Rule("either value or missing_reason", _value_or_reason),
        Rule("unit and definition are those of the measure", _as_defined),
        Rule("fractions lie in 0 to 1, volumes and areas are not negative", _in_bounds),
    ),
    since=2,
)
"""Rows of one shard, not graded yet; `MEASUREMENTS` has those of all."""

_PROFILE_REASONS = (
    MissingReason.CUT_BY_FIELD_OF_VIEW,
    MissingReason.OUTSIDE_FIELD_OF_VIEW,
    MissingReason.ARMS_JOINED,
)
_PROFILE_VALUES = (
    Column("area_cm2", ColumnType.DOUBLE, "Mean area of the cross-sections", "cm2", nullable=True, minimum=0),
    Column(
        "fat_fraction",
        ColumnType.DOUBLE,
        "Mean voxel fat fraction of the cross-sections; null where nothing is above the noise floor",
        "1",
        nullable=True,
        minimum=0,
        maximum=1,
    ),
)


def _area_or_reason(rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows["area_cm2"].isna().eq(rows["missing_reason"].notna()).astype(bool)


SHARD_PROFILES = Table(
    "body_profiles",
    "One row per scan, tissue and centimetre along the body, without arms and hands.",
    ("participant_id", "session_id", "structure", "model", "position_cm"),
    (
        PARTICIPANT,
        SESSION,
        text_column("structure", "Tissue; the compartment of this name has its grade", "see the table structures"),
        text_column("model", "Segmentation model of the tissue"),
        Column(
            "position_cm",
            ColumnType.INT64,
            "Bottom of the centimetre, counted up from the inferior endplate of L5; negative below it",
            "cm",
            definition="a scan in which that endplate was not found has no rows",
        ),
        *_PROFILE_VALUES,
        text_column(
            "missing_reason",
            "Reason for missing values; null if there are some",
            "; ".join(f"{reason.value}: {reason.description}" for reason in _PROFILE_REASONS),
            nullable=True,
            allowed=_PROFILE_REASONS,
        ),
    ),
    (Rule("either an area or missing_reason", _area_or_reason),),
    since=2,
)
"""Rows of one shard, not graded yet; `BODY_PROFILES` has those of all."""

GRADED = (
    text_column(
        "grade",
        "Verdict on the value: the worst of the checks of its structure, its scan and its parts; null if nothing was "
        "measured",
        GRADE_DEFINITION,
        nullable=True,
        allowed=Grade,
    ),
    text_column(
        "decided_by",
        "Check that gave the grade, the first of the table checks if several did; null for pass and for no grade",
        "its row in quality has the value and the threshold",
        nullable=True,
        allowed=CHECKS,
    ),
    Column(
        "value_before_grade",
        ColumnType.DOUBLE,
        "Measured value that a check failed, in the unit of its row: not to be used without looking at the scan",
        nullable=True,
    ),
)
"""Columns of the verdict on a value."""

_ALL = with_sequence(SHARD_MEASUREMENTS)
MEASUREMENTS = replace(
    _ALL,
    columns=(*_ALL.columns, *GRADED),
    rules=(*_ALL.rules, Rule("a grade with what decided it, and a failed value set apart", _grade_of_values)),
)

_ALL_PROFILES = with_sequence(SHARD_PROFILES)
_REASON_OF_ALL = text_column(
    "missing_reason",
    "Reason for missing values; null if there are some",
    "; ".join(f"{reason.value}: {reason.description}" for reason in (*_PROFILE_REASONS, MissingReason.FAILED_CHECK)),
    nullable=True,
    allowed=(*_PROFILE_REASONS, MissingReason.FAILED_CHECK),
)
BODY_PROFILES = replace(
    _ALL_PROFILES,
    columns=(
        *(column for column in _ALL_PROFILES.columns if column.name != "missing_reason"),
        _REASON_OF_ALL,
        *(
            text_column(
                f"{name}_grade",
                f"Verdict on {name}; null if there is no value",
                GRADE_DEFINITION,
                nullable=True,
                allowed=Grade,
            )
            for name in ("area", "fat_fraction")
        ),
    ),
)


def expected_rows(model: Model) -> frozenset[tuple[str, str, str]]:
    """Structure, measure and model of the rows that every scan with status ok has."""
    measured = [(each.name, each.measures) for each in structures_of(model)]
    measured += [(each.name, each.measures) for each in compartments_of(model)]
    return frozenset((name, measure.name, model.name) for name, measures in measured for measure in measures)
