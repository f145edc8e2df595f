"""Agreement of two raters, against statsmodels and a published example."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from statsmodels.stats.inter_rater import cohens_kappa

from dixonflow.ratings.kappa import ALL, WHOLE, agreements
from dixonflow.ratings.rating import Rating, RatingError
from dixonflow.vocabulary import Cause, ScanId, Verdict

VERDICTS = tuple(Verdict)


def rating(person: int, structure: str | None, verdict: Verdict, rater: str, **more: object) -> Rating:
    cause = Cause.NETWORK if verdict is Verdict.FAULTY else None
    fields = {"rated_at": "2026-12-01T09:30:00.000Z", "label_map_key": "ab"} | more
    return Rating(ScanId(f"{person:06}", "2"), "vibe", structure, verdict, cause, rater, **fields)  # type: ignore[arg-type]


def pairs(table: Sequence[Sequence[int]] | NDArray[np.int_], structure: str | None = "liver") -> list[Rating]:
    found, person = [], 0
    for i, j in np.ndindex(3, 3):
        for _ in range(int(table[i][j])):
            person += 1
            found += [rating(person, structure, VERDICTS[i], "anna"), rating(person, structure, VERDICTS[j], "ben")]
    return found


@pytest.mark.parametrize("seed", range(5))
def test_kappa_is_that_of_statsmodels(seed: int) -> None:
    table = np.random.default_rng(seed).integers(0, 9, (3, 3)) + np.diag([20, 5, 3])
    whole, liver = agreements(pairs(table), "anna", "ben")
    assert (whole.structure, liver.structure, liver.n) == (ALL, "liver", table.sum())
    assert liver.agreement == pytest.approx(np.trace(table) / table.sum())
    assert liver.unweighted.value == pytest.approx(cohens_kappa(table, return_results=False))
    assert liver.linear.value == pytest.approx(cohens_kappa(table, wt="linear", return_results=False))


def test_the_interval_is_about_that_of_the_formula() -> None:
    table = np.array([[60, 6, 2], [8, 20, 4], [1, 3, 16]])
    found = agreements(pairs(table), "anna", "ben")[0].unweighted
    by_formula = cohens_kappa(table)
    assert found.low == pytest.approx(by_formula.kappa_low, abs=0.03)
    assert found.high == pytest.approx(by_formula.kappa_upp, abs=0.03)
    assert agreements(pairs(table), "anna", "ben")[0].unweighted == found


def test_structures_of_one_person_are_resampled_together() -> None:
    single = pairs([[10, 2, 0], [2, 4, 0], [0, 0, 2]])
    fourfold = [each for structure in "abcd" for each in pairs([[10, 2, 0], [2, 4, 0], [0, 0, 2]], structure)]
    once, repeated = agreements(single, "anna", "ben")[0], agreements(fourfold, "anna", "ben")[0]
    assert (repeated.n, repeated.participants) == (80, 20)
    assert repeated.unweighted == once.unweighted, "repeats of what is known add nothing"


def test_nothing_is_said_where_kappa_is_undefined() -> None:
    one_word = agreements(pairs([[9, 0, 0], [0, 0, 0], [0, 0, 0]]), "anna", "ben")[0]
    assert one_word.unweighted.value is None
    assert one_word.linear.low is None
    assert one_word.agreement == 1
    assert "one verdict only" in one_word.undefined
    nothing = agreements([rating(1, None, Verdict.GOOD, "anna")], "anna", "ben")
    assert [(each.n, each.agreement, each.undefined) for each in nothing] == [(0, None, "nothing was rated by both")]
    alone = agreements(
        [
            rating(1, structure, verdict, rater)
            for structure, verdict in (("liver", Verdict.GOOD), ("spleen", Verdict.FAULTY))
            for rater in ("anna", "ben")
        ],
        "anna",
        "ben",
    )[0]
    assert (alone.unweighted.value, alone.unweighted.low) == (1, None)
    with pytest.raises(RatingError, match="two raters"):
        agreements([], "anna", "anna")


def test_only_last_words_on_the_same_label_map_are_compared() -> None:
    found = agreements(
        [
            rating(1, None, Verdict.FAULTY, "anna", blinded=True),
            rating(1, None, Verdict.GOOD, "anna", rated_at="2026-12-01T09:31:00.000Z", blinded=True),
            rating(1, None, Verdict.GOOD, "ben", blinded=True),
            rating(2, None, Verdict.GOOD, "anna", blinded=True),
            rating(2, None, Verdict.FAULTY, "ben", blinded=True, label_map_key="cd"),
            rating(3, "liver", Verdict.GOOD, "anna", blinded=True),
            rating(3, "liver", Verdict.FAULTY, "ben"),
            rating(4, "liver", Verdict.GOOD, "carl"),
        ],
        "anna",
        "ben",
        blinded_only=True,
    )
    assert [(each.structure, each.n, each.agreement) for each in found] == [(ALL, 1, 1), (WHOLE, 1, 1)]


def test_few_participants_have_no_interval() -> None:
    found = agreements(pairs([[3, 0, 0], [0, 0, 0], [0, 0, 2]]), "anna", "ben")[0].unweighted
    assert (found.value, found.low, found.high) == (1, None, None)
