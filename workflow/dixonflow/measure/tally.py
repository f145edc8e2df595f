"""Everything that is counted in one scan, per label. Measures and checks are read off these counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import fastremap
import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Affine, Box, Labels, Mask
from dixonflow.labelmap.components import bounding_box
from dixonflow.measure.definitions import NOISE_FLOOR_SIGMAS
from dixonflow.measure.fat import FatFractions, fat_fractions
from dixonflow.measure.field_of_view import StationBox, field_of_view
from dixonflow.measure.histogram import JointHistogram, joint_histogram
from dixonflow.measure.noise import noise_level
from dixonflow.measure.surface import Surface, surface
from dixonflow.vocabulary import DIXON, Contrast

Images = Mapping[Contrast, NDArray[np.integer | np.floating]]


@dataclass(frozen=True)
class Tally:
    """Counts of one scan. A region is a label's place in the ascending list of the model's labels, from 1; 0 is
    unlabelled.

    Attributes
    ----------
    box
        Bounding box of the labels, also of those outside the field of view.
    voxel_mm3
        Volume of a voxel.
    labelled
        Voxels of each region in the label map, shape (regions,).
    voxels
        Those inside the field of view.
    signal
        Distribution of each contrast in each region, inside the field of view.
    eroded_signal
        That of fat fraction maps in the eroded regions.
    surface
        Where regions meet.
    edge_mm2
        Area of the faces of each region on the edge of the field of view across x, y and z, shape (3, regions).
    dixon
        What is counted in water and fat; None for a scan that is not Dixon.
    ring
        Box of one voxel more around `box`, as far as the grid goes.
    axes
        The order of axes (x, y, z) in which `surface` has them.
    """

    box: Box
    voxel_mm3: float
    labelled: NDArray[np.intp]
    voxels: NDArray[np.intp]
    signal: Mapping[Contrast, JointHistogram]
    eroded_signal: Mapping[Contrast, JointHistogram]
    surface: Surface
    edge_mm2: NDArray[np.float64]
    dixon: "DixonTally | None"
    ring: Box
    axes: tuple[int, int, int]

    @property
    def noise_floor(self) -> float:
        """Smallest F + W that counts as signal; 0 for a scan that is not Dixon or has no noise."""
        return NOISE_FLOOR_SIGMAS * ((self.dixon.noise_level if self.dixon else None) or 0.0)

    def interior(self, shape: tuple[int, ...]) -> Mask:
        """Voxels of the eroded regions on the whole grid (x, y, z)."""
        whole = np.zeros(shape, bool, order="F")
        whole[self.ring] = self.surface.interior.transpose(np.argsort(self.axes))
        return whole


@dataclass(frozen=True)
class DixonTally:
    """What water and fat images tell.

    Attributes
    ----------
    fat
        Voxel fat fractions of each region.
    noise_level
        Standard deviation of the noise, None where it could not be estimated.
    signal_voxels, labelled_signal_voxels
        Voxels above the noise floor inside the field of view: all, and those with a label.
    """

    fat: FatFractions
    noise_level: float | None
    signal_voxels: int
    labelled_signal_voxels: int


def tally(labels: Labels, images: Images, affine: Affine, boxes: Sequence[StationBox], known: Sequence[int]) -> Tally:
    """Count a scan.

    Parameters
    ----------
    labels
        Label map (x, y, z).
    images
        All images of the scan on the same grid.
    affine
        4x4, voxel index to RAS mm, diagonal and positive.
    boxes
        The stations.
    known
        Labels of the model, ascending.

    Raises
    ------
    ValueError
        If shapes differ, a contrast is missing, the affine is not diagonal and positive, or a label is unknown.
    """
    spacing = _check(labels, images, affine)
    inside = field_of_view(labels.shape, affine, boxes)
    count = len(known) + 1
    box = bounding_box(labels)
    # A ring of background around the labels: only at the edge of the grid do they touch what is not there.
    x, y, z = (slice(max(part.start - 1, 0), part.stop + 1) for part in box)
    ring = x, y, z
    # Work in memory order: an axis permutation is free, walking an array against its layout is not.
    axes = (2, 1, 0) if labels.flags.f_contiguous else (0, 1, 2)
    region = _regions(labels[ring].transpose(axes), known)
    seen = None if inside is None else inside[ring].transpose(axes)
    face_mm2 = [float(np.prod(spacing) / spacing[axis]) for axis in axes]
    edges = surface(region, seen, count, (face_mm2[0], face_mm2[1], face_mm2[2]))

    measured = region > 0
    hidden = np.zeros(count, np.intp)
    if seen is not None:
        hidden = np.bincount(region[measured & ~seen], minlength=count)
        measured &= seen
    inner = region[measured]
    values = {contrast: image[ring].transpose(axes)[measured] for contrast, image in images.items()}
    signal = {contrast: joint_histogram(inner, each, count) for contrast, each in values.items()}
    interior = edges.interior[measured]
    eroded_signal = {
        contrast: joint_histogram(inner[interior], values[contrast][interior], count)
        for contrast in (Contrast.FAT_FRACTION,)
        if contrast in values
    }
    voxels = next(iter(signal.values())).voxels
    dixon = None
    if set(DIXON) <= set(images):
        noise = noise_level(images[Contrast.IN_PHASE], labels == 0, inside)
        floor = NOISE_FLOOR_SIGMAS * (noise or 0.0)
        water, fat = images[Contrast.WATER], images[Contrast.FAT]
        fractions = fat_fractions(inner, interior, values[Contrast.WATER], values[Contrast.FAT], floor, count)
        signal_voxels = _signal_voxels(water, fat, floor, inside, axes)
        dixon = DixonTally(fractions, noise, signal_voxels, int(fractions.whole.sum()))
    return Tally(
        box=box,
        voxel_mm3=float(np.prod(spacing)),
        labelled=voxels + hidden,
        voxels=voxels,
        signal=signal,
        eroded_signal=eroded_signal,
        surface=edges,
        edge_mm2=edges.edge_mm2[np.argsort(axes)],
        dixon=dixon,
        ring=ring,
        axes=axes,
    )


def _check(labels: Labels, images: Images, affine: Affine) -> tuple[float, float, float]:
    if labels.ndim != 3 or labels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a label map is a 3D array of uint8 or uint16, not {labels.ndim}D {labels.dtype}")
    if not images:
        raise ValueError("there is no image")
    for contrast in images:
        if images[contrast].shape != labels.shape:
            raise ValueError(f"the {contrast} image is {images[contrast].shape}, the label map {labels.shape}")
    x, y, z = np.diag(affine)[:3].tolist()
    if min(x, y, z) <= 0 or np.abs(affine[:3, :3] - np.diag([x, y, z])).max() > 1e-6 * min(x, y, z):
        raise ValueError("the affine is not that of an axis-aligned RAS+ grid")
    return x, y, z


def _regions(labels: Labels, known: Sequence[int]) -> Labels:
    """Region of each voxel, C order."""
    unknown = len(known) + 1
    dtype = labels.dtype if unknown < 256 else np.dtype(np.uint16)
    table = np.full(np.iinfo(dtype).max + 1, unknown, dtype)
    table[0] = 0
    for place, label in enumerate(known, start=1):
        if label < len(table):
            table[label] = place
    region = labels.astype(dtype, order="C")
    fastremap.remap_from_array(region.reshape(-1), table, in_place=True)
    if int(region.max()) == unknown:
        raise ValueError("the label map holds labels that the model does not have")
    return region


def _signal_voxels(
    water: NDArray[np.integer | np.floating],
    fat: NDArray[np.integer | np.floating],
    floor: float,
    inside: NDArray[np.bool_] | None,
    axes: tuple[int, int, int],
) -> int:
    count = 0
    for plane in range(water.shape[axes[0]]):  # plane by plane: the sum needs a wider type than the images
        w, f = (image.transpose(axes)[plane] for image in (water, fat))
        signal = np.add(w, f, dtype=np.float32)
        above = (signal >= floor) & (signal > 0)
        count += int(np.count_nonzero(above if inside is None else above & inside.transpose(axes)[plane]))
    return count
