"""What each rating counts for: whether it is a last word, of which label map, and the grade that follows from it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from dixonflow.ratings.rating import Rating
from dixonflow.ratings.store import current
from dixonflow.vocabulary import Cause, Grade, ScanId, Verdict

OF_DATA = (Cause.SWAP, Cause.MOVEMENT, Cause.CUT)
"""Causes that lie in the images: a label map that is computed again does not remove them."""

_GRADES = {Verdict.GOOD: Grade.PASS, Verdict.USABLE: Grade.REVIEW, Verdict.FAULTY: Grade.FAIL}


class RatedLabelMap(StrEnum):
    """Which label map a rating is of."""

    CURRENT = "current"
    EARLIER = "earlier"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Judged:
    """A rating and what it counts for.

    Attributes
    ----------
    rating
        It.
    label_map
        Of the tables at hand, or an earlier one; unknown where the one or the other has no key.
    is_latest
        Whether it is the last word of its rater on this structure of this label map, and not taken back.
    taken_back
        Whether its rater took it back.
    grade
        What follows from it for values; None where it does not count.
    """

    rating: Rating
    label_map: RatedLabelMap
    is_latest: bool
    taken_back: bool
    grade: Grade | None


def judge(
    ratings: Iterable[Rating],
    keys: Mapping[tuple[ScanId, str], frozenset[str] | None],
    has_structure: Callable[[Rating], bool],
) -> list[Judged]:
    """Say of each rating what it counts for, in time order; those that only take others back are left out.

    Parameters
    ----------
    keys
        Of the label maps that the tables are made of, by scan and model; several that stand for the same. None for a
        model that the tables do not have.
    has_structure
        Whether the structure of a rating is one that values may be of; else it counts for nothing.
    """
    ratings = sorted(ratings, key=lambda each: each.rated_at)
    # keys that stand for the same label map are one: what is said of it again replaces what was said before
    alike = [_with_one_key(rating, keys) for rating in ratings]
    latest = {rating.rating_id for rating in current(alike)}
    last_words = _last_words(current(ratings))  # what was taken back is no word
    taken_back: dict[tuple[object, ...], int] = {}
    for number, rating in enumerate(alike):
        if rating.withdrawn:
            taken_back[_item(rating)] = number
    judged = []
    for number, rating in enumerate(ratings):
        if rating.withdrawn:
            continue
        label_map = _label_map(rating, keys)
        counts = rating.rating_id in latest and has_structure(rating)
        if counts and label_map is not RatedLabelMap.CURRENT:
            counts = rating.rating_id in last_words
        judged.append(
            Judged(
                rating,
                label_map,
                rating.rating_id in latest,
                number < taken_back.get(_item(alike[number]), -1),
                _grade(rating, label_map) if counts else None,
            )
        )
    return judged


def _with_one_key(rating: Rating, keys: Mapping[tuple[ScanId, str], frozenset[str] | None]) -> Rating:
    """Have a rating bear the same key of all that stand for the label map of the tables."""
    if _label_map(rating, keys) is not RatedLabelMap.CURRENT:
        return rating
    return replace(rating, label_map_key=min(keys[rating.scan, rating.model] or ()))


def _item(rating: Rating) -> tuple[object, ...]:
    return rating.rater, rating.scan, rating.model, rating.structure, rating.label_map_key


def _last_words(ratings: Iterable[Rating]) -> set[str]:
    """Ids of the last words on each structure, whatever the label map: a later look at another one replaces them."""
    last = {(each.rater, each.scan, each.model, each.structure): each.rating_id for each in ratings}
    return set(last.values())


def _label_map(rating: Rating, keys: Mapping[tuple[ScanId, str], frozenset[str] | None]) -> RatedLabelMap:
    known = keys.get((rating.scan, rating.model), frozenset())
    if known is None:
        return RatedLabelMap.EARLIER
    if not known or not rating.label_map_key:
        return RatedLabelMap.UNKNOWN
    return RatedLabelMap.CURRENT if rating.label_map_key in known else RatedLabelMap.EARLIER


def _grade(rating: Rating, label_map: RatedLabelMap) -> Grade | None:
    """Grade by the verdict. Faults of the images outlive a label map, and any fault one that may be this."""
    if label_map is RatedLabelMap.CURRENT:
        return _GRADES[rating.verdict]
    stays = rating.cause in OF_DATA or label_map is RatedLabelMap.UNKNOWN
    return Grade.REVIEW if rating.verdict is Verdict.FAULTY and stays else None
