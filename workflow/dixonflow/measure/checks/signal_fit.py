"""How water and fat fit the labels: patches that contradict them, the share of voxels that fit, holes in the body."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dixonflow.imaging.types import Labels
from dixonflow.labelmap.tissue_fit import (
    SIGNAL_FRACTION,
    airy_labels,
    contradicting,
    large_pieces,
    opened,
    patches,
    tissue_kinds,
    touching,
)
from dixonflow.models.model import Model

DARK_FRACTION = 0.05
"""Voxels below this fraction of the labelled voxels' brightest (99th percentile of W + F) have no signal."""


@dataclass(frozen=True)
class SignalFit:
    """How water and fat fit the labels.

    Attributes
    ----------
    swapped_shares
        Share of each structure that is there, 0 to 1, in patches where water and fat contradict the labels.
    swapped_ml
        Volume of these patches.
    touching_swapped
        Structures that touch these patches.
    fitting
        Share of the voxels of fat and lean structures that do not contradict their label; None where there are none.
    holes_ml
        Volume of patches without signal inside the body, without structures that hold air.
    """

    swapped_shares: dict[str, float]
    swapped_ml: float
    touching_swapped: list[str]
    fitting: float | None
    holes_ml: float


def signal_fit(
    labels: Labels,
    water: NDArray[np.integer | np.floating],
    fat: NDArray[np.integer | np.floating],
    spacing_mm: tuple[float, float, float],
    model: Model,
) -> SignalFit:
    """Compare water and fat with the labels.

    Parameters
    ----------
    labels, water, fat
        Shape (x, y, z), of the part of the scan that holds all labels.
    spacing_mm
        Voxel size.
    """
    total = np.add(water, fat, dtype=np.float32)
    found = np.bincount(labels.ravel(order="K"), minlength=max(model.labels) + 1)
    present = {name: label for name, label in model.structures.items() if found[label]}
    if not present:
        return SignalFit({}, 0.0, [], None, 0.0)
    brightest = float(np.percentile(total[labels > 0], 99))
    kinds = tissue_kinds(model)[labels]
    considered = (kinds != 0) & (total > SIGNAL_FRACTION * brightest)
    against = contradicting(kinds, fat, total, considered)
    number = int(np.count_nonzero(considered))
    swapped = patches(against, spacing_mm)
    inside = np.bincount(labels[swapped], minlength=len(found))
    shares = {name: float(inside[label] / found[label]) for name, label in present.items()}
    fitting = 1 - float(np.count_nonzero(against)) / number if number else None
    # every second voxel across the body is enough for holes of this size
    half = np.s_[::2, ::2, :]
    x, y, z = spacing_mm
    thin, thin_spacing = labels[half], (2 * x, 2 * y, z)
    dark = (total[half] < DARK_FRACTION * brightest) & ~airy_labels(model)[thin]
    holes_ml = _holes_ml(dark, thin > 0, thin_spacing)
    swapped_ml = float(np.count_nonzero(swapped) * np.prod(spacing_mm) / 1000)
    return SignalFit(shares, swapped_ml, touching(labels, swapped, present), fitting, holes_ml)


def _holes_ml(dark: NDArray[np.bool_], labelled: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> float:
    body = np.empty_like(labelled)
    for k in range(labelled.shape[2]):
        body[:, :, k] = ndimage.binary_fill_holes(labelled[:, :, k])
    holes = large_pieces(opened(dark & body, spacing_mm), spacing_mm)
    return float(np.count_nonzero(holes) * np.prod(spacing_mm) / 1000)
