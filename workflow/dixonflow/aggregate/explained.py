"""Rows of the tables that explain the others: structures, measures and checks of a run."""

from collections.abc import Mapping, Sequence

import pandas as pd

from dixonflow.evaluation.repeatability import phantom_repeatability
from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.measure.compartments.compartment import compartments_of
from dixonflow.measure.measure_definition import MeasureDefinition
from dixonflow.measure.structures import structures_of
from dixonflow.models.anatomy import structures as vocabulary
from dixonflow.models.model import Model
from dixonflow.report.palette import colour
from dixonflow.tables.columns import Table
from dixonflow.tables.dictionary import CHECK_TABLE, MEASURE_TABLE, STRUCTURES
from dixonflow.vocabulary import ScanSequence

REPEATED_IN = "{} scans of {} phantoms, at another breath, position and noise; demo network (docs/body_composition.md)"
"""Scans and participants behind a within-person SD that is kept with the package."""


def explaining_tables(models: Mapping[ScanSequence, Sequence[Model]]) -> dict[Table, pd.DataFrame]:
    """Rows of all three tables, for the models of each sequence as they are used on its scans."""
    return {
        STRUCTURES: structure_rows(models),
        MEASURE_TABLE: measure_rows(models, phantom_repeatability()),
        CHECK_TABLE: check_rows(),
    }


def structure_rows(models: Mapping[ScanSequence, Sequence[Model]]) -> pd.DataFrame:
    """Rows of the table `structures`, of the models of each sequence as they are used on its scans."""
    rows = [
        row
        for sequence, used in models.items()
        for model in used
        for row in _structures_of_model(sequence.value, model)
    ]
    found = pd.DataFrame(rows, columns=list(STRUCTURES.names))
    return found.astype({"label": "Int64", "lower_cutoff_ml": "Float64", "published_dice": "Float64"})


def _structures_of_model(sequence: str, model: Model) -> list[tuple[object, ...]]:
    ids, rules = model.structures, {rule.name: rule for rule in model.labels.values()}
    rows: list[tuple[object, ...]] = []
    for each in structures_of(model):
        known, rule = vocabulary()[each.name], rules.get(each.name)
        label = ids.get(each.name)
        dice = rule.published_dice if rule else None
        rows.append(
            (
                *(model.name, sequence, each.name, "composite" if rule is None else "label", label),
                *("; ".join(model.composites.get(each.name, ())), known.side, known.group, known.snomed_ct or ""),
                "" if label is None else "#{:02x}{:02x}{:02x}".format(*colour(label)),
                *(each.lower_cutoff_ml, dice, model.sources.get("published_dice", "") if dice is not None else ""),
            )
        )
    rows += [
        (model.name, sequence, each.name, "compartment", None, each.where.words, "", "", "", "", None, None, "")
        for each in compartments_of(model)
    ]
    return rows


def measure_rows(models: Mapping[ScanSequence, Sequence[Model]], repeatability: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table `measures`.

    Parameters
    ----------
    models
        Of each sequence, as they are used on its scans.
    repeatability
        As `phantom_repeatability`.
    """
    measured: dict[tuple[str, str], MeasureDefinition] = {}
    for model in (model for used in models.values() for model in used):
        for name, measures in [
            *((each.name, each.measures) for each in structures_of(model)),
            *((each.name, each.measures) for each in compartments_of(model)),
        ]:
            measured |= {(name, measure.name): measure for measure in measures}
    rows = [
        (name, each.name, each.unit, each.key, each.definition, each.source) for (name, _), each in measured.items()
    ]
    found = pd.DataFrame(rows, columns=list(MEASURE_TABLE.names)[:6])
    said = [
        REPEATED_IN.format(*pair) for pair in zip(repeatability["scans"], repeatability["participants"], strict=True)
    ]
    known = repeatability.assign(cv_within=repeatability["cv_percent"] / 100, repeated_in=said)
    known = known[["structure", "measure", "unit", "sd_within", "cv_within", "repeated_in"]]
    found = found.merge(known, how="left", on=["structure", "measure", "unit"], validate="one_to_one")
    found["repeated_in"] = found["repeated_in"].fillna("")
    return found.astype({"sd_within": "Float64", "cv_within": "Float64"})


def check_rows() -> pd.DataFrame:
    """Rows of the table `checks`."""
    rows = [(each.name, each.unit, each.definition, each.source, each.advice) for each in CHECKS.values()]
    return pd.DataFrame(rows, columns=list(CHECK_TABLE.names))
