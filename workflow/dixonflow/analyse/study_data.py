"""What studies are made of: values of the tables as one column per quantity, with the covariates of each scan."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dixonflow.analyse.covariates import COVARIATE_TABLE
from dixonflow.errors import ConfigError
from dixonflow.measure.definitions import MEASURES
from dixonflow.tables.parquet import read_table, read_whole
from dixonflow.tables.schema import TableError, to_pandas
from dixonflow.tables.shards import SCAN_KEYS, joined
from dixonflow.vocabulary import Grade, Status

STUDIED = (
    *("volume", "area", "fat_fraction", "fat_fraction_eroded_mean", "pdff", "hounsfield_mean"),
    *("lean_volume", "fat_volume"),
)
"""Measures that studies look at where nothing else is asked for."""

QUANTITY = ["sequence", "model", "structure", "measure"]
_STRUCTURE_KEYS = [*SCAN_KEYS, "model", "structure"]
_CUT = "cut_by_field_of_view"


class Lost(StrEnum):
    """Why a value, or a scan, is not in a study."""

    NOT_MEASURED = "not_measured"
    NOT_GRADED = "not_graded"
    FAILED = "failed_check"
    CUT = "cut_by_field_of_view"
    TO_REVIEW = "to_review"
    NO_AGE = "age_unknown"
    AGE_OUTSIDE = "age_outside"
    NO_SEX = "sex_unknown"
    NO_HEIGHT = "height_unknown"
    FURTHER_SCAN = "further_scan_of_participant"
    NOT_POSITIVE = "value_not_positive"
    TOO_FEW = "too_few_values"
    CONSTANT = "values_all_equal"
    AGES_ALIKE = "ages_too_alike"


CODES = {each: code for code, each in enumerate(Lost, 1)}
"""Number of each reason in `StudyData.lost`."""


@dataclass(frozen=True)
class StudyData:
    """Values of a cohort.

    Attributes
    ----------
    scans
        One row per scan with status ok, in order: `SCAN_KEYS`, age_years, sex, height_cm, weight_kg, bmi_kg_per_m2,
        centre and scan_date; covariates are null where they are unknown.
    quantities
        One row per sequence, model, structure and measure, with its unit.
    values
        Shape (scans, quantities); NaN where there is none that may be used.
    lost
        Shape (scans, quantities); why there is none: a number of `CODES`, 0 is for values
        that are used and scans of another sequence.
    """

    scans: pd.DataFrame
    quantities: pd.DataFrame
    values: NDArray[np.float64]
    lost: NDArray[np.int8]

    @property
    def losses(self) -> pd.DataFrame:
        """One row per quantity and reason why values of it are not used: `QUANTITY`, reason and n."""
        counts = pd.DataFrame({each: (self.lost == code).sum(axis=0) for each, code in CODES.items()})
        rows = self.quantities[QUANTITY].join(counts).melt(QUANTITY, var_name="reason", value_name="n")
        return rows[rows["n"] > 0].sort_values([*QUANTITY, "reason"], ignore_index=True)

    def of_scans(self, chosen: "pd.Series[bool]") -> "StudyData":
        """Give the same data of some scans alone."""
        rows = self.scans.reset_index(drop=True)
        keep = chosen.to_numpy(bool)
        return replace(self, scans=rows[keep].reset_index(drop=True), values=self.values[keep], lost=self.lost[keep])


def read_study_data(
    tables: Path, measures: Sequence[str] = STUDIED, *, with_review: bool = False, needs_covariates: bool = True
) -> StudyData:
    """Read the tables of a run.

    Parameters
    ----------
    tables
        Folder of the tables.
    measures
        Measures to read.
    with_review
        Whether values that a person should look at first are used; those that the field of view cuts never are.
    needs_covariates
        Whether there must be a table of covariates.

    Raises
    ------
    ConfigError
        If a table is not there, or a measure does not exist.
    TableError
        If one is damaged.
    """
    if unknown := sorted(set(measures) - set(MEASURES)):
        raise ConfigError(f"no measure {unknown[0]}: the table measures lists them")
    scans = _scans(tables, needs_covariates=needs_covariates)
    path = tables / "measurements.parquet"
    columns = [*SCAN_KEYS, "structure", "measure", "model", "value", "unit", "grade", "decided_by", "missing_reason"]
    rows = read_columns(path, columns, pc.field("measure").isin(list(measures)))
    place = pc.index_in(_names(rows, SCAN_KEYS), value_set=_names(scans, SCAN_KEYS).combine_chunks())
    if place.null_count:
        raise TableError(f"{path} has values of scans that scans.parquet does not have as ok: run the workflow again")
    encoded = pc.dictionary_encode(_names(rows, QUANTITY)).combine_chunks()
    which = encoded.indices.to_numpy()
    first = pd.Series(which).drop_duplicates().index
    quantities = rows.take(pa.array(first)).select([*QUANTITY, "unit"]).to_pandas()
    at = place.to_numpy().astype(np.intp)
    values = np.full((len(scans), len(quantities)), np.nan)
    reason = _reasons(rows, _cut_structures(tables) if with_review else None, with_review=with_review)
    used = reason == ""
    values[at[used], which[used]] = rows["value"].to_numpy()[used]
    # a scan without a row of a quantity that others of its sequence have was not measured either
    same = scans["sequence"].to_numpy(object)[:, None] == quantities["sequence"].to_numpy(object)
    lost = np.where(same, CODES[Lost.NOT_MEASURED], 0).astype(np.int8)
    lost[at, which] = pd.Series(reason).map(CODES).fillna(0).to_numpy(np.int8)
    order = quantities.sort_values(QUANTITY, kind="stable").index.to_numpy()
    return StudyData(scans, quantities.iloc[order].reset_index(drop=True), values[:, order], lost[:, order])


def _scans(tables: Path, *, needs_covariates: bool) -> pd.DataFrame:
    is_ok = pc.field("status") == Status.OK.value
    scans = read_columns(tables / "scans.parquet", [*SCAN_KEYS, "status"], is_ok).to_pandas()
    scans = scans[SCAN_KEYS].sort_values(SCAN_KEYS, ignore_index=True).astype(str)
    path = tables / f"{COVARIATE_TABLE.name}.parquet"
    if path.exists():
        people = to_pandas(read_table(path, COVARIATE_TABLE))
        known: pd.DataFrame = scans.merge(people, on=SCAN_KEYS[:2], how="left", validate="many_to_one")
        return known
    if needs_covariates:
        raise ConfigError(
            f"there is no {path}: name the file of covariates in cohort.covariates and run the workflow again "
            "(docs/running.md)"
        )
    nothing = {name: pd.Series([None] * len(scans), dtype=object) for name in COVARIATE_TABLE.names[2:]}
    unknown: pd.DataFrame = scans.assign(**nothing)
    return unknown


def read_columns(path: Path, columns: Sequence[str], which: Any = None) -> pa.Table:
    """Read columns of a table of the run; all but `value` as text.

    Raises
    ------
    ConfigError
        If it is not there.
    TableError
        If it is damaged.
    """
    if not path.exists():
        raise ConfigError(f"there is no {path}: run the workflow first, or name the folder of the tables")
    rows = read_whole(path, columns, which)
    fields = [pa.field(each.name, each.type if each.name == "value" else pa.string()) for each in rows.schema]
    return rows.cast(pa.schema(fields))  # other programs write text in other ways


def _names(rows: pa.Table | pd.DataFrame, keys: list[str]) -> pa.ChunkedArray:
    """Values of some columns in one."""
    if isinstance(rows, pd.DataFrame):
        rows = pa.table({key: pa.array(rows[key].tolist(), pa.string()) for key in keys})
    return joined(rows, keys)


def _cut_structures(tables: Path) -> pa.Array:
    """Scans, models and structures to which the check of the field of view objects, whatever decided their grade."""
    objects = (pc.field("check") == _CUT) & (pc.field("grade") != Grade.PASS.value)
    rows = read_columns(tables / "quality.parquet", _STRUCTURE_KEYS, objects)
    return _names(rows, _STRUCTURE_KEYS).combine_chunks()


def _reasons(rows: pa.Table, cut: pa.Array | None, *, with_review: bool) -> NDArray[np.object_]:
    """Why each value is not used; empty where it is."""
    grade, decided = (rows[name].to_pandas().to_numpy(object) for name in ("grade", "decided_by"))
    known = np.isfinite(rows["value"].to_numpy())
    reason = np.where(known, Lost.NOT_GRADED.value, Lost.NOT_MEASURED.value).astype(object)
    # only a grade that is known lets a value in
    reason[known & (grade == Grade.PASS.value)] = ""
    reason[rows["missing_reason"].to_pandas().isin([_CUT]).to_numpy()] = Lost.CUT.value
    reason[grade == Grade.FAIL.value] = Lost.FAILED.value
    reviewed = grade == Grade.REVIEW.value
    reason[known & reviewed] = "" if with_review else Lost.TO_REVIEW.value
    reason[reviewed & (decided == _CUT)] = Lost.CUT.value
    if cut is not None and len(cut):
        of_cut = pc.is_in(_names(rows, _STRUCTURE_KEYS), value_set=cut).to_numpy()
        reason[reviewed & of_cut] = Lost.CUT.value
    return reason


def first_model(tables: Path) -> str | None:
    """Model of the table body_composition, the first of the run with compartments; none without that table."""
    path = tables / "body_composition.parquet"
    if not path.exists():
        return None
    names = read_columns(path, ["model"])["model"].unique().to_pylist()
    return str(names[0]) if names else None
