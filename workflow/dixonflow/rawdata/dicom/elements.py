"""Find the elements of a DICOM header that count.

Nearly all files of a cohort are plain: one slice, little-endian, every element with its length. Their headers are
walked here, a thousand to a scan. Whatever is not plain in the least is left to pydicom, which knows all that scanners
write; `tests/benchmarks` shows what that saves.
"""

import struct
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass

from isal import isal_zlib
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dixonflow.rawdata.dicom.tags import SOP_CLASS

PIXEL_DATA = 0x7FE00010
OTHER_DATA = frozenset({0x56000020, 0x7FE00008, 0x7FE00009})
"""Spectra, and pixels that are no whole numbers (single and double precision)."""

TRANSFER_SYNTAX = 0x00020010
_META_END = 0x00030000
_UNDEFINED_LENGTH = 0xFFFFFFFF
_PREAMBLE_BYTES = 132

MAX_ELEMENTS = 10_000
"""Elements of a plain header; scanners write up to about 300."""

_SHORT = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_HEAD = struct.Struct("<HH2sH")
_IMPLICIT_HEAD = struct.Struct("<HHI")
_LENGTH = struct.Struct("<I")


class NotPlainError(Exception):
    """A header is not one that can be walked here."""


class MoreNeededError(Exception):
    """A header continues beyond the bytes that are there."""


@dataclass(frozen=True, slots=True)
class PlainElements:
    """Elements of a plain file.

    Attributes
    ----------
    transfer_syntax
        UID.
    values
        Bytes of the wanted elements by tag; none of the first of `OTHER_DATA`, where the header ends.
    pixel_offset, pixel_bytes
        Where pixel data begins and its length; None for a file without.
    """

    transfer_syntax: str
    values: dict[int, bytes]
    pixel_offset: int | None
    pixel_bytes: int | None


def plain_elements(data: bytes, wanted: Container[int], size: int) -> PlainElements:
    """Walk the header of a plain file.

    Parameters
    ----------
    data
        The file, or its beginning.
    wanted
        Tags whose values are kept.
    size
        Bytes of the whole file.

    Raises
    ------
    NotPlainError
        If it is not plain, or not DICOM.
    MoreNeededError
        If the header continues beyond `data`.
    """
    if data[128:_PREAMBLE_BYTES] != b"DICM":
        raise NotPlainError if len(data) >= _PREAMBLE_BYTES or len(data) >= size else MoreNeededError
    meta: dict[int, bytes] = {}
    try:
        position = _walk(data, _PREAMBLE_BYTES, False, {TRANSFER_SYNTAX}, _META_END, meta, size)[0]
        syntax = meta.get(TRANSFER_SYNTAX, b"").rstrip(b" \0").decode("latin-1")
        if syntax not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
            raise NotPlainError
        values: dict[int, bytes] = {}
        position, length = _walk(data, position, syntax == ImplicitVRLittleEndian, wanted, PIXEL_DATA, values, size)
    except struct.error:
        if len(data) >= size:
            raise NotPlainError from None
        raise MoreNeededError from None
    if length is None:
        return PlainElements(syntax, values, None, None)
    return PlainElements(syntax, values, position, length)


def _walk(  # noqa: PLR0912 - one function, for speed
    data: bytes, position: int, implicit: bool, wanted: Container[int], stop: int, values: dict[int, bytes], size: int
) -> tuple[int, int | None]:
    """Collect the wanted values before the tag `stop`; gives the position and, of that very tag, its value's length."""
    head, implicit_head, length_of = _HEAD.unpack_from, _IMPLICIT_HEAD.unpack_from, _LENGTH.unpack_from
    last, ends = -1, min(stop, *OTHER_DATA)
    for _ in range(MAX_ELEMENTS):
        if position >= size:
            return position, None
        if implicit:
            group, element, length = implicit_head(data, position)
        else:
            group, element, vr, length = head(data, position)
        tag = group << 16 | element
        if tag <= last:
            raise NotPlainError
        if tag >= ends and tag != PIXEL_DATA and (tag >= stop or tag in OTHER_DATA):
            if tag in OTHER_DATA:
                values[tag] = b""
            return position, None
        start = position + 8
        if not implicit:
            if vr in _LONG:
                (length,) = length_of(data, start)
                start += 4
            elif vr not in _SHORT:
                raise NotPlainError
        if length == _UNDEFINED_LENGTH:
            raise NotPlainError
        if tag == stop:
            return start, length
        last, position = tag, start + length
        if position > size:
            raise NotPlainError
        if tag in wanted:
            if position > len(data):
                raise MoreNeededError
            values[tag] = data[start:position]
    raise NotPlainError


def transfer_syntax_of(data: bytes) -> str:
    """Transfer syntax of a file by its first bytes; empty where they do not say."""
    return _syntax(data)[0].rstrip(b" \0").decode("latin-1")


def sop_class_of(data: bytes) -> str:
    """SOP class of a file by its first bytes; empty where they do not say."""
    syntax, start = _syntax(data)
    implicit = syntax.rstrip(b" \0").decode("latin-1") == ImplicitVRLittleEndian
    values: dict[int, bytes] = {}
    with suppress(NotPlainError, MoreNeededError, struct.error):
        if start:
            _walk(data, start, implicit, {SOP_CLASS}, SOP_CLASS + 1, values, len(data))
    return values.get(SOP_CLASS, b"").rstrip(b" \0").decode("latin-1")


def _syntax(data: bytes) -> tuple[bytes, int]:
    """Transfer syntax, padded as it is in the file, and where the data set begins; else nothing and 0."""
    if data[128:_PREAMBLE_BYTES] != b"DICM":
        return b"", 0
    meta: dict[int, bytes] = {}
    try:
        end, _ = _walk(data, _PREAMBLE_BYTES, False, {TRANSFER_SYNTAX}, _META_END, meta, len(data))
    except (NotPlainError, MoreNeededError, struct.error):
        end = 0
    return meta.get(TRANSFER_SYNTAX, b""), end


def inflated(content: bytes, max_bytes: int) -> bytes:
    """Give a file of the deflated transfer syntax as one of explicit little-endian; others as they are.

    Raises
    ------
    ValueError
        If it is damaged, or longer than `max_bytes`.
    """
    syntax, end = _syntax(content)
    if syntax.rstrip(b" \0").decode("latin-1") != DeflatedExplicitVRLittleEndian or not end:
        return content
    plain = ExplicitVRLittleEndian.encode().ljust(len(syntax), b"\0")
    inflater = isal_zlib.decompressobj(wbits=-15)
    try:
        dataset = inflater.decompress(content[end:], max_bytes + 1)
    except isal_zlib.error as error:  # type: ignore[misc]  # untyped in isal
        raise ValueError("its deflated data is damaged") from error
    if len(dataset) > max_bytes:
        raise ValueError(f"it inflates to more than {max_bytes} bytes")
    return content[:end].replace(syntax, plain, 1) + bytes(dataset)
