"""The quality checks as the report shows them: verdicts of each check, and the scans to look at with the reasons."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.report.contact_sheet import sheet_name
from dixonflow.report.figures import number
from dixonflow.tables.shards import SCAN_KEYS, SHARD_KEYS
from dixonflow.vocabulary import Grade, ScanId, ScanSequence, Status

MOST_NAMED, MOST_NUMBERED = 10, 2
"""Structures that are named of one check of a scan, and those with their values; the table has them all."""

REVIEW_PORT = 8650
"""Port of this machine at which `dixonflow review` shows its page, and at which links in the report lead to it."""

SEVERITY = {Grade.FAIL.value: 0, Grade.REVIEW.value: 1, Grade.PASS.value: 2}
"""Rank of each grade, the worst first."""

_LEAST_ROOM, _NO_ROOM = 0.05, 1e-6  # of a threshold, and at all, that counts as the distance of the usual value from it


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


def read_objections(path: Path, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Read the rows of the table `quality` that did not pass and ask for a look, the worst of each scan first.

    Parameters
    ----------
    path
        The table.
    verdicts
        From `read_verdicts`, of all scans.

    Returns
    -------
    All columns, `severity`, and `excess`: how far the value is beyond its threshold, over the distance of the usual
    value (the median of the cohort) from it on the other side, which is comparable between checks of different units.
    """
    looks = [name for name, check in CHECKS.items() if check.asks_for_a_look]
    wanted = [("grade", "!=", Grade.PASS.value), ("check", "in", looks)]
    rows: pd.DataFrame = pd.read_parquet(path, filters=wanted, dtype_backend="pyarrow")
    of_check = ["check", "structure", "model"]
    known = verdicts[verdicts["check"].isin(rows["check"].unique())]
    usual = known.groupby(of_check, observed=True)["value"].median().rename("usual").reset_index()
    rows = rows.merge(usual.astype(dict.fromkeys(of_check, rows["check"].dtype)), how="left", on=of_check)
    value, threshold, median = (rows[name].astype(float).to_numpy() for name in ("value", "threshold", "usual"))
    room = np.maximum(np.abs(threshold - median), np.maximum(_LEAST_ROOM * np.abs(threshold), _NO_ROOM))
    rows["excess"] = np.nan_to_num(np.abs(value - threshold) / room, nan=np.inf)  # no value where there should be one
    rows["severity"] = rows["grade"].astype(str).map(SEVERITY)
    order = [*SCAN_KEYS, "severity", "excess", "check", "structure"]
    ascending = [True, True, True, True, False, True, True]
    return rows.drop(columns="usual").sort_values(order, ascending=ascending, ignore_index=True)


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


def add_pictures(scans: pd.DataFrame, pictures: Iterable[str], objections: pd.DataFrame) -> pd.DataFrame:
    """Add to the scans: `scan` (text), `sheet` (file name of the picture or empty), `key`, `grade`, `checks`, `excess`.

    The key is the scan's on the review page, empty where it has none. The grade is `scan_grade`, empty where there is
    none, `checks` names the checks that asked for a look, with values and with the structures where they are of
    structures, and `excess` is the largest of them.

    Parameters
    ----------
    scans
        The table.
    pictures
        Names of the files in the folder of contact sheets.
    objections
        From `read_objections`; checks may bear the name of their model.
    """
    there = set(pictures)
    shown = scans.copy()
    participant, session = (shown[key].fillna("unknown").astype(str) for key in SHARD_KEYS)
    other = shown["sequence"].where(~shown["sequence"].isin(["", ScanSequence.DIXON.value]), "")
    shown["scan"] = participant + ", session " + session + other.where(other.eq(""), ", " + other)
    sheets, keys = [], []
    for row in shown[[*SCAN_KEYS, "raw_key", "status"]].to_dict("records"):
        named = row["status"] == Status.OK.value and not pd.isna(row["raw_key"])
        name = sheet_name(_scan(row), row["raw_key"]) if named else ""
        sheets.append(name if name in there else "")
        keys.append(Path(name).stem)
    shown["sheet"], shown["key"] = sheets, keys
    by_check = objections.assign(said=pd.Series(_said(objections), objections.index)).groupby(
        [*SCAN_KEYS, "severity", "check"], sort=False
    )
    named = by_check.agg(
        said=("said", _joined), of_scan=("structure", lambda names: not any(names)), excess=("excess", "max")
    ).reset_index()
    texts = zip(named["check"].astype(str).str.replace("_", " "), named["said"], named["of_scan"], strict=True)
    named["checks"] = [f"{check} {words}" if of_scan else f"{check} ({words})" for check, words, of_scan in texts]
    listed = named.groupby(SCAN_KEYS, sort=False).agg(checks=("checks", ", ".join), excess=("excess", "max"))
    shown = shown.merge(listed.reset_index(), on=SCAN_KEYS, how="left")
    shown["grade"] = shown["scan_grade"].fillna("")
    shown["checks"] = shown["checks"].astype(object).fillna("")
    shown["excess"] = shown["excess"].fillna(0.0)
    return shown


def worst_first(scans: pd.DataFrame) -> pd.DataFrame:
    """Scans by how much is wrong: the verdict, values that failed, values to review, the largest excess."""
    order = ["grade", "values_failed", "values_to_review", "excess", *SCAN_KEYS]  # fail before review
    return scans.sort_values(order, ascending=[True, False, False, False, *(True for _ in SCAN_KEYS)])


def _said(objections: pd.DataFrame) -> list[tuple[str, str]]:
    """Structure of each objection, empty for the scan, and value and threshold, for a person."""
    said = []
    rows = objections[["check", "structure", "value", "threshold"]].itertuples(index=False, name=None)
    for check, structure, value, threshold in rows:
        side = CHECKS[str(check).partition(" of ")[0]].passes.replace("_", " ")
        text = "no value" if pd.isna(value) else number(float(value))
        limit = "" if pd.isna(threshold) else f", {side} {number(float(threshold))}"
        said.append((str(structure).replace("_", " "), text + limit))
    return said


def _joined(said: "pd.Series[Any]") -> str:
    """What is wrong with the structures of one check, or with the scan: the worst with their values, then names."""
    first = [f"{structure} {text}".strip() for structure, text in said[:MOST_NUMBERED]]
    names = [structure for structure, _ in said[MOST_NUMBERED:MOST_NAMED]]
    more = f" and {len(said) - MOST_NAMED} more" if len(said) > MOST_NAMED else ""
    return "; ".join(first) + "".join(f"; {name}" for name in names) + more


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
