"""Volumes of a scan before they are read: one station in one contrast, on a grid that is turned to RAS+."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_nifti
from dixonflow.rawdata.acquisition import NO_SCANNER, Scanner
from dixonflow.rawdata.dicom.pixels import AIR_HU, check_length, read_slices
from dixonflow.rawdata.dicom.series import Stack
from dixonflow.rawdata.dicom.slice_header import SliceHeader
from dixonflow.rawdata.geometry import Grid, unexpected, upright_grid, upright_rotation
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
    series_number, acquired_s
        What tells volumes apart that were acquired one after the other; None where unknown.
    composed
        Whether the scanner put it together from stations.
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

    @property
    def scanner(self) -> Scanner:
        """What its headers say of the machine."""
        return self.files.scanner if isinstance(self.files, NiftiVolume) else self.files[0].scanner

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
        Stacks without a contrast that are no volume along the patient's axes, each with the reason.

    Raises
    ------
    ScanExcluded
        `unexpected_geometry` where the geometry cannot be meant.
    """
    rotation: NDArray[np.float64] | None = None
    volumes, notes = [], []
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
                raise
            # a localizer or another series that is no part of the scan
            notes.append(problem.message)
            continue
        first = stack.slices[0]
        volumes.append(
            Volume(
                *(stack.contrast, grid, stack.name, stack.slices, first.echo_time_ms, stack.flaw),
                truncated=_truncated(stack.slices),
                series_number=stack.series_number,
                acquired_s=first.acquired_s,
                composed=stack.composed,
            )
        )
    return volumes, notes


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
        if image.data.shape != volume.grid.shape:
            raise unreadable(f"{volume.name}: its matrix is not the one of its header")
        return image.data
    grid = volume.grid
    flip = {axis: -1 if flipped else 1 for axis, flipped in zip(grid.axes, grid.flips, strict=True)}
    # stored axes are columns, rows, slices: the stack holds them in reverse, so that x runs fastest in memory
    no_data = AIR_HU if volume.contrast is Contrast.CT else 0
    stack = read_slices(volume.files[:: flip[2]], no_data)[:, :: flip[1], :: flip[0]]
    x, y, z = grid.axes
    turned = stack.transpose(2 - x, 2 - y, 2 - z)
    limits = np.iinfo(np.int16)
    if turned.dtype == np.int32 and limits.min <= turned.min() and turned.max() <= limits.max:
        return turned.astype(np.int16)
    return turned
