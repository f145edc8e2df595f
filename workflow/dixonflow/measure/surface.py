"""Which regions of a volume meet at which faces: surface areas, cut surfaces, and eroded regions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VOXELS_AT_ONCE = 1 << 18
"""Voxels are compared with their neighbours this many at a time, so that what is compared stays in the cache."""


@dataclass(frozen=True)
class Surface:
    """Where regions meet.

    Attributes
    ----------
    area_mm2
        Area of the faces between two different regions, shape (regions + 1, regions + 1), symmetric. The last row and
        column stand for what lies outside the field of view.
    edge_mm2
        Area of the faces between each region and what lies outside the field of view, by the axis across which they
        lie, shape (3, regions).
    interior
        Voxels all six of whose faces lie inside their own region, shape as the volume.
    """

    area_mm2: NDArray[np.float64]
    edge_mm2: NDArray[np.float64]
    interior: NDArray[np.bool_]

    def cut_mm2(self, regions: list[int]) -> float:
        """Part of the surface of a union of regions that lies on the edge of the field of view."""
        return float(self.area_mm2[regions, -1].sum())

    def uncut_share(self, regions: list[int]) -> float:
        """Share, 0 to 1, of the surface of a union of regions that lies inside the field of view."""
        others = np.ones(len(self.area_mm2) - 1, bool)
        others[regions] = False
        uncut = float(self.area_mm2[regions, :-1][:, others].sum())
        return uncut / (uncut + self.cut_mm2(regions))


def surface(
    region: NDArray[np.unsignedinteger],
    inside: NDArray[np.bool_] | None,
    regions: int,
    face_mm2: tuple[float, float, float],
) -> Surface:
    """Find the faces between regions.

    Parameters
    ----------
    region
        Region of each voxel, 0 to `regions` - 1, three-dimensional.
    inside
        Voxels inside the field of view, or None where all are. Beyond the volume all is outside.
    regions
        Number of regions.
    face_mm2
        Area of a voxel face across each axis.
    """
    outside = regions
    dtype: np.dtype[np.unsignedinteger] = np.dtype(np.uint8 if regions < 256 else np.uint16)
    padded = np.full([size + 2 for size in region.shape], outside, dtype)
    centre = (slice(1, -1),) * 3
    padded[centre] = region
    if inside is not None:
        padded[centre][~inside] = outside
    side = regions + 1
    # Neighbours across a face lie a fixed step apart in memory. Steps that run over the end of a row, too, begin and
    # end in the padding, which is one region, so that no such pair differs.
    flat = padded.reshape(-1)
    steps = [stride // padded.itemsize for stride in padded.strides]
    border = np.zeros(flat.shape, bool)
    faces = np.zeros((3, side * side), np.intp)
    for start in range(0, flat.size, VOXELS_AT_ONCE):
        for axis, step in enumerate(steps):
            second = flat[start + step : start + step + VOXELS_AT_ONCE]
            first = flat[start : start + len(second)]
            differ = first != second
            border[start : start + len(second)] |= differ
            border[start + step : start + step + len(second)] |= differ
            places = np.flatnonzero(differ)
            pairs = first[places].astype(np.intp)
            pairs *= side
            pairs += second[places]
            np.add.at(faces[axis], pairs, 1)
    areas: NDArray[np.float64] = np.reshape(face_mm2, (3, 1, 1)) * faces.reshape(3, side, side).astype(np.float64)
    areas = areas + areas.transpose(0, 2, 1)
    interior = np.logical_not(border, out=border).reshape(padded.shape)[(slice(1, -1),) * 3]
    return Surface(areas.sum(axis=0), areas[:, :-1, outside], interior)
