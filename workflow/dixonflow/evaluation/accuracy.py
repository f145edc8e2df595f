"""How good label maps are, against a known truth: Dice and volume errors, with confidence intervals.

`evaluate` compares one pair of label maps, `summarise` a cohort of such comparisons. Nothing here knows where the truth
comes from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dixonflow.evaluation.statistics.bootstrap import (
    bootstrap_means,
    bootstrap_medians,
    mean_of_known,
    percentile_interval,
)
from dixonflow.labelmap.dice import dice_of, joint_counts
from dixonflow.models.model import Model


@dataclass(frozen=True)
class Region:
    """A structure, or a composite of structures, that is evaluated as one.

    Attributes
    ----------
    name
        Structure or composite.
    labels
        Its label ids.
    composite
        Whether it combines structures; composites have volumes and Dice and do not enter means over structures.
    """

    name: str
    labels: tuple[int, ...]
    composite: bool = False


def regions_of(model: Model) -> list[Region]:
    """Return every structure of the model, then every composite."""
    ids = model.structures
    single = [Region(name, (label,)) for name, label in ids.items()]
    combined = [Region(name, tuple(ids[part] for part in parts), True) for name, parts in model.composites.items()]
    return single + combined


def evaluate(
    predicted: NDArray[np.integer],
    true: NDArray[np.integer],
    spacing_mm: Sequence[float],
    regions: Sequence[Region],
    true_volumes_ml: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Compare a label map with the truth on the same grid.

    Parameters
    ----------
    predicted, true
        Label maps of shape (x, y, z), 0 is background.
    spacing_mm
        Voxel size.
    regions
        What is evaluated.
    true_volumes_ml
        Volume of each region by name, where it is known better than by counting voxels of `true`. A region that is not
        named in it counts voxels.

    Returns
    -------
    DataFrame
        One row per region: `structure`, `composite`, `dice` (2 |P and T| / (|P| + |T|); null where both are empty),
        `true_ml`, `grid_ml` (voxels of `true`: what the best label map on this grid could say), `predicted_ml`,
        `volume_error_percent` (signed, of `true_ml`; null where that is 0).

    Raises
    ------
    ValueError
        If the maps are not integers on one three-dimensional grid, or the spacing is not positive.
    """
    if predicted.shape != true.shape or predicted.ndim != 3:
        raise ValueError(f"label maps of shape {predicted.shape} and {true.shape} are not on one grid")
    if not (np.issubdtype(predicted.dtype, np.integer) and np.issubdtype(true.dtype, np.integer)):
        raise ValueError(f"label maps must be integers, not {predicted.dtype} and {true.dtype}")
    if len(spacing_mm) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing_mm):
        raise ValueError(f"spacing must be three positive numbers, not {tuple(spacing_mm)}")
    size = 1 + max(int(predicted.max(initial=0)), int(true.max(initial=0)), *(max(each.labels) for each in regions))
    joint = joint_counts(predicted, true, size, size)
    voxel_ml = float(np.prod(np.asarray(spacing_mm, dtype=float))) / 1000
    known = true_volumes_ml or {}
    rows = []
    for region in regions:
        labels = list(region.labels)
        in_predicted, in_true = int(joint[labels].sum()), int(joint[:, labels].sum())
        dice = dice_of(joint, labels, labels)
        true_ml = float(known.get(region.name, in_true * voxel_ml))
        predicted_ml = in_predicted * voxel_ml
        rows.append(
            {
                "structure": region.name,
                "composite": region.composite,
                "dice": np.nan if dice is None else dice,
                "true_ml": true_ml,
                "grid_ml": in_true * voxel_ml,
                "predicted_ml": predicted_ml,
                "volume_error_percent": 100 * (predicted_ml - true_ml) / true_ml if true_ml > 0 else np.nan,
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Interval:
    """A point estimate and its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """Evaluation of a cohort.

    Attributes
    ----------
    structures
        One row per region: `structure`, `composite`, `n` (scans that have it in truth or prediction), `mean_dice`,
        `dice_low`, `dice_high`, `smallest_dice`, `median_true_ml`, `median_grid_error_percent` (absolute error of
        the true label map on the grid), `median_error_percent` (signed), `median_absolute_error_percent`, `error_low`,
        `error_high` (of the median absolute error).
    scans
        Number of scans.
    mean_dice
        Mean over structures of the mean over scans.
    """

    structures: pd.DataFrame
    scans: int
    mean_dice: Interval


def summarise(comparisons: pd.DataFrame, *, resamples: int = 2000, seed: int = 0, confidence: float = 0.95) -> Summary:
    """Summarise the comparisons of several scans, with bootstrap intervals.

    Scans are drawn with replacement (percentile bootstrap), all structures of a scan together, because errors of one
    scan go together. Give a column `participant` where one participant has several scans: participants are drawn then.

    Parameters
    ----------
    comparisons
        Rows of `evaluate` with a column `scan`, and optionally `participant`.
    resamples, seed
        Number of draws, and their seed: equal inputs give equal intervals.
    confidence
        Of the intervals.

    Raises
    ------
    ValueError
        If there are no rows, or a scan has a structure twice.
    """
    if comparisons.empty:
        raise ValueError("there is nothing to summarise")
    if comparisons.duplicated(["scan", "structure"]).any():
        raise ValueError("a scan has the same structure twice")
    order = comparisons["structure"].drop_duplicates().tolist()
    composite = comparisons.groupby("structure")["composite"].first()
    scans = comparisons["scan"].drop_duplicates().tolist()

    def table(column: str) -> pd.DataFrame:
        return comparisons.pivot(index="scan", columns="structure", values=column).reindex(index=scans, columns=order)

    dice, errors, true_ml, grid_ml = (table(c) for c in ("dice", "volume_error_percent", "true_ml", "grid_ml"))
    groups = scans
    if "participant" in comparisons:
        groups = comparisons.drop_duplicates("scan").set_index("scan")["participant"].reindex(scans).tolist()
    dice_draws = bootstrap_means(dice.to_numpy(float), groups, draws=resamples, seed=seed)
    dice_low, dice_high = percentile_interval(dice_draws, confidence)
    error_draws = bootstrap_medians(errors.abs().to_numpy(float), groups, draws=resamples, seed=seed)
    error_low, error_high = percentile_interval(error_draws, confidence)
    single = ~composite.reindex(order).to_numpy(bool)
    grid_errors = (100 * (grid_ml - true_ml) / true_ml.where(true_ml > 0)).abs()
    structures = pd.DataFrame(
        {
            "structure": order,
            "composite": ~single,
            "n": dice.notna().sum().to_numpy(),
            "mean_dice": dice.mean().to_numpy(),
            "dice_low": dice_low,
            "dice_high": dice_high,
            "smallest_dice": dice.min().to_numpy(),
            "median_true_ml": true_ml.median().to_numpy(),
            "median_grid_error_percent": grid_errors.median().to_numpy(),
            "median_error_percent": errors.median().to_numpy(),
            "median_absolute_error_percent": errors.abs().median().to_numpy(),
            "error_low": error_low,
            "error_high": error_high,
        }
    )
    overall = percentile_interval(mean_of_known(dice_draws[:, single])[:, None], confidence)
    value = float(structures.loc[single, "mean_dice"].mean())
    return Summary(structures, len(scans), Interval(value, float(overall[0][0]), float(overall[1][0])))
