"""The threshold of a single structure of a small cohort, computed in another way."""

import statistics

import numpy as np


def bound(values: list[float]) -> float:
    """Threshold of a single structure, whose largest deviations are all there are."""
    centre = statistics.median(values)
    spread = max(1.4826 * statistics.median(abs(value - centre) for value in values), 0.01)
    low, high = np.percentile([(centre - value) / spread for value in values], [25, 75])
    return centre - max(2.0, high + 4.5 * (high - low)) * spread
