"""Which regions of a volume meet at which faces: surface areas, cut surfaces, and eroded regions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Surface:
    """Where regions meet.

    Attributes
    ----------
    area_mm2
        Area of the faces between two different regions, shape (regions + 1, regions + 1), symmetric. The last row and
        column stand for what lies outside the field of view.
    interior
        Voxels all six of whose faces lie inside their own region, shape as the volume.
    """

    area_mm2: NDArray[np.float64]
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
    padded = np.full([size + 2 for size in region.shape], outside, np.uint8 if regions < 256 else np.uint16)
    centre = (slice(1, -1),) * 3
    padded[centre] = region
    if inside is not None:
        padded[centre][~inside] = outside
    side = regions + 1
    area = np.zeros((side, side))
    border = np.zeros(padded.shape, bool)
    for axis, face in enumerate(face_mm2):
        first = tuple(slice(None, -1) if i == axis else slice(None) for i in range(3))
        second = tuple(slice(1, None) if i == axis else slice(None) for i in range(3))
        differ = padded[first] != padded[second]
        border[first] |= differ
        border[second] |= differ
        pairs = padded[first][differ].astype(np.intp)
        pairs *= side
        pairs += padded[second][differ]
        area += face * np.bincount(pairs, minlength=side * side).reshape(side, side)
    return Surface(area + area.T, ~border[centre])
