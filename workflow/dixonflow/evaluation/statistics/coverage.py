"""How often percentile bootstrap intervals of few participants hold the truth: less often than they say."""

SMALLEST = 6
"""Fewest participants that an interval or a test is given for: of 5, no signed-rank test can reach p = 0.05."""

MEASURED = {20: 0.0, 50: 0.0, 100: 0.0, 200: 0.0, 500: 0.0}
"""Share of 95 % intervals of the mean that hold the true mean, by number of participants.

Simulated Dice (beta distribution, 1 to 3 scans per participant): docs/statistics.md; a test repeats it.
"""

_ENOUGH = 200


def interval_note(participants: int) -> str:
    """What to know of the bootstrap intervals of so many participants; empty from 200 participants on."""
    if participants < SMALLEST:
        return f"under {SMALLEST} participants: no interval, no test"
    if participants < 50:
        return (
            "under 50 participants percentile intervals are too narrow: in simulations, 95 % intervals covered "
            f"{100 * MEASURED[20]:.1f} % at 20, {100 * MEASURED[50]:.1f} % at 50"
        )
    if participants < _ENOUGH:
        return (
            f"under {_ENOUGH} participants percentile intervals are slightly too narrow: in simulations, 95 % "
            f"intervals covered {100 * MEASURED[50]:.1f} % at 50, {100 * MEASURED[100]:.1f} % at 100"
        )
    return ""
