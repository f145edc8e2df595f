"""Read what counts from the header of a single-slice DICOM file, and nothing else.

pydicom walks the elements; values are decoded here because only few are needed, a thousand times per scan.
"""

import math
from dataclasses import dataclass
from typing import BinaryIO, cast

from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dixonflow.cohort.archive import MemberStream, unreadable
from dixonflow.errors import ScanExcluded
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
}
_COUNTS = {
    "samples": 0x00280002,
    "rows": 0x00280010,
    "columns": 0x00280011,
    "bits_allocated": 0x00280100,
    "bits_stored": 0x00280101,
    "signed": 0x00280103,
}
_WANTED = [BaseTag(tag) for tag in (*_TEXT.values(), *_NUMBERS.values(), *_COUNTS.values())]


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """The header of one slice.

    Attributes
    ----------
    member
        Name of the file inside the zip.
    position_mm
        Centre of the first pixel in DICOM's patient coordinates (left, posterior, superior).
    orientation
        Direction in which columns count up, then rows (unit vectors, left, posterior, superior).
    row_spacing_mm, column_spacing_mm
        Distance between rows and between columns.
    echo_time_ms
        None where the tag is missing.
    slope, intercept
        Stored value x slope + intercept is the image's value.
    pixel_offset, pixel_bytes
        Where the pixel data lies in the inflated file; `pixel_bytes` is None where it is encapsulated (compressed).
    """

    member: str
    transfer_syntax: str
    series_uid: str
    series_number: str
    series_description: str
    image_type: str
    scan_options: str
    dixon_text: str
    patient_id: str
    echo_time_ms: float | None
    position_mm: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    row_spacing_mm: float
    column_spacing_mm: float
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    slope: float
    intercept: float
    pixel_offset: int
    pixel_bytes: int | None

    @property
    def expected_bytes(self) -> int:
        """Pixel data that rows, columns and bits ask for."""
        return self.rows * self.columns * (self.bits_allocated // 8)


def read_header(stream: MemberStream, member: str, name: str) -> SliceHeader | None:
    """Read the header of one DICOM file.

    Parameters
    ----------
    stream
        Inflated as far as needed, which is to the beginning of the pixel data.
    member
        Name of the file inside the zip.
    name
        How messages call it.

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
        raise unreadable(f"{name}: no DICOM file")
    try:
        syntax = _elements(stream, False, [BaseTag(_TRANSFER_SYNTAX)], 0x00030000)[0].get(_TRANSFER_SYNTAX, b"")
        transfer_syntax = _text(syntax)
        if transfer_syntax in (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ""):
            raise unreadable(f"{name}: transfer syntax {transfer_syntax or 'unknown'} is not supported")
        values, pixels = _elements(stream, transfer_syntax == ImplicitVRLittleEndian, _WANTED, _PIXEL_DATA)
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
        return _header(values, member, name, transfer_syntax, pixels)
    except (ValueError, KeyError, UnicodeError) as error:
        raise unreadable(f"{name}: a tag is missing or no number ({error})") from error


def _elements(
    stream: MemberStream, implicit: bool, wanted: list[BaseTag], stop: int
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
    numbers = tuple(float(part) for part in _text(values[_NUMBERS[name]]).split("\\"))
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{name} must be {count} finite numbers")
    return numbers


def _optional(values: dict[int, bytes], name: str, default: float) -> float:
    return _numbers(values, name, 1)[0] if _text(values.get(_NUMBERS[name], b"")) else default


def _count(values: dict[int, bytes], name: str, default: int | None = None) -> int:
    value = values.get(_COUNTS[name], b"")
    if not value and default is not None:
        return default
    if len(value) != 2:
        raise ValueError(f"{name} must be one number")
    return int.from_bytes(value, "little")


def _header(
    values: dict[int, bytes], member: str, name: str, transfer_syntax: str, pixels: tuple[int, int]
) -> SliceHeader:
    samples, frames = _count(values, "samples", 1), _optional(values, "frames", 1)
    bits = _count(values, "bits_allocated")
    if samples != 1 or frames != 1 or bits not in (8, 16):
        what = f"{frames:g} frames, {samples} samples a pixel, {bits} bits"
        raise ScanExcluded(Reason.UNEXPECTED_GEOMETRY, f"{name}: not one slice of 8 or 16 bits a pixel ({what})")
    text = {key: _text(values.get(tag, b"")) for key, tag in _TEXT.items()}
    if not text["series_uid"]:
        raise ValueError("series UID is missing")
    for key in ("position", "orientation", "spacing"):
        if _NUMBERS[key] not in values:
            raise ValueError(f"{key} is missing")
    left, posterior, superior = _numbers(values, "position", 3)
    a, b, c, d, e, f = _numbers(values, "orientation", 6)
    row_spacing, column_spacing = _numbers(values, "spacing", 2)
    echo_time = _optional(values, "echo_time", math.nan)
    offset, length = pixels
    return SliceHeader(
        member=member,
        transfer_syntax=transfer_syntax,
        series_uid=text["series_uid"],
        series_number=text["series_number"],
        series_description=text["series_description"],
        image_type=text["image_type"],
        scan_options=text["scan_options"],
        dixon_text=text["dixon_text"],
        patient_id=text["patient_id"],
        echo_time_ms=None if math.isnan(echo_time) else echo_time,
        position_mm=(left, posterior, superior),
        orientation=(a, b, c, d, e, f),
        row_spacing_mm=row_spacing,
        column_spacing_mm=column_spacing,
        rows=_count(values, "rows"),
        columns=_count(values, "columns"),
        bits_allocated=bits,
        bits_stored=_count(values, "bits_stored", bits),
        signed=_count(values, "signed", 0) == 1,
        slope=_optional(values, "slope", 1.0),
        intercept=_optional(values, "intercept", 0.0),
        pixel_offset=offset,
        pixel_bytes=None if length == _UNDEFINED_LENGTH else length,
    )
