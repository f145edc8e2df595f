"""The Hodges-Lehmann pseudomedian and its interval from the signed-rank test."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_EXACT_BELOW = 50
"""Values up to which the exact distribution is used, as R does."""

_DIRECT = 1500
"""Values up to which all Walsh averages are held at once."""


@dataclass(frozen=True)
class Pseudomedian:
    """A pseudomedian, its interval, and which distribution the interval is from.

    Attributes
    ----------
    value
        Median of the means of all pairs of values, each value with itself included; NaN without values.
    low, high
        Interval; NaN where there are too few values for one.
    method
        `exact` or `normal approximation`; empty without an interval.
    """

    value: float
    low: float
    high: float
    method: str


def pseudomedian(values: NDArray[np.float64], confidence: float = 0.95) -> Pseudomedian:
    """Estimate the pseudomedian of independent values.

    The ends of the interval are Walsh averages: those whose ranks the signed-rank statistic of a true centre lies
    between (Hollander M, Wolfe DA, Chicken E. Nonparametric Statistical Methods (2014), 3.2 and 3.3). The distribution
    is exact under 50 values without ties; else normal with continuity correction, which ties make slightly too wide.
    Zeros are values like others.

    Parameters
    ----------
    values
        Finite, one per participant.
    confidence
        Of the interval.
    """
    values = np.sort(np.asarray(values, dtype=float))
    n = len(values)
    if n == 0:
        return Pseudomedian(math.nan, math.nan, math.nan, "")
    count = n * (n + 1) // 2
    alpha = 1 - confidence
    ties = len(np.unique(np.abs(np.round(values, 12)))) < n
    if 2 * 0.5**n > alpha:  # the widest interval would hold the truth less often
        rank, method = None, ""
    elif n < _EXACT_BELOW and not ties:
        rank, method = _exact_rank(n, alpha / 2), "exact"
    else:
        deviation = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        half = float(stats.norm.ppf(1 - alpha / 2)) * deviation + 0.5
        rank, method = max(1, math.floor(count / 2 - half)), "normal approximation"
    middle = [(count + 1) // 2, count // 2 + 1]
    wanted = [*middle, *([] if rank is None else [rank, count + 1 - rank])]
    found = _walsh_averages(values, wanted)
    low, high = (math.nan, math.nan) if rank is None else (found[2], found[3])
    return Pseudomedian((found[0] + found[1]) / 2, low, high, method)


def _exact_rank(n: int, tail: float) -> int:
    """Smallest sum of ranks whose cumulative probability under the null hypothesis is at least `tail`; 1 or more."""
    ways = np.zeros(n * (n + 1) // 2 + 1)
    ways[0] = 1
    for rank in range(1, n + 1):  # each rank is in the sum or not
        ways[rank:] = ways[rank:] + ways[:-rank]
    return max(1, int(np.searchsorted(np.cumsum(ways) / 2.0**n, tail * (1 - 1e-12))))


def _walsh_averages(ordered: NDArray[np.float64], ranks: list[int]) -> list[float]:
    """Walsh averages of the given ranks, from 1."""
    n = len(ordered)
    if n <= _DIRECT:
        first, second = np.triu_indices(n)
        averages = (ordered[first] + ordered[second]) / 2
        places = [rank - 1 for rank in ranks]
        return [float(each) for each in np.partition(averages, sorted(set(places)))[places]]
    return [_bisected(ordered, rank) for rank in ranks]


def _bisected(ordered: NDArray[np.float64], rank: int) -> float:
    """Smallest number that at least `rank` Walsh averages do not exceed, to the last digits: memory stays small."""
    low, high = float(ordered[0]), float(ordered[-1])
    itself = np.arange(len(ordered))
    while high - low > 1e-13 * max(abs(low), abs(high)):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        upto = np.searchsorted(ordered, 2 * middle - ordered, side="right")
        if int(np.maximum(upto - itself, 0).sum()) >= rank:
            high = middle
        else:
            low = middle
    return high
