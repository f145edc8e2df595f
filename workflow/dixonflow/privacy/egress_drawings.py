"""Ids in drawings and pages: in their text, their metadata, and whatever is compressed in them.

What a picture shows is not looked at here: a drawing passes only if a study wrote it or somebody has looked at it.
"""

import io
import re
import zlib
from collections.abc import Iterator

from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject, StreamObject

from dixonflow.privacy.egress_tables import HOLDS_ID
from dixonflow.privacy.known_people import KnownPeople

_PNG = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"eXIf")
_MARKUP = re.compile(r"<[^>]*>")
_MOST_TEXT = 1 << 24


def in_png(data: bytes, people: KnownPeople) -> Iterator[str]:
    """Search all parts of a PNG but its pixels, and what stands behind its end."""
    if not data.startswith(_PNG):
        yield "it is no PNG"
        return
    place, kind, pixels = len(_PNG), b"", b""
    while place + 8 <= len(data) and kind != b"IEND":
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        part = data[place + 8 : place + 8 + length]
        if kind == b"IDAT":
            pixels += part
        elif people.in_bytes(part) or (kind in _TEXTS and any(map(people.in_bytes, _inflated(part)))):
            yield HOLDS_ID
        place += 12 + length
    if kind != b"IEND" or place != len(data):
        yield "there is something behind its end, or it has none"
    stream = zlib.decompressobj()
    stream.decompress(pixels)
    if stream.unused_data or not stream.eof:
        yield "there is something behind its picture"


def _inflated(part: bytes) -> Iterator[bytes]:
    """What is compressed in a text part, wherever its header ends."""
    for place in range(min(len(part), 100)):
        if part[place : place + 1] == b"\x78":
            try:
                yield zlib.decompressobj().decompress(part[place:], _MOST_TEXT)
            except zlib.error:
                continue


def in_plain(data: bytes, people: KnownPeople) -> Iterator[str]:
    """Search a text with or without markup: letters may stand in elements of their own."""
    text = data.decode("utf-8-sig")
    if "\0" in text:
        yield "it is no plain text"
    if people.in_text(text) or people.in_text("".join(_MARKUP.sub("", text).split())):
        yield HOLDS_ID


def in_pdf(data: bytes, people: KnownPeople) -> Iterator[str]:
    """Search text, metadata and all streams of a PDF."""
    if not data.startswith(b"%PDF-") or data.rstrip()[-5:] != b"%%EOF" or data.count(b"%%EOF") > 1:
        yield "there is something behind its end, or an earlier state in it"
    reader = PdfReader(io.BytesIO(data), strict=True)
    if reader.is_encrypted:
        yield "it is encrypted"
        return
    texts = [str(value) for value in (reader.metadata or {}).values()]
    texts += [page.extract_text() for page in reader.pages]
    if any(people.in_text(form) for text in texts for form in (text, "".join(text.split()))):
        yield HOLDS_ID
    numbers = {(number, generation) for generation, own in reader.xref.items() for number in own}
    for number, generation in sorted(numbers | {(number, 0) for number in reader.xref_objStm}):
        entry = reader.get_object(IndirectObject(number, generation, reader))
        if isinstance(entry, StreamObject) and people.in_bytes(entry.get_data()):
            yield HOLDS_ID
        if isinstance(entry, DictionaryObject | ArrayObject) and people.in_text(str(entry)):
            yield HOLDS_ID
