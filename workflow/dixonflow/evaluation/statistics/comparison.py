"""Two systems on the same cases, or on different ones: differences with intervals, and rank tests."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dixonflow.evaluation.metrics.overlap import Presence
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
from dixonflow.evaluation.statistics.rank_tests import no_test, rank_sum, signed_rank
from dixonflow.evaluation.statistics.summary import check_settings

_SAME_VOLUME = 1e-3
"""Largest relative difference of two volumes of one reference."""

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

    Cases where the systems were judged against different references of a structure (one has it and one has not, or its
    volumes `reference_ml` differ) are left out of its row, and the `note` counts them.

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
    different = (
        _different_references(parts[0], parts[1], structures, first.cases) if common else np.zeros((1, len(structures)))
    )
    if common:
        unequal = np.repeat(different, len(metrics), axis=1)
        first, second = (replace(each, values=np.where(unequal, np.nan, each.values)) for each in (first, second))
    composite = checked.groupby("structure")["composite"].first()
    single = np.array([not composite[structure] for structure, _ in first.columns])
    compare = _paired if common else _unpaired
    table = compare(first, second, single, draws, seed, confidence)
    table["composite"] = [bool(composite.get(structure, False)) for structure in table["structure"]]
    table["unit"] = table["metric"].map({name: metric.unit for name, metric in METRICS.items()})
    left_out = dict(zip(structures, different.sum(axis=0).astype(int).tolist(), strict=True))
    table["note"] = [
        _joined(f"{left_out[structure]} cases with different references left out", note)
        if left_out.get(structure)
        else note
        for structure, note in zip(table["structure"], table["note"], strict=True)
    ]
    table = with_corrections(table.assign(one=one, other=other))
    return table[_COLUMNS]


def _different_references(
    one: pd.DataFrame, other: pd.DataFrame, structures: Sequence[str], cases: Sequence[str]
) -> NDArray[np.bool_]:
    """Which cases and structures, shape (cases, structures), do not have one reference in the rows of both systems."""
    keys = ["case", "structure"]
    columns = ["presence", *(["reference_ml"] if "reference_ml" in one else [])]
    pairs = one[keys + columns].merge(other[keys + columns], on=keys, suffixes=("", "_other"))
    with_it = [pairs[name].isin([Presence.BOTH, Presence.MISSED]) for name in ("presence", "presence_other")]
    different = with_it[0].ne(with_it[1])
    if len(columns) > 1:
        ours, theirs = (pairs[name].astype("Float64").astype(float) for name in ("reference_ml", "reference_ml_other"))
        different |= (ours - theirs).abs() > _SAME_VOLUME * np.maximum(ours.abs(), theirs.abs())
    matrix = pairs.assign(different=different.astype(float)).pivot(
        index="case", columns="structure", values="different"
    )
    return matrix.reindex(index=list(cases), columns=list(structures)).eq(1).to_numpy(bool)


@dataclass(frozen=True)
class _Counts:
    """Cases and participants behind a mean over structures: those with a value of any of them."""

    n_pairs: int
    n_one: int
    n_other: int
    participants: int
    participants_one: int
    participants_other: int


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


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
    overall = []
    for chosen in _by_metric(first, single):
        pairs = both[:, chosen].any(axis=1)
        people = len(set(np.asarray(first.participants)[pairs]))
        n_one, n_other = (int((~np.isnan(each.values[:, chosen])).any(axis=1).sum()) for each in (first, second))
        overall.append(_Counts(int(pairs.sum()), n_one, n_other, people, people, people))
    return _assembled(first.columns, records, drawn, single, overall, confidence).assign(design="paired")


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
    overall = []
    for chosen in _by_metric(first, single):
        known = [(~np.isnan(each.values[:, chosen])).any(axis=1) for each in (first, second)]
        people = [
            len(set(np.asarray(each.participants)[own])) for each, own in zip((first, second), known, strict=True)
        ]
        n_one, n_other = (int(own.sum()) for own in known)
        overall.append(_Counts(0, n_one, n_other, sum(people), people[0], people[1]))
    return _assembled(first.columns, records, drawn, single, overall, confidence).assign(design="unpaired")


def _assembled(
    columns: Sequence[tuple[str, str]],
    records: Sequence[dict[str, Any]],
    drawn: NDArray[np.float64],
    single: NDArray[np.bool_],
    counts: Sequence[_Counts],
    confidence: float,
) -> pd.DataFrame:
    """Rows of structures with their intervals, and of the means over structures that are no composites."""
    table = pd.DataFrame(list(records))
    table["structure"] = [structure for structure, _ in columns]
    table["metric"] = [metric for _, metric in columns]
    table["difference_low"], table["difference_high"] = percentile_interval(drawn, confidence)
    few = table[["participants_one", "participants_other"]].min(axis=1).lt(SMALLEST)
    table.loc[few, ["difference_low", "difference_high"]] = np.nan
    overall: list[dict[str, Any]] = []
    for metric, known in zip(dict.fromkeys(table["metric"]), counts, strict=True):
        chosen = single & table["metric"].eq(metric).to_numpy()
        low, high = percentile_interval(mean_of_known(drawn[:, chosen])[:, None], confidence)
        number = min(known.participants_one, known.participants_other)
        enough = number >= SMALLEST
        means = table.loc[chosen, ["mean_one", "mean_other", "mean_difference"]].mean()
        overall.append(
            {
                "structure": MEAN_OVER_STRUCTURES,
                "metric": metric,
                **asdict(known),
                **{name: float(means[name]) for name in means.index},
                "difference_low": low[0] if enough else np.nan,
                "difference_high": high[0] if enough else np.nan,
                **no_test(0, interval_note(number)),
            }
        )
    return pd.concat([table, pd.DataFrame(overall)], ignore_index=True)


def _by_metric(cases: CaseValues, single: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Columns of each metric that enter its mean over structures."""
    metrics = [metric for _, metric in cases.columns]
    return [single & np.array([each == metric for each in metrics]) for metric in dict.fromkeys(metrics)]


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else np.nan
