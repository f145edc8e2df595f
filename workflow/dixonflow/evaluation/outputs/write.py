"""What an evaluation writes into its folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from dixonflow.evaluation.outputs.box_plots import write_box_plots
from dixonflow.evaluation.outputs.case_pictures import ChosenCase, case_numbers, plain_name
from dixonflow.evaluation.outputs.definitions import BY_AGE, BY_SEX, CASES, COMPARISON, SUMMARY
from dixonflow.evaluation.outputs.tables import as_markdown, legend, paper_table
from dixonflow.evaluation.statistics.case_rows import METRICS, StatisticsError, checked_rows
from dixonflow.evaluation.statistics.multiple_testing import with_corrections
from dixonflow.system.atomic import write_bytes
from dixonflow.tables.columns import Table
from dixonflow.tables.parquet import write_table

PICTURES = "pictures"
"""Folder of the pictures of cases."""

OWN = (
    *(
        f"{table.name}.{ending}"
        for table in (CASES, SUMMARY, COMPARISON, BY_SEX, BY_AGE)
        for ending in ("parquet", "csv")
    ),
    *("table.csv", "table.md", "box_plot_*.svg", "box_plot_*.png", f"{PICTURES}/*_case_[0-9][0-9][0-9][0-9][0-9].png"),
)
"""Files of an evaluation, and no others: what else a folder holds is the user's."""


def write_evaluation(
    folder: Path,
    rows: pd.DataFrame,
    summary: pd.DataFrame,
    comparisons: Sequence[pd.DataFrame] = (),
    *,
    of_sex: pd.DataFrame | None = None,
    of_age: pd.DataFrame | None = None,
    pictures: Mapping[ChosenCase, bytes] | None = None,
) -> list[Path]:
    """Write an evaluation: every file whole or not at all; files of an earlier one that are not written again go.

    Parameters
    ----------
    folder
        Made if need be.
    rows
        As `checked_rows` takes them, with all columns of the table `cases` but `case_number`, and no other.
    summary, comparisons, of_sex, of_age
        Of `summarise`, `compare_systems` (one per pair of systems), `by_sex` and `by_age`.
    pictures
        PNGs by `case_picture`.

    Returns
    -------
    list of Path
        What was written: `cases.parquet`, `summary.parquet` and `.csv`, `comparison.parquet` and `.csv`,
        `by_sex` and `by_age` likewise, `table.csv`, `table.md`, `box_plot_<metric>.svg` and `.png`, `pictures/*.png`.

    Raises
    ------
    StatisticsError
        As `checked_rows`, or if two systems or structures have names that become one in file names.
    TableError
        If rows are not those of their tables.
    OSError
        If a file cannot be written.
    """
    checked = checked_rows(rows, [metric for metric in METRICS if metric in rows])
    _check_names(checked)
    comparison = with_corrections(pd.concat(comparisons, ignore_index=True)) if comparisons else None
    text = paper_table(summary, comparison)
    numbers = case_numbers(rows)
    written = [_parquet(folder, CASES, rows.assign(case_number=rows["case"].map(numbers)))]
    for table, content in ((SUMMARY, summary), (COMPARISON, comparison), (BY_SEX, of_sex), (BY_AGE, of_age)):
        if content is not None:
            written += [_parquet(folder, table, content), _csv(folder / f"{table.name}.csv", content)]
    written.append(_csv(folder / "table.csv", text))
    page = "\n".join([as_markdown(text), *(f"{line}\n" for line in legend(summary, comparison))])
    write_bytes(folder / "table.md", page.encode())
    written.append(folder / "table.md")
    written += write_box_plots(checked, folder, [name for name in ("dice", "nsd", "hd95_mm") if name in checked])
    for chosen, picture in (pictures or {}).items():
        path = folder / PICTURES / chosen.file_name
        write_bytes(path, picture)
        written.append(path)
    for path in {path for pattern in OWN for path in folder.glob(pattern)} - set(written):
        path.unlink()
    return written


def _check_names(rows: pd.DataFrame) -> None:
    for column in ("system", "structure"):
        names = rows[column].drop_duplicates()
        same = names[names.map(lambda name: plain_name(name).casefold()).duplicated(keep=False)]
        if len(same):
            raise StatisticsError(f"names of a {column} that become one in file names: {', '.join(sorted(same))}")


def _parquet(folder: Path, table: Table, rows: pd.DataFrame) -> Path:
    path = folder / f"{table.name}.parquet"
    write_table(path, table, rows)
    return path


def _csv(path: Path, rows: pd.DataFrame) -> Path:
    write_bytes(path, rows.to_csv(index=False, lineterminator="\n").encode())
    return path
