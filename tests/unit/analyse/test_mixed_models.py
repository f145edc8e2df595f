"""Mixed models of repeated scans, against the restricted likelihood by hand."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from synthetic_cohort import draw_cohort
from test_ageing import in_memory, of_values

from dixonflow.analyse.ageing import study_ageing
from dixonflow.analyse.study_data import StudyData


def repeated(icc: float, seed: int, n: int = 300, *, per_cm: float = 0.0, men: float = 0.0) -> StudyData:
    """Two scans of each, three years apart: 0.3 less per year, variance 100 of which `icc` is between people."""
    data = in_memory(draw_cohort(n, {"liver": 0.0}, seed))
    scans = pd.concat(
        [data.scans, data.scans.assign(session_id="3", age_years=data.scans["age_years"] + 3)], ignore_index=True
    )
    rng = np.random.default_rng(seed)
    values = 200 - 0.3 * scans["age_years"].to_numpy(float) + 10 * np.sqrt(icc) * np.tile(rng.normal(size=n), 2)
    values += 10 * np.sqrt(1 - icc) * rng.normal(size=2 * n)
    values += per_cm * (scans["height_cm"].to_numpy(float) - 170) + men * scans["sex"].eq("male").to_numpy(float)
    return of_values(scans, data.quantities, values[:, None])


def by_hand(y: NDArray[np.float64], exog: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and standard error by restricted maximum likelihood, for pairs: rows i and n + i are of one person."""
    n, taken = len(y), exog.shape[1]

    def solved(logarithm: float) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        ratio = float(np.exp(logarithm))
        inverse = np.eye(n) - ratio / (1 + 2 * ratio) * np.tile(np.eye(n // 2), (2, 2))
        normal = exog.T @ inverse @ exog
        beta = np.linalg.solve(normal, exog.T @ inverse @ y)
        variance = float((y - exog @ beta) @ inverse @ (y - exog @ beta)) / (n - taken)
        loss = (n - taken) * np.log(variance) + n / 2 * np.log1p(2 * ratio) + np.linalg.slogdet(normal)[1]
        return float(loss), beta, variance * np.linalg.inv(normal)

    best = minimize_scalar(lambda each: solved(each)[0], bounds=(-8, 6), method="bounded").x
    _, beta, covariance = solved(best)
    return float(beta[1]), float(np.sqrt(covariance[1, 1]))


def agrees(row: "pd.Series", expected: tuple[float, float]) -> None:
    assert row["per_year"] == pytest.approx(expected[0], rel=1e-3)
    error = (row["per_year_high"] - row["per_year_low"]) / (2 * 1.96)
    assert error == pytest.approx(expected[1], rel=2e-2), "statsmodels takes the Hessian of all parameters"


@pytest.mark.parametrize("icc", [0.05, 0.2, 0.4])
def test_moderate_repeatability_has_a_slope_and_no_warning(icc):
    for seed in range(2):
        data = repeated(icc, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            row = study_ageing(data, mixed_models=True).repeats.iloc[0]
        agrees(row, by_hand(data.values[:, 0], np.column_stack([np.ones(600), data.scans["age_years"]])))


def test_mixed_models_are_adjusted_and_by_sex():
    data = repeated(0.6, 3, per_cm=1.5, men=-20.0)
    data.scans.loc[[0, 300], "height_cm"] = np.nan
    data.scans.loc[[1, 301], "sex"] = None
    rows = study_ageing(data, mixed_models=True, by_sex=True, adjust_for=("sex", "height_cm")).repeats
    men = data.scans["sex"].eq("male").fillna(False)
    assert rows["group"].tolist() == ["all", "female", "male"]
    rows = rows.set_index("group")
    known = data.scans["height_cm"].notna() & data.scans["sex"].notna()
    for group, chosen in (("all", known), ("male", known & men), ("female", known & ~men)):
        assert rows.at[group, "n_scans"] == chosen.sum()
        assert rows.at[group, "n_participants"] == data.scans.loc[chosen, "participant_id"].nunique()
        columns = [np.ones(600), data.scans["age_years"], data.scans["height_cm"], *([men] if group == "all" else [])]
        exog = np.column_stack(columns).astype(float)[chosen]
        agrees(rows.loc[group], by_hand(data.values[chosen, 0], exog))
    raw = study_ageing(data, mixed_models=True).repeats.iloc[0]
    width = [row["per_year_high"] - row["per_year_low"] for row in (raw, rows.loc["all"])]
    assert width[1] < 0.8 * width[0]


def test_a_cohort_of_one_sex_loses_nothing_by_the_adjustment_for_sex():
    data = repeated(0.6, 4, n=120)
    women = data.of_scans(data.scans["sex"].eq("female"))
    both, height = (
        study_ageing(women, mixed_models=True, adjust_for=names) for names in (("sex", "height_cm"), ("height_cm",))
    )
    pd.testing.assert_frame_equal(both.correlations, height.correlations)
    pd.testing.assert_frame_equal(both.repeats, height.repeats)
    assert both.repeats["per_year"].notna().all()
