"""What an evaluation against masks writes: statistics and figures, the list of cases, and what was not compared."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dixonflow import __version__
from dixonflow.evaluation.masks.all_cases import COMPARED, LEFT_OUT, Evaluation
from dixonflow.evaluation.masks.problem import EvaluationError
from dixonflow.evaluation.masks.shared_regions import NotComparedReason
from dixonflow.evaluation.outputs.case_pictures import ChosenCase
from dixonflow.evaluation.outputs.write import OWN, write_evaluation
from dixonflow.evaluation.statistics.case_rows import METRICS
from dixonflow.evaluation.statistics.comparison import compare_systems
from dixonflow.evaluation.statistics.covariates import by_age, by_sex
from dixonflow.evaluation.statistics.summary import summarise
from dixonflow.system.atomic import write_bytes, write_json
from dixonflow.tables.columns import Column, ColumnType, Table, text_column
from dixonflow.tables.parquet import write_table

CASE_LIST = Table(
    "case_list",
    "One row per case and system, whatever became of it.",
    ("case", "system"),
    (
        text_column("case", "Name of the case"),
        text_column("participant_id", "Participant; null where the case has no reference", nullable=True),
        text_column("session_id", "Session; null if unknown", nullable=True),
        text_column("system", "System that made the prediction"),
        text_column("status", "What became of the case", allowed=(COMPARED, LEFT_OUT)),
        text_column("reason", "Why it was left out; empty where it was compared"),
        text_column(
            "grid",
            "Grid of the prediction as it was read; null if left out",
            "same: that of the reference; resampled: another one, moved to the reference's by nearest neighbour",
            nullable=True,
            allowed=("same", "resampled"),
        ),
        Column(
            "outside_percent",
            ColumnType.DOUBLE,
            "Share of the reference's labels outside the prediction's field of view; null if left out",
            "%",
            "they count as missed",
            nullable=True,
            minimum=0,
            maximum=100,
        ),
        text_column(
            "mistaken",
            "Structures of the prediction that lie where the reference has another one; null if left out",
            "their Dice with that one is above 0.5 and above that with their own: a mapping, labels or sides are wrong",
            nullable=True,
        ),
    ),
)

NOT_COMPARED = Table(
    "not_compared",
    "One row per structure that was not compared, and reason.",
    ("structure", "system", "reason", "detail"),
    (
        text_column("structure", "Structure of the reference or a prediction"),
        text_column("system", "Systems that have it or lack it; empty where it is the same for all"),
        text_column("reason", "Why it was not compared", allowed=NotComparedReason),
        text_column("detail", "The same for a person"),
        Column("cases", ColumnType.INT64, "Cases for which it is so", minimum=1),
    ),
)


SETTINGS = "evaluation.json"
"""Its presence says that a folder is one of an evaluation, finished or not."""


def check_folder(folder: Path) -> None:
    """Refuse a folder with files of the same names that are of no evaluation: they would be lost.

    Raises
    ------
    EvaluationError
        If there is one.
    """
    if (folder / SETTINGS).exists():
        return
    own = (*OWN, *(f"{table.name}.{ending}" for table in (CASE_LIST, NOT_COMPARED) for ending in ("parquet", "csv")))
    foreign = [path.name for pattern in own for path in sorted(folder.glob(pattern))]
    if foreign:
        raise EvaluationError(
            f"{folder} has a file {foreign[0]} that is of no evaluation and would be replaced: give another --output"
        )


def write_all(
    folder: Path,
    evaluation: Evaluation,
    settings: Mapping[str, Any],
    *,
    covariates: pd.DataFrame | None = None,
    pictures: Mapping[ChosenCase, bytes] | None = None,
    draws: int = 10_000,
) -> list[Path]:
    """Write an evaluation.

    Parameters
    ----------
    folder
        Where to.
    evaluation
        Of `evaluate_all`. The first of its systems is compared with each of the others.
    settings
        What was compared and how, for `evaluation.json`.
    covariates
        `participant_id`, `session_id`, `sex` and `age_years`; None for no statistics by sex and age.
    pictures
        Of `draw_cases`.
    draws
        Of the bootstrap.

    Raises
    ------
    DixonflowError
        If the rows do not allow statistics, or as `check_folder`.
    OSError
        If a file cannot be written.
    """
    rows = evaluation.rows
    metrics = [name for name in METRICS if rows[name].notna().any()] or ["dice"]
    first, *others = rows["system"].drop_duplicates().tolist()
    summary = summarise(rows, metrics, draws=draws)
    pairs = [compare_systems(rows, first, other, metrics, draws=draws) for other in others]
    of_sex = of_age = None
    if covariates is not None:
        same_key = rows.assign(session_id=rows["session_id"].fillna(""))
        of_sex, of_age = (function(same_key, covariates, metrics) for function in (by_sex, by_age))
    check_folder(folder)
    path = folder / SETTINGS
    write_json(path, {"version": __version__, "cases": "not finished", **settings})  # a rerun may replace what follows
    written = write_evaluation(folder, rows, summary, pairs, of_sex=of_sex, of_age=of_age, pictures=pictures)
    for table, content in ((CASE_LIST, evaluation.cases), (NOT_COMPARED, evaluation.not_compared)):
        write_table(folder / f"{table.name}.parquet", table, content)
        write_bytes(folder / f"{table.name}.csv", content.to_csv(index=False, lineterminator="\n").encode())
        written += [folder / f"{table.name}.{ending}" for ending in ("parquet", "csv")]
    write_json(path, {"version": __version__, "cases": evaluation.counts(), **settings})
    return [*written, path]


def headline(evaluation: Evaluation, systems: Sequence[str]) -> list[str]:
    """Mean Dice over structures of each system, for a first look."""
    rows = evaluation.rows[~evaluation.rows["composite"].astype(bool)]
    means = rows.groupby(["system", "structure"])["dice"].mean().groupby("system").mean()
    numbers = rows.dropna(subset=["dice"]).groupby("system")["structure"].nunique()
    known = [name for name in systems if name in numbers]
    return [f"{name}: mean Dice {means[name]:.3f} over {numbers[name]} structures" for name in known]
