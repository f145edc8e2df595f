"""One table position of a scan: its images on one grid."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Affine
from dixonflow.vocabulary import Contrast

MAP_SCALE = 10.0
"""Factor of physical quantities in stitched images: tenths of a percent and of 1/s fit into whole numbers."""


@dataclass(frozen=True)
class Station:
    """The images of one station.

    Attributes
    ----------
    index
        0 for the station nearest to the head, growing toward the feet.
    images
        All contrasts, each of shape (x, y, z) in RAS+ orientation, one grid, any real dtype.
    affine
        4x4, voxel index (centre) to RAS mm. Axis-aligned: the upper 3x3 is diagonal and positive.
    reached
        Voxels that hold data, uint8, where an oblique volume was turned upright and leaves corners; None for all.
    """

    index: int
    images: Mapping[Contrast, NDArray[np.generic]]
    affine: Affine
    reached: NDArray[np.uint8] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Matrix (x, y, z)."""
        x, y, z = next(iter(self.images.values())).shape
        return x, y, z

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size in mm (x, y, z)."""
        x, y, z = np.diag(self.affine)[:3].tolist()
        return x, y, z
