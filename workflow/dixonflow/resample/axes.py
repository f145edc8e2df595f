"""Interpolation along one axis: matrices and nearest samples.

The matrices are scipy's own, made by interpolating unit vectors, so that applying one to an axis gives scipy's numbers.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dixonflow.imaging.types import Affine, Floats

Order = Literal[1, 3]


def positions_on(affine: Affine, size: int, other: Affine, axis: int) -> NDArray[np.float64]:
    """Centres of `size` voxels of the grid `affine` on one axis, in voxels of the grid `other`."""
    centres = affine[axis, 3] + affine[axis, axis] * np.arange(size)
    positions: NDArray[np.float64] = (centres - other[axis, 3]) / other[axis, axis]
    return positions


@lru_cache(maxsize=64)
def resize_matrix(size: int, new_size: int, order: Order) -> NDArray[np.float64]:
    """Matrix (new_size, size) that resizes one axis with outer edges aligned, as skimage does in mode `edge`."""
    unit = np.eye(size)
    rows = [ndimage.zoom(row, new_size / size, order=order, mode="nearest", grid_mode=True) for row in unit]
    matrix = without_ringing(np.stack(rows, axis=1))
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=64)
def zoom_matrix(size: int, new_size: int) -> NDArray[np.float64]:
    """Matrix (new_size, size) of `scipy.ndimage.zoom`: a cubic spline from the first sample's centre to the last's."""
    rows = [ndimage.zoom(row, new_size / size, order=3, mode="nearest") for row in np.eye(size)]
    matrix = without_ringing(np.stack(rows, axis=1))
    matrix.setflags(write=False)
    return matrix


def without_ringing(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Set weights too small to matter to 0: a spline's fade into subnormal numbers, which are very slow to multiply."""
    return np.where(np.abs(matrix) < 1e-15, 0.0, matrix)


def cubic_matrix(positions: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Matrix (positions, size) of the cubic spline through `size` samples at `positions`; edges are repeated."""
    rows = [ndimage.map_coordinates(row, [positions], order=3, mode="nearest") for row in np.eye(size)]
    return without_ringing(np.stack(rows, axis=1))


def apply_matrices(matrices: Sequence[NDArray[np.float64] | None], data: Floats) -> Floats:
    """Multiply each axis of `data` with its matrix, None for an axis that stays; shape (x, y, z)."""
    if data.flags.f_contiguous and not data.flags.c_contiguous:
        return apply_matrices(matrices[::-1], data.T).T
    # axes that shrink come first, those that grow last: less to multiply
    by_growth = sorted(
        (matrix.shape[0] / matrix.shape[1], axis) for axis, matrix in enumerate(matrices) if matrix is not None
    )
    for _, axis in by_growth:
        matrix = np.asarray(matrices[axis], dtype=data.dtype)
        x, y, z = data.shape
        if axis == 0:
            data = (matrix @ data.reshape(x, y * z)).reshape(-1, y, z)
        elif axis == 1:
            data = np.matmul(matrix, data)
        else:
            data = (data.reshape(x * y, z) @ matrix.T).reshape(x, y, -1)
    return data


def nearest_samples(size: int, new_size: int) -> NDArray[np.intp]:
    """Index of the sample nearest to each new voxel, outer edges aligned."""
    positions = size / new_size * (np.arange(new_size) + 0.5) - 0.5
    samples: NDArray[np.float64] = ndimage.map_coordinates(np.arange(float(size)), [positions], order=0, mode="nearest")
    return samples.astype(np.intp)


def nearest_zoom_samples(size: int, new_size: int) -> NDArray[np.intp]:
    """Index of the sample nearest to each new voxel, centres of the first and the last aligned (`zoom_matrix`)."""
    samples: NDArray[np.float64] = ndimage.zoom(np.arange(float(size)), new_size / size, order=0, mode="nearest")
    return samples.astype(np.intp)
