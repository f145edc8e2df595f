"""What goes with sex and age: Welch's t test and Pearson's correlation of metrics, one value per participant."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from dixonflow.evaluation.statistics.case_rows import (
    METRICS,
    StatisticsError,
    case_values,
    checked_rows,
    participant_means,
)
from dixonflow.evaluation.statistics.multiple_testing import with_corrections

SMALLEST_GROUP = 6
"""Fewest participants of a sex that a t test is given for."""

SMALLEST_SAMPLE = 10
"""Fewest participants that a correlation with age is given for."""

_SEXES = ("female", "male")


def by_sex(
    rows: pd.DataFrame,
    covariates: pd.DataFrame,
    metrics: Sequence[str] = tuple(METRICS),
    *,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare the metrics of women and men by Welch's t test (Biometrika 1947;34:28-35): variances may differ.

    Parameters
    ----------
    rows
        As `checked_rows` takes them.
    covariates
        `participant_id` and `sex` (`female`, `male`, null), as in the table `covariates`; rows of sessions repeat a
        participant.
    metrics, confidence
        As of `summarise`.

    Returns
    -------
    DataFrame
        One row per system, structure and metric: `n_female`, `n_male`, `n_unknown` (participants with the metric and
        without a sex), `mean_female`, `mean_male`, `difference` (female minus male) with `difference_low` and
        `difference_high`, `t`, `degrees_of_freedom`, `p`, `hypotheses`, `p_bh`, `p_bonferroni`, `note` (why there is
        no test). NaN where there is no value.

    Raises
    ------
    StatisticsError
        As `checked_rows`; if covariates lack a column, have other words for sexes, or two sexes of a participant.
    """
    _check_covariates(covariates, "sex")
    known = covariates[covariates["sex"].notna()]
    unknown = set(known["sex"]) - set(_SEXES)
    if unknown:
        raise StatisticsError(f"sex must be {' or '.join(_SEXES)} or null in covariates")
    several = int(known.groupby("participant_id")["sex"].nunique().gt(1).sum())
    if several:
        raise StatisticsError(f"{several} participants have two sexes in covariates: correct the file")
    sex = known.groupby("participant_id")["sex"].first()

    def test(values: "pd.Series[float]") -> dict[str, Any]:
        of_each = sex.reindex(values.index)
        female, male = (np.asarray(values[of_each.eq(each)], np.float64) for each in _SEXES)
        return {
            "n_female": len(female),
            "n_male": len(male),
            "n_unknown": int(of_each.isna().sum()),
            **_welch(female, male, confidence),
        }

    return _per_structure(rows, metrics, lambda values, _ages: test(values), None)


def by_age(
    rows: pd.DataFrame,
    covariates: pd.DataFrame,
    metrics: Sequence[str] = tuple(METRICS),
    *,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Correlate metrics with age by Pearson's coefficient, its interval by Fisher's z transformation.

    Parameters
    ----------
    rows
        As `checked_rows` takes them, with `session_id`.
    covariates
        `participant_id`, `session_id` and `age_years`, as in the table `covariates`, one row per session.
    metrics, confidence
        As of `summarise`.

    Returns
    -------
    DataFrame
        One row per system, structure and metric: `n` (participants), `n_unknown` (participants with the metric and no
        case with an age), `r`, `r_low`, `r_high`, `p`, `hypotheses`, `p_bh`, `p_bonferroni`, `note` (why there is no
        correlation). Metric and age are means over the same cases of the participant: those with both.

    Raises
    ------
    StatisticsError
        As `checked_rows`; if covariates lack a column, have ages that are no numbers from 0 to 120, or two ages of a
        session.
    """
    _check_covariates(covariates, "session_id", "age_years")
    if "session_id" not in rows:
        raise StatisticsError("rows of cases lack columns: session_id")
    keys = ["participant_id", "session_id"]
    known = covariates[covariates["age_years"].notna()]
    try:
        ages = known["age_years"].astype(float)
    except (TypeError, ValueError) as error:
        raise StatisticsError("age_years does not hold numbers in covariates") from error
    if not ages.between(0, 120).all():
        raise StatisticsError("age_years must be within 0 to 120 in covariates")
    known = known.assign(age_years=ages).drop_duplicates([*keys, "age_years"])
    repeated = int(known.duplicated(keys).sum())
    if repeated:
        raise StatisticsError(f"{repeated} sessions have two ages in covariates: correct the file")
    age = known.set_index(keys)["age_years"]

    def test(values: "pd.Series[float]", ages: "pd.Series[float]") -> dict[str, Any]:
        both = values.notna() & ages.notna()
        return {
            "n": int(both.sum()),
            "n_unknown": int((~both).sum()),
            **_pearson(np.asarray(values[both], np.float64), np.asarray(ages[both], np.float64), confidence),
        }

    return _per_structure(rows, metrics, test, age)


def _per_structure(
    rows: pd.DataFrame, metrics: Sequence[str], test: Any, age: "pd.Series[float] | None"
) -> pd.DataFrame:
    checked = checked_rows(rows, metrics)
    records: list[dict[str, Any]] = []
    for system, own in checked.groupby("system", sort=False):
        structures = own["structure"].drop_duplicates().tolist()
        composite = own.groupby("structure")["composite"].first()
        cases = case_values(own, structures, metrics)
        of_case = np.full(len(cases.cases), np.nan)
        if age is not None:
            sessions = own.drop_duplicates("case").set_index("case")["session_id"].reindex(cases.cases)
            of_case = age.reindex(pd.MultiIndex.from_arrays([cases.participants, sessions])).to_numpy(float)
        for column, (structure, metric) in enumerate(cases.columns):
            records.append(
                {
                    "system": system,
                    "structure": structure,
                    "composite": bool(composite[structure]),
                    "metric": metric,
                    "unit": METRICS[metric].unit,
                    **test(*_per_participant(cases.values[:, column], of_case, cases.participants, age is not None)),
                }
            )
    table = with_corrections(pd.DataFrame(records))
    return table[[*(name for name in table.columns if name != "note"), "note"]]


def _per_participant(
    values: NDArray[np.float64], ages: NDArray[np.float64], participants: Sequence[str], with_age: bool
) -> "tuple[pd.Series[float], pd.Series[float]]":
    """Means of each participant that has the metric, over the cases with an age if any has one."""
    has_value = ~np.isnan(values)
    people = sorted({person for person, there in zip(participants, has_value, strict=True) if there})
    used = has_value & ~np.isnan(ages) if with_age else has_value
    pairs = np.column_stack([np.where(used, values, np.nan), np.where(used, ages, np.nan)])
    means = participant_means(pairs, participants).reindex(people)
    return means[0], means[1]


def _welch(female: NDArray[np.float64], male: NDArray[np.float64], confidence: float) -> dict[str, Any]:
    names = (
        "mean_female",
        "mean_male",
        "difference",
        "difference_low",
        "difference_high",
        "t",
        "degrees_of_freedom",
        "p",
    )
    result: dict[str, Any] = dict.fromkeys(names, np.nan)
    if min(len(female), len(male)) < SMALLEST_GROUP:
        return {**result, "note": f"no test: under {SMALLEST_GROUP} participants of a sex"}
    means = {"mean_female": float(female.mean()), "mean_male": float(male.mean())}
    means["difference"] = means["mean_female"] - means["mean_male"]
    if np.ptp(female) < 1e-12 and np.ptp(male) < 1e-12:
        return {**result, **means, "note": "no test: all values of each sex are equal"}
    found = stats.ttest_ind(female, male, equal_var=False)
    interval = found.confidence_interval(confidence)
    return {
        **means,
        "difference_low": float(interval.low),
        "difference_high": float(interval.high),
        "t": float(found.statistic),
        "degrees_of_freedom": float(found.df),
        "p": float(found.pvalue),
        "note": "",
    }


def _pearson(values: NDArray[np.float64], ages: NDArray[np.float64], confidence: float) -> dict[str, Any]:
    none = dict.fromkeys(("r", "r_low", "r_high", "p"), np.nan)
    if len(values) < SMALLEST_SAMPLE:
        return {**none, "note": f"no correlation: under {SMALLEST_SAMPLE} participants"}
    if np.ptp(values) < 1e-12 or np.ptp(ages) < 1e-12:
        return {**none, "note": "no correlation: all values or all ages are equal"}
    found = stats.pearsonr(values, ages)
    interval = found.confidence_interval(confidence)
    return {
        "r": float(found.statistic),
        "r_low": float(interval.low),
        "r_high": float(interval.high),
        "p": float(found.pvalue),
        "note": "",
    }


def _check_covariates(covariates: pd.DataFrame, *columns: str) -> None:
    missing = sorted({"participant_id", *columns} - set(covariates.columns))
    if missing:
        raise StatisticsError(f"covariates lack columns: {', '.join(missing)}")
    if not covariates["participant_id"].map(lambda each: isinstance(each, str)).all():
        raise StatisticsError("participant_id must be text in covariates")
