"""Two systems on the same cases, or on different ones: differences with intervals, and rank tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from dixonflow.evaluation.statistics.bootstrap import bootstrap_means, mean_of_known, percentile_interval
from dixonflow.evaluation.statistics.case_rows import (
    MEAN_OVER_STRUCTURES,
    METRICS,
    CaseValues,
    StatisticsError,
    case_values,
    checked_rows,
    participant_means,
)
from dixonflow.evaluation.statistics.coverage import SMALLEST, interval_note
from dixonflow.evaluation.statistics.multiple_testing import with_corrections
from dixonflow.evaluation.statistics.pseudomedian import pseudomedian
from dixonflow.evaluation.statistics.summary import check_settings

_EXACT_BELOW = 50
_DIGITS = 12
"""Decimals that differences are compared by: 0.9 - 0.8 and 0.8 - 0.7 are ties."""

_COLUMNS = [
    *("one", "other", "structure", "composite", "metric", "unit", "design"),
    *("n_pairs", "n_one", "n_other", "participants", "participants_one", "participants_other"),
    *("mean_one", "mean_other", "mean_difference", "difference_low", "difference_high"),
    *("pseudomedian_difference", "pseudomedian_low", "pseudomedian_high"),
    *("test", "statistic", "n_zero", "p", "hypotheses", "p_bh", "p_bonferroni", "note"),
]


def compare_systems(
    rows: pd.DataFrame,
    one: str,
    other: str,
    metrics: Sequence[str] = tuple(METRICS),
    *,
    draws: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare two systems, per structure that both were judged on and metric.

    Systems with cases in common are compared on those alone (`design` paired), by Wilcoxon's signed-rank test of the
    difference. Systems on different participants are compared by the rank-sum test (unpaired).

    Tests have one value per participant, the mean over its cases. Zero differences are left out of the signed-rank test
    (Wilcoxon) and counted in `n_zero`; ties share their mean rank. P values are two-sided: exact under 50 values (in
    each group) without zeros and ties, else from the normal approximation with corrections for ties and continuity.
    `test` says which.

    Parameters
    ----------
    rows
        As `checked_rows` takes them; rows of further systems are ignored.
    one, other
        Names of the systems. Differences are one minus other.
    metrics, draws, seed, confidence
        As of `summarise`.

    Returns
    -------
    DataFrame
        One row per structure and metric, then one per metric for the mean over structures, which has a difference and
        no test. `n_pairs` counts cases where both systems have the metric, `n_one` and `n_other` those where one has
        it (of the common cases, if the design is paired): HD95 of a structure that one system misses is in no pair.
        `difference_low` and `difference_high` are a percentile bootstrap of the mean difference by participant,
        `pseudomedian_difference` is that of the participants' differences (paired only). `hypotheses` is the number of
        tests in the table, which `p_bh` and `p_bonferroni` are corrected for. NaN where there is no value; `note` says
        why there is no test, and what to know of the interval.

    Raises
    ------
    StatisticsError
        As `summarise`; if a system is not in the rows, both are the same, they have no structure in common, or
        participants in common and no case.
    """
    check_settings(draws, confidence)
    if one == other:
        raise StatisticsError("two different systems are needed for a comparison")
    missing = [system for system in (one, other) if system not in set(rows.get("system", ()))]
    if missing:
        raise StatisticsError(f"the rows have no system {', '.join(missing)}")
    checked = checked_rows(rows[rows["system"].isin([one, other])], metrics)
    parts = [checked[checked["system"].eq(system)] for system in (one, other)]
    in_other = set(parts[1]["structure"])
    structures = [each for each in parts[0]["structure"].drop_duplicates() if each in in_other]
    if not structures:
        raise StatisticsError(f"{one} and {other} have no structure in common")
    common = set(parts[0]["case"]) & set(parts[1]["case"])
    if common:
        parts = [part[part["case"].isin(common)] for part in parts]
    elif set(parts[0]["participant_id"]) & set(parts[1]["participant_id"]):
        raise StatisticsError(
            f"{one} and {other} share participants and no case: they are neither paired nor independent"
        )
    first, second = (case_values(part, structures, metrics) for part in parts)
    composite = checked.groupby("structure")["composite"].first()
    single = np.array([not composite[structure] for structure, _ in first.columns])
    compare = _paired if common else _unpaired
    table = compare(first, second, single, draws, seed, confidence)
    table["composite"] = [bool(composite.get(structure, False)) for structure in table["structure"]]
    table["unit"] = table["metric"].map({name: metric.unit for name, metric in METRICS.items()})
    table = with_corrections(table.assign(one=one, other=other))
    return table[_COLUMNS]


def _paired(
    first: CaseValues, second: CaseValues, single: NDArray[np.bool_], draws: int, seed: int, confidence: float
) -> pd.DataFrame:
    differences = first.values - second.values
    both = ~np.isnan(differences)
    drawn = bootstrap_means(differences, first.participants, draws=draws, seed=seed)
    independent = participant_means(differences, first.participants)
    records = []
    for column in range(differences.shape[1]):
        values = independent[column].dropna().to_numpy(float)
        centre = pseudomedian(values, confidence)
        records.append(
            {
                "n_pairs": int(both[:, column].sum()),
                "n_one": int((~np.isnan(first.values[:, column])).sum()),
                "n_other": int((~np.isnan(second.values[:, column])).sum()),
                "participants": len(values),
                "participants_one": len(values),
                "participants_other": len(values),
                "mean_one": _mean(first.values[both[:, column], column]),
                "mean_other": _mean(second.values[both[:, column], column]),
                "mean_difference": _mean(differences[both[:, column], column]),
                "pseudomedian_difference": centre.value,
                "pseudomedian_low": centre.low,
                "pseudomedian_high": centre.high,
                **signed_rank(values),
            }
        )
    people = [len(set(np.asarray(first.participants)[both[:, chosen].any(axis=1)])) for chosen in _by_metric(first)]
    return _assembled(first.columns, records, drawn, single, people, confidence).assign(design="paired")


def _unpaired(
    first: CaseValues, second: CaseValues, single: NDArray[np.bool_], draws: int, seed: int, confidence: float
) -> pd.DataFrame:
    # two seeds: the samples are independent
    drawn = bootstrap_means(first.values, first.participants, draws=draws, seed=seed)
    drawn -= bootstrap_means(second.values, second.participants, draws=draws, seed=seed + 1)
    independent = [participant_means(each.values, each.participants) for each in (first, second)]
    records = []
    for column in range(first.values.shape[1]):
        ours, theirs = (frame[column].dropna().to_numpy(float) for frame in independent)
        means = _mean(_known(first.values[:, column])), _mean(_known(second.values[:, column]))
        records.append(
            {
                "n_pairs": 0,
                "n_one": len(_known(first.values[:, column])),
                "n_other": len(_known(second.values[:, column])),
                "participants": len(ours) + len(theirs),
                "participants_one": len(ours),
                "participants_other": len(theirs),
                "mean_one": means[0],
                "mean_other": means[1],
                "mean_difference": means[0] - means[1],
                "pseudomedian_difference": np.nan,
                "pseudomedian_low": np.nan,
                "pseudomedian_high": np.nan,
                **rank_sum(ours, theirs),
            }
        )
    people = [
        min(
            len(set(np.asarray(each.participants)[~np.isnan(each.values[:, chosen]).all(axis=1)]))
            for each in (first, second)
        )
        for chosen in _by_metric(first)
    ]
    return _assembled(first.columns, records, drawn, single, people, confidence).assign(design="unpaired")


def signed_rank(differences: NDArray[np.float64]) -> dict[str, Any]:
    """Wilcoxon's signed-rank test of differences, one per participant: test, statistic, n_zero, p and note."""
    rounded = np.round(differences, _DIGITS)
    nonzero = rounded[rounded != 0]
    n_zero = len(rounded) - len(nonzero)
    if len(rounded) < SMALLEST:
        return _no_test(n_zero, interval_note(len(rounded)))
    if len(nonzero) < SMALLEST:
        return _no_test(n_zero, f"no test: under {SMALLEST} differences that are not 0")
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
        return _no_test(0, interval_note(fewest))
    together = np.concatenate([one, other])
    if (together == together[0]).all():
        return _no_test(0, "no test: all values are equal")
    exact = max(len(one), len(other)) < _EXACT_BELOW and len(np.unique(together)) == len(together)
    found = stats.mannwhitneyu(one, other, method="exact" if exact else "asymptotic")
    return _result("rank-sum", exact, float(found.statistic), 0, float(found.pvalue), interval_note(fewest))


def _no_test(n_zero: int, note: str) -> dict[str, Any]:
    return {"test": "", "statistic": np.nan, "n_zero": n_zero, "p": np.nan, "note": note}


def _result(name: str, exact: bool, statistic: float, n_zero: int, p: float, note: str) -> dict[str, Any]:
    words = f"{name}, {'exact' if exact else 'normal approximation'}"
    return {"test": words, "statistic": statistic, "n_zero": n_zero, "p": p, "note": note}


def _assembled(
    columns: Sequence[tuple[str, str]],
    records: Sequence[dict[str, Any]],
    drawn: NDArray[np.float64],
    single: NDArray[np.bool_],
    people: Sequence[int],
    confidence: float,
) -> pd.DataFrame:
    """Rows of structures with their intervals, and of the means over structures that are no composites."""
    table = pd.DataFrame(list(records))
    table["structure"] = [structure for structure, _ in columns]
    table["metric"] = [metric for _, metric in columns]
    table["difference_low"], table["difference_high"] = percentile_interval(drawn, confidence)
    few = table[["participants_one", "participants_other"]].min(axis=1).lt(SMALLEST)
    table.loc[few, ["difference_low", "difference_high"]] = np.nan
    overall = []
    for metric, number in zip(dict.fromkeys(table["metric"]), people, strict=True):
        chosen = single & table["metric"].eq(metric).to_numpy()
        low, high = percentile_interval(mean_of_known(drawn[:, chosen])[:, None], confidence)
        enough = number >= SMALLEST
        means = table.loc[chosen, ["mean_one", "mean_other", "mean_difference"]].mean()
        overall.append(
            {
                "structure": MEAN_OVER_STRUCTURES,
                "metric": metric,
                **{name: int(table.loc[chosen, name].sum()) for name in ("n_pairs", "n_one", "n_other")},
                "participants": number,
                "participants_one": number,
                "participants_other": number,
                **means.to_dict(),
                "difference_low": low[0] if enough else np.nan,
                "difference_high": high[0] if enough else np.nan,
                **_no_test(0, interval_note(number)),
            }
        )
    return pd.concat([table, pd.DataFrame(overall)], ignore_index=True)


def _by_metric(cases: CaseValues) -> list[NDArray[np.bool_]]:
    metrics = [metric for _, metric in cases.columns]
    return [np.array([each == metric for each in metrics]) for metric in dict.fromkeys(metrics)]


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else np.nan
