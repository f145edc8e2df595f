"""Volumes of a scan before they are read: one station in one contrast, on a grid that is turned to RAS+."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_header, read_nifti
from dixonflow.imaging.types import Affine
from dixonflow.rawdata.acquisition import NO_SCANNER, Scanner
from dixonflow.rawdata.dicom.pixels import check_length, read_slices
from dixonflow.rawdata.dicom.series import Stack, is_needless
from dixonflow.rawdata.dicom.single_image import stacks_of_one_image, which_are_resampled
from dixonflow.rawdata.dicom.slice_header import SliceHeader
from dixonflow.rawdata.geometry import (
    Grid,
    unexpected,
    upright_box,
    upright_grid,
    upright_rotation,
)
from dixonflow.rawdata.no_data import no_data_value
from dixonflow.rawdata.zip_archive import unreadable
from dixonflow.vocabulary import Contrast


@dataclass(frozen=True)
class NiftiVolume:
    """An image in a NIfTI file.

    Attributes
    ----------
    path
        The file.
    index, count
        Which of how many images on its fourth axis.
    scanner
        What its sidecar says of the machine.
    """

    path: Path
    index: int = 0
    count: int = 1
    scanner: Scanner = NO_SCANNER


@dataclass(frozen=True)
class Volume:
    """One station in one contrast, not read yet.

    Attributes
    ----------
    contrast
        None where no tag names it.
    grid
        In RAS+; where `flaw` tells of missing slices it spans from the first to the last.
    name
        How messages call it.
    files
        Slices in the order of the stored axis, or an image in a NIfTI file.
    echo_time_ms
        None where unknown.
    flaw
        Message about missing or double slices.
    truncated
        Message about a slice with less pixel data than its header says.
    series_number, acquired_s, day
        What tells volumes apart that were acquired one after the other; None where unknown. A day has a number.
    composed
        Whether the scanner put it together from stations.
    oblique
        4x4, index as stored to RAS mm, where the volume is oblique and is resampled to `grid` when it is read; else
        None.
    machine
        What the headers of slices say of the machine.
    """

    contrast: Contrast | None
    grid: Grid
    name: str
    files: tuple[SliceHeader, ...] | NiftiVolume
    echo_time_ms: float | None = None
    flaw: str = ""
    truncated: str = ""
    series_number: int | None = None
    acquired_s: float | None = None
    composed: bool = False
    oblique: Affine | None = None
    day: int | None = None
    machine: Scanner = NO_SCANNER

    @property
    def scanner(self) -> Scanner:
        """What its headers say of the machine."""
        return self.files.scanner if isinstance(self.files, NiftiVolume) else self.machine

    @property
    def n_slices(self) -> int:
        """Number of slices as they were acquired, whatever axis of the body they are stacked along."""
        if isinstance(self.files, NiftiVolume):
            return self.grid.shape[self.grid.axes.index(2)]
        return len(self.files)

    @property
    def low_mm(self) -> float:
        """Lowest position of the volume along the body (RAS mm)."""
        return float(self.grid.low_mm[2])

    @property
    def high_mm(self) -> float:
        """Highest position of the volume along the body (RAS mm)."""
        return float(self.grid.high_mm[2])


def volumes_of(stacks: Sequence[Stack]) -> tuple[list[Volume], list[str]]:
    """Turn stacks upright, all by the rotation of the first that has a contrast.

    Returns
    -------
    volumes
        In the order of the stacks.
    notes
        Stacks that are no volume along the patient's axes, each with the reason: those without a contrast, and those
        that show nothing but what another volume of their contrast shows.

    Raises
    ------
    ScanExcluded
        `unexpected_geometry` where the geometry cannot be meant.
    """
    rotation: NDArray[np.float64] | None = None
    volumes, notes = [], []
    whole: list[Stack] = []
    strays: list[tuple[Stack, ScanExcluded]] = []
    for stack in stacks:
        try:
            if len(stack.slices) < 2:
                raise unexpected(f"{stack.name}: a single slice is not a volume")
            if rotation is None or stack.contrast is None:
                own = upright_rotation(stack.directions, stack.name)
            if rotation is None and stack.contrast is not None:
                rotation = own
            grid = upright_grid(stack.shape, stack.affine, own if rotation is None else rotation, stack.name)
        except ScanExcluded as problem:
            if stack.contrast is not None:
                strays.append((stack, problem))
            else:  # a localizer or another series that is no part of the scan
                notes.append(problem.message)
            continue
        whole.append(stack)
        volumes.append(_volume(stack, grid, stack.contrast))
    for stray, excluded in strays:
        if not is_needless(stray.slices, [stack for stack in whole if stack.contrast is stray.contrast]):
            raise excluded
        notes.append(excluded.message)
    return volumes, notes


def single_volumes(stacks: Sequence[Stack], contrast: Contrast) -> tuple[list[Volume], list[str]]:
    """Volumes of a sequence that has one image per station, in any plane.

    They are those of `stacks_of_one_image`. An oblique stack is resampled when it is read.

    Returns
    -------
    volumes
        All of the contrast.
    notes
        What was left out.

    Raises
    ------
    ScanExcluded
        `unexpected_geometry` where the geometry cannot be meant.
    """
    kept, notes = stacks_of_one_image(stacks)
    volumes = []
    for place, (stack, oblique) in enumerate(zip(kept, which_are_resampled(kept), strict=True)):
        try:
            if oblique:
                grid = upright_box(stack.shape, stack.affine, stack.name)
            else:
                rotation = upright_rotation(stack.directions, stack.name)
                grid = upright_grid(stack.shape, stack.affine, rotation, stack.name)
        except ScanExcluded as problem:
            if not is_needless(stack.slices, [*kept[:place], *kept[place + 1 :]]):
                raise
            notes.append(problem.message)
            continue
        volumes.append(_volume(stack, grid, contrast, stack.affine if oblique else None))
    return volumes, notes


def _volume(stack: Stack, grid: Grid, contrast: Contrast | None, oblique: Affine | None = None) -> Volume:
    first = stack.slices[0]
    return Volume(
        *(contrast, grid, stack.name, stack.slices, first.echo_time_ms, stack.flaw),
        truncated=_truncated(stack.slices),
        series_number=stack.series_number,
        acquired_s=first.acquired_s,
        composed=stack.composed,
        oblique=oblique,
        day=stack.day,
        machine=stack.scanner,
    )


def _resampled(image: NDArray[np.generic], affine: Affine, volume: Volume) -> NDArray[np.float32]:
    """Resample an oblique volume to its upright grid, by linear interpolation.

    Where it does not reach a CT is air; other images have the nearest value, which `reached` tells apart.

    Parameters
    ----------
    image, affine
        As stored, and index to RAS mm.
    """
    ct = volume.contrast is Contrast.CT
    turned: NDArray[np.float32] = affine_transform(
        np.asarray(image, np.float32),
        np.linalg.inv(affine) @ volume.grid.affine,
        output_shape=volume.grid.shape,
        order=1,
        mode="constant" if ct else "nearest",
        cval=no_data_value(volume.contrast),
    )
    return turned


def reached(volume: Volume) -> NDArray[np.uint8] | None:
    """Voxels of an oblique volume's upright grid that it reaches; None for others, which reach all."""
    if volume.oblique is None or volume.contrast is Contrast.CT:
        return None
    if isinstance(volume.files, NiftiVolume):
        shape, _ = read_header(volume.files.path, volume.files.count)
    else:
        header = volume.files[0]
        shape = (header.columns, header.rows, len(volume.files))
    inside: NDArray[np.uint8] = affine_transform(
        np.ones(shape, np.uint8),
        np.linalg.inv(volume.oblique) @ volume.grid.affine,
        output_shape=volume.grid.shape,
        order=0,
    )
    return inside


def _truncated(slices: Sequence[SliceHeader]) -> str:
    for header in slices:
        try:
            check_length(header)
        except ScanExcluded as problem:
            return problem.message
    return ""


def read_volume(volume: Volume) -> NDArray[np.generic]:
    """Read a volume.

    Returns
    -------
    Shape (x, y, z) in RAS+: of DICOM slices int16 where the values fit, else int32, and float32 where the header scales
    values; of NIfTI the file's type.

    Raises
    ------
    ScanExcluded
        As `read_slices` and `read_nifti`.
    OSError
        If the disk, not the data, is at fault.
    """
    if isinstance(volume.files, NiftiVolume):
        image = read_nifti(volume.files.path, volume.files.index, volume.files.count)
        if volume.oblique is not None:  # the image is turned to the nearest RAS+ already
            return _resampled(image.data, image.affine, volume)
        if image.data.shape != volume.grid.shape:
            raise unreadable(f"{volume.name}: its matrix is not the one of its header")
        return image.data
    grid = volume.grid
    flip = {axis: -1 if flipped else 1 for axis, flipped in zip(grid.axes, grid.flips, strict=True)}
    # stored axes are columns, rows, slices: the stack holds them in reverse, so that x runs fastest in memory
    no_data = no_data_value(volume.contrast)
    if volume.oblique is not None:
        return _resampled(read_slices(volume.files, no_data).transpose(2, 1, 0), volume.oblique, volume)
    stack = read_slices(volume.files[:: flip[2]], no_data)[:, :: flip[1], :: flip[0]]
    x, y, z = grid.axes
    turned = stack.transpose(2 - x, 2 - y, 2 - z)
    limits = np.iinfo(np.int16)
    if turned.dtype == np.int32 and limits.min <= turned.min() and turned.max() <= limits.max:
        return turned.astype(np.int16)
    return turned
