"""Change per year over all scans of participants, in mixed models with a random intercept of each (statsmodels)."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsmodels.regression.mixed_linear_model import MixedLM

from dixonflow.analyse.scan_choice import unfit
from dixonflow.analyse.study_data import QUANTITY, StudyData

COLUMNS = (*QUANTITY, "unit", "n_scans", "n_participants", "per_year", "per_year_low", "per_year_high", "p")

_OPTIMISERS = ("bfgs", "powell", "cg")
"""In the order in which they are tried: any of them can end at a singular matrix where another does not."""


def mixed_models(data: StudyData, adjust_for: Sequence[str], fewest: int) -> list[tuple[object, ...]]:
    """Fit a model of every quantity of which somebody has two values.

    Parameters
    ----------
    data
        Scans of which the age and what is adjusted for are known.
    adjust_for
        `sex`, `height_cm`.
    fewest
        Quantities with fewer values are left out.

    Returns
    -------
    list
        Rows of `COLUMNS`; NaN where no fit has a result.
    """
    rows: list[tuple[object, ...]] = []
    people = data.scans["participant_id"].to_numpy()
    for number, quantity in data.quantities.iterrows():
        values = data.values[:, int(str(number))]
        known = np.isfinite(values)
        names, counts = np.unique(people[known], return_counts=True)
        if unfit(values, fewest) or counts.max() < 2:
            continue
        keys = [quantity[name] for name in (*QUANTITY, "unit")]
        spread = values[known].std()
        exog = _design(data.scans[known], adjust_for)
        rows.append((*keys, int(known.sum()), len(names), *_slope(values[known] / spread, exog, people[known], spread)))
    return rows


def _design(people: pd.DataFrame, adjust_for: Sequence[str]) -> NDArray[np.float64]:
    """Intercept, age, and what is adjusted for as far as it is not given by the columns before it."""
    exog = np.column_stack([np.ones(len(people)), _centred(people["age_years"])])
    for name in adjust_for:
        values = people["sex"].eq("male") if name == "sex" else people[name]
        wider = np.column_stack([exog, _centred(values)])
        if np.linalg.matrix_rank(wider) == wider.shape[1]:
            exog = wider
    return exog


def _centred(values: "pd.Series") -> NDArray[np.float64]:
    numbers = values.to_numpy(float)
    return np.asarray(numbers - numbers.mean(), float)


def _slope(
    y: NDArray[np.float64], exog: NDArray[np.float64], of: NDArray[np.object_], spread: float
) -> tuple[float, float, float, float]:
    """Change per year, its interval and p-value; NaN where no optimiser has a result."""
    for optimiser in _OPTIMISERS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what they warn of is looked at below
                fit = MixedLM(y, exog, groups=of).fit(reml=True, method=[optimiser])
        except (np.linalg.LinAlgError, ValueError):
            continue
        slope, error = float(fit.params[1] * spread), float(fit.bse[1] * spread)
        if fit.converged and np.isfinite(slope) and np.isfinite(error) and error > 0:
            return slope, slope - 1.96 * error, slope + 1.96 * error, float(fit.pvalues[1])
    return np.nan, np.nan, np.nan, np.nan
