"""Everything that is counted in one scan, per label. Measures and checks are read off these counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.components import Labels
from dixonflow.measures.definitions import NOISE_FLOOR_SIGMAS
from dixonflow.measures.fat import FatFractions, fat_fractions
from dixonflow.measures.field_of_view import StationBox, field_of_view
from dixonflow.measures.histogram import JointHistogram, joint_histogram
from dixonflow.measures.noise import noise_level
from dixonflow.measures.surface import Surface, surface
from dixonflow.station import Affine
from dixonflow.vocabulary import Contrast

Images = Mapping[Contrast, NDArray[np.integer | np.floating]]


@dataclass(frozen=True)
class Tally:
    """Counts of one scan. A region is a label's place in the ascending list of the model's labels, from 1; 0 is
    unlabelled.

    Attributes
    ----------
    voxel_mm3
        Volume of a voxel.
    labelled
        Voxels of each region in the label map, shape (regions,).
    voxels
        Those inside the field of view.
    signal
        Distribution of each contrast in each region, inside the field of view.
    fat
        Voxel fat fractions of each region.
    surface
        Where regions meet.
    noise_level
        Standard deviation of the noise, None where it could not be estimated.
    signal_voxels, labelled_signal_voxels
        Voxels above the noise floor inside the field of view: all, and those with a label.
    """

    voxel_mm3: float
    labelled: NDArray[np.intp]
    voxels: NDArray[np.intp]
    signal: Mapping[Contrast, JointHistogram]
    fat: FatFractions
    surface: Surface
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
        The four contrasts on the same grid.
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
    region = _regions(labels, known)
    count = len(known) + 1
    # Work in memory order: an axis permutation is free, walking an array against its layout is not.
    axes = (2, 1, 0) if labels.flags.f_contiguous else (0, 1, 2)
    region = region.transpose(axes)
    inside = None if inside is None else inside.transpose(axes)
    volume = {contrast: images[contrast].transpose(axes) for contrast in Contrast}
    face_mm2 = [float(np.prod(spacing) / spacing[axis]) for axis in axes]
    edges = surface(region, inside, count, (face_mm2[0], face_mm2[1], face_mm2[2]))

    noise = noise_level(images[Contrast.IN_PHASE], labels == 0, None if inside is None else inside.transpose(axes))
    floor = NOISE_FLOOR_SIGMAS * (noise or 0.0)
    measured = region > 0
    labelled = None
    if inside is not None:
        labelled = np.bincount(region[measured], minlength=count)
        measured &= inside
    inner = region[measured].astype(np.intp)
    voxels = np.bincount(inner, minlength=count)
    values = {contrast: volume[contrast][measured] for contrast in Contrast}
    signal = {contrast: joint_histogram(inner, values[contrast], count) for contrast in Contrast}
    fat = fat_fractions(inner, edges.interior[measured], values[Contrast.WATER], values[Contrast.FAT], floor, count)
    return Tally(
        voxel_mm3=float(np.prod(spacing)),
        labelled=voxels if labelled is None else labelled,
        voxels=voxels,
        signal=signal,
        fat=fat,
        surface=edges,
        noise_level=noise,
        signal_voxels=_signal_voxels(volume[Contrast.WATER], volume[Contrast.FAT], floor, inside),
        labelled_signal_voxels=int(fat.whole.sum()),
    )


def _check(labels: Labels, images: Images, affine: Affine) -> tuple[float, float, float]:
    if labels.ndim != 3 or labels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a label map is a 3D array of uint8 or uint16, not {labels.ndim}D {labels.dtype}")
    for contrast in Contrast:
        if contrast not in images:
            raise ValueError(f"there is no {contrast} image")
        if images[contrast].shape != labels.shape:
            raise ValueError(f"the {contrast} image is {images[contrast].shape}, the label map {labels.shape}")
    x, y, z = np.diag(affine)[:3].tolist()
    if min(x, y, z) <= 0 or np.abs(affine[:3, :3] - np.diag([x, y, z])).max() > 1e-6 * min(x, y, z):
        raise ValueError("the affine is not that of an axis-aligned RAS+ grid")
    return x, y, z


def _regions(labels: Labels, known: Sequence[int]) -> NDArray[np.unsignedinteger]:
    unknown = len(known) + 1
    dtype: np.dtype[np.unsignedinteger] = np.dtype(np.uint8 if unknown < 256 else np.uint16)
    table = np.full(np.iinfo(labels.dtype).max + 1, unknown, dtype)
    table[0] = 0
    for place, label in enumerate(known, start=1):
        if label < len(table):
            table[label] = place
    region: NDArray[np.unsignedinteger] = table[labels]
    if int(region.max()) == unknown:
        raise ValueError("the label map holds labels that the model does not have")
    return region


def _signal_voxels(
    water: NDArray[np.generic], fat: NDArray[np.generic], floor: float, inside: NDArray[np.bool_] | None
) -> int:
    count = 0
    for plane in range(len(water)):  # plane by plane: the sum needs a wider type than the images
        signal = np.add(water[plane], fat[plane], dtype=np.float32)
        above = (signal >= floor) & (signal > 0)
        count += int(np.count_nonzero(above if inside is None else above & inside[plane]))
    return count
