"""Tables as papers print them: a row per structure, the systems side by side."""

import math
from collections.abc import Sequence

import pandas as pd

from dixonflow.evaluation.statistics.case_rows import MEAN_OVER_STRUCTURES, METRICS, StatisticsError

_NOTHING = "-"


def paper_table(
    summary: pd.DataFrame, comparison: pd.DataFrame | None = None, metrics: Sequence[str] = ("dice", "nsd")
) -> pd.DataFrame:
    """Arrange a summary as papers do: mean ± SD (interval of the mean).

    Parameters
    ----------
    summary
        Of `summarise`.
    comparison
        Of `compare_systems`; adds the difference and its corrected p value.
    metrics
        Metrics shown, of those in the summary.

    Returns
    -------
    DataFrame
        Text. One row per structure, single ones before composites, the mean over structures last. Columns: `structure`;
        per system `n`, with cases that were missed or are in the prediction alone, and each metric; per metric the
        difference and its p value after Benjamini-Hochberg.

    Raises
    ------
    StatisticsError
        If the summary has none of the metrics, or a structure of a system twice.
    """
    shown = [metric for metric in metrics if metric in set(summary["metric"])]
    if not shown:
        raise StatisticsError(f"the summary has none of the metrics {', '.join(metrics)}")
    if summary.duplicated(["system", "structure", "metric"]).any():
        raise StatisticsError("the summary has a system, structure and metric twice")
    order = summary.drop_duplicates("structure")
    last = order["structure"].eq(MEAN_OVER_STRUCTURES)
    order = order.assign(last=last).sort_values(["last", "composite"], kind="stable")
    columns: dict[str, list[str]] = {"structure": [_readable(each) for each in order["structure"]]}
    for system in summary["system"].drop_duplicates():
        own = summary[summary["system"].eq(system)]
        for place, metric in enumerate(shown):
            rows = own[own["metric"].eq(metric)].set_index("structure").reindex(order["structure"])
            if place == 0:
                columns[f"{system}: n"] = [_number_of_cases(str(name), row) for name, row in rows.iterrows()]
            columns[f"{system}: {_title(metric)}"] = [
                _with_interval(row["mean"], row["sd"], row["mean_low"], row["mean_high"], metric)
                for _, row in rows.iterrows()
            ]
    if comparison is not None:
        for (one, other), pair in comparison.groupby(["one", "other"], sort=False):
            for metric in shown:
                rows = pair[pair["metric"].eq(metric)].set_index("structure").reindex(order["structure"])
                columns[f"{one} - {other}: {_title(metric)}"] = [
                    _with_interval(row["mean_difference"], None, row["difference_low"], row["difference_high"], metric)
                    for _, row in rows.iterrows()
                ]
                columns[f"{one} - {other}: p of {_title(metric)}"] = [_p_value(p) for p in rows["p_bh"]]
    return pd.DataFrame(columns)


def as_markdown(table: pd.DataFrame) -> str:
    """A table of text in Markdown; what would break it is escaped."""
    lines = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "".join("| " + " | ".join(_cell(str(each)) for each in line) + " |\n" for line in lines)


def legend(summary: pd.DataFrame, comparison: pd.DataFrame | None = None) -> list[str]:
    """Sentences below the table: what its numbers are, and the notes of its rows, each once."""
    sentences = [
        "Mean ± standard deviation over cases (95 % interval of the mean, percentile bootstrap by participant). "
        "A structure that the prediction lacks, or that it alone has, has Dice and NSD 0.",
        f"{MEAN_OVER_STRUCTURES.capitalize()}: mean ± standard deviation of the structures' means, without composites.",
    ]
    if comparison is not None and len(comparison):
        for (one, other), pair in comparison.groupby(["one", "other"], sort=False):
            sentences.append(
                f"{one} - {other}: {pair['design'].iloc[0]} cases, p values after Benjamini-Hochberg for "
                f"all {pair['hypotheses'].iloc[0]} tests of comparison.csv."
            )
    notes = [note for note in summary["note"].drop_duplicates() if note]
    return [*sentences, *(f"{note[0].upper()}{note[1:]}." for note in notes)]


def _title(metric: str) -> str:
    known = METRICS[metric]
    return known.title if known.unit == "1" else f"{known.title} ({known.unit})"


def _readable(structure: str) -> str:
    return structure.replace("_", " ")


def _number_of_cases(structure: str, row: "pd.Series[float]") -> str:
    if math.isnan(row["n"]):
        return _NOTHING
    words = f"{int(row['n'])}"
    absent = [
        f"{int(row[name])} {meaning}"
        for name, meaning in (("n_missed", "missed"), ("n_invented", "in the prediction alone"))
        if row[name] and structure != MEAN_OVER_STRUCTURES  # there it counts structures of cases, not cases
    ]
    return f"{words} ({', '.join(absent)})" if absent else words


def _with_interval(value: float, sd: float | None, low: float, high: float, metric: str) -> str:
    digits = 3 if METRICS[metric].unit == "1" else 1
    if math.isnan(value):
        return _NOTHING
    value, low, high = (round(each, digits) + 0.0 for each in (value, low, high))  # no -0.000
    words = f"{value:.{digits}f}"
    if sd is not None and not math.isnan(sd):
        words += f" ± {sd:.{digits}f}"
    return words if math.isnan(low) else f"{words} ({low:.{digits}f} to {high:.{digits}f})"


def _p_value(p: float) -> str:
    if math.isnan(p):
        return _NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _cell(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())
