"""What a rating counts for: last words, label maps that are alike or earlier, and what was taken back."""

from dixonflow.ratings.judged import RatedLabelMap, judge
from dixonflow.ratings.rating import Rating
from dixonflow.vocabulary import Cause, Grade, ScanId, Verdict

SCAN = ScanId("1000001", "2")
NOW = {(SCAN, "demo"): frozenset({"bb"})}


def rating(second: int, verdict: Verdict, key: str, *, withdrawn: bool = False) -> Rating:
    cause = Cause.SWAP if verdict is Verdict.FAULTY else None
    said_at = f"2026-12-01T09:30:{second:02}.000Z"
    return Rating(SCAN, "demo", "liver", verdict, cause, "anna", said_at, key, withdrawn=withdrawn)


def grades(*ratings: Rating) -> list[Grade | None]:
    return [each.grade for each in judge(ratings, NOW, lambda _: True)]


def test_a_fault_of_the_images_outlives_what_was_said_of_the_next_label_map_and_taken_back() -> None:
    fault = rating(1, Verdict.FAULTY, "aa")
    good, back = rating(2, Verdict.GOOD, "bb"), rating(3, Verdict.GOOD, "bb", withdrawn=True)
    assert grades(fault) == [Grade.REVIEW]
    assert grades(fault, good) == [None, Grade.PASS]  # who looked again has the last word
    assert grades(fault, good, back) == [Grade.REVIEW, None]


def test_a_fault_of_an_earlier_label_map_that_was_taken_back_is_gone() -> None:
    found = judge(
        [rating(1, Verdict.FAULTY, "aa"), rating(2, Verdict.FAULTY, "aa", withdrawn=True)], NOW, lambda _: True
    )
    assert [(each.grade, each.label_map, each.taken_back) for each in found] == [(None, RatedLabelMap.EARLIER, True)]
