"""Groups of participants by sex, age, body mass index and site, and an order that draws from them evenly."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from dixonflow.analyse.covariates import COVARIATE_TABLE
from dixonflow.retraining.project import RetrainingError
from dixonflow.tables.parquet import read_table
from dixonflow.vocabulary import ScanId

UNKNOWN = "unknown"
_BMI_CLASSES = (18.5, 25.0, 30.0)
"""kg/m2: underweight, normal, overweight and obese begin there (WHO Technical Report Series 894, 2000)."""


class Stratum(StrEnum):
    """What participants are grouped by."""

    SEX = "sex"
    AGE = "age"
    BMI = "bmi"
    SITE = "site"


_COLUMNS = {
    Stratum.SEX: "sex",
    Stratum.AGE: "age_years",
    Stratum.BMI: "bmi_kg_per_m2",
    Stratum.SITE: "centre",
}


def strata_of(tables: Path, scans: Iterable[ScanId], by: Sequence[Stratum]) -> dict[ScanId, tuple[str, ...]]:
    """Group of each scan: its sex, decade of age, class of body mass index, site; `unknown` is a group of its own.

    Raises
    ------
    RetrainingError
        If the run has no table of covariates, and groups are asked for.
    TableError
        If it cannot be read.
    """
    if not by:
        return dict.fromkeys(scans, ())
    path = tables / f"{COVARIATE_TABLE.name}.parquet"
    if not path.is_file():
        raise RetrainingError(f"there is no {path}: name the file in cohort.covariates, or leave --stratify out")
    known = {
        ScanId(row["participant_id"], row["session_id"]): tuple(_group(each, row[_COLUMNS[each]]) for each in by)
        for row in read_table(path, COVARIATE_TABLE).to_pylist()
    }
    nothing = (UNKNOWN,) * len(by)
    return {scan: known.get(scan.dixon, nothing) for scan in scans}


def even_order(strata: dict[ScanId, tuple[str, ...]], seed: int) -> list[ScanId]:
    """Put scans in a random order of which every beginning has as many of each group as there are.

    The order within a group depends on the seed and the scan's name alone: new scans move no others.
    """
    shuffled = sorted(strata, key=lambda scan: _random(seed, scan.name))
    place: dict[tuple[str, ...], int] = {}
    turn = {}
    for scan in shuffled:
        turn[scan] = place[strata[scan]] = place.get(strata[scan], -1) + 1
    return sorted(shuffled, key=lambda scan: (turn[scan], _random(seed, " ".join(strata[scan]))))


def _group(by: Stratum, value: str | float | None) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return UNKNOWN
    if by is Stratum.AGE:
        return f"{int(value // 10) * 10}"
    return str(sum(value >= limit for limit in _BMI_CLASSES))


def _random(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()
