"""How the proton density fat fraction follows from the signal fat fraction: fitted on request, never applied."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import linregress

MIN_SESSIONS = 10
"""Fewer sessions give no line that anybody should use."""

WHOLE = 0.99
"""Coverage from which a structure counts as whole."""

COLUMNS = (
    *("structure", "sessions", "left_out", "slope", "slope_se", "intercept", "intercept_se", "residual_sd"),
    *("correlation", "bias", "limit_low", "limit_high"),
)


def calibration(rows: pd.DataFrame, estimator: str = "fat_fraction") -> pd.DataFrame:
    """Fit pdff = intercept + slope x estimator by least squares, for each structure.

    Sessions count whose values both have the grade pass and whose structure is whole in both scans.

    Parameters
    ----------
    rows
        The table fat_fraction_comparison.
    estimator
        Column with the signal fat fraction.

    Returns
    -------
    A row per structure, with `COLUMNS`. `bias` is the mean of pdff - estimator, `limit_low` and `limit_high` are
    its 95 % limits of agreement (Bland and Altman, Lancet 1986). Values are missing where fewer than `MIN_SESSIONS`
    sessions count, or all have one value.
    """
    fits = []
    for structure, own in rows.groupby("structure", sort=True):
        good = own["fat_fraction_grade"].eq("pass") & own["pdff_grade"].eq("pass")
        good &= own["dixon_coverage_fraction"].ge(WHOLE) & own["me_vibe_coverage_fraction"].ge(WHOLE)
        good &= own[estimator].notna() & own["pdff"].notna()
        used = own[good.fillna(False)]
        fits.append(
            (
                structure,
                len(used),
                len(own) - len(used),
                *_line(used[estimator].to_numpy(float), used["pdff"].to_numpy(float)),
            )
        )
    return pd.DataFrame(fits, columns=list(COLUMNS))


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, ...]:
    if x.size < MIN_SESSIONS or np.ptp(x) == 0:
        return (np.nan,) * (len(COLUMNS) - 3)
    fit = linregress(x, y)
    residual = y - fit.intercept - fit.slope * x
    spread, difference = float(np.sqrt((residual**2).sum() / (x.size - 2))), y - x
    bias, limit = float(difference.mean()), 1.96 * float(difference.std(ddof=1))
    line = (fit.slope, fit.stderr, fit.intercept, fit.intercept_stderr, spread, fit.rvalue)
    return (*map(float, line), bias, bias - limit, bias + limit)
