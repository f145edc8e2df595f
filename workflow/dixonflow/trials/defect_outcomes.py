"""What the workflow made of planted defects: values that moved, their grades, and the table of all kinds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.measure.definitions import MEASURES
from dixonflow.phantom.defects.defect import Defect

LARGEST_CHANGE = {"mL": 0.05, "1": 0.01}
"""Changes of a value that need a grade: a share of a volume, and a point of a fraction."""

LARGEST_FROM_NOTHING_ML = 1.0
"""A volume that was absent or 0 before needs a grade above this."""

SCAN_RESCAN_SDS = 3.0
"""And at least so many standard deviations between scans of one person."""

NO_DEFECT = "no defect"
KEYS = ["structure", "measure"]
COLUMNS = (
    *("defect", "layer", "strength", "unit", "expected", "outcome", "said", "listed", "moved", "ungraded"),
    *("worst", "worst_change", "worst_unit"),
)


@dataclass(frozen=True)
class Baseline:
    """Values of clean scans.

    Attributes
    ----------
    values
        Of the scan before a defect was planted, by structure and measure.
    spread
        Standard deviation between scans of one person: of volumes relative to their mean, of fractions as they are.
    objections
        Checks that object to the scan without a defect.
    """

    values: "pd.Series[float]"
    spread: "pd.Series[float]"
    objections: Sequence[str]


def spread_between_scans(scans: Sequence[Sequence[pd.DataFrame]]) -> "pd.Series[float]":
    """Standard deviation between scans of one person, by structure and measure.

    Parameters
    ----------
    scans
        Measurements of each scan of each person.
    """
    variances = []
    for of_person in scans:
        values = pd.concat([values_of(rows) for rows in of_person], axis=1).astype(float)
        volumes = values.index.get_level_values("measure").map(lambda name: MEASURES[name].unit == "mL")
        scale = values.mean(axis=1).where(np.asarray(volumes, bool), 1.0)
        variances.append(values.div(scale, axis=0).var(axis=1))
    return pd.concat(variances, axis=1).mean(axis=1) ** 0.5


def outcome(
    defect: Defect, strength: float, reason: str, graded: pd.DataFrame | None, checks: Sequence[str], clean: Baseline
) -> dict[str, Any]:
    """One row of the table of defects, `COLUMNS`.

    Parameters
    ----------
    reason
        Why the scan was excluded; empty where it was measured.
    graded
        Its measurements with grades.
    checks
        Checks that objected.
    clean
        The scan without the defect.
    """
    row: dict[str, Any] = {
        "defect": defect.name,
        "layer": defect.layer.value,
        "strength": strength,
        "unit": defect.unit,
        "expected": defect.expected.value,
    }
    nothing = {"moved": 0, "ungraded": 0, "worst": "", "worst_change": None, "worst_unit": ""}
    if graded is None:
        return row | {"outcome": "excluded", "said": reason, "listed": ""} | nothing
    new = [name for name in checks if name not in clean.objections]
    changes = _changes(graded, clean)
    moved, ungraded = changes[changes["moves"]], changes[changes["moves"] & changes["passes"]]
    row |= {"said": ", ".join(new), "listed": _yes(checks), "moved": len(moved), "ungraded": len(ungraded)}
    row["outcome"] = "slipped" if len(ungraded) else "graded" if len(moved) or new else "corrected"
    passing = changes[changes["passes"]].sort_values("excess", ascending=False)
    if passing.empty:
        return row | {"worst": "", "worst_change": None, "worst_unit": ""}
    worst = passing.reset_index().iloc[0]
    change = float(worst["change"])
    return row | {
        "worst": f"{worst['structure']} {worst['measure']}",
        "worst_change": round(100 * change, 2) if np.isfinite(change) else None,  # none where nothing was before
        "worst_unit": "%" if worst["unit"] == "mL" else "points",
    }


def is_listed(checks: Sequence[str]) -> bool:
    """Whether a scan is on the list of the report, by the checks that objected."""
    return any(CHECKS[name].asks_for_a_look for name in checks)


def _yes(checks: Sequence[str]) -> str:
    return "yes" if is_listed(checks) else "no"


def clean_outcome(number: int, checks: Sequence[str]) -> dict[str, Any]:
    """Row of the table of defects for a scan without one: whether a check asks for a look at it.

    Parameters
    ----------
    number
        Which scan.
    checks
        Checks that objected.
    """
    looks = [name for name in checks if CHECKS[name].asks_for_a_look]
    row: dict[str, Any] = {"defect": NO_DEFECT, "layer": "none", "strength": number, "unit": "scan", "expected": "pass"}
    row |= {"outcome": "listed" if looks else "pass", "said": ", ".join(looks), "listed": _yes(checks)}
    row |= {"moved": 0, "ungraded": 0}
    return row | {"worst": "", "worst_change": None, "worst_unit": ""}


def _changes(graded: pd.DataFrame, clean: Baseline) -> pd.DataFrame:
    """Change of each value that is reported before and after, whether it moves, and whether it passes."""
    rows = graded.set_index(KEYS)
    units = rows.index.get_level_values("measure").map(lambda name: MEASURES[name].unit)
    is_graded = rows.index.get_level_values("measure").map(lambda name: MEASURES[name].is_graded)
    table = pd.DataFrame({"unit": units, "passes": rows["grade"].eq("pass").to_numpy()}, index=rows.index)
    before = clean.values.reindex(rows.index).astype(float)
    now = rows["value"].astype(float).where(rows["value"].notna(), rows["value_before_grade"].astype(float))
    relative = now / before.where(before.ne(0)) - 1
    table["change"] = np.where(table["unit"].eq("mL"), relative, now - before)
    limit = table["unit"].map(LARGEST_CHANGE).astype(float)
    spread = clean.spread.reindex(rows.index).astype(float).fillna(0.0)
    table["excess"] = table["change"].abs() / np.maximum(limit, SCAN_RESCAN_SDS * spread)
    from_nothing = table["unit"].eq("mL") & before.fillna(0.0).eq(0) & now.gt(LARGEST_FROM_NOTHING_ML)
    table.loc[from_nothing, "excess"] = np.inf
    table["moves"] = table["excess"].gt(1)
    return table[table["unit"].isin(LARGEST_CHANGE) & np.asarray(is_graded, bool) & table["excess"].notna()]


def values_of(rows: pd.DataFrame) -> "pd.Series[float]":
    """Values by structure and measure."""
    values: pd.Series[float] = rows.set_index(KEYS)["value"]
    return values
