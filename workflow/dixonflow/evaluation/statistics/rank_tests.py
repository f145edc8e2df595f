"""Wilcoxon's tests, with p values as R gives them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dixonflow.evaluation.statistics.coverage import SMALLEST, interval_note

_EXACT_BELOW = 50
_DIGITS = 12
"""Decimals that differences are compared by: 0.9 - 0.8 and 0.8 - 0.7 are ties."""


def signed_rank(differences: NDArray[np.float64]) -> dict[str, Any]:
    """Wilcoxon's signed-rank test of differences, one per participant: test, statistic, n_zero, p and note."""
    rounded = np.round(differences, _DIGITS)
    nonzero = rounded[rounded != 0]
    n_zero = len(rounded) - len(nonzero)
    if len(rounded) < SMALLEST:
        return no_test(n_zero, interval_note(len(rounded)))
    if len(nonzero) < SMALLEST:
        return no_test(n_zero, f"no test: under {SMALLEST} differences that are not 0")
    exact = n_zero == 0 and len(nonzero) < _EXACT_BELOW and len(np.unique(np.abs(nonzero))) == len(nonzero)
    found = stats.wilcoxon(nonzero, method="exact" if exact else "approx", correction=not exact)
    # the statistic of R: the sum of the ranks of positive differences
    positive = float(stats.rankdata(np.abs(nonzero))[nonzero > 0].sum())
    return _result("signed-rank", exact, positive, n_zero, float(found.pvalue), interval_note(len(rounded)))


def rank_sum(one: NDArray[np.float64], other: NDArray[np.float64]) -> dict[str, Any]:
    """Wilcoxon's rank-sum test (Mann-Whitney) of two independent samples: test, statistic, n_zero, p and note."""
    one, other = np.round(one, _DIGITS), np.round(other, _DIGITS)
    fewest = min(len(one), len(other))
    if fewest < SMALLEST:
        return no_test(0, interval_note(fewest))
    together = np.concatenate([one, other])
    if (together == together[0]).all():
        return no_test(0, "no test: all values are equal")
    exact = max(len(one), len(other)) < _EXACT_BELOW and len(np.unique(together)) == len(together)
    found = stats.mannwhitneyu(one, other, method="exact" if exact else "asymptotic")
    return _result("rank-sum", exact, float(found.statistic), 0, float(found.pvalue), interval_note(fewest))


def no_test(n_zero: int, note: str) -> dict[str, Any]:
    """Result where no test is possible; `note` says why."""
    return {"test": "", "statistic": np.nan, "n_zero": n_zero, "p": np.nan, "note": note}


def _result(name: str, exact: bool, statistic: float, n_zero: int, p: float, note: str) -> dict[str, Any]:
    words = f"{name}, {'exact' if exact else 'normal approximation'}"
    return {"test": words, "statistic": statistic, "n_zero": n_zero, "p": p, "note": note}
