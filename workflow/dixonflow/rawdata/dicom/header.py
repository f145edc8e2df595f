"""Read what counts from the header of a DICOM file, and nothing else.

A file is one slice or, in the enhanced form of newer scanners, many frames with places of their own. No tag is read
that names a person, but for the patient id, which is compared with the participant's.
"""

import re
from collections.abc import Collection
from contextlib import closing
from functools import lru_cache

from pydicom.uid import (
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
)

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.acquisition import Scanner
from dixonflow.rawdata.dicom import tags
from dixonflow.rawdata.dicom.elements import OTHER_DATA, MoreNeededError, NotPlainError, PlainElements, plain_elements
from dixonflow.rawdata.dicom.left_out import LeftOut, is_another_format, is_another_object
from dixonflow.rawdata.dicom.parsed import MAX_HEADER_BYTES, HeaderBudget, NotDicomError, parse
from dixonflow.rawdata.dicom.slice_header import SliceHeader
from dixonflow.rawdata.dicom.values import BytesValues, ParsedValues, date_of, seconds_of, years_of
from dixonflow.rawdata.raw_files import RawFile
from dixonflow.rawdata.zip_archive import unreadable

_ENHANCED = frozenset(
    {
        *(EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage),
        *(EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage),
    }
)
_PERSONAL = (tags.ACQUISITION_DATE, tags.STUDY_DATE, tags.AGE, tags.SEX)
_COMPONENTS = {"MAGNITUDE": "M", "PHASE": "P", "REAL": "R", "IMAGINARY": "I"}
_GE_COMPONENTS = {0: "M", 1: "P", 2: "R", 3: "I"}

_Values = BytesValues | ParsedValues

FIRST_BYTES = 4096
"""Bytes that are read at first; the headers of some scanners have a hundred times as many, most of them private."""


def read_headers(
    file: RawFile, budget: HeaderBudget | None = None, personal: Collection[str] = ()
) -> tuple[SliceHeader, ...] | LeftOut:
    """Read the header of one file.

    Parameters
    ----------
    file
        Inflated as far as needed, which for most is to the beginning of the pixel data.
    budget
        Shared by the files of a scan; one of its own by default.
    personal
        What may be read of the participant, as in `ReadOptions`.

    Returns
    -------
    One header per slice, or why it is no image of a body in its place.

    Raises
    ------
    ScanExcluded
        `unreadable_file` if it ends inside its header or holds values that are no numbers.
    OSError
        If the disk, not the data, is at fault.
    """
    wanted = tags.WANTED.union(*(tags.PERSONAL[name] for name in personal)) if personal else tags.WANTED
    try:
        return _headers(file, wanted, budget or HeaderBudget())
    except ScanExcluded:
        if is_another_object(file):
            return LeftOut.NO_IMAGE
        raise


def _headers(file: RawFile, wanted: frozenset[int], budget: HeaderBudget) -> tuple[SliceHeader, ...] | LeftOut:
    plain = _plain(file, wanted)
    try:
        if plain is not None and not _may_have_frames(plain):
            return _of_plain(plain, file, budget)
        return _of_parsed(file, wanted, budget)
    except (ValueError, KeyError, OverflowError) as error:
        raise unreadable(f"{file.name}: a tag is missing or not a number ({error})") from error


def _plain(file: RawFile, wanted: frozenset[int]) -> PlainElements | None:
    with closing(file.stream()) as stream:
        data = stream.read(FIRST_BYTES)
        while True:
            try:
                return plain_elements(data, wanted, file.size)
            except NotPlainError:
                return None
            except MoreNeededError:
                if len(data) > MAX_HEADER_BYTES:
                    raise unreadable(
                        f"{file.name}: its header is longer than {MAX_HEADER_BYTES} bytes or has too many elements"
                    ) from None
                more = stream.read(3 * len(data))
                if not more:
                    raise unreadable(f"{file.name}: ends before its pixel data") from None
                data += more


def _may_have_frames(plain: PlainElements) -> bool:
    frames = plain.values.get(tags.FRAMES, b"").strip(b" \0")
    return (
        frames not in (b"", b"1") or plain.values.get(tags.SOP_CLASS, b"").rstrip(b" \0").decode("latin-1") in _ENHANCED
    )


def _of_plain(plain: PlainElements, file: RawFile, budget: HeaderBudget) -> tuple[SliceHeader, ...] | LeftOut:
    if plain.pixel_offset is None:
        if tags.ROWS not in plain.values or not OTHER_DATA.isdisjoint(plain.values):
            return LeftOut.NO_IMAGE
        raise unreadable(f"{file.name}: ends before its pixel data")
    values, place = BytesValues(plain.values), (plain.pixel_offset, plain.pixel_bytes)
    own = {tag: plain.values.pop(tag, b"") for tag in (tags.POSITION, tags.INSTANCE)}
    kind = (plain.transfer_syntax, *plain.values.items())
    plain.values.update(own)
    known, position = budget.known.get(kind), _numbers(values, "position", tags.POSITION, 3)
    if known is not None and position:
        left, posterior, superior = position
        return (known.moved(file, (left, posterior, superior), _whole(values, tags.INSTANCE), *place),)
    header = _header(values, file, file.name, None, plain.transfer_syntax, place)
    if isinstance(header, LeftOut):
        return header
    budget.known[kind] = header
    return (header,)


def _of_parsed(file: RawFile, wanted: frozenset[int], budget: HeaderBudget) -> tuple[SliceHeader, ...] | LeftOut:
    try:
        parsed = parse(file, wanted, budget)
    except NotDicomError:
        if is_another_format(file):
            return LeftOut.NOT_DICOM
        raise unreadable(f"{file.name}: not a DICOM file") from None
    if not re.fullmatch(r"[0-9.]+", parsed.transfer_syntax):  # messages repeat it
        raise unreadable(f"{file.name}: its transfer syntax is not a valid identifier")
    if not any(tags.ROWS in frame for frame in parsed.frames):
        if parsed.has_pixels:
            raise unreadable(f"{file.name}: pixel data without rows and columns")
        return LeftOut.NO_IMAGE
    if not parsed.has_pixels:
        raise unreadable(f"{file.name}: ends before its pixel data")
    headers = []
    for number, frame in enumerate(parsed.frames):
        name = f"frame {number + 1} of {file.name}" if parsed.has_frames else file.name
        place = number if parsed.has_frames else None
        header = _header(ParsedValues(frame), file, name, place, parsed.transfer_syntax, (None, None))
        if isinstance(header, LeftOut):
            return header
        headers.append(header)
    return tuple(headers)


def _header(
    values: _Values,
    file: RawFile,
    name: str,
    frame: int | None,
    syntax: str,
    pixels: tuple[int | None, int | None],
) -> SliceHeader | LeftOut:
    if (values.count(tags.SAMPLES) or 1) != 1 or values.text(tags.PHOTOMETRIC).startswith("PALETTE"):
        return LeftOut.COLOUR
    bits = values.count(tags.ALLOCATED)
    if bits not in (8, 16):
        return LeftOut.DEPTH
    position = _numbers(values, "position", tags.POSITION, 3)
    orientation = _numbers(values, "orientation", tags.ORIENTATION, 6)
    spacing = _numbers(values, "pixel spacing", tags.SPACING, 2)
    if not position or not orientation or not spacing:
        return LeftOut.NO_POSITION
    series_uid = values.text(tags.SERIES_UID)
    if not series_uid:
        raise ValueError("series UID is missing")
    rows, columns = values.count(tags.ROWS), values.count(tags.COLUMNS)
    if rows is None or columns is None:
        raise ValueError("rows or columns are missing")
    stored = values.count(tags.STORED)
    stored = bits if stored is None else stored
    high_bit = values.count(tags.HIGH_BIT)
    signed = values.count(tags.SIGNED) == 1
    image_type = values.text(tags.FRAME_TYPE) or values.text(tags.IMAGE_TYPE)
    instance = _whole(values, tags.INSTANCE) if frame is None else frame + 1
    overlays = [values.count(tag) for tag in tags.OVERLAY_BITS]
    return SliceHeader(
        file=file,
        name=name,
        frame=frame,
        transfer_syntax=syntax,
        series_uid=series_uid,
        series_number=values.text(tags.SERIES_NUMBER),
        series_description=values.text(tags.SERIES_DESCRIPTION),
        image_type=image_type,
        component=_component(values, image_type),
        scan_options=values.text(tags.SCAN_OPTIONS),
        dixon_text=values.text(tags.DIXON_TEXT),
        patient_id=values.text(tags.PATIENT_ID),
        echo_time_ms=_number(values, "echo time", tags.EFFECTIVE_ECHO_TIME)
        or _number(values, "echo time", tags.ECHO_TIME),
        acquired_s=seconds_of(values.text(tags.ACQUISITION_TIME)),
        instance=instance,
        time_point=_whole(values, tags.TIME_INDEX) or _whole(values, tags.TIME_POINT),
        position_mm=(position[0], position[1], position[2]),
        orientation=orientation,  # type: ignore[arg-type]  # six of them
        row_spacing_mm=spacing[0],
        column_spacing_mm=spacing[1],
        rows=rows,
        columns=columns,
        bits_allocated=bits,
        bits_stored=stored,
        high_bit=stored - 1 if high_bit is None else high_bit,
        signed=signed,
        overlay_bits=frozenset(bit for bit in overlays if bit is not None),
        padding=_padding(values, signed),
        thickness_mm=_number(values, "slice thickness", tags.THICKNESS),
        slice_spacing_mm=_number(values, "spacing between slices", tags.SLICE_SPACING),
        slope=_number(values, "rescale slope", tags.SLOPE),
        intercept=_number(values, "rescale intercept", tags.INTERCEPT),
        display_slope=_display_slope(values),
        pixel_offset=pixels[0],
        pixel_bytes=pixels[1],
        scanner=_scanner(*(values.text(tag) for tag in (*tags.SCANNER, *_PERSONAL))),
    )


def _numbers(values: _Values, name: str, tag: int, count: int) -> tuple[float, ...]:
    try:
        return values.numbers(tag, count)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _number(values: _Values, name: str, tag: int) -> float | None:
    found = _numbers(values, name, tag, 1)
    return found[0] if found else None


def _whole(values: _Values, tag: int) -> int | None:
    """A whole number that only helps to sort: None where it is anything else."""
    text = values.text(tag)
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else None


def _component(values: _Values, image_type: str) -> str:
    said = _COMPONENTS.get(values.text(tags.COMPONENT).upper())
    if said:
        return said
    words = [word for word in image_type.upper().split("\\")[2:] if word in _COMPONENTS.values()]
    if words:
        return words[0]
    number = values.pixel_value(tags.GE_COMPONENT, True)
    return "" if number is None else _GE_COMPONENTS.get(number, "")


def _display_slope(values: _Values) -> float | None:
    return values.single(tags.PHILIPS_SLOPE) if "PHILIPS" in values.text(tags.PHILIPS_CREATOR).upper() else None


def _padding(values: _Values, signed: bool) -> tuple[int, int] | None:
    """Lowest and highest stored value that stand for no data (PixelPaddingValue, PixelPaddingRangeLimit)."""
    first = values.pixel_value(tags.PADDING, signed)
    ends = [end for end in (first, values.pixel_value(tags.PADDING_LIMIT, signed)) if end is not None]
    # 0 is what padding becomes: to name it changes nothing
    return (min(ends), max(ends)) if first is not None and any(ends) else None


@lru_cache(maxsize=256)
def _scanner(
    manufacturer: str,
    model: str,
    software: str,
    field: str,
    repetition: str,
    flip: str,
    acquired: str,
    studied: str,
    age: str,
    sex: str,
) -> Scanner:
    numbers = []
    for text in (field, repetition, flip):
        try:
            numbers.append(BytesValues({0: text.encode("latin-1", "replace")}).numbers(0, 1))
        except ValueError:
            numbers.append(())
    known = [number[0] if number else None for number in numbers]
    return Scanner(
        manufacturer, model, software, known[0], known[1], known[2], date_of(acquired or studied), years_of(age), sex
    )
