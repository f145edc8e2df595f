"""The arrays that functions pass to each other. Axes are (x, y, z) in RAS+ unless a function says otherwise."""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.unsignedinteger]
"""Label map: uint8, or uint16 above 255 labels; 0 is background."""

Mask = NDArray[np.bool_]
"""Which voxels belong to something."""

Affine = NDArray[np.float64]
"""4x4: voxel index (centre) to RAS mm."""

Floats32 = NDArray[np.float32]
Floats64 = NDArray[np.float64]
Floats = NDArray[np.floating]
"""Real numbers of any precision."""

Box = tuple[slice, slice, slice]
"""Part of a grid: a range of indices along each axis."""

Spacing = tuple[float, float, float]
"""Voxel size along each axis (mm)."""
