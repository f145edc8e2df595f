"""The closed sets of DixonFlow: contrasts, stages, statuses, reasons and grades.

Every other module takes its words from here. Values are what appears in tables and file names.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Self


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

    @property
    def previous(self) -> "Stage | None":
        """The stage before; None for the first."""
        place = list(Stage).index(self)
        return list(Stage)[place - 1] if place else None

    @property
    def earlier(self) -> tuple["Stage", ...]:
        """The stages before that work on shards, in their order."""
        return SHARD_STAGES[: SHARD_STAGES.index(self)]

    @property
    def is_per_model(self) -> bool:
        """Whether it works for one model after another, with records of its own for each; else all models share it."""
        return self not in (Stage.COHORT, Stage.STITCH)


SHARD_STAGES = tuple(Stage)[1:]
"""The stages that work on shards: all but `cohort`, which makes them."""


class Status(StrEnum):
    """What became of a scan at a stage, and overall."""

    OK = "ok"
    EXCLUDED = "excluded"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


_OK, _EXCLUDED, _FAILED, _WITHDRAWN = Status


class Reason(StrEnum):
    """Why a scan has no value. Each reason belongs to exactly one status; `none` goes with `ok` only.

    Attributes
    ----------
    status
        What becomes of a scan for this reason. Excluded: the data does not allow it, and trying again is pointless
        until the input changes. Failed: it should have worked.
    description
        The reason in a few words.
    """

    status: Status
    description: str

    def __new__(cls, value: str, *meaning: Any) -> Self:
        """Make a member from its word, which is its value, and its status and description."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.status, member.description = meaning
        return member

    NONE = "none", _OK, "no reason: the scan is ok"
    MISSING_STATION = (
        "missing_station",
        _EXCLUDED,
        "fewer stations than the protocol of the cohort has, or a missing station in between",
    )
    MISSING_CONTRAST = (
        "missing_contrast",
        _EXCLUDED,
        "water, fat, in-phase or opposed-phase, or the image of a CT, is missing",
    )
    CONTRAST_MISMATCH = (
        "contrast_mismatch",
        _EXCLUDED,
        "tags of a contrast contradict each other, in phase is not water + fat, or a CT is not in HU",
    )
    MISSING_SLICE = (
        "missing_slice",
        _EXCLUDED,
        "a series has fewer slices than its neighbours, or uneven slice positions",
    )
    UNREADABLE_FILE = "unreadable_file", _EXCLUDED, "a zip, DICOM or NIfTI file cannot be opened or is cut off"
    TRUNCATED_PIXELS = "truncated_pixels", _EXCLUDED, "a file holds less pixel data than its header says"
    UNPARSABLE_NAME = "unparsable_name", _EXCLUDED, "a file or folder name does not give participant and session"
    DUPLICATE_SCAN = (
        "duplicate_scan",
        _EXCLUDED,
        "a scan, or a station of a scan, was found more than once with different content",
    )
    IDENTITY_MISMATCH = (
        "identity_mismatch",
        _EXCLUDED,
        "the patient id inside the files differs from the file name",
    )
    SPACING_MISMATCH = (
        "spacing_mismatch",
        _EXCLUDED,
        "contrasts or stations of one scan disagree in matrix, spacing or orientation",
    )
    STATION_GAP = "station_gap", _EXCLUDED, "neighbouring stations do not overlap"
    UNEXPECTED_GEOMETRY = (
        "unexpected_geometry",
        _EXCLUDED,
        "implausible matrix or spacing for a body scan",
    )
    CONTRADICTORY_HEADERS = (
        "contradictory_headers",
        _EXCLUDED,
        "headers contradict each other or their pixels",
    )
    EMPTY_IMAGE = "empty_image", _EXCLUDED, "an image is constant or holds values that are not finite"
    IMPLAUSIBLE_VALUES = "implausible_values", _EXCLUDED, "an image holds values that a magnitude image cannot have"
    FAT_WATER_SWAP = "fat_water_swap", _EXCLUDED, "water and fat are swapped in at least one station"
    CONSENT_WITHDRAWN = "consent_withdrawn", _WITHDRAWN, "the participant is on the list of withdrawn participants"
    OUT_OF_MEMORY = "out_of_memory", _FAILED, "memory ran out while this scan was processed"
    TIMEOUT = "timeout", _FAILED, "the scan took longer than its time budget"
    WORKER_DIED = "worker_died", _FAILED, "the process that worked on this scan terminated unexpectedly"
    DISK_FULL = "disk_full", _FAILED, "no space left on the disk of the results"
    INTERNAL_ERROR = "internal_error", _FAILED, "an unexpected error; see the message"


class Grade(StrEnum):
    """Verdict of a quality check or a measurement."""

    PASS = "pass"
    REVIEW = "review"
    FAIL = "fail"


class Layout(StrEnum):
    """Layout of the raw data of a cohort."""

    UKB = "ukb"  # zips or folders of DICOM slices: <eid>_20201_<instance>_<array index>.zip
    NAKO = "nako"  # zips or folders of DICOM slices, one per scan or per sequence; NIfTI of four contrasts
    BIDS = "bids"  # NIfTI, one file per station and contrast
    CT = "ct"  # NIfTI in Hounsfield units, one file per scan, in folders as of BIDS
    DICOM = "dicom"  # any tree of DICOM files, one scan per match of a pattern

    @property
    def modality(self) -> Modality:
        """What kind of scans it holds."""
        return "ct" if self is Layout.CT else "mr"

    @property
    def has_session_folders(self) -> bool:
        """Whether a scan is a folder, sub-<participant>/ses-<session>; else it is a zip."""
        return self in (Layout.BIDS, Layout.CT)


class Duplicates(StrEnum):
    """Which acquisition of a station is used that was acquired more than once; a complete one in any case."""

    BEST = "best"  # in phase is water + fat, then the one that reaches more of its neighbours, then the later
    LATER = "later"
    EARLIER = "earlier"
    EXCLUDE = "exclude"  # the scan is excluded


_ID = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, order=True)
class ScanId:
    """Participant x session. Both are strings, always: leading zeros are part of an id.

    Raises
    ------
    ValueError
        If an id is empty or not alphanumeric (BIDS allows nothing else).

    Examples
    --------
    >>> ScanId("000123", "2").name
    'sub-000123_ses-2'
    >>> ScanId.parse("sub-000123_ses-2").participant
    '000123'
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
