"""How good label maps are, against a known truth: Dice and volume errors, with confidence intervals.

`evaluate` compares one pair of label maps, `summarise` a cohort of such comparisons. Nothing here knows where the truth
comes from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dixonflow.evaluation.metrics.label_pair import label_pair
from dixonflow.evaluation.metrics.overlap import overlaps
from dixonflow.evaluation.regions import Region
from dixonflow.evaluation.statistics.bootstrap import (
    bootstrap_means,
    bootstrap_medians,
    mean_of_known,
    percentile_interval,
)


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
        If the maps are not integers of 0 and above on one three-dimensional grid, the spacing is not positive, or there
        are no regions or two of one name.
    """
    pair = label_pair(predicted, true, spacing_mm, regions)
    known = true_volumes_ml or {}
    rows = []
    for region, overlap in zip(regions, overlaps(pair), strict=True):
        grid_ml, predicted_ml = overlap.reference * pair.voxel_ml, overlap.predicted * pair.voxel_ml
        true_ml = float(known.get(region.name, grid_ml))
        rows.append(
            {
                "structure": region.name,
                "composite": region.composite,
                "dice": overlap.dice,
                "true_ml": true_ml,
                "grid_ml": grid_ml,
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
