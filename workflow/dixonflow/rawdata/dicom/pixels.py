"""Pixel data of slices to arrays."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.dicom.codestream import check_code_stream
from dixonflow.rawdata.dicom.parsed import encoding_of, read_dataset, whole_content
from dixonflow.rawdata.dicom.slice_header import SliceHeader
from dixonflow.rawdata.raw_files import RawFile
from dixonflow.rawdata.zip_archive import unreadable
from dixonflow.vocabulary import Reason

_GDCM_SYNTAXES = frozenset(
    {
        *("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"),  # JPEG baseline and extended
        *("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"),  # JPEG lossless
        *("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"),  # JPEG-LS
        *("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),  # JPEG 2000
    }
)
"""Transfer syntaxes that pydicom decodes with GDCM; all others it decodes itself, or not at all (PS3.6, table A-1)."""


AIR_HU = -1024
"""What stands for no data in a CT, whose 0 is water."""


def read_slices(slices: Sequence[SliceHeader], no_data: int = 0) -> NDArray[np.generic]:
    """Read the pixels of slices that have one matrix.

    Parameters
    ----------
    no_data
        Value that padding gets.

    Returns
    -------
    Shape (slices, rows, columns), in the order given: int32, or float32 where headers scale values.

    Raises
    ------
    ScanExcluded
        `unreadable_file` (checksum, damaged), `truncated_pixels`, `contradictory_headers` where pixels use bits that
        their header calls unused.
    OSError
        If the disk, not the data, is at fault.
    """
    scaled = any(header.scale != (1.0, 0.0) for header in slices)
    first = slices[0]
    stack: NDArray[np.generic] = np.empty((len(slices), first.rows, first.columns), np.float32 if scaled else np.int32)
    by_file: dict[int, list[int]] = {}
    for index, header in enumerate(slices):
        by_file.setdefault(id(header.file), []).append(index)
    for places in by_file.values():  # a file of many frames is read once
        for index, stored in zip(places, _stored([slices[place] for place in places]), strict=True):
            stack[index] = _values(stored, slices[index], no_data)
    return stack


def _stored(slices: Sequence[SliceHeader]) -> Iterator[NDArray[Any]]:
    """Stored values of slices of one file."""
    file, first = slices[0].file, slices[0]
    if first.pixel_offset is None:
        yield from _decoded(file, slices)
        return
    content = file.read()
    for header in slices:
        check_length(header)
        kind = np.dtype(f"<{'i' if header.signed else 'u'}{header.bits_allocated // 8}")
        pixels: NDArray[Any] = np.frombuffer(content, kind, header.rows * header.columns, header.pixel_offset or 0)
        yield pixels.reshape(header.rows, header.columns)


def _values(stored: NDArray[Any], header: SliceHeader, no_data: int) -> NDArray[np.generic]:
    pixels = _stored_values(stored, header) if header.bits_stored < header.bits_allocated else stored
    slope, intercept = header.scale
    values = pixels if header.scale == (1.0, 0.0) else (pixels * slope + intercept).astype(np.float32)
    if header.padding is None:
        return values
    low, high = header.padding
    whole = values if values.dtype == np.float32 else values.astype(np.int32)
    return np.where((pixels >= low) & (pixels <= high), whole.dtype.type(no_data), whole)


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


def check_length(header: SliceHeader) -> None:
    """Check that a file holds the pixel data that its header tells of, without reading it.

    Raises
    ------
    ScanExcluded
        `truncated_pixels`.
    """
    if header.pixel_offset is None or header.pixel_bytes is None:
        return  # only decoding tells
    held = min(header.pixel_bytes, header.file.size - header.pixel_offset)
    if held < header.expected_bytes:
        raise ScanExcluded(
            Reason.TRUNCATED_PIXELS,
            f"{header.name}: {held} bytes of pixel data, {header.columns}x{header.rows} pixels of "
            f"{header.bits_allocated} bits need {header.expected_bytes}",
        )


def _decoded(file: RawFile, slices: Sequence[SliceHeader]) -> Iterator[NDArray[Any]]:
    """Decode slices with pydicom: big-endian, compressed, or of many frames.

    Each is decoded by itself, so that no more than one is in memory, whatever the header claims.
    """
    first = slices[0]
    with closing(io.BytesIO(whole_content(file))) as source, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = read_dataset(source)
            options = _options(dataset, first)
            decoder = get_decoder(UID(first.transfer_syntax))
        except Exception as error:  # pydicom raises many kinds of errors on damaged files, none of them documented
            raise unreadable(f"{first.name}: pixels ({first.transfer_syntax}) cannot be decoded") from error
        for header in slices:
            try:
                check_code_stream(dataset, header)
                pixels, _ = decoder.as_array(dataset, index=header.frame or 0, raw=True, **options)
            except Exception as error:
                raise _undecodable(error, dataset, header) from error
            if pixels.shape != (header.rows, header.columns) or pixels.dtype.kind not in "iu":
                raise unreadable(f"{header.name}: its pixels are not what the header says")
            yield _with_sign(pixels, header)


def _options(dataset: Dataset, header: SliceHeader) -> dict[str, Any]:
    if header.transfer_syntax in _GDCM_SYNTAXES:
        return {"decoding_plugin": "gdcm"}
    # without file meta information pydicom has to be told
    assert encoding_of(dataset) == header.transfer_syntax
    return {}


def _undecodable(error: Exception, dataset: Dataset, header: SliceHeader) -> ScanExcluded:
    held, frames = 0, 1
    with suppress(Exception):  # whatever may be wrong with the values of a damaged file
        held, frames = len(dataset.PixelData), int(dataset.get("NumberOfFrames") or 1)
    needed = header.expected_bytes * frames
    if not UID(header.transfer_syntax).is_compressed and held < needed:
        message = f"{header.name}: {held} bytes of pixel data in its file, {needed} are needed"
        return ScanExcluded(Reason.TRUNCATED_PIXELS, message)
    return unreadable(f"{header.name}: pixels ({header.transfer_syntax}) cannot be decoded ({type(error).__name__})")


def _with_sign(pixels: NDArray[Any], header: SliceHeader) -> NDArray[Any]:
    """Give decoded values the type that the header says: decoders of JPEG 2000 follow the code stream instead."""
    kind = np.dtype(f"{'i' if header.signed else 'u'}{header.bits_allocated // 8}")
    return pixels if pixels.dtype == kind else pixels.astype(kind)
