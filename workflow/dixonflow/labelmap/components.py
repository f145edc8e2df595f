"""Connected components of all labels of a label map at once.

One pass labels every component of every structure; rules (`component_rules`) then work on the short table of components
instead of on the volume. Voxels are connected only to voxels of the same label.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dixonflow.imaging.types import Box, Labels, Mask

Connectivity = Literal[6, 26]
"""Neighbours of a voxel: faces; faces, edges and corners."""

VOXELS_AT_ONCE = 1 << 20
"""Neighbours are compared for this many voxels at a time, which bounds the memory."""

_DIAGONALS = [step for step in itertools.product((-1, 0, 1), repeat=3) if np.count_nonzero(step) > 1]


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
    run_component: NDArray[np.integer]
    run_start: NDArray[np.intp]
    run_length: NDArray[np.intp]

    def of(self, label: int) -> NDArray[np.intp]:
        """Ids of the components of a structure."""
        return 1 + np.flatnonzero(self.label[1:] == label)

    def joined(self, ids: NDArray[np.intp]) -> "Components":
        """Components that consist of these: `ids` (shape (components + 1,)) is the new id of each, 0 for the
        background. What is joined has one label.
        """
        label = np.zeros(ids.max() + 1, np.intp)
        label[ids] = self.label
        voxels = np.bincount(ids, weights=self.voxels).astype(np.intp)
        return replace(self, label=label, voxels=voxels, run_component=ids[self.run_component])

    def positions(self, chosen: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Voxels of the components marked in `chosen` (shape (components + 1,)), as positions in memory order, shape
        (voxels,).
        """
        return self._positions(np.flatnonzero(chosen[self.run_component]))

    def positions_of(self, component: int) -> NDArray[np.intp]:
        """Voxels of one component, as `positions`; fast for many components, one after another."""
        order, first = self._runs_by_component
        return self._positions(order[first[component] : first[component + 1]])

    @cached_property
    def _runs_by_component(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Runs in the order of their components, and the first of each component, shape (components + 2,)."""
        order = np.argsort(self.run_component, kind="stable")
        return order, np.searchsorted(self.run_component[order], np.arange(len(self.label) + 1))

    def _positions(self, runs: NDArray[np.intp]) -> NDArray[np.intp]:
        lengths = self.run_length[runs]
        before = np.cumsum(lengths) - lengths
        result: NDArray[np.intp] = np.repeat(self.run_start[runs] - before, lengths) + np.arange(lengths.sum())
        return result

    def largest(self, candidates: NDArray[np.intp]) -> int:
        """Id of the largest of some components.

        Of equal ones it is the component that has the voxel with the smallest index (x first, then y, then z), whatever
        the memory layout.

        Raises
        ------
        ValueError
            If there are none.
        """
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


def bounding_box(labels: Labels | Mask) -> Box:
    """Smallest box around everything but background; empty, at the origin, where there is nothing."""
    box = [slice(0, size) for size in labels.shape]
    # the slowest axis first, because every cut saves the next ones work
    for axis in (2, 1, 0) if labels.flags.f_contiguous else (0, 1, 2):
        others = tuple(other for other in range(3) if other != axis)
        filled = np.flatnonzero(labels[tuple(box)].any(axis=others))
        if not len(filled):
            return slice(0, 0), slice(0, 0), slice(0, 0)
        box[axis] = slice(int(filled[0]), int(filled[-1]) + 1)
    return box[0], box[1], box[2]


def find_components(labels: Labels, connectivity: Connectivity) -> Components:
    """Find the components of every label in one pass.

    Parameters
    ----------
    labels
        Label map (x, y, z).

    Raises
    ------
    ValueError
        If `labels` is not a three-dimensional array of uint8 or uint16.
    """
    return find_with_ids(labels, connectivity)[0]


def find_with_ids(labels: Labels, connectivity: Connectivity) -> tuple[Components, NDArray[np.unsignedinteger]]:
    """Like `find_components`; also gives the id of each voxel's component, in memory order."""
    if labels.ndim != 3 or labels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a label map is a 3D array of uint8 or uint16, not {labels.ndim}D {labels.dtype}")
    if not (labels.flags.c_contiguous or labels.flags.f_contiguous):
        labels = np.asfortranarray(labels)
    order: Literal["C", "F"] = "F" if labels.flags.f_contiguous else "C"
    ids, count = cc3d.connected_components(labels, connectivity=connectivity, return_N=True)
    flat, flat_labels = ids.ravel(order=order), labels.ravel(order=order)
    # Neighbours of one label in a row are of one component; the next row begins a new run.
    begins = np.ones(flat.size, bool)
    np.not_equal(flat_labels[1:], flat_labels[:-1], out=begins[1:])
    begins[:: labels.shape[2] if order == "C" else labels.shape[0]] = True
    bounds = np.append(np.flatnonzero(begins), flat.size)
    inside = np.flatnonzero(flat_labels[bounds[:-1]])
    start = bounds[inside]
    length = bounds[inside + 1] - start
    component = flat[start]
    label = np.zeros(count + 1, np.intp)
    label[component] = flat_labels[start]  # all runs of a component have its label
    voxels = np.bincount(component, weights=length, minlength=count + 1).astype(np.intp)
    voxels[0] = flat.size - voxels.sum()
    x, y, z = labels.shape
    return Components((x, y, z), order, label, voxels, component, start, length), flat


def joined_by_edges(components: Components, ids: NDArray[np.unsignedinteger]) -> NDArray[np.intp]:
    """Join components (6 neighbours) to those with 26 neighbours.

    Of two components of one label that touch, at least one is not the largest of the label. So it is enough to look
    around the voxels of all but the largest, which are few in the label map of a network; a second pass over the
    volume would look at all. Inside a run, what is diagonal to one voxel along the row lies straight across from its
    neighbour: those steps are taken from the ends of runs only.

    Parameters
    ----------
    components
        Components with 6 neighbours.
    ids
        Component of each voxel, in memory order.

    Returns
    -------
    numpy.ndarray
        Id of the joined component of each component, shape (components + 1,), 0 for the background.
    """
    small = np.ones(len(components.label), bool)
    largest_last = np.lexsort((components.voxels, components.label))
    labels = components.label[largest_last]
    small[largest_last[np.append(labels[1:] != labels[:-1], True)]] = False
    shape = components.shape if components.order == "C" else components.shape[::-1]
    runs = small[components.run_component]
    first = components.run_start[runs]
    places = {-1: first, 0: components.positions(small), 1: first + components.run_length[runs] - 1}
    pairs = [np.empty((2, 0), np.intp)]
    for along, positions in places.items():
        steps = [step for step in _DIAGONALS if step[2] == along]
        for position in _batches(positions):
            own = ids[position]
            label = components.label[own]
            for step in steps:
                offset = (step[0] * shape[1] + step[1]) * shape[2] + step[2]
                met = ids.take(position + offset, mode="clip")
                hits = np.flatnonzero((components.label[met] == label) & (met != own))
                # what seems to touch across the end of a row or of the volume does not
                place = np.stack(np.unravel_index(position[hits], shape), axis=1) + step
                hits = hits[((place >= 0) & (place < shape)).all(axis=1)]
                pairs.append(np.stack([own[hits], met[hits]]).astype(np.intp))
    count = len(components.label)
    one, other = np.concatenate(pairs, axis=1)
    touching = coo_array((np.ones(len(one), bool), (one, other)), shape=(count, count))
    joined: NDArray[np.int32] = connected_components(touching, directed=False)[1]
    return joined.astype(np.intp)


def _batches(positions: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(positions), VOXELS_AT_ONCE):
        yield positions[start : start + VOXELS_AT_ONCE]
