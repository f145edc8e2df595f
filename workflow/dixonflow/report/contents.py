"""What the report says, computed from the tables alone: counts, exclusions, distributions, timings."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dixonflow.errors import DixonflowError
from dixonflow.report.figures import STRIP_MOST, Mark, distribution, far_out, nice_range, number
from dixonflow.tables.shards import SHARD_KEYS
from dixonflow.tables.wide import sequence_of_table
from dixonflow.vocabulary import Grade, Reason, Stage, Status

COVERAGE = "coverage_fraction"


class ReportError(DixonflowError):
    """What the report is made from is missing or damaged. The message names it."""


@dataclass(frozen=True)
class ReasonCount:
    """Scans that are not ok for one reason."""

    status: str
    reason: str
    description: str
    stages: str
    scans: int


@dataclass(frozen=True)
class Panel:
    """The distribution of one column.

    Attributes
    ----------
    known
        Scans with a value.
    missing
        Scans without one, by reason, for a person; empty where there are none.
    cut
        Scans whose structure is cut by the field of view, as the column's coverage says.
    graded
        Scans whose value is to be reviewed or not to be used, for a person; empty where there are none.
    """

    title: str
    unit: str
    known: int
    missing: str
    cut: int
    graded: str
    median: str
    middle_half: str
    far_out: int
    svg: str


@dataclass(frozen=True)
class TableFile:
    """One table as it lies on disk."""

    name: str
    file: str
    description: str
    rows: int
    columns: int
    megabytes: float
    schema_version: str


def read_wide(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table with Arrow-backed strings and nullable numbers: ids stay strings, nulls stay nulls."""
    return pd.read_parquet(path, columns=columns, dtype_backend="pyarrow")


def table_names(wide: Iterable[str]) -> list[str]:
    """Names of all tables of a run with these wide ones."""
    return ["scans", "timings", "measurements", *wide, "quality", "dictionary"]


def table_files(folder: Path, names: Iterable[str]) -> list[TableFile]:
    """List tables with what their files say about themselves, from the footers alone.

    Raises
    ------
    ReportError
        Naming the tables that are missing.
    """
    names = list(names)
    missing = [name for name in names if not (folder / f"{name}.parquet").is_file()]
    if missing:
        raise ReportError(f"the report needs the tables {', '.join(missing)} in {folder}")
    found = []
    for name in names:
        path = folder / f"{name}.parquet"
        footer = pq.ParquetFile(path)
        words = {key.decode(): value.decode() for key, value in (footer.schema_arrow.metadata or {}).items()}
        found.append(
            TableFile(
                name=name,
                file=path.name,
                description=words.get("description", ""),
                rows=footer.metadata.num_rows,
                columns=len(footer.schema_arrow),
                megabytes=path.stat().st_size / 1e6,
                schema_version=words.get("schema_version", ""),
            )
        )
    return found


def models_of(path: Path) -> list[str]:
    """Names of the models in the measurements, without reading more than that column, piece by piece."""
    names: set[str] = set()
    for batch in pq.ParquetFile(path, read_dictionary=["model"]).iter_batches(columns=["model"]):
        names.update(name for name in batch.column("model").unique().to_pylist() if name is not None)
    return sorted(names)


def reason_counts(scans: pd.DataFrame) -> list[ReasonCount]:
    """Count scans that are not ok by status and reason, most first. An unknown reason raises ValueError."""
    order = {status.value: place for place, status in enumerate((Status.EXCLUDED, Status.FAILED, Status.WITHDRAWN))}
    rows = []
    for (status, reason), group in scans[scans["status"] != Status.OK.value].groupby(["status", "reason"]):
        stages = [stage.value for stage in Stage if (group["last_stage"] == stage.value).any()]
        text = Reason(str(reason)).description
        rows.append(ReasonCount(str(status), str(reason), text, ", ".join(stages), len(group)))
    return sorted(rows, key=lambda row: (order[row.status], -row.scans, row.reason))


def failures_by_stage(scans: pd.DataFrame) -> list[dict[str, Any]]:
    """Failed scans at every stage in order, with the reasons; stages without failures are listed with 0."""
    failed = scans[scans["status"] == Status.FAILED.value]
    rows = []
    for stage in Stage:
        here = failed.loc[failed["last_stage"] == stage.value, "reason"].value_counts()
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in here.items())
        rows.append({"stage": stage.value, "scans": int(here.sum()), "reasons": reasons})
    return rows


def stage_times(timings: pd.DataFrame) -> list[dict[str, Any]]:
    """Seconds, memory and GPU seconds per stage."""
    total = float(timings["seconds"].sum()) or 1.0
    rows = []
    for stage in Stage:
        group = timings[timings["stage"] == stage.value]
        if group.empty:
            continue
        seconds = group["seconds"].dropna().to_numpy(dtype=float)
        rows.append(
            {
                "stage": stage.value,
                "scans": len(group),
                "median": number(float(np.median(seconds))) if seconds.size else "-",
                "p95": number(float(np.percentile(seconds, 95))) if seconds.size else "-",
                "hours": number(float(seconds.sum()) / 3600),
                "share": float(seconds.sum()) / total,
                "gpu": number(float(group["gpu_seconds"].median())),
                "memory": number(float(group["peak_memory_mb"].max())),
            }
        )
    return rows


def panels(path: Path, scans: pd.DataFrame, links: Mapping[str, str]) -> list[Panel]:
    """Distributions of the numeric columns of a wide table, in the order of the file; empty columns are left out.

    Parameters
    ----------
    path
        Table with one row per scan, whose fields carry their unit in the metadata.
    scans
        From `add_pictures`.
    links
        Page-relative link of each picture's file name.
    """
    fields = [
        (field.name, (field.metadata or {}).get(b"unit", b"").decode())
        for field in pq.read_schema(path)
        if str(field.type) == "double" and not field.name.endswith(COVERAGE)
    ]
    of_sequence = scans["sequence"].eq(sequence_of_table(path.stem).value)
    ok = scans.loc[(scans["status"] == Status.OK.value) & of_sequence, [*SHARD_KEYS, "scan", "sheet"]]
    wide = read_wide(path).merge(ok, on=SHARD_KEYS, how="inner", validate="one_to_one")
    names, sheets = (wide[key].to_numpy(dtype=object) for key in ("scan", "sheet"))
    columns = {name: wide[name].to_numpy(dtype=float, na_value=np.nan) for name, _ in fields}
    axes = _shared_axes(columns)
    result = []
    for name, unit in fields:
        known = np.flatnonzero(np.isfinite(columns[name]))
        values = columns[name][known]
        if values.size == 0:
            continue
        outside = far_out(values)
        drawn = known if values.size <= STRIP_MOST else known[outside]
        marks = [Mark(float(columns[name][row]), names[row], links.get(sheets[row])) for row in drawn]
        low, median, high = np.percentile(values, [25, 50, 75]).tolist()
        title, stem = readable(name, unit), name.removesuffix("_ml")
        result.append(
            Panel(
                title=title,
                unit="" if unit == "1" else unit,
                known=values.size,
                missing=_missing(wide, f"{stem}_missing_reason"),
                cut=_cut(wide, name),
                graded=_graded(wide, f"{stem}_grade"),
                median=number(median),
                middle_half=f"{number(low)} to {number(high)}",
                far_out=len(outside),
                svg=distribution(values, axes[_pair(name)], marks, title),
            )
        )
    return result


def _missing(wide: pd.DataFrame, column: str) -> str:
    """Count scans without a value by reason, for example `3 without a value (not found 2, too thin 1)`."""
    counts = _counts(wide, column)
    listed = ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in counts.items())
    return f"{sum(counts.values()):,} without a value ({listed})" if counts else ""


def _graded(wide: pd.DataFrame, column: str) -> str:
    """Count values that are not simply good, for example `2 to review, 1 failed`."""
    counts = _counts(wide, column)
    words = {Grade.REVIEW.value: "to review", Grade.FAIL.value: "failed"}
    return ", ".join(f"{counts[grade]:,} {word}" for grade, word in words.items() if grade in counts)


def _counts(wide: pd.DataFrame, column: str) -> dict[str, int]:
    """How often each word stands in a column; nulls, and a column that is not there, count nothing."""
    return Counter(wide[column].dropna().tolist()) if column in wide else Counter()


def _cut(wide: pd.DataFrame, column: str) -> int:
    """Count scans whose coverage is below 1, for a column of volumes; 0 where the table has no coverage for it."""
    name = f"{column.removesuffix('_volume_ml')}_{COVERAGE}"
    return int((wide[name] < 1).fillna(False).sum()) if name in wide else 0


def _pair(column: str) -> str:
    return re.sub(r"_(left|right)(?=_|$)", "", column)


def _shared_axes(columns: Mapping[str, NDArray[np.float64]]) -> dict[str, tuple[float, float]]:
    """One range for a column, and for the left and the right of a pair together."""
    ends: dict[str, list[float]] = {}
    for name, column in columns.items():
        values = column[np.isfinite(column)]
        if values.size:
            ends.setdefault(_pair(name), []).extend((float(values.min()), float(values.max())))
    return {name: nice_range(min(values), max(values)) for name, values in ends.items()}


def readable(column: str, unit: str) -> str:
    """Title of a panel: the column's name without its unit."""
    name = column.removesuffix("_ml") if unit == "mL" else column
    name = name.removesuffix("_volume")
    return name.replace("_", " ")
