"""Pixel data of slices to arrays in RAS+."""

import tempfile
from pathlib import Path, PurePosixPath
from zipfile import ZipInfo

import numpy as np
from numpy.typing import NDArray

from dixonflow.cohort.archive import Archive, unreadable
from dixonflow.cohort.geometry import Grid
from dixonflow.cohort.header import NATIVE_SYNTAXES, SliceHeader
from dixonflow.errors import ScanExcluded
from dixonflow.vocabulary import Reason


def read_volume(
    archive: Archive, infos: dict[str, ZipInfo], slices: tuple[SliceHeader, ...], grid: Grid
) -> NDArray[np.generic]:
    """Read the pixels of one volume.

    Parameters
    ----------
    infos
        Members of the archive by name.
    slices
        In the order of the stored slice axis.
    grid
        Where the stored axes (columns, rows, slices) go.

    Returns
    -------
    Shape (x, y, z) in RAS+: int16 where the values fit, else int32; float32 where the header scales values.

    Raises
    ------
    ScanExcluded
        `unreadable_file` (checksum, damaged, or values that the header rules out), `truncated_pixels`.
    """
    scaled = any((header.slope, header.intercept) != (1.0, 0.0) for header in slices)
    first = slices[0]
    stack: NDArray[np.generic] = np.empty((len(slices), first.rows, first.columns), np.float32 if scaled else np.int32)
    # stored axes are columns, rows, slices: the stack holds them in reverse, so that x runs fastest in memory
    flip = {axis: -1 if flipped else 1 for axis, flipped in zip(grid.axes, grid.flips, strict=True)}
    for index, header in enumerate(slices[:: flip[2]]):
        stack[index] = _read_slice(archive.read(infos[header.member]), header)[:: flip[1], :: flip[0]]
    x, y, z = grid.axes
    image = stack.transpose(2 - x, 2 - y, 2 - z)
    limits = np.iinfo(np.int16)
    if not scaled and limits.min <= image.min() and image.max() <= limits.max:
        return image.astype(np.int16)
    return image


def _read_slice(content: bytes, header: SliceHeader) -> NDArray[np.generic]:
    name = PurePosixPath(header.member).name
    if header.transfer_syntax not in NATIVE_SYNTAXES:
        return _decompress(content, header, name)
    check_length(header, len(content), name)
    kind = np.dtype(f"<{'i' if header.signed else 'u'}{header.bits_allocated // 8}")
    count = header.rows * header.columns
    pixels = np.frombuffer(content, kind, count, header.pixel_offset).reshape(header.rows, header.columns)
    if header.bits_stored < header.bits_allocated:
        low, high = (
            (-1 << header.bits_stored - 1, 1 << header.bits_stored - 1)
            if header.signed
            else (0, 1 << header.bits_stored)
        )
        if pixels.min() < low or pixels.max() >= high:
            raise unreadable(f"{name}: values do not fit the {header.bits_stored} bits that its header tells of")
    if (header.slope, header.intercept) == (1.0, 0.0):
        return pixels
    return (pixels * header.slope + header.intercept).astype(np.float32)


def check_length(header: SliceHeader, file_bytes: int, name: str) -> None:
    """Check that a file holds the pixel data that its header tells of, without reading it.

    Parameters
    ----------
    file_bytes
        Inflated size of the file.
    name
        How messages call the file.

    Raises
    ------
    ScanExcluded
        `truncated_pixels`.
    """
    if header.pixel_bytes is None:
        return  # encapsulated: only decoding tells
    held = min(header.pixel_bytes, file_bytes - header.pixel_offset)
    if held < header.expected_bytes:
        raise ScanExcluded(
            Reason.TRUNCATED_PIXELS,
            f"{name}: {held} bytes of pixel data, {header.columns}x{header.rows} pixels of {header.bits_allocated} "
            f"bits need {header.expected_bytes}",
        )


def _decompress(content: bytes, header: SliceHeader, name: str) -> NDArray[np.generic]:
    """Decode JPEG, JPEG 2000, JPEG-LS or RLE with ITK's GDCM, which also applies slope and intercept."""
    import SimpleITK  # noqa: PLC0415 - slow to import, and slices are hardly ever compressed

    with tempfile.TemporaryDirectory(prefix="dixonflow-") as folder:
        path = Path(folder) / "slice.dcm"
        path.write_bytes(content)
        try:
            image = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO="GDCMImageIO"))
        except RuntimeError as error:
            raise unreadable(f"{name}: compressed pixels ({header.transfer_syntax}) cannot be decoded") from error
    if image.shape != (1, header.rows, header.columns):
        raise unreadable(f"{name}: compressed pixels are of another size than its header tells")
    pixels: NDArray[np.generic] = image[0]
    if pixels.dtype.kind not in "iu" and (header.slope, header.intercept) == (1.0, 0.0):
        raise unreadable(f"{name}: compressed pixels are no whole numbers, and its header scales none")
    return pixels
