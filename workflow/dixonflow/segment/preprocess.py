"""From an image to the network's input and from the network's labels back, as nnU-Net's DefaultPreprocessor does.

nnU-Net reads images as (z, y, x); the plans' spacing, patch size and `transpose_forward` mean that order. Images here
are (x, y, z). All that is done in between happens on the network's axes: (z, y, x) after `transpose_forward`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from nnunetv2.preprocessing.cropping.cropping import create_nonzero_mask
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape
from numpy.typing import NDArray

from dixonflow.errors import ModelError, ScanExcluded
from dixonflow.imaging.orientation import orientation_flips
from dixonflow.imaging.types import Spacing
from dixonflow.resample.axes import nearest_samples
from dixonflow.resample.volume import resample_image
from dixonflow.segment.architecture import Architecture, Shape, normalization_class
from dixonflow.vocabulary import Reason

Label = TypeVar("Label", bound=np.integer[Any])

MAX_VOXELS = 2**30
"""Largest grid that a network is run on; a whole body at 1 mm is 0.4 of it. A wrong spacing in a header exceeds it."""


@dataclass(frozen=True)
class PreprocessedImage:
    """One image as the network takes it, and what is needed to bring labels back.

    Attributes
    ----------
    image
        float32, (channel, a, b, c) on the network's axes and voxel size, cropped and normalised.
    spacing_mm
        Voxel size of the image as it was given, on the network's axes.
    full_shape
        Matrix as it was given, on the network's axes.
    box
        Where the crop lies in it.
    flips
        Axes of (x, y, z) that were reversed to reach the network's orientation.
    """

    image: NDArray[np.float32]
    spacing_mm: Spacing
    full_shape: Shape
    box: tuple[slice, slice, slice]
    flips: tuple[int, ...]

    def without_image(self) -> "PreprocessedImage":
        """What bringing labels back needs: the same, and no voxels."""
        return replace(self, image=self.image[:0].copy())

    @property
    def network_shape(self) -> Shape:
        """Matrix of the crop on the network's grid."""
        a, b, c = self.image.shape[1:]
        return a, b, c

    @property
    def cropped_shape(self) -> Shape:
        """Matrix of the crop before it was resampled, on the network's axes."""
        a, b, c = (part.stop - part.start for part in self.box)
        return a, b, c


def preprocess(
    images: Sequence[NDArray[Any]], spacing_mm: Spacing, architecture: Architecture, orientation: str = "RAS"
) -> list[PreprocessedImage]:
    """Transpose, crop to the non-zero box, normalise and resample.

    Parameters
    ----------
    images
        Each (x, y, z) or (channel, x, y, z), RAS+, finite. They are not changed. Several are of one grid and meant to
        be averaged: they get one box, of the voxels where any of them is not 0, and are otherwise treated one by one.
    spacing_mm
        Voxel size along x, y, z.
    architecture
        The network's plans.
    orientation
        What the network was trained on. nnU-Net itself ignores directions.

    Raises
    ------
    ScanExcluded
        If an image is constant, or its geometry gives no plausible grid at the network's voxel size.
    ModelError
        If the network takes another number of channels.
    ValueError
        If an image is not 3D or 4D, or not finite, or the images are not of one shape.
    """
    forward = architecture.plans.transpose_forward
    a, b, c = (float(spacing_mm[2 - axis]) for axis in forward)
    spacing: Spacing = (a, b, c)
    flips = orientation_flips(orientation)
    on_axes = [_on_network_axes(image, spacing, architecture, flips) for image in images]
    if len({data.shape for data in on_axes}) != 1:
        raise ValueError(f"images to be averaged have different shapes: {[image.shape for image in images]}")
    box = _nonzero_box([channel for data in on_axes for channel in data])
    return [_on_network_grid(data, box, spacing, architecture, flips) for data in on_axes]


def _on_network_axes(
    image: NDArray[Any], spacing: Spacing, architecture: Architecture, flips: tuple[int, ...]
) -> NDArray[np.float32]:
    """Check an image and copy it to float32 (channel, a, b, c)."""
    channels = image[None] if image.ndim == 3 else image
    if channels.ndim != 4 or 0 in channels.shape:
        raise ValueError(f"an image must be (x, y, z) or (channel, x, y, z) and not empty, not of shape {image.shape}")
    if len(channels) != architecture.channels:
        raise ModelError(f"the network takes {architecture.channels} images, not {len(channels)}")
    # nnU-Net computes the mean in memory order, so the copy must lie in (z, y, x) order as its readers give it.
    reversed_axes = tuple(axis + 1 for axis in flips)
    zyx = np.array(np.flip(channels, reversed_axes).transpose(0, 3, 2, 1), dtype=np.float32, order="C")
    _check_values(zyx)
    data = zyx.transpose(0, *(axis + 1 for axis in architecture.plans.transpose_forward))
    _check_geometry(data.shape[1:], spacing, architecture)
    return data


def _on_network_grid(
    data: NDArray[np.float32],
    box: tuple[slice, slice, slice],
    spacing: Spacing,
    architecture: Architecture,
    flips: tuple[int, ...],
) -> PreprocessedImage:
    """Crop, normalise and resample an image (channel, a, b, c); it is changed."""
    full_shape: Shape = (data.shape[1], data.shape[2], data.shape[3])
    masks = architecture.configuration.use_mask_for_norm
    outside = ~create_nonzero_mask(data)[box] if any(masks) else None
    data = data[(slice(None), *box)]
    _normalise(data, outside, architecture)
    new_shape = compute_new_shape(data.shape[1:], spacing, architecture.spacing_mm)
    if new_shape.min() < 1:
        raise ScanExcluded(
            Reason.UNEXPECTED_GEOMETRY, f"{data.shape[1:]} voxels of {spacing} mm are less than one network voxel"
        )
    separate = architecture.separate_axis("data", spacing, architecture.spacing_mm)
    image = np.empty((len(data), *new_shape), np.float32)
    for channel, resampled in zip(data, image, strict=True):
        # In single precision the network's scores, and one label in a million, would differ from nnU-Net's.
        same = channel.shape == resampled.shape
        resampled[:] = channel if same else resample_image(channel, new_shape, separate=separate, dtype=np.float64)
    return PreprocessedImage(image, spacing, full_shape, box, flips)


def restore_labels(labels: NDArray[Label], prepared: PreprocessedImage, architecture: Architecture) -> NDArray[Label]:
    """Put labels of the crop back into the image as it was given, on its axes.

    Parameters
    ----------
    labels
        As `labels_of_image` takes them.

    Returns
    -------
    ndarray
        (x, y, z), RAS+, same type, 0 outside the crop.
    """
    xyz = labels_of_image(labels, prepared).transpose(architecture.plans.transpose_backward).transpose(2, 1, 0)
    return np.ascontiguousarray(np.flip(xyz, prepared.flips))


def labels_of_image(labels: NDArray[Label], prepared: PreprocessedImage) -> NDArray[Label]:
    """Put labels of the crop back into the image as it was given, on the network's axes.

    Parameters
    ----------
    labels
        Labels of the crop on the network's axes: of shape `prepared.cropped_shape`, or on the network's grid, from
        where they are taken to the crop by nearest neighbour.

    Returns
    -------
    ndarray
        Of shape `prepared.full_shape`, same type, 0 outside the crop.
    """
    for axis, (size, wanted) in enumerate(zip(labels.shape, prepared.cropped_shape, strict=True)):
        if size != wanted:
            labels = labels.take(nearest_samples(size, wanted), axis=axis)
    full = np.zeros(prepared.full_shape, labels.dtype)
    full[prepared.box] = labels
    return full


def _check_values(channels: NDArray[np.float32]) -> None:
    for channel in channels:
        low, high = channel.min(), channel.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError("the image holds values that are not finite")
        if low == high:
            raise ScanExcluded(Reason.EMPTY_IMAGE, f"every voxel of the image is {low}")


def _check_geometry(shape: tuple[int, ...], spacing: Spacing, architecture: Architecture) -> None:
    """Refuse a voxel size that cannot be, before anything of the resulting size is allocated."""
    if not all(0 < value < float("inf") for value in spacing):
        raise ScanExcluded(Reason.UNEXPECTED_GEOMETRY, f"voxel size {spacing} mm")
    extent = np.array(shape) * spacing / architecture.spacing_mm
    if extent.prod() > MAX_VOXELS:
        raise ScanExcluded(
            Reason.UNEXPECTED_GEOMETRY, f"{shape} voxels of {spacing} mm are {extent.prod():.3g} voxels of the network"
        )


def _nonzero_box(channels: Sequence[NDArray[np.float32]]) -> tuple[slice, slice, slice]:
    # nnU-Net fills holes before it takes the box, which cannot change the box; projections find it much faster.
    mask = channels[0] != 0
    for channel in channels[1:]:
        mask |= channel != 0
    first = mask.any(axis=(1, 2)).nonzero()[0]
    plane = mask.any(axis=0)
    second, third = plane.any(axis=1).nonzero()[0], plane.any(axis=0).nonzero()[0]
    a, b, c = (slice(int(hits[0]), int(hits[-1]) + 1) for hits in (first, second, third))
    return a, b, c


def _normalise(data: NDArray[np.float32], outside: NDArray[np.bool_] | None, architecture: Architecture) -> None:
    configuration = architecture.configuration
    seg = None if outside is None else np.where(outside, np.int8(-1), np.int8(0))
    for channel, scheme in enumerate(configuration.normalization_schemes):
        normaliser = normalization_class(scheme)(
            use_mask_for_norm=configuration.use_mask_for_norm[channel],
            intensityproperties=architecture.plans.foreground_intensity_properties_per_channel[str(channel)],
        )
        data[channel] = normaliser.run(data[channel], seg)
