"""How water and fat fit the labels: patches that contradict them, the share of voxels that fit, holes in the body."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dixonflow.imaging.types import Labels
from dixonflow.models.anatomy import structures
from dixonflow.models.model import Model

HIGHEST_OF_FAT = 0.4
LOWEST_OF_LEAN = 0.6
"""A voxel contradicts its label where the fat fraction of a fat compartment is below the first, or that of a muscle, a
vessel or an organ above the second."""

SIGNAL_FRACTION = 0.15
"""Voxels below this fraction of the labelled voxels' brightest (99th percentile of W + F) contradict nothing."""

DARK_FRACTION = 0.05
"""Voxels below this fraction of it have no signal."""

CORE_MM = 4.0
"""A patch has voxels this far from everything else: borders of structures are thinner."""

MIN_PATCH_ML = 5.0
"""Smaller patches are not looked at."""

AIRY = ("lung", "trachea", "intestine", "small_bowel", "colon", "duodenum", "stomach", "esophagus", "cyst")
"""Parts of names of structures that hold air, food or fluid."""


@dataclass(frozen=True)
class SignalFit:
    """How water and fat fit the labels.

    Attributes
    ----------
    swapped_shares
        Share of each structure that is there, 0 to 1, in patches where water and fat contradict the labels.
    fitting
        Share of the voxels of fat and lean structures that do not contradict their label; None where there are none.
    holes_ml
        Volume of patches without signal inside the body, without structures that hold air.
    """

    swapped_shares: dict[str, float]
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
        return SignalFit({}, None, 0.0)
    brightest = float(np.percentile(total[labels > 0], 99))
    kinds, airy = _kinds(tuple(model.structures.items()), len(found))
    of_voxels = kinds[labels]
    considered = (of_voxels != 0) & (total > SIGNAL_FRACTION * brightest)
    contradicting = (of_voxels < 0) & (fat > LOWEST_OF_LEAN * total)
    contradicting |= (of_voxels > 0) & (fat < HIGHEST_OF_FAT * total)
    contradicting &= considered
    number = int(np.count_nonzero(considered))
    inside = np.bincount(labels[_patches(contradicting, spacing_mm)], minlength=len(found))
    shares = {name: float(inside[label] / found[label]) for name, label in present.items()}
    fitting = 1 - float(np.count_nonzero(contradicting)) / number if number else None
    # every second voxel across the body is enough for holes of this size
    half = np.s_[::2, ::2, :]
    x, y, z = spacing_mm
    thin, thin_spacing = labels[half], (2 * x, 2 * y, z)
    dark = (total[half] < DARK_FRACTION * brightest) & ~airy[thin]
    return SignalFit(shares, fitting, _holes_ml(dark, thin > 0, thin_spacing))


def _holes_ml(dark: NDArray[np.bool_], labelled: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> float:
    body = np.empty_like(labelled)
    for k in range(labelled.shape[2]):
        body[:, :, k] = ndimage.binary_fill_holes(labelled[:, :, k])
    patches = _large(_opened(dark & body, spacing_mm), spacing_mm)
    return float(np.count_nonzero(patches) * np.prod(spacing_mm) / 1000)


def _patches(contradicting: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    """Contradicting patches of a certain size, with what they enclose and the voxels around them."""
    large = _large(_opened(contradicting, spacing_mm), spacing_mm)
    if not large.any():
        return large
    steps = _steps(spacing_mm)
    grown = ndimage.binary_dilation(large, iterations=2 * steps)
    closed: NDArray[np.bool_] = ndimage.binary_erosion(grown, iterations=steps, border_value=1)
    return closed


def _steps(spacing_mm: tuple[float, float, float]) -> int:
    return max(round(CORE_MM / min(spacing_mm)), 1)


def _opened(mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    core: NDArray[np.bool_] = ndimage.binary_erosion(mask, iterations=_steps(spacing_mm))
    if core.any():
        core = ndimage.binary_dilation(core, iterations=_steps(spacing_mm), mask=mask)
    return core


def _large(mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    if not mask.any():
        return mask
    numbers, _ = ndimage.label(mask)
    large = np.bincount(numbers.ravel()) * float(np.prod(spacing_mm)) >= MIN_PATCH_ML * 1000
    large[0] = False
    chosen: NDArray[np.bool_] = large[numbers]
    return chosen


@cache
def _kinds(names: tuple[tuple[str, int], ...], size: int) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """By label: 1 for fat, -1 for lean tissue, 0 for others; and whether it may hold air."""
    kinds, airy = np.zeros(size, np.int8), np.zeros(size, bool)
    for name, label in names:
        airy[label] = _has_any(name, AIRY)
        known = structures().get(name)
        if known is None or airy[label]:
            continue
        if known.group == "fat":
            kinds[label] = 1
        elif known.group in ("organ", "muscle", "vessel", "nervous"):
            kinds[label] = -1
    return kinds, airy


def _has_any(name: str, parts: Iterable[str]) -> bool:
    return any(part in name for part in parts)
