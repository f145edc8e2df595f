"""What the raw folders hold, before a scan is inspected: scans, entries that should be scans, and other files."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.vocabulary import Layout, Reason, ScanId


@dataclass(frozen=True)
class UnnamedEntry:
    """An entry of a source folder whose name gives no participant and session: why. Nothing in it is read."""

    layout: Layout
    path: Path
    message: str = "the name does not give participant and session in the form of the layout"
    scan: ClassVar[None] = None
    raw_key: ClassVar[str] = ""
    state: ClassVar[str] = ""


@dataclass(frozen=True)
class FoundScan:
    """A scan as it was found.

    Attributes
    ----------
    raw
        The scan and its raw data.
    source
        Which of the source folders it was found in.
    problem
        Why the scan is excluded before it is inspected: reason and message.
    note
        What a person may want to know: the same content lay in a second place.
    content
        Fingerprint of what may lie behind an equal `raw_key` of an earlier version; empty where there is no such one.
    superseded
        Files that a later delivery replaces.
    others
        Files that hold the same parts of the scan once more.
    images
        Digest of its images that does not depend on names and packing; empty where they could not be read.
    """

    raw: RawScan
    source: int = 0
    problem: tuple[Reason, str] | None = None
    note: str = ""
    content: str = ""
    superseded: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()
    images: str = ""

    @property
    def all_content(self) -> str:
        """What distinguishes one content from another: all bytes, where the fingerprint is that of version 0.1."""
        return self.content or self.raw.raw_key

    @property
    def all_images(self) -> str:
        """What distinguishes the images of one scan from those of another, however they are packed and named."""
        return self.images or self.all_content


@dataclass(frozen=True)
class Discovery:
    """Everything that lies in the source folders.

    Attributes
    ----------
    scans
        Sorted by scan, then path.
    unnamed
        Sorted by path.
    ignored
        Files and folders that are known to be no scans, sorted.
    not_included
        Scans that are not on the list of scans to include, sorted.
    """

    scans: tuple[FoundScan, ...]
    unnamed: tuple[UnnamedEntry, ...]
    ignored: tuple[Path, ...]
    not_included: tuple[ScanId, ...] = ()
