"""Thresholds that follow from the cohort: which values lie unusually far under those of all scans.

A scan has many structures, and among many values some always lie low. So the bound is not set for each structure by
itself: deviations are counted in units of the spread of their structure, and the bound is the deviation that is unusual
as the largest one of a scan.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dixonflow.measure.checks.definition import DEVIATIONS

FEWEST_VALUES = 10
"""Values under which there is no threshold: the spread of ten is known to a quarter only."""

FAR_OUT = 4.5
"""Interquartile ranges above the third quartile that make a scan's largest deviation unusual. Where the largest
deviations have an exponential tail, two scans in a thousand are beyond it, so that ten checks together list 2 % of the
scans; of normal ones none are. (Tukey 1977, Exploratory Data Analysis, calls 3 far out: nine in a thousand.)"""

UNUSUAL_DEVIATIONS, SMALLEST_SPREAD_MM = 3.0, 5.0
"""Of a single length of a scan: deviations below which it is unusual, and the spread that counts at least."""

_MAD_TO_SD = 1.4826
"""From the median absolute deviation to the standard deviation of a normal distribution."""

LOW_TAIL, _LOW_TAIL_SDS = 5.0, 1.645
"""A percentile, and how many standard deviations of a normal distribution it lies below the median."""

FEWEST_FOR_TAIL = 40
"""Values under which the low tail is not looked at: it would be a single scan, which may be the one that failed."""

LARGEST_SKEW = 4.0
"""How much wider than the middle the low tail may make the spread: where many scans fail, they are the tail."""


def cohort_thresholds_of(
    values: Mapping[int, NDArray[np.float64]], scans: Mapping[int, NDArray[np.intp]], smallest_spread: float
) -> dict[int, float | None]:
    """Threshold of each structure of a cohort.

    Parameters
    ----------
    values
        Finite values of each structure.
    scans
        The scan of each value, a number from 0.
    smallest_spread
        That counts at least.

    Returns
    -------
    Median minus a multiple of the `_spread`, or None under `FEWEST_VALUES` values. The multiple is the same for all
    structures, and at least `DEVIATIONS`. The order of the values changes nothing.
    """
    known = {key: each for key, each in values.items() if len(each) >= FEWEST_VALUES}
    centre = {key: float(np.median(each)) for key, each in known.items()}
    spread = {key: _spread(each, centre[key], smallest_spread) for key, each in known.items()}
    largest = np.full(1 + max((int(scans[key].max()) for key in known), default=0), -np.inf)
    for key, each in known.items():
        np.maximum.at(largest, scans[key], (centre[key] - each) / spread[key])
    multiple = _far_out(largest[np.isfinite(largest)].tolist())
    return {key: centre[key] - multiple * spread[key] if key in known else None for key in values}


def _spread(values: NDArray[np.float64], centre: float, smallest: float) -> float:
    """Standard deviation of the values below the median: from the median absolute deviation, and from the low tail.

    Agreement and shares are skewed: structures that are hard to see have low values more often than the middle of
    their values tells.
    """
    middle = max(_MAD_TO_SD * float(np.median(np.abs(values - centre))), smallest)
    if len(values) < FEWEST_FOR_TAIL:
        return middle
    tail = (centre - float(np.percentile(values, LOW_TAIL))) / _LOW_TAIL_SDS
    return min(max(middle, tail), LARGEST_SKEW * middle)


def _far_out(largest: Sequence[float]) -> float:
    """Largest deviation of a scan that is not unusual, from those of all scans."""
    if not largest:
        return DEVIATIONS
    low, high = np.percentile(largest, [25, 75]).tolist()
    return float(max(DEVIATIONS, high + FAR_OUT * (high - low)))


def unusual_below(lengths_mm: NDArray[np.float64]) -> float | None:
    """Length below which one is unusually short among those of other scans, or None under `FEWEST_VALUES`."""
    if len(lengths_mm) < FEWEST_VALUES:
        return None
    centre = float(np.median(lengths_mm))
    spread = max(_MAD_TO_SD * float(np.median(np.abs(lengths_mm - centre))), SMALLEST_SPREAD_MM)
    return centre - UNUSUAL_DEVIATIONS * spread
