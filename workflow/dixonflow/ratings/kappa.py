"""Agreement of two raters: Cohen's kappa over what both rated, with its interval."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.ratings.rating import Rating, RatingError
from dixonflow.ratings.store import current
from dixonflow.vocabulary import Verdict

ALL = "all"
"""In place of a structure: everything that both rated."""

WHOLE = ""
"""In place of a structure: label maps as a whole."""

_VERDICTS = tuple(Verdict)
_RESAMPLES, _SEED = 2000, 20260101
_FEWEST = 6
"""Participants under which there is no interval, as in the statistics of evaluations: resamples are too alike."""
_INTERVAL = (2.5, 97.5)

_Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Kappa:
    """A kappa with its 95 % interval; None where it is undefined.

    Attributes
    ----------
    value
        1 for perfect agreement, 0 for as much as chance gives.
    low, high
        Percentiles over resampled participants. None for fewer than six participants.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Agreement:
    """How far two raters agree.

    Attributes
    ----------
    structure
        On which structure; `ALL` and `WHOLE` stand for others.
    n, participants
        What both rated, by the structures of label maps, and how many people that is of.
    agreement
        Share of equal verdicts; None for n = 0.
    unweighted, linear
        Kappa in which all disagreements count alike, and in which good against faulty counts twice.
    undefined
        Why there is no kappa; empty where there is one.
    """

    structure: str
    n: int
    participants: int
    agreement: float | None
    unweighted: Kappa
    linear: Kappa
    undefined: str


def agreements(ratings: Iterable[Rating], first: str, second: str, *, blinded_only: bool = False) -> list[Agreement]:
    """Compare two raters, over all they both rated and then structure by structure.

    Only the last word on the same structure of the same label map counts. Verdicts of one person are not independent:
    the interval is a bootstrap over participants (2,000 resamples, always the same ones).

    Parameters
    ----------
    ratings
        Of these raters and others.
    first, second
        Names of two raters; who has rated nothing shares nothing with anybody.
    blinded_only
        Whether to leave out what was rated with grades or other ratings in sight.

    Raises
    ------
    RatingError
        If both are the same rater.

    Notes
    -----
    Cohen 1960, Educ Psychol Meas 20:37, and with weights Cohen 1968, Psychol Bull 70:213.
    """
    if first == second:
        raise RatingError("agreement needs two raters")
    counts: dict[str, dict[str, _Counts]] = {ALL: {}}
    of_rater: Mapping[str, dict[tuple[object, ...], Rating]] = {first: {}, second: {}}
    for rating in current(ratings):
        if rating.rater in of_rater and (rating.blinded or not blinded_only):
            of_rater[rating.rater][rating.scan, rating.model, rating.structure, rating.label_map_key] = rating
    for item, rating in of_rater[first].items():
        other = of_rater[second].get(item)
        if other is None:
            continue
        place = _VERDICTS.index(rating.verdict), _VERDICTS.index(other.verdict)
        for structure in (ALL, rating.structure or WHOLE):
            of_people = counts.setdefault(structure, {})
            own = of_people.setdefault(rating.scan.participant, np.zeros((len(_VERDICTS), len(_VERDICTS))))
            own[place] += 1
    return [_agreement(structure, counts[structure]) for structure in (ALL, *sorted(set(counts) - {ALL}))]


def _agreement(structure: str, of_people: Mapping[str, _Counts]) -> Agreement:
    if not of_people:
        nothing = Kappa(None, None, None)
        return Agreement(structure, 0, 0, None, nothing, nothing, "nothing was rated by both")
    tables = np.stack([of_people[participant] for participant in sorted(of_people)])
    whole = tables.sum(axis=0)
    n = int(whole.sum())
    unweighted, linear = _kappa(tables, 1 - np.eye(len(_VERDICTS))), _kappa(tables, _distance())
    undefined = "both gave one verdict only, the same" if unweighted.value is None else ""
    return Agreement(structure, n, len(tables), float(np.trace(whole) / n), unweighted, linear, undefined)


def _kappa(tables: _Counts, weights: _Counts) -> Kappa:
    value = _kappas(tables.sum(axis=0)[None], weights)[0]
    if not np.isfinite(value):
        return Kappa(None, None, None)
    people = len(tables)
    if people < _FEWEST:
        return Kappa(float(value), None, None)
    drawn = np.random.default_rng(_SEED).multinomial(people, np.full(people, 1 / people), size=_RESAMPLES)
    resampled = _kappas(np.tensordot(drawn, tables, axes=1), weights)
    low, high = np.percentile(resampled[np.isfinite(resampled)], _INTERVAL).tolist()
    return Kappa(float(value), low, high)


def _kappas(tables: _Counts, weights: _Counts) -> _Counts:
    """Kappa of each of (k, verdicts, verdicts) tables, NaN where chance alone would agree; weights of disagreement."""
    n = tables.sum(axis=(1, 2))
    by_chance = np.einsum("ki,kj->kij", tables.sum(axis=2), tables.sum(axis=1)) / n[:, None, None]
    seen, expected = (weights * tables).sum(axis=(1, 2)), (weights * by_chance).sum(axis=(1, 2))
    kappas: _Counts = 1 - np.divide(seen, expected, out=np.full(len(tables), np.nan), where=expected > 0)
    return kappas


def _distance() -> _Counts:
    places = np.arange(len(_VERDICTS), dtype=np.float64)
    distance: _Counts = np.abs(places[:, None] - places[None, :])
    return distance
