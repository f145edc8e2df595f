"""Dice of simulated participants with a known mean, and how often bootstrap intervals hold it."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dixonflow.evaluation.statistics.bootstrap import bootstrap_means, percentile_interval

_AT_ONCE = 500
"""Simulations whose draws are held in memory."""


def simulated_dice(
    participants: int, simulations: int, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Simulate the Dice of cohorts: skewed to the left, 1 to 3 scans per participant that resemble each other.

    A participant has an own mean, beta(18, 2), and its scans are beta around it: the standard deviations are 0.065
    between participants and some 0.03 within.

    Returns
    -------
    Dice of shape (3 x participants, simulations), NaN where a participant has fewer scans, and participant of each row.
    The mean of every scan is 0.9.
    """
    own = generator.beta(18, 2, (participants, simulations)).clip(1e-6, 1 - 1e-6)
    scans = generator.beta(80 * own, 80 * (1 - own), (3, participants, simulations))
    number = generator.integers(1, 4, (participants, simulations))
    scans[np.arange(3)[:, None, None] >= number] = np.nan
    return scans.reshape(3 * participants, simulations), np.tile(np.arange(participants), 3)


def coverage(participants: int, simulations: int, draws: int, seed: int) -> float:
    """Share of simulated cohorts whose 95 % bootstrap interval of the mean holds the true mean."""
    return float(np.mean(list(_held(participants, simulations, draws, seed))))


def _held(participants: int, simulations: int, draws: int, seed: int) -> Iterator[float]:
    generator = np.random.default_rng(seed)
    for part in range(simulations // _AT_ONCE):
        dice, people = simulated_dice(participants, _AT_ONCE, generator)
        # other draws in each part: their own chance averages out
        means = bootstrap_means(dice, people.tolist(), draws=draws, seed=seed + part)
        low, high = percentile_interval(means, 0.95)
        yield float(np.mean((low <= 0.9) & (high >= 0.9)))
