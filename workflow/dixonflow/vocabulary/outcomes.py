"""Stages, and what may become of a scan and a value."""

from enum import StrEnum
from typing import Any, Self


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

    @property
    def job(self) -> tuple["Stage", ...]:
        """The stages that one job brings a shard through, this one among them. Its rule is named after the last."""
        return next(job for job in JOBS if self in job)


SHARD_STAGES = tuple(Stage)[1:]
"""The stages that work on shards: all but `cohort`, which makes them."""

JOBS = (
    (Stage.STITCH,),
    (Stage.RESAMPLE, Stage.SEGMENT),
    (Stage.MERGE, Stage.POSTPROCESS),
    (Stage.MEASURE,),
)
"""The stages that work on shards, by job. In a job of two, a scan passes the first and then the second."""


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
    NO_LABEL_MAP = (
        "no_label_map",
        _EXCLUDED,
        "the scan takes the label map of the Dixon scan of its session, which has none that shows it",
    )
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
