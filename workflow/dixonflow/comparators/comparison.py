"""A comparator: label maps of another program for the scans of a run, compared with those of the run."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dixonflow.comparators.agreement import ScanTask, agreement_rows, lost_row
from dixonflow.comparators.agreement_table import AGREEMENT
from dixonflow.comparators.mining import GROUPS, faulty_rates, mined, thresholds
from dixonflow.comparators.scans import RunScans, still_valid
from dixonflow.evaluation.masks.problem import EvaluationError
from dixonflow.evaluation.masks.processes import results_of
from dixonflow.paths import Results
from dixonflow.ratings.judged import judge
from dixonflow.ratings.rating import Rating
from dixonflow.system.atomic import write_bytes
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.tables.schema import TableError, to_pandas

SCANS_AT_ONCE = 512
"""Scans after which what was compared is written down: a killed comparison begins there."""


@dataclass(frozen=True)
class ComparatorFiles:
    """Where what is known of a comparator lies.

    Attributes
    ----------
    folder
        results/comparators/<name>.
    """

    folder: Path

    @property
    def agreement(self) -> Path:
        """Rows of `AGREEMENT`."""
        return self.folder / "agreement.parquet"  # as Results.agreements finds it

    @property
    def summary(self) -> Path:
        """Thresholds of structures, and shares of faulty label maps."""
        return self.folder / "summary.csv"

    @property
    def listed(self) -> Path:
        """Scans and structures to look at, as `dixonflow review --list` takes them."""
        return self.folder / "disagreements.csv"


def comparator_files(results: Results, name: str) -> ComparatorFiles:
    """Give the files of a comparator. Raises EvaluationError unless its name is lower-case letters and digits."""
    if not re.fullmatch(r"[a-z0-9]{1,40}", name):
        raise EvaluationError(f"the name of a comparator has 1 to 40 lower-case letters and digits, not {name[:60]!r}")
    return ComparatorFiles(results.comparators / name)


def update_agreement(
    files: ComparatorFiles,
    scans: RunScans,
    *,
    jobs: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Compare the scans that were not compared before, or whose label maps are others since.

    Returns
    -------
    Rows of `AGREEMENT` of all scans, as they are written.

    Raises
    ------
    EvaluationError
        If what was compared before is damaged, or is of another model: it would be lost.
    """
    before = _before(files)
    others = sorted(set(before["model"]) - {task.model for task in scans.tasks})
    if others:
        raise EvaluationError(
            f"{files.folder} has the agreement with the model {others[0]}: give another name, or remove that folder"
        )
    kept, left = still_valid(before, scans)
    rows = kept
    for start in range(0, len(left), SCANS_AT_ONCE):
        part = left[start : start + SCANS_AT_ONCE]
        found = [each for task, own in results_of(agreement_rows, part, jobs) for each in own or [lost_row(task)]]
        rows = pd.concat([rows, pd.DataFrame(found, columns=list(AGREEMENT.names))], ignore_index=True)
        _write(files, rows)
        progress(start + len(part), len(left))
    if not left:
        _write(files, rows)
    return _before(files)


def write_findings(
    files: ComparatorFiles, agreement: pd.DataFrame, ratings: Iterable[Rating], scans: RunScans
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write which scans to look at, and what ratings say of them.

    Returns
    -------
    Both tables: those of `summary` and `listed`.
    """
    limits = thresholds(agreement)
    listed = mined(agreement, limits)
    rates = faulty_rates(agreement, listed, judge(ratings, scans.label_maps, lambda _: True))
    summary = limits
    for group in GROUPS:
        own = rates[rates["group"].eq(group)].drop(columns="group").set_index("structure").add_suffix(f"_{group}")
        summary = summary.merge(own.reset_index(), on="structure", how="left")
    counts = [f"{name}_{group}" for group in GROUPS for name in ("n", "n_rated", "n_faulty")]
    summary[counts] = summary[counts].fillna(0).astype(int)
    write_bytes(files.summary, summary.to_csv(index=False, lineterminator="\n").encode())
    write_bytes(files.listed, listed.to_csv(index=False, lineterminator="\n").encode())
    return summary, listed


def _before(files: ComparatorFiles) -> pd.DataFrame:
    if not files.agreement.exists():
        return pd.DataFrame(columns=list(AGREEMENT.names))
    try:
        return to_pandas(read_table(files.agreement, AGREEMENT))
    except TableError as error:
        raise EvaluationError(f"{files.agreement} is damaged: remove it and compare again ({error})") from error


def _write(files: ComparatorFiles, rows: pd.DataFrame) -> None:
    types = {"dice": "Float64", "run_ml": "Float64", "comparator_ml": "Float64", "outside_fraction": "Float64"}
    write_table(files.agreement, AGREEMENT, rows.astype(types | {"resampled": "boolean"}))


def scans_of(tasks: Sequence[ScanTask]) -> int:
    """How many of the scans the comparator has a label map of."""
    return sum(not isinstance(task.other, str) for task in tasks)
