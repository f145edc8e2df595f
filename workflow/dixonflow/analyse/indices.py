"""Indices of body composition: ratios of compartments, and those normalised by height (`analyse/indices.csv`).

They are made of values that passed. An index with a missing part is null, with the part that is missing as its reason.
Some correspond to fields of UK Biobank; agreement with these has not been measured. Its fields 22403 to 22406 are left
out: no model here labels the front and the back of the thigh as two structures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dixonflow.analyse.study_data import StudyData
from dixonflow.errors import ConfigError
from dixonflow.system.package_table import package_table

MEASURES_OF_INDICES = ("volume", "lean_volume", "area", "fat_fraction_eroded_mean")

_Values = NDArray[np.float64]
_FORMULAS: dict[str, Callable[[Sequence[_Values], _Values, _Values], _Values]] = {
    "litres": lambda parts, _height, _weight: np.sum(parts, axis=0) / 1000,
    "litres by height": lambda parts, height, _weight: np.sum(parts, axis=0) / 1000 / height**2,
    "by height": lambda parts, height, _weight: parts[0] / height**2,
    "ratio": lambda parts, _height, _weight: parts[0] / parts[1],
    "share of first two": lambda parts, _height, _weight: (parts[0] + parts[1]) / np.sum(parts, axis=0),
    "weight by litres": lambda parts, _height, weight: weight / (parts[0] / 1000),
    "percent": lambda parts, _height, _weight: 100 * parts[0],
}
"""From parts in mL and cm2, height in m and weight in kg."""


@dataclass(frozen=True)
class Index:
    """An index.

    Attributes
    ----------
    name
        Column of the table, with its unit.
    definition
        How it is made.
    parts
        Structures and measures that it is made of, in the order in which its formula takes them.
    formula
        A key of the formulas above.
    needs
        Covariates that it needs.
    ukb_field
        UK Biobank's field that it corresponds to; none where there is none.
    ukb_title
        Title of the field.
    ukb_difference
        How the field is defined in another way.
    source
        Where the definition comes from.
    """

    name: str
    definition: str
    parts: tuple[tuple[str, str], ...]
    formula: str
    needs: tuple[str, ...]
    ukb_field: int | None
    ukb_title: str
    ukb_difference: str
    source: str

    def values(self, parts: Sequence[_Values], height_m: _Values, weight_kg: _Values) -> _Values:
        """Values of all scans; NaN where a part is, or the formula has no value."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = _FORMULAS[self.formula](parts, height_m, weight_kg)
        return np.where(np.isfinite(found), found, np.nan)


@cache
def indices() -> tuple[Index, ...]:
    """All indices, in the order of the file."""
    return tuple(
        Index(
            row["index"],
            row["definition"],
            tuple((part.split(":")[0], part.split(":")[1]) for part in row["parts"].split(";")),
            row["formula"],
            tuple(filter(None, row["needs"].split(";"))),
            int(row["ukb_field"]) if row["ukb_field"] else None,
            row["ukb_title"],
            row["ukb_difference"],
            row["source"],
        )
        for row in package_table(__package__, "indices.csv")
    )


def index_rows(data: StudyData, model: str | None = None) -> pd.DataFrame:
    """Make all indices of a cohort.

    Parameters
    ----------
    data
        Values of `MEASURES_OF_INDICES`.
    model
        Model whose compartments count; None where it is the only one that has any.

    Returns
    -------
    pandas.DataFrame
        One row per Dixon scan: ids, each index, and the reason where it is null: the part, or `height`, `weight`.

    Raises
    ------
    ConfigError
        If no model is named and several have compartments.
    """
    scans = data.scans
    here = scans["sequence"].eq("dixon").to_numpy(bool)
    structures = {structure for index in indices() for structure, _ in index.parts}
    quantities = data.quantities
    quantities = quantities[quantities["sequence"].eq("dixon") & quantities["structure"].isin(structures)]
    models = quantities["model"].unique() if model is None else [model]
    if len(models) > 1:
        raise ConfigError(
            "several models have compartments: body_composition.parquet, which says whose count, is missing"
        )
    quantities = quantities[quantities["model"].isin(models)]
    columns = {(str(row["structure"]), str(row["measure"])): int(str(at)) for at, row in quantities.iterrows()}
    height, weight = scans["height_cm"].to_numpy(float) / 100, scans["weight_kg"].to_numpy(float)
    people = {"height": height, "weight": weight}
    nothing = np.full(len(scans), np.nan)
    found = scans[["participant_id", "session_id"]].copy()
    for index in indices():
        parts = [data.values[:, columns[part]] if part in columns else nothing for part in index.parts]
        values = index.values(parts, height, weight)
        for needed in index.needs:
            values = np.where(np.isfinite(people[needed]), values, np.nan)
        reason = np.full(len(scans), None, object)
        reason[np.isnan(values)] = "not_defined"
        for needed in index.needs:
            reason[np.isnan(values) & ~np.isfinite(people[needed])] = needed
        for part, column in zip(index.parts, parts, strict=True):
            reason[np.isnan(values) & np.isnan(column)] = " ".join(part)
        found[index.name] = pd.array(values, dtype="Float64")
        found[f"{index.name}_missing"] = reason
    return found[here].reset_index(drop=True)


def ukb_rows(rows_of_indices: pd.DataFrame) -> pd.DataFrame:
    """The indices under the names of UK Biobank's fields: eid, and `p<field>_i<session>` for each field and session."""
    fields = {index.name: index.ukb_field for index in indices() if index.ukb_field is not None}
    parts = []
    for session, rows in rows_of_indices.groupby("session_id", sort=True):
        names = {name: f"p{field}_i{session}" for name, field in fields.items()}
        parts.append(rows.set_index("participant_id")[list(names)].rename(columns=names))
    wide = pd.concat(parts, axis=1).sort_index() if parts else pd.DataFrame(index=pd.Index([], name="eid"))
    return wide.rename_axis("eid").reset_index()


def definition_rows() -> pd.DataFrame:
    """What each index is, and how UK Biobank's field differs."""
    rows = [
        (each.name, each.definition, each.ukb_field, each.ukb_title, each.ukb_difference, each.source)
        for each in indices()
    ]
    names = ["index", "definition", "ukb_field", "ukb_title", "ukb_difference", "source"]
    return pd.DataFrame(rows, columns=names).astype({"ukb_field": "Int64"})
