"""What the demo network must reach, which of it is missed, and the record of an evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from dixonflow.evaluation.accuracy import Summary


@dataclass(frozen=True)
class Targets:
    """What the demo network must reach on participants it never saw; the project's own targets.

    Attributes
    ----------
    mean_dice
        Smallest mean over all structures.
    large_ml, large_dice
        No structure of at least this volume may have a smaller mean Dice.
    smallest_dice
        No structure at all may have a smaller mean Dice.
    volume_ml, volume_percent
        Largest median absolute volume error of structures of at least this volume.
    coarse_percent, coarse_volume_percent
        Where the true label map, put on the image's voxels, is already off by more than the first, the second holds.
    compartments, compartment_percent
        Tighter bound for the compartments that tables exist for.
    fat_fraction_points
        Largest median absolute error of the fat fraction of `fat_fraction_regions`, in percentage points.
    worst_fat_fraction_points
        Largest absolute error of it in any scan.
    """

    mean_dice: float = 0.85
    large_ml: float = 20
    large_dice: float = 0.70
    smallest_dice: float = 0.50
    volume_ml: float = 50
    volume_percent: float = 5
    coarse_percent: float = 2
    coarse_volume_percent: float = 10
    compartments: tuple[str, ...] = ("subcutaneous_fat", "inner_fat", "total_muscle")
    compartment_percent: float = 3
    fat_fraction_regions: tuple[str, ...] = (
        *("liver", "pancreas", "spleen", "kidneys", "total_muscle", "subcutaneous_fat", "inner_fat"),
    )
    fat_fraction_points: float = 0.5
    worst_fat_fraction_points: float = 1.5


@dataclass(frozen=True)
class Violation:
    """A target that was missed."""

    structure: str
    measure: str
    value: float
    bound: float


@dataclass(frozen=True)
class _MissedTargets:
    found: list[Violation]

    def check(
        self, structure: str, measure: str, value: float, *, least: float = -np.inf, most: float = np.inf
    ) -> None:
        # Written so that an unknown value is a miss: NaN compares false with everything.
        if not (value >= least and value <= most):
            self.found.append(Violation(structure, measure, value, least if np.isfinite(least) else most))


def violations(
    summary: Summary, fat_errors: pd.DataFrame | None = None, targets: Targets | None = None
) -> list[Violation]:
    """List every target that is missed, unknown values included.

    Parameters
    ----------
    summary
        Of the cohort.
    fat_errors
        From `fat_fraction_errors`; None where it was not evaluated.
    targets
        Default: `Targets()`.
    """
    targets = targets or Targets()
    missed = _MissedTargets([])
    missed.check("all structures", "mean Dice", summary.mean_dice.value, least=targets.mean_dice)
    named = set(targets.compartments)
    for row in summary.structures.to_dict("records"):
        name, volume = str(row["structure"]), float(row["median_true_ml"])
        if row["n"] == 0:
            continue  # neither in the truth nor predicted, in any scan
        error = float(row["median_absolute_error_percent"])
        if not row["composite"]:
            least = targets.large_dice if volume >= targets.large_ml else targets.smallest_dice
            missed.check(name, "mean Dice", float(row["mean_dice"]), least=least)
        if name in named:
            missed.check(name, "volume error %", error, most=targets.compartment_percent)
        elif not row["composite"] and volume >= targets.volume_ml:
            coarse = float(row["median_grid_error_percent"]) > targets.coarse_percent
            most = targets.coarse_volume_percent if coarse else targets.volume_percent
            missed.check(name, "volume error %", error, most=most)
    present = set(summary.structures.loc[summary.structures["n"] > 0, "structure"])
    for name in sorted(named - present):
        missed.check(name, "volume error %", np.nan, most=targets.compartment_percent)
    if fat_errors is not None:
        for name in targets.fat_fraction_regions:
            known = fat_errors.reindex([name]).iloc[0]
            missed.check(name, "fat fraction error, points", known["median"], most=targets.fat_fraction_points)
            worst = targets.worst_fat_fraction_points
            missed.check(name, "worst fat fraction error, points", known["worst"], most=worst)
    return missed.found


def evaluation_record(summary: Summary, fat_errors: pd.DataFrame, missed: Sequence[Violation]) -> dict[str, object]:
    """Return an evaluation as JSON-compatible values; unknown values are null."""

    def record(values: Mapping[Any, object]) -> dict[str, object]:
        return {
            str(key): None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in values.items()
        }

    return {
        "scans": summary.scans,
        "mean_dice": record(asdict(summary.mean_dice)),
        "structures": [record(row) for row in summary.structures.astype(object).to_dict("records")],
        "fat_fraction_error_points": {name: record(row) for name, row in fat_errors.to_dict("index").items()},
        "violations": [record(asdict(violation)) for violation in missed],
    }
