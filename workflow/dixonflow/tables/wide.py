"""The wide tables, one row per scan, generated from the long table: `volumes`, `fat_compartments`,
`body_composition` and `vessels` of each model.

A value column has two companions: `<...>_missing_reason`, which says why there is no value, and `<...>_grade`, the
verdict. A value that failed is null, with the reason `failed_check`. A volume comes with the `coverage_fraction` of its
structure, so that one which the field of view cuts is never just a smaller number.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dixonflow.measure.compartments.compartment import compartments_of
from dixonflow.measure.definitions import MEASURES
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.measure.structures import structures_of
from dixonflow.models.anatomy import structures as vocabulary
from dixonflow.models.joined_views import views_of
from dixonflow.models.model import Model
from dixonflow.tables.columns import NAME_ENDINGS, Column, ColumnType, Rule, Table, text_column
from dixonflow.tables.definitions import GRADE_DEFINITION, PARTICIPANT, SESSION
from dixonflow.tables.measurements import MISSING_REASON_DEFINITION
from dixonflow.tables.shards import SHARD_KEYS, joined
from dixonflow.vocabulary import Grade, ScanSequence

WIDE_NAMES = ("volumes", "fat_compartments", "body_composition", "vessels")
"""Names of the wide tables of the first model; those of others begin with them."""

COVERAGE = "coverage_fraction"
DESCRIBING = (COVERAGE, "uncut_slices", "components")
"""Measures that stand next to a value and have neither reason nor grade of their own."""

COMPARTMENTS: tuple[tuple[str, str], ...] = (
    *((structure, "volume") for structure in ("subcutaneous_fat", "inner_fat", "total_muscle")),
    *((structure, "fat_volume") for structure in ("subcutaneous_fat", "inner_fat", "total_muscle")),
    ("total_muscle", "lean_volume"),
    ("total_muscle", "intramuscular_fat_volume"),
    *(
        (structure, measure)
        for structure in (
            *("total_muscle", "gluteal_muscles", "autochthon", "iliopsoas", "liver", "pancreas", "spleen", "kidneys"),
            *("vertebra_body", "subcutaneous_fat", "inner_fat"),
        )
        for measure in ("fat_fraction", "fat_fraction_eroded_mean")
    ),
)
"""Structure and measure of the first columns of `fat_compartments`, in order; what a model lacks is left out.

inner_fat includes the fat of the mediastinum: it is not visceral adipose tissue, and no column claims to be."""

FURTHER = {
    "fat": ("volume", "fat_volume", "fat_fraction", "fat_fraction_eroded_mean"),
    "muscle": ("volume", "fat_fraction", "fat_fraction_eroded_mean"),
}
"""Measures of all other fat compartments and muscles of a model, by their group in the vocabulary."""


@dataclass(frozen=True)
class WideTable:
    """A wide table and where its values are in the long one.

    Attributes
    ----------
    table
        Its columns.
    model
        Name of the model whose rows it takes.
    values
        Structure and measure of each value column, by name.
    companions
        Names of the columns with reason and grade, by the name of their value column; coverage has none.
    models
        Model of each value column, by name; all that of `model` but in a joined view, whose name that is.
    """

    table: Table
    model: str
    values: dict[str, tuple[str, str]]
    companions: dict[str, tuple[str, str]]
    models: dict[str, str]


def wide_tables(models: Sequence[Model]) -> list[WideTable]:
    """All wide tables of the scans of a sequence.

    Those of the first model have the plain names, so that a further one renames nothing; those of others bear the
    model's name, `volumes_<model>` and `fat_compartments_<model>`. Other sequences than Dixon have theirs in front,
    `volumes_haste` and `volumes_haste_<model>`, and no fat compartments. A model without labels of fat has no body
    composition. A joined view all of whose models are there has `volumes_<view>`.
    """
    tables = []
    for place, model in enumerate(models):
        own = "" if model.sequence is ScanSequence.DIXON else f"_{model.sequence}"
        ending = f"{own}_{model.name}" if place else own
        tables.append(volumes_table(model, ending))
        if model.sequence is ScanSequence.DIXON:
            tables.append(fat_compartments_table(model, ending))
        if compartments_of(model):
            tables.append(body_composition_table(model, ending))
        if any(structure.vessel for structure in structures_of(model)):
            tables.append(vessels_table(model, ending))
    for name, view in views_of(models).items():
        sequence = next(iter(view.values())).sequence
        own = "" if sequence is ScanSequence.DIXON else f"_{sequence}"
        tables.append(joined_volumes_table(name, view, f"{own}_{name}"))
    return tables


def sequence_of_table(name: str) -> ScanSequence:
    """Sequence of the scans in a wide table, by its name."""
    kind = next(each for each in WIDE_NAMES if name == each or name.startswith(f"{each}_"))
    rest = name.removeprefix(kind).removeprefix("_")
    found = [
        each for each in ScanSequence if each is not ScanSequence.DIXON and f"{rest}_".startswith(f"{each.value}_")
    ]
    return found[0] if found else ScanSequence.DIXON


def volumes_table(model: Model, ending: str = "") -> WideTable:
    """Volume and coverage of every structure and composite of a model."""
    pairs = ((structure.name, measure) for structure in structures_of(model) for measure in ("volume", COVERAGE))
    description = "One row per scan with status ok: the volume of every structure."
    return _wide_table(f"volumes{ending}", description, model, pairs)


def joined_volumes_table(name: str, view: Mapping[str, Model], ending: str) -> WideTable:
    """Volume and coverage of the structures of a joined view, each by its own model."""
    columns = [(model, structure, measure) for structure, model in view.items() for measure in ("volume", COVERAGE)]
    description = "One row per scan with status ok: the volume of every structure, by several models."
    return _table_of(f"volumes{ending}", description, name, columns)


def fat_compartments_table(model: Model, ending: str = "") -> WideTable:
    """Fat compartments and muscles, all that the model has, and fat fractions of organs."""
    known = {structure.name for structure in structures_of(model)}
    chosen = [(structure, measure) for structure, measure in COMPARTMENTS if structure in known]
    chosen += [
        (structure.name, measure)
        for structure in structures_of(model)
        if (entry := vocabulary().get(structure.name)) is not None
        for measure in FURTHER.get(entry.group, ())
    ]
    pairs: dict[tuple[str, str], None] = {}
    for structure, measure in chosen:
        pairs[structure, measure] = None
        if measure == "volume":
            pairs[structure, COVERAGE] = None
    description = "One row per scan with status ok: volumes of fat and muscle, fat fractions of organs."
    return _wide_table(f"fat_compartments{ending}", description, model, pairs)


def body_composition_table(model: Model, ending: str = "") -> WideTable:
    """Every compartment of a model: fat and muscle in parts of the body between landmarks, and at levels."""
    pairs = [(each.name, measure.name) for each in compartments_of(model) for measure in each.measures]
    description = "One row per scan with status ok: fat and muscle between landmarks of the body, and at its levels."
    return _wide_table(f"body_composition{ending}", description, model, pairs)


def vessels_table(model: Model, ending: str = "") -> WideTable:
    """Pieces and gaps of every vessel of a model; length, tortuosity and diameter of single tubes."""
    pairs = [
        (structure.name, measure.name)
        for structure in structures_of(model)
        for measure in structure.measures
        if measure.of_vessels and not measure.sequences
    ]
    description = "One row per scan with status ok: pieces of vessels, their length, tortuosity and diameter."
    return _wide_table(f"vessels{ending}", description, model, pairs)


def widen(rows: pa.Table, wide: WideTable) -> pa.Table:
    """Turn rows of `measurements` into rows of a wide table.

    Parameters
    ----------
    rows
        All rows of each of their scans, in any order; all of one sequence.

    Returns
    -------
    One row per scan, in order. A value whose row is not there has neither value nor reason, which the table's rules
    refuse.
    """
    scans = rows.group_by(SHARD_KEYS).aggregate([]).sort_by([(key, "ascending") for key in SHARD_KEYS])
    keys = [(wide.models[column], *pair) for column, pair in wide.values.items()]
    wanted = pa.array(["\t".join(key) for key in keys], pa.string())
    place = pc.index_in(joined(rows, ["model", "structure", "measure"]), value_set=wanted)
    rows, place = rows.filter(pc.is_valid(place)), pc.drop_null(place)
    number = pc.index_in(joined(rows, SHARD_KEYS), value_set=joined(scans, SHARD_KEYS).combine_chunks())
    at = number.to_numpy(), place.to_numpy()
    shape = (scans.num_rows, len(wide.values))
    values = np.full(shape, np.nan)
    values[at] = rows["value"].to_numpy()  # null becomes NaN here and null again below
    reasons, grades = np.full(shape, None, object), np.full(shape, None, object)
    reasons[at] = rows["missing_reason"].to_numpy()
    grades[at] = rows["grade"].to_numpy()

    columns: dict[str, pa.Array | pa.ChunkedArray] = {name: scans[name] for name in SHARD_KEYS}
    columns["model"] = pa.array([wide.model] * shape[0], pa.string())
    for index, name in enumerate(wide.values):
        columns[name] = pa.array(values[:, index], pa.float64(), from_pandas=True)
        for companion, words in zip(wide.companions.get(name, ()), (reasons, grades), strict=False):
            columns[companion] = pa.array(words[:, index], pa.string())
    return pa.table({name: columns[name] for name in wide.table.names})


def _wide_table(name: str, description: str, model: Model, pairs: Iterable[tuple[str, str]]) -> WideTable:
    return _table_of(name, description, model.name, [(model, *pair) for pair in pairs])


def _table_of(name: str, description: str, origin: str, wanted: Iterable[tuple[Model, str, str]]) -> WideTable:
    columns = [PARTICIPANT, SESSION, text_column("model", "Segmentation model of the structures")]
    values: dict[str, tuple[str, str]] = {}
    companions: dict[str, tuple[str, str]] = {}
    models: dict[str, str] = {}
    for model, structure, measure in wanted:
        column = _value_column(model, structure, measure)
        values[column.name], models[column.name] = (structure, measure), model.name
        columns.append(column)
        if measure not in DESCRIBING:
            reason, grade = f"{structure}_{measure}_missing_reason", f"{structure}_{measure}_grade"
            companions[column.name] = (reason, grade)
            why, verdict = f"Reason why {column.name} is missing; null if it is not", f"Verdict on {column.name}"
            columns.append(text_column(reason, why, MISSING_REASON_DEFINITION, nullable=True, allowed=MissingReason))
            columns.append(text_column(grade, verdict, GRADE_DEFINITION, nullable=True, allowed=Grade))
    rule = Rule("either a value or a missing_reason; a grade where there was a value", _either(companions))
    table = Table(name, description, ("participant_id", "session_id"), tuple(columns), (rule,), since=2)
    return WideTable(table, origin, values, companions, models)


def _either(companions: dict[str, tuple[str, str]]) -> Callable[[pd.DataFrame], "pd.Series[bool]"]:
    def holds(rows: pd.DataFrame) -> "pd.Series[bool]":
        good = pd.Series(True, index=rows.index)
        for value, (reason, grade) in companions.items():
            missing = rows[value].isna()
            failed = rows[reason].eq(MissingReason.FAILED_CHECK.value).fillna(False)
            good &= missing.eq(rows[reason].notna()) & (missing & ~failed).eq(rows[grade].isna())
            good &= failed.eq(rows[grade].eq(Grade.FAIL.value).fillna(False))
        return good

    return holds


def _value_column(model: Model, structure: str, measure: str) -> Column:
    definition = MEASURES[measure]
    ending = NAME_ENDINGS[definition.unit]
    parts = model.composites.get(structure)
    words, rule = definition.definition, None
    if parts is not None:
        words = f"{words} Composite of {', '.join(parts)}."
    elif structure in model.structures:
        rule = model.labels[model.structures[structure]]
    else:
        words = f"{words} Of {next(each.words for each in compartments_of(model) if each.name == structure)}."
    return Column(
        f"{structure}_{measure}_{ending}" if ending else f"{structure}_{measure}",
        ColumnType.DOUBLE,
        f"{measure.replace('_', ' ').capitalize()} of {structure.replace('_', ' ')}",
        definition.unit,
        words,
        definition.source,
        nullable=True,
        minimum=0,
        maximum=1 if definition.unit == "1" else None,
        published_dice=rule.published_dice if rule else None,
        published_dice_source=model.sources.get("published_dice", "") if rule and rule.published_dice else "",
    )
