"""Surface elements of all structures of a label map.

The surface is that of Nikolov et al. (J Med Internet Res 2021, 23:e26151) and their package surface-distance: an
element lies at every corner of the voxel grid whose eight voxels are not all alike, and has the area that marching
cubes gives to this pattern in millimetres. So voxels of any shape weigh as much as the surface they make. What lies
outside the array is background.

Corners at which labels meet are a small part of a volume. They are found once for all structures; a volume for each
structure would take minutes.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Labels, Mask

MOST_CORNERS = 10_000_000
"""Corners where labels meet that are taken, which bounds the memory. A body of 26 million voxels has 2 million."""

FULL = 255
"""Code of a corner whose eight voxels are all in the structure."""

_AROUND = list(itertools.product((0, 1), repeat=3))
"""The eight voxels around a corner, by their offset along each axis, in the order of their bits from the highest."""


@dataclass(frozen=True)
class Surface:
    """Surface of a structure.

    Attributes
    ----------
    shape
        Of the grid of corners: one more than voxels along each axis.
    corners
        Flat index (C order) of each element's corner, ascending, shape (elements,).
    codes
        Which of the eight voxels around it are in the structure, a bit each; the number of a pattern in the package
        surface-distance. Shape (elements,).
    """

    shape: tuple[int, ...]
    corners: NDArray[np.intp]
    codes: NDArray[np.uint8]

    def positions(self, chosen: Mask | slice = slice(None)) -> NDArray[np.intp]:
        """Index along each axis of elements, shape (elements, 3)."""
        return np.stack(np.unravel_index(self.corners[chosen], self.shape), axis=1)


class SurfaceElements:
    """Surface elements of every label of a label map (x, y, z)."""

    def __init__(self, labels: Labels) -> None:
        self.shape = tuple(size + 1 for size in labels.shape)
        corners, around = _meetings(labels)
        code, first = np.zeros(around.shape, np.uint8), np.zeros(around.shape, bool)
        for own in range(8):
            first[own] = around[own] != 0
            for other in range(8):
                alike = around[other] == around[own]
                code[own] |= alike.view(np.uint8) << (7 - other)
                if other < own:
                    first[own] &= ~alike
        # In the order of corners first, so that each label has its corners in ascending order.
        index, place = np.nonzero(first.T)
        order = np.argsort(around[place, index], kind="stable")
        index, place = index[order], place[order]
        self._corners, self._codes = corners[index], code[place, index]
        self._start = np.searchsorted(around[place, index], np.arange(int(labels.max(initial=0)) + 2))

    def of(self, labels: Iterable[int]) -> Surface:
        """Surface of the union of labels."""
        own = [self._slice(label) for label in sorted(set(labels))]
        corners = np.concatenate([self._corners[each] for each in own])
        codes = np.concatenate([self._codes[each] for each in own])
        if len(own) > 1:
            order = np.argsort(corners, kind="stable")
            corners, start = np.unique(corners[order], return_index=True)
            codes = np.add.reduceat(codes[order], start) if len(start) else codes
            corners, codes = corners[codes != FULL], codes[codes != FULL]
        return Surface(self.shape, corners, codes)

    def _slice(self, label: int) -> slice:
        if label + 1 >= len(self._start):
            return slice(0, 0)
        return slice(int(self._start[label]), int(self._start[label + 1]))


def _meetings(labels: Labels) -> tuple[NDArray[np.intp], Labels]:
    """Flat indices of the corners whose voxels are not all alike; the labels of these voxels, shape (8, corners)."""
    x, y, z = labels.shape
    padded = np.pad(labels, 1)
    corners, around, number = [], [], 0
    for plane in range(x + 1):
        voxels = [padded[plane + i, j : y + 1 + j, k : z + 1 + k] for i, j, k in _AROUND]
        differ = np.zeros((y + 1, z + 1), bool)
        for each in voxels[1:]:
            differ |= each != voxels[0]
        corners.append(np.flatnonzero(differ) + plane * differ.size)
        number += len(corners[-1])
        if number > MOST_CORNERS:
            raise ValueError(
                "a label map has more surface than structures can have: it is noise; compare without surfaces"
            )
        around.append(np.stack([each[differ] for each in voxels]))
    return np.concatenate(corners), np.concatenate(around, axis=1)
