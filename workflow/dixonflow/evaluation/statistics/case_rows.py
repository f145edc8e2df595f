"""The rows that statistics are made of, one per system, case and structure, and what is refused of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dixonflow.errors import DixonflowError

MEAN_OVER_STRUCTURES = "mean over structures"
"""Takes the place of a structure in rows about all structures; composites do not enter it."""

_WORDS = ("system", "case", "participant_id", "structure", "presence")


class StatisticsError(DixonflowError):
    """Rows do not allow statistics. The message names columns and counts, never an id."""


class Presence(StrEnum):
    """Whether reference and prediction have a structure; the last but one: the prediction alone."""

    BOTH = auto()
    MISSED = auto()
    INVENTED = auto()
    NEITHER = auto()


@dataclass(frozen=True)
class Metric:
    """What is known of a metric.

    Attributes
    ----------
    title
        For tables and figures.
    unit
        Of its values; 1 is a ratio.
    minimum, maximum
        Bounds that no value can be beyond.
    """

    title: str
    unit: str
    minimum: float = -np.inf
    maximum: float = np.inf


METRICS = {
    "dice": Metric("Dice", "1", 0, 1),
    "nsd": Metric("NSD", "1", 0, 1),
    "hd95_mm": Metric("HD95", "mm", 0),
    "under_fraction": Metric("under-segmentation", "1", 0, 1),
    "over_fraction": Metric("over-segmentation", "1", 0),
    "volume_error_ml": Metric("volume error", "mL"),
    "volume_error_percent": Metric("volume error", "%", -100),
}
"""Metrics by the name of their column."""


def checked_rows(rows: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Check rows and return them with metrics as float, NaN where a metric is not defined.

    Parameters
    ----------
    rows
        One row per system, case and structure: `system`, `case`, `participant_id`, `structure`, `composite`,
        `presence` and the metrics.
    metrics
        Columns of `METRICS` that are used.

    Raises
    ------
    StatisticsError
        If there are no rows or metrics, columns are missing, ids are missing or not text, a system has the same case
        and structure twice, values are no numbers, infinite or impossible, presence and metrics contradict each other,
        a case has several participants, or a structure is a composite in some rows only.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown or not metrics:
        raise StatisticsError(f"metrics must be some of {', '.join(METRICS)}, not {', '.join(unknown) or 'none'}")
    missing = sorted({*_WORDS, "composite", *metrics} - set(rows.columns))
    if missing:
        raise StatisticsError(f"rows of cases lack columns: {', '.join(missing)}")
    if rows.empty:
        raise StatisticsError("there are no cases to summarise")
    checked = rows.reset_index(drop=True).copy()
    for name in _WORDS:
        _check_words(checked[name], name)
    if not checked["composite"].map(lambda each: isinstance(each, bool | np.bool_)).all():
        raise StatisticsError("column composite must be true or false in every row")
    checked["composite"] = checked["composite"].astype(bool)
    _check_keys(checked)
    for name in metrics:
        checked[name] = _numbers(checked[name], name)
    _check_presence(checked, metrics)
    checked.loc[checked["presence"].eq(Presence.NEITHER), list(metrics)] = np.nan  # nothing to judge
    return checked


def _check_words(values: "pd.Series[str]", name: str) -> None:
    wrong = sum(not isinstance(each, str) or not each.strip() for each in values)
    if wrong:
        raise StatisticsError(f"column {name} must be text in every row; {wrong} of {len(values)} rows are not")


def _check_keys(rows: pd.DataFrame) -> None:
    repeated = int(rows.duplicated(["system", "case", "structure"]).sum())
    if repeated:
        raise StatisticsError(f"{repeated} rows repeat a system, case and structure: give each once")
    if rows["structure"].eq(MEAN_OVER_STRUCTURES).any():
        raise StatisticsError(f"no structure can be called {MEAN_OVER_STRUCTURES!r}")
    for key, value in (("case", "participant_id"), ("structure", "composite")):
        several = int(rows.groupby(key)[value].nunique().gt(1).sum())
        if several:
            raise StatisticsError(f"{several} values of {key} have more than one {value}")
    unknown = sorted(set(rows["presence"]) - set(Presence))
    if unknown:
        raise StatisticsError(f"column presence must be one of {', '.join(Presence)}, not {unknown[0]!r}")


def _numbers(values: "pd.Series[float]", name: str) -> "pd.Series[float]":
    if values.dtype == bool or not (pd.api.types.is_numeric_dtype(values.dtype) or values.dtype == object):
        raise StatisticsError(f"column {name} does not hold numbers")
    try:
        numbers = values.astype("Float64").astype(float)
    except (TypeError, ValueError) as error:
        raise StatisticsError(f"column {name} does not hold numbers") from error
    metric = METRICS[name]
    if np.isinf(numbers).any():
        raise StatisticsError(f"column {name} has {int(np.isinf(numbers).sum())} infinite values: make them null")
    # the bounds are exact for what is counted; a quotient may be off by its last digit
    beyond = int(((numbers < metric.minimum - 1e-9) | (numbers > metric.maximum + 1e-9)).sum())
    if beyond:
        raise StatisticsError(
            f"column {name} has {beyond} values that are not within {metric.minimum:g} to {metric.maximum:g}"
        )
    return numbers


def _check_presence(rows: pd.DataFrame, metrics: Sequence[str]) -> None:
    both, neither = rows["presence"].eq(Presence.BOTH), rows["presence"].eq(Presence.NEITHER)
    one = ~both & ~neither
    for name in metrics:
        values = rows[name]
        wrong = neither & values.notna() & values.ne(0)
        if name == "dice":
            wrong |= (one & values.ne(0)) | (both & values.isna()) | (neither & values.notna())
        elif name == "nsd":
            # zeros of what one map lacks, without the values of what both have, would be a mean of 0
            measured = values.notna().groupby(rows["system"]).transform("any")
            wrong |= (one & values.notna() & values.ne(0)) | (both & values.isna() & measured)
        elif name == "hd95_mm":
            wrong |= ~both & values.notna()
        if wrong.any():
            raise StatisticsError(f"columns presence and {name} contradict each other in {int(wrong.sum())} rows")


@dataclass(frozen=True)
class CaseValues:
    """The metrics of one system as a matrix.

    Attributes
    ----------
    values
        Shape (cases, columns); NaN where a metric is not defined.
    columns
        Structure and metric of each column.
    cases, participants
        Name and participant of each case.
    """

    values: NDArray[np.float64]
    columns: list[tuple[str, str]]
    cases: list[str]
    participants: list[str]


def case_values(rows: pd.DataFrame, structures: Sequence[str], metrics: Sequence[str]) -> CaseValues:
    """Arrange the checked rows of one system; cases in order of their names, columns by structure, then metric."""
    cases = rows.drop_duplicates("case").sort_values("case")
    names = cases["case"].tolist()
    parts = [
        rows.pivot(index="case", columns="structure", values=metric).reindex(index=names, columns=list(structures))
        for metric in metrics
    ]
    stacked = np.stack([part.to_numpy(float) for part in parts], axis=2)
    columns = [(structure, metric) for structure in structures for metric in metrics]
    return CaseValues(
        stacked.reshape(len(names), len(columns)), columns, names, [str(each) for each in cases["participant_id"]]
    )


def participant_means(values: NDArray[np.float64], participants: Sequence[str]) -> pd.DataFrame:
    """One row per participant in order of ids: the mean of its cases, per column; NaN where none has a value."""
    return pd.DataFrame(values).groupby(np.asarray(participants, dtype=object)).mean()
