"""A raw scan, and the folders that raw scans lie in."""

from dataclasses import dataclass
from pathlib import Path

from dixonflow.vocabulary import Layout, ScanId


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
        """Whether the patient id is compared with the name: headers of UK Biobank may contain pseudonyms."""
        return self.layout is Layout.NAKO if self.match_patient_id is None else self.match_patient_id


@dataclass(frozen=True)
class RawScan:
    """A scan, and where its raw data lies.

    Attributes
    ----------
    scan
        Participant and session.
    layout
        Shape of the raw data.
    path
        Zip, or session folder.
    raw_key
        Fingerprint of the content, 64 hexadecimal digits, free of dates and paths; empty where nothing could be read.
        Empty in shard lists, as the path, where the participant has withdrawn.
    state
        State of its files on disk when they were last read; empty where it is not known.
    """

    scan: ScanId
    layout: Layout
    path: Path
    raw_key: str = ""
    state: str = ""
