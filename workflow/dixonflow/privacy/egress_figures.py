"""Whether a figure or a page shows groups alone: no id in its text and metadata, no picture of a scan."""

import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject, StreamObject

from dixonflow.privacy.egress_tables import HOLDS_ID, in_rows
from dixonflow.privacy.known_people import KnownPeople

_PNG = b"\x89PNG\r\n\x1a\n"
_PLAIN_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD"}
_TEXT_CHUNKS = {b"tEXt", b"zTXt", b"iTXt"}

_BLOCK, _STEP = 16, 8
_FLAT, _FEWEST_GREYS = 0.5, 20
"""A block of a drawing, letters included, is mostly of its two commonest greys. One of a scan is not, and has at least
so many: 24 or more in the 50 pictures of the docs, at full size and at a half and a quarter of it."""
_ENLARGED = (1, 2, 4)
"""Every so many pixels are looked at: a picture may have been enlarged."""


def in_png(data: bytes, people: KnownPeople, _limit: int) -> Iterator[str]:
    """Check a PNG: its chunks, its texts, and whether it looks like a scan."""
    if not data.startswith(_PNG):
        yield "it is no PNG"
        return
    place, end = len(_PNG), False
    while place + 8 <= len(data) and not end:
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        if kind not in _PLAIN_CHUNKS | _TEXT_CHUNKS:
            yield "it has parts that no figure needs"
        end = kind == b"IEND"
        place += 12 + length
    if not end or place != len(data):
        yield "there is something behind its end"
    with Image.open(io.BytesIO(data)) as image:
        texts = [f"{key} {value}" for key, value in image.info.items()]
        texts += [f"{key} {value}" for key, value in getattr(image, "text", {}).items()]
        if any(people.in_text(text) for text in texts):
            yield HOLDS_ID
        if sum(1 for _ in ImageSequence.Iterator(image)) > 1:
            yield "it has several pictures"
        if looks_like_scan(image):
            yield "it looks like a picture of a scan"


def looks_like_scan(image: Image.Image) -> bool:
    """Whether a part of a picture has many greys and no common ones, as images of scanners have."""
    pixels = np.asarray(image.convert("RGBA").convert("L"))
    return any(_has_texture(pixels[::step, ::step]) for step in _ENLARGED)


def _has_texture(pixels: NDArray[np.uint8]) -> bool:
    if min(pixels.shape) < _BLOCK:
        return False
    blocks = sliding_window_view(pixels, (_BLOCK, _BLOCK))[::_STEP, ::_STEP]
    for line in blocks:
        greys = line.reshape(len(line), -1) + np.arange(len(line))[:, None] * 256
        counts = np.bincount(greys.ravel(), minlength=256 * len(line)).reshape(-1, 256)
        common = np.partition(counts, -2, axis=1)[:, -2:].sum(1)
        if ((common < _FLAT * _BLOCK**2) & ((counts > 0).sum(1) >= _FEWEST_GREYS)).any():
            return True
    return False


def in_svg(data: bytes, people: KnownPeople, _limit: int) -> Iterator[str]:
    """Check an SVG: no scripts, no embedded pictures, nothing from elsewhere."""
    text = data.decode("utf-8")
    if "<!ENTITY" in text or "\0" in text:
        yield "it defines entities"
        return
    if people.in_text(text):
        yield HOLDS_ID
    words = []
    for element in ET.fromstring(text).iter():
        tag = str(element.tag).rpartition("}")[2].lower()
        if tag in ("image", "script", "foreignobject", "iframe", "feimage"):
            yield "it embeds pictures or scripts"
        words += [element.text or "", element.tail or ""]
        for name, value in element.attrib.items():
            short = name.rpartition("}")[2].lower()
            if "data:" in value.lower() or short.startswith("on"):
                yield "it embeds pictures or scripts"
            if short == "href" and not value.startswith(("#", "http://", "https://")):
                yield "it refers to other files"
    # letters may stand in elements of their own
    if people.in_text("".join(word.strip() for word in words)) or people.in_text(" ".join(words)):
        yield HOLDS_ID


class _Page(HTMLParser):
    """Texts, tables and embedded things of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.embeds = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a table, row or cell."""
        self.embeds |= tag in ("script", "iframe", "object", "embed", "svg", "canvas", "video", "audio")
        for name, value in attrs:
            self.embeds |= name.startswith("on") or (value or "").strip().lower().startswith(("data:", "javascript:"))
            self.words.append(value or "")
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables and self.tables[-1]:
            self.tables[-1][-1].append("")

    def handle_data(self, data: str) -> None:
        """Keep the text, in the cell that is open."""
        self.words.append(data)
        if self.tables and self.tables[-1] and self.tables[-1][-1]:
            self.tables[-1][-1][-1] += data

    def handle_comment(self, data: str) -> None:
        """Keep what nobody sees."""
        self.words.append(data)


def in_html(data: bytes, people: KnownPeople, limit: int) -> Iterator[str]:
    """Check a page: its texts and comments, its tables, and that it embeds nothing."""
    page = _Page()
    page.feed(data.decode("utf-8"))
    page.close()
    if page.embeds or re.search(rb"url\(\s*['\"]?data:", data, re.IGNORECASE):
        yield "it embeds pictures or scripts"
    if people.in_text(" ".join(page.words)) or people.in_text("".join(word.strip() for word in page.words)):
        yield HOLDS_ID
    for rows in page.tables:
        yield from in_rows(rows, people, limit)


def in_pdf(data: bytes, people: KnownPeople, _limit: int) -> Iterator[str]:
    """Check a PDF: text, metadata, all streams; no pictures, attachments or scripts in it."""
    reader = PdfReader(io.BytesIO(data), strict=True)
    if reader.is_encrypted:
        yield "it is encrypted"
        return
    if data.rstrip()[-5:] != b"%%EOF" or data.count(b"%%EOF") > 1:
        yield "there is something behind its end, or an earlier state in it"
    texts = [str(value) for value in (reader.metadata or {}).values()]
    texts += [page.extract_text() for page in reader.pages]
    texts += [text.replace("\n", "").replace(" ", "") for text in texts]
    if any(people.in_text(text) for text in texts):
        yield HOLDS_ID
    for number in range(1, len(reader.xref_objStm) + sum(map(len, reader.xref.values())) + 1):
        yield from _in_pdf_object(reader, number, people)


def _in_pdf_object(reader: PdfReader, number: int, people: KnownPeople) -> Iterator[str]:
    try:
        entry = reader.get_object(number)
    except Exception:  # numbers need not be in use
        return
    if isinstance(entry, DictionaryObject):
        kinds = {str(entry.get(key)) for key in ("/Type", "/Subtype", "/S")}
        if kinds & {"/Image", "/EmbeddedFile", "/Filespec", "/JavaScript", "/Launch", "/FileAttachment", "/RichMedia"}:
            yield "it embeds pictures, files or scripts"
        if isinstance(entry, StreamObject) and "/Length1" not in entry and people.in_bytes(entry.get_data()):
            yield HOLDS_ID
    if isinstance(entry, DictionaryObject | ArrayObject) and people.in_text(str(entry)):
        yield HOLDS_ID
