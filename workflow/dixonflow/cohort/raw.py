"""What the raw folders hold, before anything is opened: sources, scans and files that are no scans."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dixonflow.vocabulary import Layout, Reason, ScanId


@dataclass(frozen=True)
class Source:
    """A folder of raw data.

    Attributes
    ----------
    layout
        Shape of what lies in it.
    folder
        Searched with all its subfolders.
    name_pattern
        Regular expression with the groups `participant` and `session` that a whole zip name must match; the one of the
        layout where it is None. Of no use for `bids`.
    """

    layout: Layout
    folder: Path
    name_pattern: str | None = None


class RawFiles(Protocol):
    """What it takes to read a scan: RawScan and the entries of shard lists have it."""

    @property
    def scan(self) -> ScanId | None:
        """Whose scan it is."""

    @property
    def layout(self) -> Layout:
        """Shape of the raw data."""

    @property
    def path(self) -> Path:
        """Zip, or session folder."""

    @property
    def raw_key(self) -> str:
        """Fingerprint of the content."""


@dataclass(frozen=True)
class RawScan:
    """One entry of a source folder that is a scan, or that should be one and cannot be told.

    Attributes
    ----------
    scan
        None where the name gives no participant and session.
    layout
        Shape of the raw data.
    path
        Zip, or session folder.
    raw_key
        Fingerprint of the content, 64 hexadecimal digits, free of dates and paths; empty where nothing could be read.
    problem
        Why the scan is excluded before it was looked into: reason and message.
    note
        What a person may want to know: the same content lay in a second place.
    """

    scan: ScanId | None
    layout: Layout
    path: Path
    raw_key: str
    problem: tuple[Reason, str] | None = None
    note: str = ""


@dataclass(frozen=True)
class Discovery:
    """Everything that lies in the source folders.

    Attributes
    ----------
    scans
        Sorted by scan, then path; entries without a scan come last.
    ignored
        Files and folders that are known to be no scans, sorted.
    """

    scans: tuple[RawScan, ...]
    ignored: tuple[Path, ...]
