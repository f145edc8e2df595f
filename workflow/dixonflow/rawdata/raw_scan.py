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
    match_patient_id
        Whether the PatientID of DICOM files must be the participant's id, or begin with it; what is usual for the
        layout where it is None.
    """

    layout: Layout
    folder: Path
    name_pattern: str | None = None
    match_patient_id: bool | None = None

    @property
    def matches_patient_id(self) -> bool:
        """Whether the patient id is held against the name: headers of UK Biobank may carry pseudonyms."""
        return self.layout is Layout.NAKO if self.match_patient_id is None else self.match_patient_id


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

    @property
    def state(self) -> str:
        """State of its files on disk; empty where it is not known."""


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
    state
        State of its files on disk; empty where they could not be looked at.
    content
        Fingerprint of what may lie behind an equal `raw_key` of an earlier version; empty where there is no such one.
    source
        Which of the source folders it was found in.
    """

    scan: ScanId | None
    layout: Layout
    path: Path
    raw_key: str
    problem: tuple[Reason, str] | None = None
    note: str = ""
    state: str = ""
    content: str = ""
    source: int = 0


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
