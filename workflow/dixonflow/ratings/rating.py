"""One rating: who says what of which label map."""

from dataclasses import dataclass

from dixonflow.vocabulary import Cause, ScanId, Verdict


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
        The verdict, and why it is not better. A good one has no cause; a faulty one always has.
    rater
        Who rates, letters and digits.
    rated_at
        When, in UTC, ISO 8601 to the millisecond.
    label_map_key
        Content key of the label map that the rater saw: a label map that was computed again differently has another.
    comment
        In the rater's words; empty for none.
    blinded
        Whether the rater saw neither grades nor other ratings.
    withdrawn
        Whether the rater takes back what they said of this label map and structure before.
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
