"""Headers that pydicom has to parse: many frames, big-endian, compressed, without preamble, or plainly odd."""

import io
import re
import warnings
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import BinaryIO, cast

import pydicom
from pydicom import config as pydicom_config
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.dicom import tags
from dixonflow.rawdata.dicom.elements import PIXEL_DATA, inflated, transfer_syntax_of
from dixonflow.rawdata.dicom.slice_header import SliceHeader
from dixonflow.rawdata.raw_files import RawFile, RawStream
from dixonflow.rawdata.zip_archive import MAX_MEMBER_BYTES, unreadable

MAX_HEADER_BYTES = 2 << 20
"""Bytes before the pixels of one slice; scanners write up to about 200 KB, most of it private."""

MAX_FRAMES_HEADER_BYTES = 64 << 20
"""Bytes before the pixels of a file of many frames; each has some kilobytes of its own."""

MAX_SCAN_READS = 2_000_000
"""Reads of all headers of a scan, about three per element: 1,500 slices of 300 elements take half a million."""

_HEAD_BYTES = 4096


class NotDicomError(Exception):
    """A file is not DICOM."""


@dataclass
class HeaderBudget:
    """What the headers of one scan may cost together, and what they have in common.

    Attributes
    ----------
    reads
        Reads that are left.
    known
        A header of each kind that was read, by all its elements but those that differ from slice to slice.
    """

    reads: int = MAX_SCAN_READS
    known: dict[tuple[object, ...], SliceHeader] = field(default_factory=dict)


@dataclass(frozen=True)
class ParsedFile:
    """A file as pydicom reads it.

    Attributes
    ----------
    transfer_syntax
        UID; the one by which pydicom read it where the file has none.
    frames
        Values by tag, of each frame, with those that the frames share; one entry for a file of one slice.
    has_frames
        Whether the frames have positions of their own.
    has_pixels
        Whether pixel data of whole numbers follows.
    """

    transfer_syntax: str
    frames: list[dict[int, object]]
    has_frames: bool
    has_pixels: bool


class _HeaderStream:
    """What pydicom reads a header from: a file that has an end.

    A header of 400,000 empty elements or items takes minutes to walk, and one of gigabytes all memory.
    """

    def __init__(self, stream: RawStream, name: str, budget: HeaderBudget) -> None:
        self._stream, self._name, self._budget = stream, name, budget
        self._data = bytearray()
        self._position = 0
        self._ended = False
        self.max_bytes = MAX_FRAMES_HEADER_BYTES

    def read(self, count: int = -1) -> bytes:
        self._budget.reads -= 1
        if self._budget.reads < 0:
            raise unreadable("the headers of its files have too many elements")
        if count < 0 or self._position + count > self.max_bytes:
            raise unreadable(f"{self._name}: its header is longer than {self.max_bytes} bytes")
        wanted = self._position + count
        while len(self._data) < wanted and not self._ended:
            piece = self._stream.read(max(wanted - len(self._data), 1 << 14))
            self._ended = not piece
            self._data += piece
        data = bytes(self._data[self._position : wanted])
        self._position += len(data)
        return data

    def seek(self, position: int, whence: int = 0) -> int:
        target = position if whence == 0 else self._position + position
        if whence == 2 or not 0 <= target <= self.max_bytes:
            raise unreadable(f"{self._name}: its header has no end within {self.max_bytes} bytes")
        self._position = target
        return target

    def tell(self) -> int:
        return self._position


def parse(file: RawFile, wanted: Iterable[int], budget: HeaderBudget) -> ParsedFile:
    """Read the header of a file with pydicom.

    Parameters
    ----------
    wanted
        Tags whose values are kept.
    budget
        Shared by the files of a scan.

    Raises
    ------
    NotDicomError
        If it is not DICOM.
    ScanExcluded
        `unreadable_file` if it is damaged or absurdly long.
    """
    with closing(file.stream()) as stream:
        source = _HeaderStream(stream, file.name, budget)
        head = source.read(min(file.size, _HEAD_BYTES))
        source.seek(0)
        if transfer_syntax_of(head) == DeflatedExplicitVRLittleEndian:
            source = _HeaderStream(io.BytesIO(whole_content(file)), file.name, budget)
        marked = head[128:132] == b"DICM"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # their texts repeat what the file holds
                return _parse(source, set(wanted), marked, file.name)
        except ScanExcluded:
            if marked:
                raise
            raise NotDicomError from None
        except Exception as error:  # pydicom raises many kinds of errors on damaged files, none of them documented
            if marked:
                raise unreadable(f"{file.name}: damaged DICOM header ({type(error).__name__})") from error
            raise NotDicomError from None


def whole_content(file: RawFile) -> bytes:
    """Read a file whole, inflated where its transfer syntax is the deflated one.

    Raises
    ------
    ScanExcluded
        `unreadable_file`.
    """
    try:
        return inflated(file.read(), MAX_MEMBER_BYTES)
    except ValueError as error:
        raise unreadable(f"{file.name}: {error}") from error


def encoding_of(dataset: Dataset) -> str:
    """Transfer syntax of a data set: as its file says, or as pydicom read it."""
    said = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if said:
        return str(said)
    implicit, little = dataset.original_encoding
    if not little:
        return str(ExplicitVRBigEndian)
    return str(ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)


def read_dataset(source: BinaryIO, **options: object) -> Dataset:
    """Read a data set with or without preamble; what its values mean is checked by those who use them."""
    pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
    return pydicom.dcmread(source, force=True, **options)  # type: ignore[arg-type]


def _parse(source: _HeaderStream, wanted: set[int], marked: bool, name: str) -> ParsedFile:
    asked = [*wanted, tags.SOP_CLASS, tags.SHARED_GROUPS, tags.FRAME_GROUPS]
    dataset = read_dataset(cast(BinaryIO, source), stop_before_pixels=True, specific_tags=asked)
    if not marked and not (tags.SOP_CLASS in dataset and re.fullmatch(r"[0-9.]+", str(dataset[tags.SOP_CLASS].value))):
        raise NotDicomError
    top = _values(dataset, wanted)
    tag = source.read(4)
    place = PIXEL_DATA.to_bytes(4, "big")
    little = place[1::-1] + place[3:1:-1]
    # doses and segmentations have frames too, and are no images of a body
    image = top.get(tags.ALLOCATED) in (8, 16)
    several = image and (int(str(top.get(tags.FRAMES) or 1)) > 1 or tags.FRAME_GROUPS in dataset)
    if not several and source.tell() > MAX_HEADER_BYTES:
        raise unreadable(f"{name}: its header is longer than {MAX_HEADER_BYTES} bytes")
    frames = _frames(dataset, top, wanted) if several else [top]
    return ParsedFile(encoding_of(dataset), frames, several, tag in (place, little))


def _values(dataset: Dataset, wanted: set[int]) -> dict[int, object]:
    return {int(tag): dataset[tag].value for tag in dataset.keys() & wanted}


def _frames(dataset: Dataset, top: dict[int, object], wanted: set[int]) -> list[dict[int, object]]:
    """Values of each frame: its own, then those that all share, then those of the file.

    Raises
    ------
    ValueError
        If there are not as many frames as the file says.
    """
    shared = dataset[tags.SHARED_GROUPS].value if tags.SHARED_GROUPS in dataset else []
    common = top | (_group_values(shared[0], wanted) if shared else {})
    groups = dataset[tags.FRAME_GROUPS].value if tags.FRAME_GROUPS in dataset else []
    if not groups:  # the place of the file is that of none of its frames
        return [{tag: value for tag, value in common.items() if tag != tags.POSITION}]
    if len(groups) != int(str(top.get(tags.FRAMES) or 1)):
        raise ValueError("as many groups as frames are needed")
    return [common | _group_values(group, wanted) for group in groups]


def _group_values(group: Dataset, wanted: set[int]) -> dict[int, object]:
    """Values in the first item of each sequence of a functional group.

    Of private sequences only private values count: what they repeat of public ones need not be meant as such (Philips'
    (2005,140F) holds positions, echo times and slopes of its own).
    """
    found: dict[int, object] = {}
    private = {tag for tag in wanted if tag >> 16 & 1}
    for tag in list(group.keys()):  # iterating over the group itself would parse every element
        element = group[tag]
        if element.VR == "SQ" and element.value:
            found |= _values(element.value[0], private if tag.is_private else wanted)
    return found
