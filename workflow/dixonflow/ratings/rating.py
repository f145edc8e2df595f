"""One rating: who says what of which label map."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from uuid import uuid4

from dixonflow.errors import DixonflowError
from dixonflow.vocabulary import Cause, ScanId, ScanSequence, Verdict

_RATER = re.compile(r"[A-Za-z0-9]{1,40}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_KEY = re.compile(r"[0-9a-f]{0,64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_LONGEST_COMMENT = 2000
_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""Control characters other than tab and new line, and halves of characters, which no table can hold."""


class RatingError(DixonflowError):
    """A rating, or a file of ratings, cannot be used. The message says which and what to do."""


def check_rater(rater: str) -> str:
    """Give the name of a rater back. Raises RatingError unless it has only letters, without accents, and digits."""
    if not _RATER.fullmatch(rater):
        raise RatingError(f"the name of a rater has 1 to 40 letters (A to Z) and digits, not {rater[:60]!r}")
    return rater


def time_now() -> str:
    """Give the time as ratings say it: UTC, ISO 8601 to the millisecond, `2026-12-01T09:30:00.000Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Rating:
    """What a rater says of a label map, or of one structure in it.

    Attributes
    ----------
    scan
        The scan.
    model
        The model, or the further system, whose label map was rated.
    structure
        Structure or composite; None for the label map as a whole.
    verdict, cause
        The verdict, and why it is not better. A good one has none but an unusual anatomy; a faulty one always has one.
    rater
        Who rates, letters and digits.
    rated_at
        When, as `time_now` says it.
    label_map_key
        Identifies the label map that the rater saw: one that was computed again differently has another. Empty where
        it is not known.
    comment
        In the rater's words, at most 2,000 characters; empty for none.
    blinded
        Whether the rater saw neither grades nor other ratings.
    withdrawn
        Whether the rater takes back what they said of this label map and structure before.
    rating_id
        Its own id. A rating that is sent a second time has the same and counts once.

    Raises
    ------
    RatingError
        If a field cannot be what it says, or a verdict and its cause contradict each other.
    """

    scan: ScanId
    model: str
    structure: str | None
    verdict: Verdict
    cause: Cause | None
    rater: str
    rated_at: str
    label_map_key: str
    comment: str = ""
    blinded: bool = False
    withdrawn: bool = False
    rating_id: str = field(default_factory=lambda: uuid4().hex)

    def __post_init__(self) -> None:
        check_rater(self.rater)
        if not _NAME.fullmatch(self.model) or not (self.structure is None or _NAME.fullmatch(self.structure)):
            raise RatingError("a rating names a model, and a structure or none, by their names in the tables")
        if not _ID.fullmatch(self.rating_id):
            raise RatingError("rating_id has 1 to 64 letters, digits and hyphens")
        if not _KEY.fullmatch(self.label_map_key):
            raise RatingError("label_map_key is hexadecimal, or empty where it is not known")
        if not _is_time(self.rated_at):
            raise RatingError("rated_at is a time in UTC such as 2026-12-01T09:30:00.000Z")
        if len(self.comment) > _LONGEST_COMMENT or _NO_TEXT.search(self.comment):
            raise RatingError(f"a comment has at most {_LONGEST_COMMENT} characters and no control characters")
        if self.verdict is Verdict.GOOD and self.cause is not None and not self.cause.is_anatomy:
            raise RatingError(f"a good verdict has no cause but an unusual anatomy, not {self.cause.value}")
        if self.verdict is Verdict.FAULTY and self.cause is None:
            raise RatingError("a faulty verdict needs a cause")

    def to_row(self) -> dict[str, Any]:
        """Plain values by the names of columns."""
        return {
            "rating_id": self.rating_id,
            "participant_id": self.scan.participant,
            "session_id": self.scan.session,
            "sequence": self.scan.sequence.value,
            "model": self.model,
            "structure": self.structure,
            "verdict": self.verdict.value,
            "cause": self.cause.value if self.cause else None,
            "rater": self.rater,
            "rated_at": self.rated_at,
            "label_map_key": self.label_map_key,
            "comment": self.comment,
            "blinded": self.blinded,
            "withdrawn": self.withdrawn,
        }

    @classmethod
    def from_row(cls, row: Any) -> Self:
        """Inverse of `to_row`. Raises RatingError for anything else."""
        if not isinstance(row, dict) or set(row) != _FIELDS:
            raise RatingError("it has not the fields of a rating")
        texts = {name: row[name] for name in _TEXTS}
        flags = {name: row[name] for name in _FLAGS}
        optional = [value for value in (row["structure"], row["cause"]) if value is not None]
        if not all(isinstance(value, str) for value in [*texts.values(), *optional]):
            raise RatingError("a field that is text holds something else")
        if not all(isinstance(value, bool) for value in flags.values()):
            raise RatingError("a field that is true or false holds something else")
        try:
            scan = ScanId(texts["participant_id"], texts["session_id"], ScanSequence(texts["sequence"]))
            verdict, cause = Verdict(texts["verdict"]), Cause(row["cause"]) if row["cause"] is not None else None
        except ValueError as error:
            raise RatingError("an id, sequence, verdict or cause is none that there is") from error
        return cls(
            scan,
            texts["model"],
            row["structure"],
            verdict,
            cause,
            texts["rater"],
            texts["rated_at"],
            texts["label_map_key"],
            texts["comment"],
            flags["blinded"],
            flags["withdrawn"],
            texts["rating_id"],
        )


_FLAGS = ("blinded", "withdrawn")
_TEXTS = (
    "rating_id",
    "participant_id",
    "session_id",
    "sequence",
    "model",
    "verdict",
    "rater",
    "rated_at",
    "label_map_key",
    "comment",
)
_FIELDS = {*_TEXTS, *_FLAGS, "structure", "cause"}


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return bool(_TIME.fullmatch(text))
