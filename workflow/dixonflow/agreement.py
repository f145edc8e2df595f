"""How far label maps of one scan agree about each structure."""

import itertools
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from dixonflow.components import Labels


def pairwise_dice(maps: Sequence[Labels], labels: Collection[int]) -> dict[int, float | None]:
    """Mean Dice of each label over all pairs of label maps.

    The Dice of a pair is twice the voxels that both give to the label, over the sum of the voxels that each gives to
    it (Dice 1945, Ecology 26:297). Pairs of which neither has the label are left out; where one has it and the other
    does not, the Dice is 0.

    Parameters
    ----------
    maps
        Label maps (a, b, c) on one grid; unsigned integers, 0 is background.
    labels
        Ids that the maps may hold.

    Returns
    -------
    dict
        By label in ascending order; None where no map has it, or there is only one map.

    Raises
    ------
    ValueError
        If the maps differ in shape, or hold a label that is not in `labels`.
    """
    if len({one.shape for one in maps}) > 1:
        raise ValueError(f"label maps of different shapes cannot be compared: {[one.shape for one in maps]}")
    size = max(labels, default=0) + 1
    pairs = list(itertools.combinations(range(len(maps)), 2))
    found = np.zeros((len(maps), size), np.int64)
    shared = np.zeros((len(pairs), size), np.int64)
    # Plane by plane: bincount makes 8 bytes of every voxel. Most voxels are alike in all maps and are counted once.
    for planes in zip(*maps, strict=True) if pairs else ():
        differs = np.logical_or.reduce([planes[0] != plane for plane in planes[1:]])
        apart = [plane[differs] for plane in planes]
        alike = _counts(planes[0].ravel(), size) - _counts(apart[0], size)
        for place, values in enumerate(apart):
            found[place] += alike + _counts(values, size)
        for row, (one, other) in enumerate(pairs):
            shared[row] += alike + _counts(apart[one][apart[one] == apart[other]], size)
    unknown = sorted(set(np.flatnonzero(found.sum(0)).tolist()) - {0, *labels})
    if unknown:
        raise ValueError(f"label maps hold labels that are not asked for: {unknown[:5]}")
    result: dict[int, float | None] = {}
    for label in sorted(labels):
        totals = [
            (shared[row, label], found[one, label] + found[other, label]) for row, (one, other) in enumerate(pairs)
        ]
        dice = [2 * int(both) / int(total) for both, total in totals if total]
        result[label] = sum(dice) / len(dice) if dice else None
    return result


def _counts(values: Labels, size: int) -> NDArray[np.int64]:
    """Voxels of each label below `size`."""
    counts = np.bincount(values, minlength=size)
    if len(counts) > size:
        raise ValueError(f"label maps hold labels that are not asked for: [{len(counts) - 1}]")
    return counts
