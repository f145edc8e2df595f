"""Summaries over cases, per system, structure and metric, with intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dixonflow.evaluation.statistics.bootstrap import (
    bootstrap_means,
    bootstrap_medians,
    mean_of_known,
    percentile_interval,
)
from dixonflow.evaluation.statistics.case_rows import (
    MEAN_OVER_STRUCTURES,
    METRICS,
    CaseValues,
    Presence,
    StatisticsError,
    case_values,
    checked_rows,
    participant_means,
)
from dixonflow.evaluation.statistics.coverage import SMALLEST, interval_note
from dixonflow.evaluation.statistics.pseudomedian import pseudomedian

_KEYS = ["system", "structure", "composite", "metric", "unit"]
_COUNTS = ["n", "participants", "structures", "n_missed", "n_invented", "n_neither"]
_ESTIMATES = [
    *("mean", "sd", "mean_low", "mean_high", "median", "q1", "q3", "median_low", "median_high"),
    *("pseudomedian", "pseudomedian_low", "pseudomedian_high"),
]


def check_settings(draws: int, confidence: float) -> None:
    """Refuse settings of a bootstrap that give no interval.

    Raises
    ------
    StatisticsError
        If there are under 100 draws, or the confidence is not between 0.5 and 1.
    """
    if draws < 100:
        raise StatisticsError(f"a bootstrap needs 100 draws or more, not {draws}")
    if not 0.5 <= confidence < 1:
        raise StatisticsError(f"confidence must be at least 0.5 and under 1, not {confidence:g}")


def summarise(
    rows: pd.DataFrame,
    metrics: Sequence[str] = tuple(METRICS),
    *,
    draws: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Summarise the metrics of cases.

    Parameters
    ----------
    rows
        As `checked_rows` takes them.
    metrics
        Columns of `METRICS`.
    draws, seed
        Of the bootstrap; equal inputs give equal intervals.
    confidence
        Of all intervals.

    Returns
    -------
    DataFrame
        One row per system, structure and metric, in order of `rows`, then one per system and metric whose structure is
        `MEAN_OVER_STRUCTURES`. Columns:

        - `system`, `structure`, `composite`, `metric`, `unit`
        - `n` (cases with a value), `participants` (of them), `structures` (1, or those in the mean), `n_missed`,
          `n_invented`, `n_neither` (cases of the system by presence, whatever the metric; summed in the mean's row)
        - `mean`, `sd`, `median`, `q1`, `q3` over cases; in the mean's row over the structures' means
        - `mean_low`, `mean_high`, `median_low`, `median_high`: percentile bootstrap; participants are drawn, with all
          their cases and structures
        - `pseudomedian`, `pseudomedian_low`, `pseudomedian_high`, `pseudomedian_method`: over participants, of each
          the mean of its cases; none in the mean's row
        - `note`: what to know of the intervals, such as the coverage to expect of few participants

        NaN where there is no value, and in intervals of fewer than 6 participants.

    Raises
    ------
    StatisticsError
        As `checked_rows`, and for too few draws or a confidence that is none.
    """
    check_settings(draws, confidence)
    checked = checked_rows(rows, metrics)
    tables = []
    for system in checked["system"].drop_duplicates():
        own = checked[checked["system"].eq(system)]
        tables.append(_of_system(own, metrics, draws, seed, confidence).assign(system=system))
    table = pd.concat(tables, ignore_index=True)
    return table[[*_KEYS, *_COUNTS, *_ESTIMATES, "pseudomedian_method", "note"]]


def _of_system(rows: pd.DataFrame, metrics: Sequence[str], draws: int, seed: int, confidence: float) -> pd.DataFrame:
    structures = rows["structure"].drop_duplicates().tolist()
    composite = rows.groupby("structure")["composite"].first()
    cases = case_values(rows, structures, metrics)
    mean_draws = bootstrap_means(cases.values, cases.participants, draws=draws, seed=seed)
    median_draws = bootstrap_medians(cases.values, cases.participants, draws=draws, seed=seed)
    single = np.array([not composite[structure] for structure, _ in cases.columns])
    table = _of_structures(cases, mean_draws, median_draws, confidence)
    table["composite"] = ~single
    presence = pd.crosstab(rows["structure"], rows["presence"]).reindex(columns=list(Presence), fill_value=0)
    for word in (Presence.MISSED, Presence.INVENTED, Presence.NEITHER):
        table[f"n_{word}"] = presence[word].reindex(table["structure"]).to_numpy()
    overall = []
    for metric in metrics:
        chosen = single & table["metric"].eq(metric).to_numpy()
        overall.append(_over_structures(cases, table[chosen], mean_draws[:, chosen], chosen, confidence))
    table = pd.concat([table, pd.DataFrame(overall)], ignore_index=True)
    table["unit"] = table["metric"].map({name: metric.unit for name, metric in METRICS.items()})
    table["note"] = table["participants"].map(interval_note)
    few = table["participants"].lt(SMALLEST)
    table.loc[few, ["mean_low", "mean_high", "median_low", "median_high"]] = np.nan
    return table


def _of_structures(
    cases: CaseValues, mean_draws: NDArray[np.float64], median_draws: NDArray[np.float64], confidence: float
) -> pd.DataFrame:
    frame = pd.DataFrame(cases.values)
    independent = participant_means(cases.values, cases.participants)
    centres = [pseudomedian(independent[column].dropna().to_numpy(float), confidence) for column in independent]
    mean_low, mean_high = percentile_interval(mean_draws, confidence)
    median_low, median_high = percentile_interval(median_draws, confidence)
    return pd.DataFrame(
        {
            "structure": [structure for structure, _ in cases.columns],
            "metric": [metric for _, metric in cases.columns],
            "n": frame.notna().sum(),
            "participants": independent.notna().sum(),
            "structures": 1,
            "mean": frame.mean(),
            "sd": frame.std(ddof=1),
            "mean_low": mean_low,
            "mean_high": mean_high,
            "median": frame.median(),
            "q1": frame.quantile(0.25),
            "q3": frame.quantile(0.75),
            "median_low": median_low,
            "median_high": median_high,
            "pseudomedian": [each.value for each in centres],
            "pseudomedian_low": [each.low for each in centres],
            "pseudomedian_high": [each.high for each in centres],
            "pseudomedian_method": [each.method for each in centres],
        }
    )


def _over_structures(
    cases: CaseValues,
    table: pd.DataFrame,
    mean_draws: NDArray[np.float64],
    chosen: NDArray[np.bool_],
    confidence: float,
) -> dict[str, Any]:
    """Summary of the structures' means, each counting the same whatever its number of cases."""
    means = table["mean"]
    known = (~np.isnan(cases.values[:, chosen])).any(axis=1)
    people = {cases.participants[case] for case in np.flatnonzero(known)}
    drawn = np.column_stack([mean_of_known(mean_draws), _medians(mean_draws)])
    low, high = percentile_interval(drawn, confidence)
    return {
        "structure": MEAN_OVER_STRUCTURES,
        "metric": cases.columns[int(chosen.argmax())][1] if chosen.any() else "",
        "composite": False,
        "n": int(known.sum()),
        "participants": len(people),
        "structures": int(means.notna().sum()),
        **{name: int(table[name].sum()) for name in ("n_missed", "n_invented", "n_neither")},
        "mean": means.mean(),
        "sd": means.std(ddof=1),
        "mean_low": low[0],
        "mean_high": high[0],
        "median": means.median(),
        "q1": means.quantile(0.25),
        "q3": means.quantile(0.75),
        "median_low": low[1],
        "median_high": high[1],
        "pseudomedian": np.nan,
        "pseudomedian_low": np.nan,
        "pseudomedian_high": np.nan,
        "pseudomedian_method": "",
    }


def _medians(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of each row over its known values; NaN where none is."""
    return pd.DataFrame(draws).median(axis=1).to_numpy(float)
