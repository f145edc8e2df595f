"""Where the stations of a scan looked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Affine

EDGE_VOXELS = 1e-3
"""A voxel centre this close to the edge of a station counts as inside: positions are rounded."""


@dataclass(frozen=True)
class StationBox:
    """Outer box of one station (voxel edges, not centres), in RAS mm.

    Attributes
    ----------
    index
        0 nearest to the head.
    low_mm, high_mm
        Its corners (x, y, z).
    """

    index: int
    low_mm: tuple[float, float, float]
    high_mm: tuple[float, float, float]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Make one from an entry of `stations` in the sidecar of a stitched image."""
        low, high = ([float(value) for value in record[key]] for key in ("low_mm", "high_mm"))
        return cls(int(record["index"]), (low[0], low[1], low[2]), (high[0], high[1], high[2]))

    def within(self, low_mm: Sequence[float], high_mm: Sequence[float]) -> Self | None:
        """Give the part of the box that lies in another one; None where there is none."""
        low = [max(pair) for pair in zip(self.low_mm, low_mm, strict=True)]
        high = [min(pair) for pair in zip(self.high_mm, high_mm, strict=True)]
        if any(start >= stop for start, stop in zip(low, high, strict=True)):
            return None
        return type(self)(self.index, (low[0], low[1], low[2]), (high[0], high[1], high[2]))

    def slices(self, shape: tuple[int, ...], affine: Affine) -> tuple[slice, slice, slice]:
        """Index ranges (x, y, z) of the voxels of a grid whose centres lie inside."""
        ranges = []
        for axis in range(3):
            origin, spacing = affine[axis, 3], affine[axis, axis]
            start = ceil((self.low_mm[axis] - origin) / spacing - EDGE_VOXELS)
            stop = floor((self.high_mm[axis] - origin) / spacing + EDGE_VOXELS) + 1
            ranges.append(slice(min(max(start, 0), shape[axis]), min(max(stop, 0), shape[axis])))
        return ranges[0], ranges[1], ranges[2]


def field_of_view(shape: tuple[int, ...], affine: Affine, boxes: Sequence[StationBox]) -> NDArray[np.bool_] | None:
    """Mark the voxels whose centre lies in at least one station.

    Parameters
    ----------
    shape
        Shape (x, y, z) of the grid.
    affine
        4x4, voxel index to RAS mm, diagonal and positive.
    boxes
        The stations.

    Returns
    -------
    numpy.ndarray or None
        Boolean, shape (x, y, z), Fortran order; None where every voxel is inside.

    Raises
    ------
    ValueError
        If there is no box, or none of them meets the grid.
    """
    slices = [box.slices(shape, affine) for box in boxes]
    whole = tuple(slice(0, size) for size in shape)
    if whole in slices:
        return None
    inside = np.zeros(shape, bool, order="F")
    for part in slices:
        inside[part] = True
    if not inside.any():
        raise ValueError("no station box overlaps the grid of the images")
    return None if inside.all() else inside
