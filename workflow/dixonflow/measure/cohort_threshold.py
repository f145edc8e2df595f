"""Thresholds that follow from the cohort: which values lie unusually far under those of all scans."""

import math
from collections.abc import Sequence

DEVIATIONS = 2.0
"""Standard deviations under the mean of the cohort below which a scan is to be reviewed."""

FEWEST_VALUES = 10
"""Values under which there is no threshold. Of n values none can lie more than (n - 1) / sqrt(n) standard deviations
from their mean (Shiffler 1988, Am Stat 42:79): under 6 nothing could ever be below. And the standard deviation of 10 is
itself known to a quarter only (1 / sqrt(2 (n - 1)))."""


def cohort_threshold(values: Sequence[float]) -> float | None:
    """Mean minus `DEVIATIONS` standard deviations, or None under `FEWEST_VALUES` values.

    The standard deviation is that of a sample, divided by n - 1. All sums are exact and rounded once, so that the
    order of the values changes nothing.

    Parameters
    ----------
    values
        Finite.
    """
    count = len(values)
    if count < FEWEST_VALUES:
        return None
    # Rounding must not push the mean of equal values beyond them: none of them is below it.
    mean = min(max(math.fsum(values) / count, min(values)), max(values))
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return mean - DEVIATIONS * math.sqrt(variance)
