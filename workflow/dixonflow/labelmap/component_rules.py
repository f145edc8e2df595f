"""Rules on the connected components of structures: how many there may be, and single pieces.

Two neighbourhoods are in use, as in VIBESegmentator's published chain (TotalVibeSegmentator
run_TotalVibeSegmentator_multi.py at 19101c62 calling TPTBox, whose defaults these are): components are counted and
dropped with 26 neighbours, the largest component is chosen with 6.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Labels
from dixonflow.labelmap.components import Components, Connectivity, find_with_ids, joined_by_edges

COUNTING: Connectivity = 26
LARGEST: Connectivity = 6

SLACK_VOXELS = 0.1
"""Slack of `at most this volume`: thresholds are voxel counts that were written as mm3, rounded. Less than a voxel
changes no count."""


@dataclass(frozen=True)
class ComponentLimit:
    """How many components a structure may have, and which are dropped when it has more or fewer.

    Attributes
    ----------
    minimum, maximum
        Allowed number of components.
    drop_mm3
        Components of at most this volume are dropped when the number is outside these bounds.
    """

    minimum: int
    maximum: int
    drop_mm3: float


@dataclass(frozen=True)
class CleanedLabels:
    """Components of one structure that were removed.

    Attributes
    ----------
    label
        The structure.
    found
        Components it had before.
    components
        How many were removed.
    voxels
        How many voxels they had.
    """

    label: int
    found: int
    components: int
    voxels: int


def drop_surplus(
    labels: Labels,
    components: Components,
    limits: Mapping[int, ComponentLimit],
    voxel_mm3: float,
    *,
    spare_largest: bool,
) -> tuple[Labels, list[CleanedLabels]]:
    """Drop small components of the structures whose number of components (26 neighbours) is not allowed.

    As published: all components of at most `drop_mm3` go, be there one too many or ten, and also where there are too
    few.

    Parameters
    ----------
    labels
        Label map (x, y, z).
    components
        Its components (26 neighbours).
    limits
        Limit of each label.
    voxel_mm3
        Volume of a voxel.
    spare_largest
        Never drop a structure's largest component. The published rule does, which can delete a small structure
        altogether.

    Returns
    -------
    tuple
        A new label map, and what was dropped, by label.

    Raises
    ------
    ValueError
        If `labels` holds a label without a limit.
    """
    keep, dropped = _surplus(components, limits, voxel_mm3, spare_largest=spare_largest)
    return _without(labels, components, keep), dropped


def drop_surplus_then_keep_largest(
    labels: Labels,
    limits: Mapping[int, ComponentLimit],
    voxel_mm3: float,
    single_piece: Collection[int],
    *,
    spare_largest: bool,
) -> Labels:
    """Do `drop_surplus`, then keep the largest component (6 neighbours) of each label in `single_piece`.

    One pass over the volume finds the components of both neighbourhoods. Of equal components the one with the smallest
    voxel index stays, see `Components.largest`. Returns a new label map; raises as `find_components` and `drop_surplus`
    do.
    """
    pieces, ids = find_with_ids(labels, LARGEST)
    joined = joined_by_edges(pieces, ids)
    keep = _surplus(pieces.joined(joined), limits, voxel_mm3, spare_largest=spare_largest)[0][joined]
    _keep_largest(pieces, single_piece, keep)
    return _without(labels, pieces, keep)


def _surplus(
    components: Components, limits: Mapping[int, ComponentLimit], voxel_mm3: float, *, spare_largest: bool
) -> tuple[NDArray[np.bool_], list[CleanedLabels]]:
    """Which components stay, shape (components + 1,), and what is dropped."""
    present = np.unique(components.label[1:]).tolist()
    if not set(present) <= set(limits):
        raise ValueError(f"the label map holds labels that have no limit: {sorted(set(present) - set(limits))}")
    keep = np.ones(len(components.label), bool)
    dropped = []
    for label in present:
        limit, ids = limits[label], components.of(label)
        if limit.minimum <= len(ids) <= limit.maximum:
            continue
        small = components.voxels[ids] <= limit.drop_mm3 / voxel_mm3 + SLACK_VOXELS
        if spare_largest and small.all():
            small &= ids != components.largest(ids)
        gone = ids[small]
        if len(gone):
            keep[gone] = False
            dropped.append(CleanedLabels(label, len(ids), len(gone), int(components.voxels[gone].sum())))
    return keep, dropped


def _keep_largest(components: Components, single_piece: Collection[int], keep: NDArray[np.bool_]) -> None:
    """Of the components that are marked in `keep`, unmark all but the largest of each single piece."""
    for label in single_piece:
        candidates = components.of(label)
        candidates = candidates[keep[candidates]]
        if len(candidates):
            keep[candidates] = False
            keep[components.largest(candidates)] = True


def _without(labels: Labels, components: Components, keep: NDArray[np.bool_]) -> Labels:
    result = labels.copy(order=components.order)
    if not keep.all():
        # ravel gives a view: the copy is contiguous in this order
        result.ravel(order=components.order)[components.positions(~keep)] = 0
    return result
