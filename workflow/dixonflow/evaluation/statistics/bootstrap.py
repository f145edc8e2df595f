"""Percentile bootstrap over groups of cases: the cases of one participant are drawn together.

Efron B, Tibshirani R. An Introduction to the Bootstrap (1993), chapter 13; clusters are drawn whole as in Field CA,
Welsh AH. Bootstrapping clustered data. J R Stat Soc B 2007;69:369-390.
"""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_CHUNK = 20_000_000
"""Weights (groups x draws) that are held at once: 160 MB."""


def bootstrap_means(
    values: NDArray[np.float64], groups: Sequence[Hashable], *, draws: int, seed: int
) -> NDArray[np.float64]:
    """Draw groups with replacement and average each column over the cases that were drawn.

    Parameters
    ----------
    values
        Shape (cases, columns); NaN is not defined and does not count.
    groups
        Group of each case, such as its participant.
    draws, seed
        Number of draws, and their seed: the draws depend on the number of groups and the seed alone, so that equal
        inputs give equal results and all columns share their draws.

    Returns
    -------
    NDArray
        Shape (draws, columns); NaN where a draw has no case with a value.
    """
    codes, count = _codes(groups)
    known = ~np.isnan(values)
    members = np.zeros((count, values.shape[1])), np.zeros((count, values.shape[1]))
    np.add.at(members[0], codes, np.where(known, values, 0))
    np.add.at(members[1], codes, known)
    means = np.empty((draws, values.shape[1]))
    for place, weights in _weights(count, draws, seed):
        drawn = weights.astype(float)
        sizes = drawn @ members[1]
        means[place] = np.where(sizes > 0, drawn @ members[0] / np.maximum(sizes, 1), np.nan)
    return means


def bootstrap_medians(
    values: NDArray[np.float64], groups: Sequence[Hashable], *, draws: int, seed: int
) -> NDArray[np.float64]:
    """Draw groups as `bootstrap_means` does, and take the median of each column over the cases that were drawn."""
    codes, count = _codes(groups)
    medians = np.full((draws, values.shape[1]), np.nan)
    for place, weights in _weights(count, draws, seed):
        by_group = np.ascontiguousarray(weights.T, dtype=np.int32)
        for column in range(values.shape[1]):
            known = np.flatnonzero(~np.isnan(values[:, column]))
            if known.size:
                order = known[np.argsort(values[known, column], kind="stable")]
                medians[place, column] = _weighted_medians(values[order, column], by_group, codes[order])
    return medians


def percentile_interval(
    draws: NDArray[np.float64], confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper percentile of each column of (draws, columns); NaN for a column that no draw has a value of."""
    tails = [50 * (1 - confidence), 50 * (1 + confidence)]
    result = np.full((2, draws.shape[1]), np.nan)
    for column in range(draws.shape[1]):
        known = draws[~np.isnan(draws[:, column]), column]
        if known.size:
            result[:, column] = np.percentile(known, tails)
    return result[0], result[1]


def mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each row over its values that are known; NaN where none is."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0).sum(axis=1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _codes(groups: Sequence[Hashable]) -> tuple[NDArray[np.intp], int]:
    codes, names = pd.factorize(pd.Series(list(groups)))
    return codes, len(names)


def _weights(groups: int, draws: int, seed: int) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """How often each group is drawn, shape (part of the draws, groups); the parts do not change the draws."""
    generator = np.random.default_rng(seed)
    size = max(1, _CHUNK // max(groups, 1))
    for start in range(0, draws, size):
        stop = min(start + size, draws)
        yield slice(start, stop), generator.multinomial(groups, np.full(groups, 1 / groups), size=stop - start)


def _weighted_medians(
    ordered: NDArray[np.float64], weights: NDArray[np.int32], codes: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Median per draw of ordered values, each as often as its group was drawn; `weights` is (groups, draws)."""
    total = np.bincount(codes, minlength=len(weights)).astype(np.int32) @ weights
    below = (total - 1) // 2, total // 2
    running, lower, upper = (np.zeros(len(total), np.int32) for _ in range(3))
    for code in codes:
        running += weights[code]
        lower += running <= below[0]
        upper += running <= below[1]
    # a draw without any of the values counts to the end
    lower, upper = (np.minimum(each, len(ordered) - 1) for each in (lower, upper))
    return np.where(total > 0, (ordered[lower] + ordered[upper]) / 2, np.nan)
