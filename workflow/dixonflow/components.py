"""Connected components of all labels of a label map at once.

One pass labels every component of every structure; rules then work on the short table of components instead of on the
volume. Voxels are connected only to voxels of the same label. Two neighbourhoods are in use, as in VIBESegmentator's
published chain (TotalVibeSegmentator run_TotalVibeSegmentator_multi.py at 19101c62 calling TPTBox, whose defaults these
are): components are counted and dropped with 26 neighbours, the largest component is chosen with 6.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import cc3d
import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.unsignedinteger]
"""Label map (x, y, z), uint8 or uint16, 0 is background."""

Connectivity = Literal[6, 26]
COUNTING: Connectivity = 26
LARGEST: Connectivity = 6

SLACK_VOXELS = 0.1
"""Slack of `at most this volume`: thresholds are voxel counts that were written as mm3, rounded. Less than a voxel
changes no count."""


@dataclass(frozen=True)
class Components:
    """All components of a label map.

    The volume is held as runs: stretches of memory inside one component. There are many times fewer than
    voxels, which is what makes sizes, labels and removals cheap.

    Attributes
    ----------
    shape, order
        Shape (x, y, z) of the label map and its memory order.
    label
        Label of each component, shape (components + 1,); entry 0 belongs to the background.
    voxels
        Size of each component in voxels, shape (components + 1,).
    run_component, run_start, run_length
        Component of each run of non-background voxels, its first voxel in memory order and its length, shape (runs,).
    """

    shape: tuple[int, int, int]
    order: Literal["C", "F"]
    label: NDArray[np.intp]
    voxels: NDArray[np.intp]
    run_component: NDArray[np.unsignedinteger]
    run_start: NDArray[np.intp]
    run_length: NDArray[np.intp]

    def of(self, label: int) -> NDArray[np.intp]:
        """Ids of the components of a structure."""
        return 1 + np.flatnonzero(self.label[1:] == label)

    def positions(self, chosen: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Voxels of the components marked in `chosen` (shape (components + 1,)), as positions in memory order, shape
        (voxels,).
        """
        runs = chosen[self.run_component]
        lengths = self.run_length[runs]
        before = np.cumsum(lengths) - lengths
        result: NDArray[np.intp] = np.repeat(self.run_start[runs] - before, lengths) + np.arange(lengths.sum())
        return result

    def largest(self, label: int) -> int:
        """Id of the largest component of a structure.

        Of equal ones it is the component that has the voxel with the smallest index (x first, then y, then z), whatever
        the memory layout.

        Raises
        ------
        ValueError
            If the structure has no component.
        """
        candidates = self.of(label)
        if not len(candidates):
            raise ValueError(f"label {label} has no component")
        sizes = self.voxels[candidates]
        tied = candidates[sizes == sizes.max()].tolist()
        if len(tied) == 1:
            return int(tied[0])
        return int(min(tied, key=self._first_voxel))

    def _first_voxel(self, component: int) -> int:
        chosen = np.zeros(len(self.label), bool)
        chosen[component] = True
        indices = np.unravel_index(self.positions(chosen), self.shape, order=self.order)
        return int(np.ravel_multi_index(indices, self.shape, order="C").min())


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
class Dropped:
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


def find_components(labels: Labels, connectivity: Connectivity = COUNTING) -> Components:
    """Find the components of every label in one pass.

    Parameters
    ----------
    labels
        Label map (x, y, z).
    connectivity
        6 (faces) or 26 (faces, edges and corners).

    Raises
    ------
    ValueError
        If `labels` is not a three-dimensional array of uint8 or uint16.
    """
    if labels.ndim != 3 or labels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a label map is a 3D array of uint8 or uint16, not {labels.ndim}D {labels.dtype}")
    if not (labels.flags.c_contiguous or labels.flags.f_contiguous):
        labels = np.ascontiguousarray(labels)
    order: Literal["C", "F"] = "C" if labels.flags.c_contiguous else "F"
    ids, count = cc3d.connected_components(labels, connectivity=connectivity, return_N=True)
    flat, flat_labels = ids.ravel(order=order), labels.ravel(order=order)
    start = np.concatenate([[0], 1 + np.flatnonzero(flat[1:] != flat[:-1])])
    length = np.diff(start, append=flat.size)
    component = flat[start]
    inside = component > 0
    label = np.zeros(count + 1, np.intp)
    label[component] = flat_labels[start]  # all runs of a component have its label
    voxels = np.bincount(component, weights=length, minlength=count + 1).astype(np.intp)
    x, y, z = labels.shape
    return Components((x, y, z), order, label, voxels, component[inside], start[inside], length[inside])


def keep_largest(labels: Labels, single_piece: Collection[int]) -> Labels:
    """Keep the largest component (6 neighbours) of each label in `single_piece`; other labels stay as they are.

    Returns a new array. Of equal components the one with the smallest voxel index stays, see `Components.largest`.
    """
    components = find_components(labels, LARGEST)
    keep = np.ones(len(components.label), bool)
    for label in np.unique(components.label[1:]):
        if int(label) in single_piece:
            keep[components.of(label)] = False
            keep[components.largest(label)] = True
    return _without(labels, components, keep)


def drop_surplus(
    labels: Labels, limits: Mapping[int, ComponentLimit], voxel_mm3: float, *, spare_largest: bool
) -> tuple[Labels, list[Dropped]]:
    """Drop small components of the structures whose number of components (26 neighbours) is not allowed.

    As published: all components of at most `drop_mm3` go, be there one too many or ten, and also where there are too
    few.

    Parameters
    ----------
    labels
        Label map (x, y, z).
    limits
        Limit of each label; labels without one are left alone.
    voxel_mm3
        Volume of a voxel.
    spare_largest
        Never drop a structure's largest component. The published rule does, which can delete a small structure
        altogether.

    Returns
    -------
    tuple
        A new label map, and what was dropped, by label.
    """
    components = find_components(labels, COUNTING)
    keep = np.ones(len(components.label), bool)
    dropped = []
    for label in np.unique(components.label[1:]).tolist():
        limit = limits.get(label)
        ids = components.of(label)
        if limit is None or limit.minimum <= len(ids) <= limit.maximum:
            continue
        small = components.voxels[ids] <= limit.drop_mm3 / voxel_mm3 + SLACK_VOXELS
        if spare_largest and small.all():
            small &= ids != components.largest(label)
        gone = ids[small]
        if len(gone):
            keep[gone] = False
            dropped.append(Dropped(label, len(ids), len(gone), int(components.voxels[gone].sum())))
    return _without(labels, components, keep), dropped


def _without(labels: Labels, components: Components, keep: NDArray[np.bool_]) -> Labels:
    result = labels.copy(order=components.order)
    if not keep.all():
        # ravel gives a view: the copy is contiguous in this order
        result.ravel(order=components.order)[components.positions(~keep)] = 0
    return result
