"""Read what counts from the header of a single-slice DICOM file, and nothing else.

pydicom walks the elements; values are decoded here because only few are needed, a thousand times per scan.
"""

import math
import re
from dataclasses import dataclass
from typing import BinaryIO, cast
from zipfile import ZipInfo

from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.slice_header import SliceHeader
from dixonflow.rawdata.zip_archive import MemberStream, unreadable
from dixonflow.vocabulary import Reason

NATIVE_SYNTAXES = frozenset({str(ImplicitVRLittleEndian), str(ExplicitVRLittleEndian)})
"""Transfer syntaxes whose pixel data lies in the file as it is, little-endian."""

_PIXEL_DATA = 0x7FE00010
_UNDEFINED_LENGTH = 0xFFFFFFFF
_TRANSFER_SYNTAX = 0x00020010
_TEXT = {
    "image_type": 0x00080008,
    "series_description": 0x0008103E,
    "patient_id": 0x00100020,
    "scan_options": 0x00180022,
    "series_uid": 0x0020000E,
    "series_number": 0x00200011,
    "dixon_text": 0x00511019,
}
_NUMBERS = {
    "echo_time": 0x00180081,
    "position": 0x00200032,
    "orientation": 0x00200037,
    "spacing": 0x00280030,
    "intercept": 0x00281052,
    "slope": 0x00281053,
    "frames": 0x00280008,
    "thickness": 0x00180050,
    "slice_spacing": 0x00180088,
}
_PADDING = {"padding": 0x00280120, "padding_limit": 0x00280121}
_COUNTS = {
    "samples": 0x00280002,
    "rows": 0x00280010,
    "columns": 0x00280011,
    "bits_allocated": 0x00280100,
    "bits_stored": 0x00280101,
    "high_bit": 0x00280102,
    "signed": 0x00280103,
}
_OVERLAY_BITS = tuple(0x60000102 + (group << 16) for group in range(0, 32, 2))
"""OverlayBitPosition of the repeating groups 6000 to 601E: overlays in bits that pixels leave unused."""

_WANTED = [
    BaseTag(tag) for tag in (*_TEXT.values(), *_NUMBERS.values(), *_PADDING.values(), *_COUNTS.values(), *_OVERLAY_BITS)
]

MAX_HEADER_BYTES = 2 << 20
"""Bytes before the pixels; scanners write up to about 200 KB, most of it private."""

MAX_HEADER_READS = 20_000
"""Reads of a header, about three per element and more per item; scanners write up to about 300 elements."""

MAX_SCAN_READS = 2_000_000
"""Reads of all headers of a scan: 1,500 slices of 300 elements take half a million."""

MAX_TEXT_BYTES = 1024
"""Longest text that is read; scanners write none that are longer."""


@dataclass
class HeaderBudget:
    """What the headers of one scan may cost together."""

    reads: int = MAX_SCAN_READS


class _HeaderStream:
    """What pydicom reads a header from: a member of a zip that has an end.

    A header of 400,000 empty elements or items takes minutes to walk, and one of gigabytes all memory.
    """

    def __init__(self, stream: MemberStream, name: str, budget: HeaderBudget) -> None:
        self._stream, self._name, self._budget = stream, name, budget
        self._reads = 0

    def read(self, count: int) -> bytes:
        self._reads += 1
        self._budget.reads -= 1
        if self._budget.reads < 0:
            raise unreadable("the headers of its files have too many elements")
        if self._reads > MAX_HEADER_READS or self._stream.tell() + count > MAX_HEADER_BYTES:
            raise unreadable(
                f"{self._name}: its header is longer than {MAX_HEADER_BYTES} bytes or has too many elements"
            )
        return self._stream.read(count)

    def seek(self, position: int, whence: int = 0) -> int:
        target = position if whence == 0 else self._stream.tell() + position
        if not 0 <= target <= MAX_HEADER_BYTES:
            raise unreadable(f"{self._name}: its header has no end within {MAX_HEADER_BYTES} bytes")
        return self._stream.seek(target)

    def tell(self) -> int:
        return self._stream.tell()


def read_header(
    stream: MemberStream, entry: ZipInfo, name: str, budget: HeaderBudget | None = None
) -> SliceHeader | None:
    """Read the header of one DICOM file.

    Parameters
    ----------
    stream
        Inflated as far as needed, which is to the beginning of the pixel data.
    entry
        The file inside the zip.
    name
        How messages call it.
    budget
        Shared by the files of a scan; one of its own by default.

    Returns
    -------
    SliceHeader
        None for a DICOM object without pixels (reports and the like).

    Raises
    ------
    ScanExcluded
        `unreadable_file` if it is no DICOM file, ends inside its header or holds values that are no numbers;
        `unexpected_geometry` if it is no grey single-frame image.
    """
    if stream.read(132)[128:] != b"DICM":
        raise unreadable(f"{name}: not a DICOM file")
    try:
        source = _HeaderStream(stream, name, budget or HeaderBudget())
        syntax = _elements(source, False, [BaseTag(_TRANSFER_SYNTAX)], 0x00030000)[0].get(_TRANSFER_SYNTAX, b"")
        transfer_syntax = _text(syntax)
        if transfer_syntax in (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ""):
            raise unreadable(f"{name}: transfer syntax {transfer_syntax or 'unknown'} is not supported")
        if not re.fullmatch(r"[0-9.]+", transfer_syntax):  # messages repeat it
            raise unreadable(f"{name}: its transfer syntax is not a valid identifier")
        values, pixels = _elements(source, transfer_syntax == ImplicitVRLittleEndian, _WANTED, _PIXEL_DATA)
    except ScanExcluded:
        raise
    except Exception as error:  # pydicom raises many kinds of errors on damaged files, none of them documented
        raise unreadable(f"{name}: damaged DICOM header ({type(error).__name__})") from error
    if _COUNTS["rows"] not in values:
        if pixels is None:
            return None
        raise unreadable(f"{name}: pixel data without rows and columns")
    if pixels is None:
        raise unreadable(f"{name}: ends before its pixel data")
    try:
        return _header(values, entry, name, transfer_syntax, pixels)
    except (ValueError, KeyError, OverflowError) as error:
        raise unreadable(f"{name}: a tag is missing or not a number ({error})") from error


def _elements(
    stream: _HeaderStream, implicit: bool, wanted: list[BaseTag], stop: int
) -> tuple[dict[int, bytes], tuple[int, int] | None]:
    """Values of the wanted elements; offset and length of the element `stop` if that is where reading ended."""
    stopped: list[tuple[int, int]] = []

    def stop_when(tag: BaseTag, _: str | None, length: int) -> bool:
        number = int(tag)  # comparing pydicom's tags themselves takes a fifth of the time of reading
        if number == _PIXEL_DATA:
            stopped.append((stream.tell(), length))
        return number >= stop

    # pydicom asks for read, seek and tell only
    source = cast(BinaryIO, stream)
    values: dict[int, bytes] = {}
    for element in data_element_generator(source, implicit, True, stop_when, specific_tags=wanted):  # type: ignore[arg-type]
        value = element.value
        if isinstance(value, bytes):
            if len(value) != element.length:  # type: ignore[union-attr]
                raise EOFError
            values[int(element.tag)] = value
    return values, stopped[0] if stopped else None


def _text(value: bytes) -> str:
    # padding is a space or a zero byte; Latin-1 never fails and none of the words looked for is beyond ASCII
    return value.decode("latin-1").strip(" \0")


def _numbers(values: dict[int, bytes], name: str, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in _text(values[_NUMBERS[name]]).split("\\"))
    except ValueError:  # its text repeats what somebody typed
        numbers = ()
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{name} must be {count} finite numbers")
    return numbers


def _optional(values: dict[int, bytes], name: str) -> float | None:
    return _numbers(values, name, 1)[0] if _text(values.get(_NUMBERS[name], b"")) else None


def _count(values: dict[int, bytes], name: str, default: int | None = None) -> int:
    value = values.get(_COUNTS[name], b"")
    if not value and default is not None:
        return default
    if len(value) != 2:
        raise ValueError(f"{name} must be one number")
    return int.from_bytes(value, "little")


def _padding(values: dict[int, bytes], signed: bool) -> tuple[int, int] | None:
    """Lowest and highest stored value that stand for no data (PixelPaddingValue, PixelPaddingRangeLimit)."""
    ends = [
        int.from_bytes(value, "little", signed=signed)
        for tag in _PADDING.values()
        if len(value := values.get(tag, b"")) == 2
    ]
    # 0 is what padding becomes: to name it changes nothing
    return (min(ends), max(ends)) if _PADDING["padding"] in values and any(ends) else None


def _header(
    values: dict[int, bytes], entry: ZipInfo, name: str, transfer_syntax: str, pixels: tuple[int, int]
) -> SliceHeader:
    samples, frames = _count(values, "samples", 1), _optional(values, "frames")
    bits = _count(values, "bits_allocated")
    if samples != 1 or frames not in (None, 1) or bits not in (8, 16):
        what = f"{1 if frames is None else frames:g} frames, {samples} samples per pixel, {bits} bits"
        raise ScanExcluded(Reason.UNEXPECTED_GEOMETRY, f"{name}: not one slice of 8 or 16 bits per pixel ({what})")
    if any(len(values.get(tag, b"")) > MAX_TEXT_BYTES for tag in _TEXT.values()):
        raise ValueError(f"a text is longer than {MAX_TEXT_BYTES} bytes")
    text = {key: _text(values.get(tag, b"")) for key, tag in _TEXT.items()}
    if not text["series_uid"]:
        raise ValueError("series UID is missing")
    for key in ("position", "orientation", "spacing"):
        if _NUMBERS[key] not in values:
            raise ValueError(f"{key} is missing")
    left, posterior, superior = _numbers(values, "position", 3)
    a, b, c, d, e, f = _numbers(values, "orientation", 6)
    row_spacing, column_spacing = _numbers(values, "spacing", 2)
    bits_stored = _count(values, "bits_stored", bits)
    high_bit = _count(values, "high_bit", bits_stored - 1)
    signed = _count(values, "signed", 0) == 1
    offset, length = pixels
    return SliceHeader(
        entry=entry,
        name=name,
        transfer_syntax=transfer_syntax,
        series_uid=text["series_uid"],
        series_number=text["series_number"],
        series_description=text["series_description"],
        image_type=text["image_type"],
        scan_options=text["scan_options"],
        dixon_text=text["dixon_text"],
        patient_id=text["patient_id"],
        echo_time_ms=_optional(values, "echo_time"),
        position_mm=(left, posterior, superior),
        orientation=(a, b, c, d, e, f),
        row_spacing_mm=row_spacing,
        column_spacing_mm=column_spacing,
        rows=_count(values, "rows"),
        columns=_count(values, "columns"),
        bits_allocated=bits,
        bits_stored=bits_stored,
        high_bit=high_bit,
        signed=signed,
        overlay_bits=frozenset(
            int.from_bytes(values[tag], "little") for tag in _OVERLAY_BITS if len(values.get(tag, b"")) == 2
        ),
        padding=_padding(values, signed),
        thickness_mm=_optional(values, "thickness"),
        slice_spacing_mm=_optional(values, "slice_spacing"),
        slope=_optional(values, "slope"),
        intercept=_optional(values, "intercept"),
        pixel_offset=offset,
        pixel_bytes=None if length == _UNDEFINED_LENGTH else length,
    )
