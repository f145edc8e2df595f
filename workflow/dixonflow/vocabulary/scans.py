"""Whose a scan is, and in which shape its raw data lies."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from dixonflow.vocabulary.images import ScanSequence


class Layout(StrEnum):
    """Layout of the raw data of a cohort."""

    UKB = "ukb"  # zips or folders of DICOM slices: <eid>_20201_<instance>_<array index>.zip
    NAKO = "nako"  # zips or folders of DICOM slices, one per scan or per sequence; NIfTI of four contrasts
    BIDS = "bids"  # NIfTI, one file per station and contrast
    CT = "ct"  # NIfTI in Hounsfield units, one file per scan, in folders as of BIDS
    DICOM = "dicom"  # any tree of DICOM files, one scan per match of a pattern

    @property
    def has_session_folders(self) -> bool:
        """Whether a scan is a folder, sub-<participant>/ses-<session>; else it is a zip."""
        return self in (Layout.BIDS, Layout.CT)

    @property
    def usual_sequence(self) -> ScanSequence:
        """What is looked for where a source names no sequence."""
        return ScanSequence.CT if self is Layout.CT else ScanSequence.DIXON


class Duplicates(StrEnum):
    """Which acquisition of a station is used that was acquired more than once; a complete one in any case."""

    BEST = "best"  # in phase is water + fat, then the one that reaches more of its neighbours, then the later
    LATER = "later"
    EARLIER = "earlier"
    EXCLUDE = "exclude"  # the scan is excluded


_ID = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, order=True)
class ScanId:
    """Participant x session x sequence. Ids are strings, always: leading zeros are part of an id.

    Raises
    ------
    ValueError
        If an id is empty or not alphanumeric (BIDS allows nothing else).

    Examples
    --------
    >>> ScanId("000123", "2").name
    'sub-000123_ses-2'
    >>> ScanId.parse("sub-000123_ses-2_acq-haste").sequence.value
    'haste'
    """

    participant: str
    session: str
    sequence: ScanSequence = ScanSequence.DIXON

    def __post_init__(self) -> None:
        for value in (self.participant, self.session):
            if not _ID.fullmatch(value):
                raise ValueError("participant and session ids must be alphanumeric and not empty")

    @property
    def name(self) -> str:
        """BIDS name stem, `sub-100123_ses-2`; with the sequence if it is not Dixon, `sub-100123_ses-2_acq-haste`."""
        ending = "" if self.sequence is ScanSequence.DIXON else f"_acq-{self.sequence.acq}"
        return f"{self.session_name}{ending}"

    @property
    def session_name(self) -> str:
        """Stem of the names of all files of the session."""
        return f"sub-{self.participant}_ses-{self.session}"

    @property
    def dixon(self) -> "ScanId":
        """The Dixon scan of the same session."""
        return ScanId(self.participant, self.session)

    @classmethod
    def parse(cls, name: str) -> Self:
        """Inverse of `name`. Raises ValueError for anything else."""
        match = re.fullmatch(r"sub-([A-Za-z0-9]+)_ses-([A-Za-z0-9]+)(?:_acq-([a-z0-9]+))?", name)
        sequences = {sequence.acq: sequence for sequence in ScanSequence if sequence is not ScanSequence.DIXON}
        if not match or not (match[3] is None or match[3] in sequences):
            raise ValueError(f"not a scan name (expected sub-<participant>_ses-<session>): {name!r}")
        return cls(match[1], match[2], sequences[match[3]] if match[3] else ScanSequence.DIXON)
