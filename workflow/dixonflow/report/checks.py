"""The quality checks as the report shows them: verdicts of each check, and the scans to look at with the reasons."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from dixonflow.report.contact_sheet import sheet_name
from dixonflow.report.figures import number
from dixonflow.tables.shards import SCAN_KEYS, SHARD_KEYS
from dixonflow.vocabulary import Grade, ScanId, ScanSequence, Status

MOST_NAMED = 10
"""Structures that are named of one check of a scan; the table has them all."""
_SEVERITY = {Grade.FAIL.value: 0, Grade.REVIEW.value: 1, Grade.PASS.value: 2}


def read_verdicts(path: Path) -> pd.DataFrame:
    """Read check, structure, model, value, threshold and grade of the table `quality`; words as categories.

    Raises
    ------
    ValueError
        If it holds a grade that this version does not know.
    """
    words = ["check", "structure", "model", "grade"]
    # 8 million rows of a large cohort: as categories they take a tenth of the memory
    rows: pd.DataFrame = pq.read_table(path, columns=[*words, "value", "threshold"], read_dictionary=words).to_pandas()
    unknown = sorted(set(rows["grade"].unique()) - set(Grade))
    if unknown:
        raise ValueError(f"table quality holds unknown grades: {', '.join(unknown)}")
    return rows


def read_objections(path: Path) -> pd.DataFrame:
    """Read the rows of the table `quality` that did not pass."""
    wanted = [("grade", "!=", Grade.PASS.value)]
    return pd.read_parquet(path, filters=wanted, dtype_backend="pyarrow")


def name_models(quality: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Where there are several models, have the checks bear the name of theirs: `structures_found of <model>`."""
    if len(models) < 2:
        return quality
    # over the few different names, not over millions of rows
    pairs = quality[["check", "model"]].drop_duplicates()
    names = {(check, model): f"{check} of {model}" for check, model in pairs.itertuples(index=False)}
    keys = pd.MultiIndex.from_frame(quality[["check", "model"]].astype(object))
    return quality.assign(check=pd.Categorical(keys.map(names)))


def _scan(row: Mapping[Hashable, Any]) -> ScanId:
    return ScanId(row["participant_id"], row["session_id"], ScanSequence(row["sequence"]))


def add_pictures(scans: pd.DataFrame, pictures: Iterable[str], quality: pd.DataFrame) -> pd.DataFrame:
    """Add to the scans: `scan` (text), `sheet` (file name of the picture or empty), `grade`, `checks`, `objections`.

    The grade of a scan is the worst of its checks, `checks` names those that did not pass, with the structures where
    they are of structures, and `objections` is their number, each structure counted.

    Parameters
    ----------
    scans
        The table.
    quality
        Rows of the table `quality`, with or without those that passed.
    pictures
        Names of the files in the folder of contact sheets.
    """
    there = set(pictures)
    shown = scans.copy()
    participant, session = (shown[key].fillna("unknown").astype(str) for key in SHARD_KEYS)
    other = shown["sequence"].where(~shown["sequence"].isin(["", ScanSequence.DIXON.value]), "")
    shown["scan"] = participant + ", session " + session + other.where(other.eq(""), ", " + other)
    sheets = []
    for row in shown[[*SCAN_KEYS, "raw_key", "status"]].to_dict("records"):
        named = row["status"] == Status.OK.value and not pd.isna(row["raw_key"])
        name = sheet_name(_scan(row), row["raw_key"]) if named else ""
        sheets.append(name if name in there else "")
    shown["sheet"] = sheets
    worst = quality[quality["grade"] != Grade.PASS.value].copy()
    worst["severity"] = worst["grade"].map(_SEVERITY)
    worst = worst.sort_values([*SCAN_KEYS, "severity", "check", "structure"])
    by_check = worst.groupby([*SCAN_KEYS, "severity", "check"], sort=False)
    named = by_check.agg(grade=("grade", "first"), objections=("check", "size"), structures=("structure", _named))
    named = named.reset_index()
    named["checks"] = named["check"].astype(str).str.replace("_", " ") + named["structures"]
    listed = named.groupby(SCAN_KEYS, sort=False).agg(
        grade=("grade", "first"), checks=("checks", ", ".join), objections=("objections", "sum")
    )
    shown = shown.merge(listed.reset_index(), on=SCAN_KEYS, how="left")
    shown["grade"] = shown["grade"].fillna(Grade.PASS.value).where(shown["status"] == Status.OK.value, "")
    shown["checks"] = shown["checks"].fillna("")
    shown["objections"] = shown["objections"].fillna(0).astype(int)
    return shown


def _named(structures: "pd.Series[str]") -> str:
    """Structures for a person, in brackets; nothing where the check was of the whole scan."""
    names = [str(name).replace("_", " ") for name in structures if name]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f" ({', '.join(names[:MOST_NAMED])}{more})" if names else ""


def check_counts(quality: pd.DataFrame, by: str = "check") -> list[dict[str, Any]]:
    """Verdicts of each check, or by another column, those with most objections first."""
    rows = []
    for check, group in quality.groupby(by, observed=True):
        grades = group["grade"].value_counts()
        values = group["value"].dropna().to_numpy(dtype=float)
        thresholds = sorted(set(group["threshold"].dropna().tolist()))
        bounds = [number(bound) for bound in thresholds]
        rows.append(
            {
                "check": str(check).replace("_", " "),
                **{grade.value: int(grades.get(grade.value, 0)) for grade in Grade},
                "no_value": int(group["value"].isna().sum()),
                "median": number(float(np.median(values))) if values.size else "-",
                "range": f"{number(values.min())} to {number(values.max())}" if values.size else "-",
                "threshold": (" / ".join(bounds) if len(bounds) < 3 else f"{bounds[0]} to {bounds[-1]}") or "-",
            }
        )
    return sorted(rows, key=lambda row: (-row["fail"], -row["review"], row["check"]))
