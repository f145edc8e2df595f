"""Small counts in published tables: suppressed so that no difference between published numbers gives them back.

A count of 1 to 4 is suppressed (UK Biobank: 5 is the smallest number in a publication, "Sensitive phenotypes and
aggregate numbers in publicly available materials"). Rows, columns and their totals are published, so that further
counts have to go: for each suppressed one, the smallest and the largest value that the published numbers allow must be
at least `limit` apart (feasibility intervals: Handbook on Statistical Disclosure Control, chapter on frequency tables).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

LIMIT = 5
"""Smallest count that is published; 0 is."""


def suppressed(
    counts: NDArray[np.integer], limit: int = LIMIT, people: NDArray[np.integer] | None = None
) -> NDArray[np.bool_]:
    """Choose the counts of a table that are not published.

    Parameters
    ----------
    counts
        Shape (rows, columns), not negative. Totals of all rows, of all columns and of the whole are taken as published.
    limit
        Smallest count that may be published.
    people
        Number of people behind each count, where that can be smaller.

    Returns
    -------
    numpy.ndarray
        Boolean, shape of `counts`: which are left out.
    """
    counts = np.asarray(counts)
    hidden = (counts > 0) & ((counts if people is None else people) < limit)
    while True:
        exposed = _exposed(counts, hidden, limit)
        if exposed is None:
            return hidden
        candidate = _next(counts, hidden, exposed)
        if candidate is None:  # the whole row or column is hidden: nothing else protects it but all the rest
            return np.ones_like(hidden)
        hidden[candidate] = True


def _exposed(counts: NDArray[np.integer], hidden: NDArray[np.bool_], limit: int) -> tuple[int, int] | None:
    """A hidden count that the published numbers pin down, or that is not far enough from being pinned down."""
    places = np.argwhere(hidden)
    if not len(places):
        return None
    lines, sums = [], []
    for axis in (0, 1):
        for number in np.unique(places[:, axis]):
            lines.append((places[:, axis] == number).astype(float))
            taken = np.take(counts, number, axis=axis)
            sums.append(float(taken[np.take(hidden, number, axis=axis)].sum()))
    matrix, right = np.array(lines), np.array(sums)
    for number, place in enumerate(places):
        ends = []
        for sign in (1.0, -1.0):
            goal = np.zeros(len(places))
            goal[number] = sign
            found = linprog(goal, A_eq=matrix, b_eq=right, bounds=(0, None), method="highs")
            if found.fun is None:  # the solver gave up: taken for exposed
                return int(place[0]), int(place[1])
            ends.append(sign * float(found.fun))
        if ends[1] - ends[0] < limit - 1e-6:
            return int(place[0]), int(place[1])
    return None


def _next(counts: NDArray[np.integer], hidden: NDArray[np.bool_], exposed: tuple[int, int]) -> tuple[int, int] | None:
    """The smallest published count in the row or column of an exposed one, zeros last."""
    row, column = exposed
    around = [(row, other) for other in range(counts.shape[1])] + [(other, column) for other in range(counts.shape[0])]
    free = [place for place in around if not hidden[place]]
    if not free:
        # its own lines are hidden: what crosses them protects it
        rows, columns = np.flatnonzero(hidden[:, column]), np.flatnonzero(hidden[row])
        free = [(int(r), c) for r in rows for c in range(counts.shape[1]) if not hidden[r, c]]
        free += [(r, int(c)) for c in columns for r in range(counts.shape[0]) if not hidden[r, c]]
    if not free:
        return None
    return min(free, key=lambda place: (counts[place] == 0, int(counts[place]), place))


@dataclass(frozen=True)
class Hidden:
    """What is not shown one by one.

    Attributes
    ----------
    names
        Of groups: each that is of few people, and further ones that hide it.
    safe
        Whether they may be shown together: they are two or more, and of `limit` people or more.
    """

    names: frozenset[str]
    safe: bool


def hidden_names(people: Mapping[str, Collection[object]], limit: int = LIMIT) -> Hidden:
    """Choose the groups whose numbers are not shown, where the sum of all is known.

    Parameters
    ----------
    people
        The people of each group; one may be in several.
    limit
        Smallest number of people that is shown.
    """
    names, together = set[str](), set[object]()
    for name in sorted(people, key=lambda each: (len(people[each]), each)):
        if len(people[name]) < limit or (names and (len(names) < 2 or len(together) < limit)):
            names.add(name)
            together.update(people[name])
    return Hidden(frozenset(names), len(names) > 1 and len(together) >= limit)
