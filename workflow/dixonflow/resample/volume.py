"""Resample images, one axis after the other, and bring label maps back.

Spline interpolation is linear in the image and separable, so that each axis is one small matrix and one matrix product:
the numbers of nnU-Net's `resample_data_or_seg` (skimage's `resize`) and of `scipy.ndimage`, several times faster. The
matrices are scipy's own, made by interpolating unit vectors.

Three conventions of where the new voxels lie are in use. nnU-Net's aligns the outer edges of the image and rounds the
spacing to fit (`resample_image`). Chains that resample before nnU-Net keep the centre of the first voxel and the exact
spacing (`resample_to_spacing`, `labels_to_grid`), as TPTBox, which VIBESegmentator runs on, does, or the centres of the
first and the last voxel (`zoom_to_spacing`, `zoom_labels`), as TotalSegmentator does by scipy.ndimage.zoom.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.orientation import orientation_flips
from dixonflow.imaging.types import Affine, Floats
from dixonflow.resample.axes import (
    Order,
    apply_matrices,
    cubic_matrix,
    nearest_samples,
    nearest_zoom_samples,
    positions_on,
    resize_matrix,
    zoom_matrix,
)

Shape = tuple[int, int, int]

ANISOTROPY_THRESHOLD = 3
"""nnunetv2.configuration.ANISO_THRESHOLD: images with a larger ratio of spacings are resampled slice by slice."""

EQUAL_SPACING_MM = 1e-3
"""Spacings closer than this need no resampling (TPTBox)."""

HALF_UNDERFLOW = 2.0**-25
"""Largest number that half precision takes for 0, which TPTBox keeps resampled images in."""

SQUASHED_ABOVE, SQUASHED_TO = 10_000.0, 1000.0
"""TPTBox scales an image with a larger value to this one before (TPTBox segmentation/VibeSeg/inference_nnunet.py,
11e4e8a6): more of it becomes 0."""

ONE_UNIT = 0.01
"""Part of an image's largest value that stands for 1 where it is less: TotalSegmentator cuts resampled images to whole
numbers, by which it would lose images of a small range."""


def separate_axis(spacing: Sequence[float], new_spacing: Sequence[float]) -> int | None:
    """Give the axis that nnU-Net resamples on its own, by nearest neighbour, or None.

    It is the coarsest axis of the image, or else of the new grid, where that one's spacings differ by more than the
    factor `ANISOTROPY_THRESHOLD`; none where two axes are equally coarse.

    Parameters
    ----------
    spacing, new_spacing
        In mm, same order of axes.
    """
    for candidate in (spacing, new_spacing):
        coarsest = max(candidate)
        if coarsest / min(candidate) > ANISOTROPY_THRESHOLD:
            axes = [axis for axis, value in enumerate(candidate) if value == coarsest]
            return axes[0] if len(axes) == 1 else None
    return None


def resample_image(
    data: NDArray[np.generic],
    new_shape: Sequence[int],
    *,
    separate: int | None = None,
    order: Order = 3,
    dtype: type[np.float32] | type[np.float64] = np.float32,
) -> Floats:
    """Resample an image to a new matrix over the same box, as nnU-Net does before it predicts.

    Equal to nnunetv2's `resample_data_or_seg` with `is_seg=False`, clipping to the range of the image included: to
    rounding in float64, to about 1e-6 of the range in float32.

    Parameters
    ----------
    data
        Shape (x, y, z), finite.
    new_shape
        Matrix wanted.
    separate
        Axis that is resampled on its own, by nearest neighbour (`separate_axis`).
    order
        1 linear, 3 cubic spline.
    dtype
        Precision of the computation and of the result.

    Raises
    ------
    ValueError
        If an axis is empty.
    """
    shape = data.shape
    if min(*shape, *new_shape) < 1:
        raise ValueError(f"cannot resample shape {shape} to {tuple(new_shape)}")
    values: Floats = data.astype(dtype)
    if tuple(shape) == tuple(new_shape):
        return values
    matrices = [
        None if axis == separate or size == new else resize_matrix(size, new, order)
        for axis, (size, new) in enumerate(zip(shape, new_shape, strict=True))
    ]
    # nnU-Net clips what it resizes in one piece: the volume, or each slice across the separate axis
    across = tuple(axis for axis in range(3) if axis != separate)
    low, high = values.min(axis=across, keepdims=True), values.max(axis=across, keepdims=True)
    resampled = apply_matrices(matrices, values)
    np.clip(resampled, low, high, out=resampled)
    if separate is not None and shape[separate] != new_shape[separate]:
        resampled = resampled.take(nearest_samples(shape[separate], new_shape[separate]), axis=separate)
    return resampled


def _check_axis_aligned(*affines: Affine) -> None:
    for affine in affines:
        spacing = np.diag(affine)[:3]
        if np.any(spacing <= 0) or not np.allclose(affine[:3, :3], np.diag(spacing), atol=1e-3 * spacing.min()):
            raise ValueError(f"the axes of the image are not those of RAS+: {affine[:3, :3].tolist()}")


def _checked_spacing(affine: Affine, spacing_mm: Sequence[float]) -> NDArray[np.float64]:
    _check_axis_aligned(affine)
    wanted = np.asarray(spacing_mm, dtype=np.float64)
    if wanted.shape != (3,) or not np.all(wanted > 0):
        raise ValueError(f"not a spacing: {spacing_mm}")
    return wanted


def _interpolated(
    matrices: Sequence[NDArray[np.float64] | None], values: NDArray[np.float32], nothing_below: float
) -> NDArray[np.float32]:
    """Multiply each axis with its matrix; a value nearer to 0 than `nothing_below` becomes 0.

    A spline leaves traces far from what it interpolates. nnU-Net takes all that is not 0 for the body when it crops
    and normalises; the authors' programs are rid of most traces by the type that they keep images in.
    """
    found: NDArray[np.float32] = apply_matrices(matrices, values).astype(np.float32, copy=False)
    found[np.abs(found) < nothing_below] = 0
    return found


def resample_to_spacing(
    data: NDArray[np.generic], affine: Affine, spacing_mm: Sequence[float], orientation: str
) -> tuple[NDArray[np.float32], Affine]:
    """Resample an image to another spacing by cubic splines, keeping the centre of its first voxel.

    Matrix and place are those of TPTBox's `rescale` (size times old over new spacing, rounded), which has turned the
    image to the network's orientation before: in LPS, the first voxel is the last one along x and y here. Beyond the
    other end's centre the edge is repeated. Nothing is clipped; values under `HALF_UNDERFLOW`, where an image of large
    values has been scaled as TPTBox does, become 0.

    Parameters
    ----------
    data
        Shape (x, y, z), RAS+.
    affine
        4x4, axis-aligned, voxel index (centre) to RAS mm.
    spacing_mm
        Wanted, (x, y, z).
    orientation
        What the network was trained on.

    Returns
    -------
    The float32 image, RAS+ still, and its affine; the image as it was where all spacings agree within 0.001 mm.

    Raises
    ------
    ValueError
        If the image is not axis-aligned RAS+, a spacing is not positive, or the orientation is no such code.
    """
    wanted = _checked_spacing(affine, spacing_mm)
    spacing = np.diag(affine)[:3]
    values: NDArray[np.float32] = data.astype(np.float32)
    if np.all(np.abs(spacing - wanted) < EQUAL_SPACING_MM):
        return values, affine.copy()
    new_affine: Affine = np.diag([*wanted, 1.0])
    new_affine[:3, 3] = affine[:3, 3]
    reversed_axes = orientation_flips(orientation)
    matrices: list[NDArray[np.float64] | None] = []
    for axis, size in enumerate(data.shape):
        new_size = max(int(np.rint(size * spacing[axis] / wanted[axis])), 1)
        if axis in reversed_axes:
            new_affine[axis, 3] += (size - 1) * spacing[axis] - (new_size - 1) * wanted[axis]
        positions = positions_on(new_affine, new_size, affine, axis)
        matrices.append(cubic_matrix(positions, size))
    largest = float(values.max())
    scale = largest / SQUASHED_TO if largest > SQUASHED_ABOVE else 1.0
    return _interpolated(matrices, values, HALF_UNDERFLOW * scale), new_affine


def labels_to_grid(
    labels: NDArray[np.generic], affine: Affine, new_shape: Sequence[int], new_affine: Affine
) -> NDArray[np.generic]:
    """Bring a label map to another axis-aligned grid by nearest neighbour.

    Up to one and a half voxels beyond its outermost centres the label map is continued: so much of the image may be cut
    off where `resample_to_spacing` keeps the first centre and rounds the matrix. Further out the label is 0.

    Parameters
    ----------
    labels
        Shape (x, y, z), integers.
    affine, new_affine
        4x4, voxel index (centre) to RAS mm, of the label map and of the grid wanted.
    new_shape
        Matrix wanted.

    Raises
    ------
    ValueError
        If a grid is not axis-aligned RAS+.
    """
    _check_axis_aligned(affine, new_affine)
    for axis, size in enumerate(new_shape):
        positions = positions_on(new_affine, size, affine, axis)
        last = labels.shape[axis] - 1
        indices = np.clip(np.floor(positions + 0.5).astype(np.intp), 0, last)
        outside = (positions < -1.5) | (positions > last + 1.5)
        labels = labels.take(indices, axis=axis)
        labels[(slice(None),) * axis + (outside,)] = 0
    return labels


def zoom_to_spacing(
    data: NDArray[np.generic], affine: Affine, spacing_mm: Sequence[float]
) -> tuple[NDArray[np.float32], Affine]:
    """Resample an image to another spacing by cubic splines, keeping the centres of its first and its last voxel.

    The numbers are those of TotalSegmentator's `change_spacing` (wasserth/TotalSegmentator totalsegmentator/
    resampling.py, 01c1a833) before it cuts them to whole ones: `scipy.ndimage.zoom` to the matrix times old over new
    spacing, rounded. As there, the affine has the spacing wanted, from which that of the voxels differs by as much as
    the matrix was rounded. Nothing is clipped; values below 1 become 0, or, in an image up to 100, below a hundredth of
    its largest value.

    Parameters
    ----------
    data
        Shape (x, y, z), RAS+.
    affine
        4x4, axis-aligned, voxel index (centre) to RAS mm.
    spacing_mm
        Wanted, (x, y, z).

    Returns
    -------
    The float32 image and its affine; the image as it was where no axis changes its number of voxels.

    Raises
    ------
    ValueError
        If the image is not axis-aligned RAS+, or a spacing is not positive.
    """
    wanted = _checked_spacing(affine, spacing_mm)
    # in single precision, as NIfTI headers have it and TotalSegmentator reads it
    zoom = np.diag(affine)[:3].astype(np.float32) / wanted
    new_shape = [max(int(np.rint(size * factor)), 1) for size, factor in zip(data.shape, zoom, strict=True)]
    new_affine: Affine = np.diag([*wanted, 1.0])
    new_affine[:3, 3] = affine[:3, 3]
    values: NDArray[np.float32] = data.astype(np.float32)
    if tuple(new_shape) == data.shape:
        return values, new_affine
    matrices = [
        None if size == new else zoom_matrix(size, new) for size, new in zip(data.shape, new_shape, strict=True)
    ]
    return _interpolated(matrices, values, min(1.0, ONE_UNIT * float(np.abs(values).max()))), new_affine


def zoom_labels(labels: NDArray[np.generic], new_shape: Sequence[int]) -> NDArray[np.generic]:
    """Bring a label map back from `zoom_to_spacing` by nearest neighbour, as `scipy.ndimage.zoom` with order 0 does.

    Parameters
    ----------
    labels
        Shape (x, y, z), integers.
    new_shape
        Matrix that the image had.
    """
    for axis, (size, new) in enumerate(zip(labels.shape, new_shape, strict=True)):
        if size != new:
            labels = labels.take(nearest_zoom_samples(size, new), axis=axis)
    return labels
