"""Dice of label maps (Dice 1945, Ecology 26:297): twice the voxels that two maps share, over the sum of both's."""

import itertools
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Labels


def joint_counts(one: NDArray[np.integer], other: NDArray[np.integer], size: int, other_size: int) -> NDArray[np.int64]:
    """Voxels of each pair of labels.

    Parameters
    ----------
    one, other
        Label maps of one shape, integers, 0 is background.
    size, other_size
        Their labels are below these.

    Returns
    -------
    Counts of shape (size, other_size): labels of `one` down, of `other` across.

    Raises
    ------
    ValueError
        If the maps differ in shape, or hold a label out of range.
    """
    if one.shape != other.shape:
        raise ValueError(f"label maps of different shapes cannot be compared: {one.shape} and {other.shape}")
    counts = np.zeros((size, other_size), np.int64)
    equal = np.arange(min(size, other_size))
    # Plane by plane, because bincount makes 8 bytes of every voxel. Most voxels are alike and are counted as such.
    for plane, other_plane in zip(one, other, strict=True):
        _check_range(plane, size)
        _check_range(other_plane, other_size)
        differs = plane != other_plane
        left, right = plane[differs].astype(np.intp), other_plane[differs].astype(np.intp)
        alike = np.bincount(plane.ravel(), minlength=size) - np.bincount(left, minlength=size)
        counts[equal, equal] += alike[: len(equal)]
        counts += np.bincount(left * other_size + right, minlength=counts.size).reshape(counts.shape)
    return counts


def dice_of(joint: NDArray[np.int64], labels: Sequence[int], other_labels: Sequence[int]) -> float | None:
    """Dice of a structure that is `labels` in one map and `other_labels` in the other.

    Parameters
    ----------
    joint
        From `joint_counts`.

    Returns
    -------
    0 to 1; None where neither map has it. Where one has it and the other does not: 0.

    Examples
    --------
    >>> one = np.array([[[1, 1, 2, 0]]], np.uint8)
    >>> other = np.array([[[1, 2, 2, 0]]], np.uint8)
    >>> round(dice_of(joint_counts(one, other, 3, 3), [1], [1]), 3)
    0.667
    """
    own, theirs = list(labels), list(other_labels)
    total = int(joint[own].sum()) + int(joint[:, theirs].sum())
    return 2 * int(joint[np.ix_(own, theirs)].sum()) / total if total else None


def pairwise_dice(maps: Sequence[Labels], labels: Collection[int]) -> dict[int, float | None]:
    """Mean Dice of each label over all pairs of label maps.

    Pairs of which neither has the label are left out.

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
    size = max(labels, default=0) + 1
    joints = [joint_counts(one, other, size, size) for one, other in itertools.combinations(maps, 2)]
    unknown = sorted({int(label) for joint in joints for label in np.argwhere(joint).ravel()} - {0, *labels})
    if unknown:
        raise ValueError(f"a label map holds label {unknown[0]}, which its model does not have")
    result: dict[int, float | None] = {}
    for label in sorted(labels):
        dice = [value for joint in joints if (value := dice_of(joint, [label], [label])) is not None]
        result[label] = sum(dice) / len(dice) if dice else None
    return result


def _check_range(plane: NDArray[np.integer], size: int) -> None:
    largest, smallest = plane.max(initial=0), plane.min(initial=0)
    if smallest < 0:
        raise ValueError("label ids must not be negative")
    if largest >= size:
        raise ValueError(f"a label map holds label {largest}, which its model does not have")
