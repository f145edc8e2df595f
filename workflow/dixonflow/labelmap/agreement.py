"""How far label maps of one scan agree about each structure, be they of several contrasts or of several models."""

import itertools
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from dixonflow.labelmap.components import Labels
from dixonflow.models.comparison import shared_structures
from dixonflow.models.model import Model


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


def agreement_of_models(
    labels: Labels, model: Model, others: Sequence[tuple[Model, Labels]]
) -> dict[str, float | None]:
    """Mean Dice of each shared structure between the label map of a model and those of other models.

    Composites are compared as the unions that they are, so that a liver in parts agrees with a liver in one.

    Parameters
    ----------
    labels
        Label map of `model` (a, b, c), unsigned integers, 0 is background.
    others
        Further models with their label maps on the same grid.

    Returns
    -------
    dict
        By structure, in the order of `shared_structures`; None where no label map has it. Where one of a pair has it
        and the other does not, the Dice of the pair is 0.

    Raises
    ------
    ValueError
        If the maps differ in shape, or hold a label that their model does not have.
    """
    own = model.regions
    dice: dict[str, list[float]] = {name: [] for name in shared_structures(model, [other for other, _ in others])}
    for other, other_labels in others:
        if labels.shape != other_labels.shape:
            raise ValueError(
                f"label maps of different shapes cannot be compared: {labels.shape} and {other_labels.shape}"
            )
        joint = _joint_counts(labels, other_labels, max(model.labels) + 1, max(other.labels) + 1)
        theirs = other.regions
        for name in dice.keys() & theirs.keys():
            both = int(joint[np.ix_(own[name], theirs[name])].sum())
            total = int(joint[own[name], :].sum() + joint[:, theirs[name]].sum())
            if total:
                dice[name].append(2 * both / total)
    return {name: sum(values) / len(values) if values else None for name, values in dice.items()}


def _joint_counts(one: Labels, other: Labels, size: int, other_size: int) -> NDArray[np.int64]:
    """Voxels of each pair of labels, (size, other_size)."""
    counts = np.zeros(size * other_size, np.int64)
    for plane, other_plane in zip(one, other, strict=True):  # bincount makes 8 bytes of every voxel
        if plane.max(initial=0) >= size or other_plane.max(initial=0) >= other_size:
            raise ValueError("a label map holds a label that its model does not have")
        pairs = plane.astype(np.int64) * other_size + other_plane
        counts += np.bincount(pairs.ravel(), minlength=len(counts))
    return counts.reshape(size, other_size)
