"""Pixel data of slices to arrays in RAS+."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.dicom_header import NATIVE_SYNTAXES
from dixonflow.rawdata.geometry import Grid
from dixonflow.rawdata.slice_header import SliceHeader
from dixonflow.rawdata.zip_archive import Archive, unreadable
from dixonflow.vocabulary import Reason


def read_volume(archive: Archive, slices: tuple[SliceHeader, ...], grid: Grid) -> NDArray[np.generic]:
    """Read the pixels of one volume.

    Parameters
    ----------
    slices
        In the order of the stored slice axis.
    grid
        Where the stored axes (columns, rows, slices) go.

    Returns
    -------
    Shape (x, y, z) in RAS+: int16 where the values fit, else int32; float32 where the header scales values. Padding is
    no data, and 0 here as where no station reaches.

    Raises
    ------
    ScanExcluded
        `unreadable_file` (checksum, damaged), `truncated_pixels`, `contradictory_headers` where pixels use bits that
        their header calls unused.
    """
    scaled = any(header.scale != (1.0, 0.0) for header in slices)
    first = slices[0]
    stack: NDArray[np.generic] = np.empty((len(slices), first.rows, first.columns), np.float32 if scaled else np.int32)
    # stored axes are columns, rows, slices: the stack holds them in reverse, so that x runs fastest in memory
    flip = {axis: -1 if flipped else 1 for axis, flipped in zip(grid.axes, grid.flips, strict=True)}
    for index, header in enumerate(slices[:: flip[2]]):
        stack[index] = _read_slice(archive.read(header.entry, header.name), header)[:: flip[1], :: flip[0]]
    x, y, z = grid.axes
    image = stack.transpose(2 - x, 2 - y, 2 - z)
    limits = np.iinfo(np.int16)
    if not scaled and limits.min <= image.min() and image.max() <= limits.max:
        return image.astype(np.int16)
    return image


def _read_slice(content: bytes, header: SliceHeader) -> NDArray[np.generic]:
    slope, intercept = header.scale
    if header.transfer_syntax not in NATIVE_SYNTAXES:
        decoded = _decompress(content, header)
        stored = np.rint((decoded - intercept) / slope) if slope and header.padding else decoded
        return _without_padding(decoded, stored, header)
    check_length(header, len(content))
    kind = np.dtype(f"<{'i' if header.signed else 'u'}{header.bits_allocated // 8}")
    count = header.rows * header.columns
    pixels: NDArray[Any] = np.frombuffer(content, kind, count, header.pixel_offset)
    pixels = pixels.reshape(header.rows, header.columns)
    if header.bits_stored < header.bits_allocated:
        pixels = _stored_values(pixels, header)
    values = pixels if header.scale == (1.0, 0.0) else (pixels * slope + intercept).astype(np.float32)
    return _without_padding(values, pixels, header)


def _without_padding(values: NDArray[Any], stored: NDArray[Any], header: SliceHeader) -> NDArray[np.generic]:
    if header.padding is None:
        return values
    low, high = header.padding
    return np.where((stored >= low) & (stored <= high), values.dtype.type(0), values)


def _stored_values(pixels: NDArray[np.integer], header: SliceHeader) -> NDArray[np.integer]:
    """Take the stored bits out of the allocated ones: the others may hold overlays and are to be masked (PS3.5 8.1.1).

    Raises
    ------
    ScanExcluded
        `contradictory_headers` where the bit above the highest is used and no overlay is said to lie there: the pixels
        have more bits than the header says, and masking would wrap them around.
    """
    unused = header.bits_allocated - header.bits_stored
    # to the top and back: what lies above goes, the sign is kept
    values: NDArray[np.integer] = np.right_shift(np.left_shift(pixels, unused), unused)
    above = header.bits_stored
    if above not in header.overlay_bits:
        used = ((pixels >> above) & 1).astype(bool)
        # the sign may be carried on upward
        if np.any(used) and not (header.signed and np.array_equal(used, values < 0)):
            raise ScanExcluded(
                Reason.CONTRADICTORY_HEADERS,
                f"{header.name}: its pixels use more than the {header.bits_stored} bits of its header",
            )
    return values


def check_length(header: SliceHeader, file_bytes: int) -> None:
    """Check that a file holds the pixel data that its header tells of, without reading it.

    Parameters
    ----------
    file_bytes
        Inflated size of the file.

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
            f"{header.name}: {held} bytes of pixel data, {header.columns}x{header.rows} pixels of "
            f"{header.bits_allocated} bits need {header.expected_bytes}",
        )


def _decompress(content: bytes, header: SliceHeader) -> NDArray[Any]:
    """Decode JPEG, JPEG 2000, JPEG-LS or RLE with ITK's GDCM, which also applies slope and intercept."""
    import SimpleITK  # noqa: PLC0415 - slow to import, and slices are hardly ever compressed

    with tempfile.TemporaryDirectory(prefix="dixonflow-") as folder:
        path = Path(folder) / "slice.dcm"
        path.write_bytes(content)
        try:
            image = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO="GDCMImageIO"))
        except RuntimeError as error:
            raise unreadable(
                f"{header.name}: compressed pixels ({header.transfer_syntax}) cannot be decoded"
            ) from error
    if image.shape != (1, header.rows, header.columns):
        raise unreadable(f"{header.name}: the size of the compressed pixels differs from the header")
    pixels: NDArray[Any] = image[0]
    if pixels.dtype.kind not in "iu" and header.scale == (1.0, 0.0):
        raise unreadable(f"{header.name}: compressed pixels are not integers, and its header has no scaling")
    return pixels
