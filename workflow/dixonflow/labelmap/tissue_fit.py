"""Whether water and fat fit the tissue that labels name: patches in which they contradict it."""

from collections.abc import Iterable, Mapping, Sequence
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

CORE_MM = 4.0
"""A patch has voxels this far from everything else: borders of structures are thinner."""

MIN_PATCH_ML = 5.0
"""Smaller patches are not looked at."""

AIRY = ("lung", "trachea", "intestine", "small_bowel", "colon", "duodenum", "stomach", "esophagus", "cyst")
"""Parts of names of structures that hold air, food or fluid."""

FAT, LEAN = 1, -1
"""Kinds of tissue; 0 stands for all others."""


def tissue_kinds(model: Model) -> NDArray[np.int8]:
    """Kind of tissue of each label id: `FAT`, `LEAN` (muscles, vessels, nerves, organs without air or food) or 0."""
    return _kinds(tuple(model.structures.items()), max(model.labels) + 1)


def airy_labels(model: Model) -> NDArray[np.bool_]:
    """Whether each label id may hold air, food or fluid."""
    airy = np.zeros(max(model.labels) + 1, bool)
    for name, label in model.structures.items():
        airy[label] = _has_any(name, AIRY)
    return airy


def contradicting(
    kinds: NDArray[np.int8],
    fat: NDArray[np.integer | np.floating],
    total: NDArray[np.float32],
    considered: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Voxels whose fat fraction contradicts their kind of tissue.

    Parameters
    ----------
    kinds
        Kind of tissue of each voxel, shape (x, y, z).
    fat, total
        F, and W + F, of the same shape.
    considered
        Voxels with a kind and enough signal.
    """
    against: NDArray[np.bool_] = (kinds == LEAN) & (fat > LOWEST_OF_LEAN * total)
    against |= (kinds == FAT) & (fat < HIGHEST_OF_FAT * total)
    against &= considered
    return against


def patches(mask: NDArray[np.bool_], spacing_mm: Sequence[float]) -> NDArray[np.bool_]:
    """Patches of a certain size, with what they enclose and the voxels around them.

    Pieces that lie next to each other are one patch: across the border of an organ and the fat around it, voxels hold
    both and contradict neither.
    """
    pieces = opened(mask, spacing_mm)
    if not pieces.any():
        return pieces
    numbers, _ = ndimage.label(ndimage.binary_dilation(pieces))
    large = _large(np.where(pieces, numbers, 0), spacing_mm)
    steps = _steps(spacing_mm)
    grown = ndimage.binary_dilation(large, iterations=2 * steps)
    closed: NDArray[np.bool_] = ndimage.binary_erosion(grown, iterations=steps, border_value=1)
    return closed


def opened(mask: NDArray[np.bool_], spacing_mm: Sequence[float]) -> NDArray[np.bool_]:
    """What is left of a mask without its thin parts."""
    core: NDArray[np.bool_] = ndimage.binary_erosion(mask, iterations=_steps(spacing_mm))
    if core.any():
        core = ndimage.binary_dilation(core, iterations=_steps(spacing_mm), mask=mask)
    return core


def large_pieces(mask: NDArray[np.bool_], spacing_mm: Sequence[float]) -> NDArray[np.bool_]:
    """Connected pieces (6 neighbours) of a mask of at least `MIN_PATCH_ML`."""
    if not mask.any():
        return mask
    return _large(ndimage.label(mask)[0], spacing_mm)


def _large(numbers: NDArray[np.integer], spacing_mm: Sequence[float]) -> NDArray[np.bool_]:
    """Voxels of the numbers, but 0, that have at least `MIN_PATCH_ML`."""
    large = np.bincount(numbers.ravel()) * float(np.prod(spacing_mm)) >= MIN_PATCH_ML * 1000
    large[0] = False
    chosen: NDArray[np.bool_] = large[numbers]
    return chosen


def touching(labels: Labels, mask: NDArray[np.bool_], names: Mapping[str, int]) -> list[str]:
    """Structures that a hundredth, or more, of the labelled voxels around a mask belong to."""
    if not mask.any() or not names:
        return []
    around = ndimage.binary_dilation(mask) & ~mask
    met = np.bincount(labels[around], minlength=max(names.values()) + 1)
    met[0] = 0
    return [name for name, label in names.items() if met[label] >= max(0.01 * met.sum(), 1)]


def _steps(spacing_mm: Sequence[float]) -> int:
    return max(round(CORE_MM / min(spacing_mm)), 1)


@cache
def _kinds(names: tuple[tuple[str, int], ...], size: int) -> NDArray[np.int8]:
    kinds = np.zeros(size, np.int8)
    for name, label in names:
        known = structures().get(name)
        if known is None or _has_any(name, AIRY):
            continue
        if known.group == "fat":
            kinds[label] = FAT
        elif known.group in ("organ", "muscle", "vessel", "nervous"):
            kinds[label] = LEAN
    return kinds


def _has_any(name: str, parts: Iterable[str]) -> bool:
    return any(part in name for part in parts)
