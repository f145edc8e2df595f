"""Which cases the list shows, and in which order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dixonflow.review.cases import Cases, ReviewError
from dixonflow.review.judgements import Judgements
from dixonflow.vocabulary import Grade, ScanId, ScanSequence, Status, Verdict

SORTS = ("worst", "check", "id", "random")
_OF_RESULTS = ("grade", "check", "structure", "model")
_LONGEST = 200


@dataclass(frozen=True)
class Query:
    """What the list is restricted to; an empty text restricts nothing.

    Attributes
    ----------
    status, sequence, grade
        Of the scan; the grade `none` is that of scans without one.
    check, structure, model
        Of a check that did not pass.
    rated
        `yes` or `no`: whether the rater has judged it.
    verdict
        One that a current rating gives.
    text
        In participant, session or number of the case; every word must occur.
    sort
        `worst` first, `check`: furthest beyond the threshold of the chosen check, `id`, or `random`.
    seed
        Of the random order.

    Raises
    ------
    ReviewError
        If a value is none that there is.
    """

    status: str = ""
    sequence: str = ""
    grade: str = ""
    check: str = ""
    structure: str = ""
    model: str = ""
    rated: str = ""
    verdict: str = ""
    text: str = ""
    sort: str = "worst"
    seed: int = 0

    def __post_init__(self) -> None:
        allowed: Mapping[str, Any] = {
            "status": Status,
            "sequence": ScanSequence,
            "grade": (*Grade, "none"),
            "rated": ("yes", "no"),
            "verdict": Verdict,
        }
        for name, words in allowed.items():
            if (value := getattr(self, name)) and value not in {str(word) for word in words}:
                raise ReviewError(f"{name} cannot be {value[:40]!r}")
        if self.sort not in SORTS:
            raise ReviewError(f"sort is one of {', '.join(SORTS)}")
        if any(len(str(getattr(self, each.name))) > _LONGEST for each in fields(self)):
            raise ReviewError("a filter is too long")

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> Self:
        """Make a query from texts. Raises ReviewError for names and values that there are not."""
        known = {each.name for each in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ReviewError(f"there is no filter {unknown[0][:40]!r}")
        texts: dict[str, Any] = dict(values)
        if "seed" in texts:
            if not texts["seed"].isascii() or not texts["seed"].isdigit() or len(texts["seed"]) > 9:
                raise ReviewError("seed is a number of up to nine digits")
            texts["seed"] = int(texts["seed"])
        return cls(**texts)


def matching(
    cases: Cases, query: Query, judgements: Judgements, *, blinded: bool, with_ids: bool
) -> NDArray[np.uint32]:
    """Positions of the cases that a query asks for, in its order.

    Parameters
    ----------
    blinded
        Whether grades and checks are not to be seen: the order is random, and no filter tells of them.
    with_ids
        Whether ids may be searched.

    Raises
    ------
    ReviewError
        If a blinded rater asks for what is not to be seen.
    """
    if blinded and (query.sort != "random" or any(getattr(query, name) for name in _OF_RESULTS)):
        raise ReviewError("a blinded list is in random order and is not filtered by grades and checks")
    keep = np.ones(len(cases), bool)
    for column, value in (("status", query.status), ("sequence", query.sequence), ("scan_grade", query.grade)):
        if value:
            keep &= (cases.scans[column] == ("" if value == "none" else value)).to_numpy(bool)
    rows = _chosen_rows(cases, query)
    if rows is not None:
        keep &= np.isin(np.arange(len(cases)), cases.objections["case"].to_numpy()[rows])
    if query.rated:
        keep &= _among(cases, judgements.judged("", own=True)) == (query.rated == "yes")
    if query.verdict:
        keep &= _among(cases, judgements.judged(query.verdict))
    for word in query.text.split():
        keep &= _has_word(cases, word, with_ids=with_ids)
    order = _order(cases, query, rows)
    return order[keep[order]].astype(np.uint32)


def _chosen_rows(cases: Cases, query: Query) -> NDArray[np.bool_] | None:
    """Rows of the objections that the query names; None where it names none."""
    chosen = None
    for name in ("check", "structure", "model"):
        if value := getattr(query, name):
            rows = (cases.objections[name] == value).to_numpy(bool)
            chosen = rows if chosen is None else chosen & rows
    return chosen


def _among(cases: Cases, scans: Iterable[ScanId]) -> NDArray[np.bool_]:
    """Whether each case is one of the scans, which need not all be cases."""
    places = cases.places_of_scans
    found = np.zeros(len(cases), bool)
    found[[places[scan] for scan in scans if scan in places]] = True
    return found


def _has_word(cases: Cases, word: str, *, with_ids: bool) -> NDArray[np.bool_]:
    if not with_ids:
        return np.asarray(np.char.find(cases.numbers.astype(str), word) >= 0)
    found = np.zeros(len(cases), bool)
    for name in ("participant_id", "session_id", "sequence"):
        found |= cases.scans[name].str.contains(word, case=False, regex=False).to_numpy(bool)
    return found


def _order(cases: Cases, query: Query, rows: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    if query.sort == "random":
        # by the key, so that the order does not follow from that of the ids, and new scans leave it as it is
        drawn = pd.util.hash_array(cases.scans["key"].to_numpy(object), hash_key=f"{query.seed:016d}", categorize=False)
        return np.asarray(np.lexsort((cases.numbers, drawn, cases.unread)), dtype=np.int64)
    if query.sort == "id":
        return np.arange(len(cases))
    if query.sort == "check" and rows is not None:
        excess = pd.Series(np.where(rows, cases.objections["excess"].to_numpy(float), -1.0))
        worst = excess.groupby(cases.objections["case"].to_numpy()).max().reindex(range(len(cases)), fill_value=-1.0)
        return np.asarray(np.lexsort((np.arange(len(cases)), -worst.to_numpy())), dtype=np.int64)
    return cases.worst_first
