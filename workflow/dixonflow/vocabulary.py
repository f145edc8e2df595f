"""The closed sets of DixonFlow: contrasts, stages, statuses, reasons and grades.

Every other module takes its words from here. Values are what appears in tables and file names.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Self


class Contrast(StrEnum):
    """What an image of a scan shows: one of the four of a two-point Dixon acquisition, or CT in Hounsfield units."""

    WATER = "water"
    FAT = "fat"
    IN_PHASE = "in_phase"
    OPPOSED_PHASE = "opposed_phase"
    CT = "ct"

    @property
    def acq(self) -> str:
        """The contrast as a BIDS entity value, which must be alphanumeric: `inphase`."""
        return self.value.replace("_", "")

    @property
    def suffix(self) -> str:
        """BIDS suffix of its files."""
        return "ct" if self is Contrast.CT else "VIBE"


DIXON = (Contrast.WATER, Contrast.FAT, Contrast.IN_PHASE, Contrast.OPPOSED_PHASE)
"""The contrasts of a Dixon scan."""

Modality = Literal["mr", "ct"]
"""Dixon MRI, or CT."""


def contrasts_of(modality: Modality) -> tuple[Contrast, ...]:
    """Images that a scan has."""
    return DIXON if modality == "mr" else (Contrast.CT,)


class MergeStrategy(StrEnum):
    """How the predictions of a model's contrasts become one label map."""

    PRIORITY = "priority"  # as published for VIBESegmentator: groups in an order, each voxel its first taker
    FIRST = "first"  # the first contrast that labels the voxel, in the model's order of contrasts
    MAJORITY = "majority"  # what most contrasts say, background included; a tie goes to the first of them
    MEAN_SCORES = "mean_scores"  # the segment stage averages the contrasts' scores and delivers one map


class Stage(StrEnum):
    """The stages that give a scan an outcome, in the order in which they run."""

    COHORT = "cohort"
    STITCH = "stitch"
    RESAMPLE = "resample"
    SEGMENT = "segment"
    MERGE = "merge"
    POSTPROCESS = "postprocess"
    MEASURE = "measure"


class Status(StrEnum):
    """What became of a scan at a stage, and overall."""

    OK = "ok"
    EXCLUDED = "excluded"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class Reason(StrEnum):
    """Why a scan has no value. `none` goes with status `ok` only."""

    NONE = "none"
    # excluded: the data does not allow it; trying again is pointless until the input changes
    MISSING_STATION = "missing_station"
    MISSING_CONTRAST = "missing_contrast"
    CONTRAST_MISMATCH = "contrast_mismatch"
    MISSING_SLICE = "missing_slice"
    UNREADABLE_FILE = "unreadable_file"
    TRUNCATED_PIXELS = "truncated_pixels"
    UNPARSABLE_NAME = "unparsable_name"
    DUPLICATE_SCAN = "duplicate_scan"
    IDENTITY_MISMATCH = "identity_mismatch"
    SPACING_MISMATCH = "spacing_mismatch"
    STATION_GAP = "station_gap"
    UNEXPECTED_GEOMETRY = "unexpected_geometry"
    CONTRADICTORY_HEADERS = "contradictory_headers"
    EMPTY_IMAGE = "empty_image"
    IMPLAUSIBLE_VALUES = "implausible_values"
    FAT_WATER_SWAP = "fat_water_swap"
    # withdrawn
    CONSENT_WITHDRAWN = "consent_withdrawn"
    # failed: it should have worked
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    WORKER_DIED = "worker_died"
    DISK_FULL = "disk_full"
    INTERNAL_ERROR = "internal_error"


REASON_DESCRIPTIONS: dict[Reason, str] = {
    Reason.NONE: "no reason: the scan is ok",
    Reason.MISSING_STATION: "fewer stations than the protocol of the cohort has, or a gap where one should be",
    Reason.MISSING_CONTRAST: "water, fat, in-phase or opposed-phase, or the image of a CT, is missing altogether",
    Reason.CONTRAST_MISMATCH: "tags contradict each other on a contrast, in phase is not water + fat, or CT not in HU",
    Reason.MISSING_SLICE: "a series has fewer slices than its neighbours, or uneven slice positions",
    Reason.UNREADABLE_FILE: "a zip, DICOM or NIfTI file cannot be opened or is cut off",
    Reason.TRUNCATED_PIXELS: "a file holds less pixel data than its header says",
    Reason.UNPARSABLE_NAME: "a file or folder name gives no participant and session",
    Reason.DUPLICATE_SCAN: "a scan, or a station of a scan, was found more than once with different content",
    Reason.IDENTITY_MISMATCH: "the patient id inside the files is not the one of the file name",
    Reason.SPACING_MISMATCH: "contrasts or stations of one scan disagree in matrix, spacing or orientation",
    Reason.STATION_GAP: "neighbouring stations do not overlap",
    Reason.UNEXPECTED_GEOMETRY: "matrix or spacing outside what is plausible for a body scan",
    Reason.CONTRADICTORY_HEADERS: "headers contradict each other or their pixels, and neither is believed",
    Reason.EMPTY_IMAGE: "an image is constant or holds values that are not finite",
    Reason.IMPLAUSIBLE_VALUES: "an image holds values that a magnitude image cannot have",
    Reason.FAT_WATER_SWAP: "water and fat are exchanged in at least one station",
    Reason.CONSENT_WITHDRAWN: "the participant is on the list of withdrawn participants",
    Reason.OUT_OF_MEMORY: "memory ran out while this scan was processed",
    Reason.TIMEOUT: "the scan took longer than its time budget",
    Reason.WORKER_DIED: "the process that worked on this scan ended without a word",
    Reason.DISK_FULL: "no space was left where the results are written",
    Reason.INTERNAL_ERROR: "an unexpected error; the message names it",
}


_STATUS_OF: dict[Reason, Status] = {
    Reason.NONE: Status.OK,
    Reason.MISSING_STATION: Status.EXCLUDED,
    Reason.MISSING_CONTRAST: Status.EXCLUDED,
    Reason.CONTRAST_MISMATCH: Status.EXCLUDED,
    Reason.MISSING_SLICE: Status.EXCLUDED,
    Reason.UNREADABLE_FILE: Status.EXCLUDED,
    Reason.TRUNCATED_PIXELS: Status.EXCLUDED,
    Reason.UNPARSABLE_NAME: Status.EXCLUDED,
    Reason.DUPLICATE_SCAN: Status.EXCLUDED,
    Reason.IDENTITY_MISMATCH: Status.EXCLUDED,
    Reason.SPACING_MISMATCH: Status.EXCLUDED,
    Reason.STATION_GAP: Status.EXCLUDED,
    Reason.UNEXPECTED_GEOMETRY: Status.EXCLUDED,
    Reason.CONTRADICTORY_HEADERS: Status.EXCLUDED,
    Reason.EMPTY_IMAGE: Status.EXCLUDED,
    Reason.IMPLAUSIBLE_VALUES: Status.EXCLUDED,
    Reason.FAT_WATER_SWAP: Status.EXCLUDED,
    Reason.CONSENT_WITHDRAWN: Status.WITHDRAWN,
    Reason.OUT_OF_MEMORY: Status.FAILED,
    Reason.TIMEOUT: Status.FAILED,
    Reason.WORKER_DIED: Status.FAILED,
    Reason.DISK_FULL: Status.FAILED,
    Reason.INTERNAL_ERROR: Status.FAILED,
}


def status_of(reason: Reason) -> Status:
    """Status that goes with a reason: each reason belongs to exactly one."""
    return _STATUS_OF[reason]


class Grade(StrEnum):
    """Verdict of a quality check or a measurement."""

    PASS = "pass"
    REVIEW = "review"
    FAIL = "fail"


class Layout(StrEnum):
    """Shape in which a cohort delivers its raw data."""

    UKB = "ukb"  # one zip of DICOM slices per scan: <eid>_20201_<instance>_0.zip
    NAKO = "nako"  # one zip of DICOM slices per scan, a folder per contrast inside
    BIDS = "bids"  # NIfTI, one file per station and contrast
    CT = "ct"  # NIfTI in Hounsfield units, one file per scan, in folders as of BIDS

    @property
    def modality(self) -> Modality:
        """What kind of scans it holds."""
        return "ct" if self is Layout.CT else "mr"

    @property
    def has_session_folders(self) -> bool:
        """Whether a scan is a folder, sub-<participant>/ses-<session>; else it is a zip."""
        return self in (Layout.BIDS, Layout.CT)


_ID = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, order=True)
class ScanId:
    """Participant x session. Both are strings, always: leading zeros are part of an id.

    Raises
    ------
    ValueError
        If an id is empty or not alphanumeric (BIDS allows nothing else).
    """

    participant: str
    session: str

    def __post_init__(self) -> None:
        for value in (self.participant, self.session):
            if not _ID.fullmatch(value):
                raise ValueError("participant and session ids must be alphanumeric and not empty")

    @property
    def name(self) -> str:
        """BIDS name stem, `sub-100123_ses-2`."""
        return f"sub-{self.participant}_ses-{self.session}"

    @classmethod
    def parse(cls, name: str) -> Self:
        """Inverse of `name`. Raises ValueError for anything else."""
        match = re.fullmatch(r"sub-([A-Za-z0-9]+)_ses-([A-Za-z0-9]+)", name)
        if not match:
            raise ValueError(f"not a scan name (expected sub-<participant>_ses-<session>): {name!r}")
        return cls(match[1], match[2])


Interpolate = Literal["scores", "probabilities", "nearest"]
"""How labels reach the image's grid where it is not the network's: `scores` are resampled and then compared, as nnU-Net
does; `probabilities` the same with the scores turned into probabilities of the classes first, contrast by contrast: raw
scores draw an outline towards the class that the network is less sure of, so that thin structures shrink; `nearest`
compares scores on the network's grid and gives each voxel the nearest label, as VIBESegmentator does."""
