"""The flow diagram of a cohort, from files over scans to values, without numbers of few people.

What is hidden stays so: no difference of published numbers, of this table or of those by group, gives it back.
"""

from collections import defaultdict
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dixonflow.analyse.disclosure import Hidden, hidden_names
from dixonflow.tables.definitions import FILE_COUNTS
from dixonflow.tables.parquet import read_pieces
from dixonflow.vocabulary import Grade, Status

KEPT = "analysed"
"""Outcome of a scan that is not lost."""

OF_SCANS = "scans of these files"
"""Step from which on scans are counted, not files."""

FAILED_GRADE = "failed a check of the whole scan"
UNKNOWN = "unknown"
_LEFT = "left after: "
_FILES_LEFT_OUT = "files left out"
_LEFT_OUT = {
    "n_files_superseded": "replaced by a later delivery",
    "n_files_repeated": "hold a scan or a part of it again",
}
_NUMBERS = ["n_files", "n_scans", "n_participants"]


def outcomes(scans: pd.DataFrame) -> pd.Series:
    """What became of each scan: `analysed`, or why it is lost."""
    status, reason = scans["status"].astype(str), scans["reason"].astype(str)
    failed_grade = status.eq(Status.OK.value) & scans["scan_grade"].astype(str).eq(Grade.FAIL.value)
    outcome = status + ": " + reason
    outcome = outcome.mask(status.eq(Status.OK.value), KEPT).mask(failed_grade, FAILED_GRADE)
    return outcome.mask(status.eq(Status.WITHDRAWN.value), Status.WITHDRAWN.value)


def hidden_outcomes(scans: pd.DataFrame, limit: int) -> Hidden:
    """Which reasons of lost scans are not shown one by one; those who have withdrawn apart, who are in no group."""
    lost = scans[~scans["outcome"].isin([KEPT, Status.WITHDRAWN.value])]
    return hidden_names({str(name): people_of(own) for name, own in lost.groupby("outcome")}, limit)


def people_of(scans: pd.DataFrame) -> frozenset[object]:
    """Participants; an entry whose name gives none stands for one."""
    known = scans["participant_id"].notna()
    return frozenset(scans.loc[known, "participant_id"]) | frozenset(scans.index[~known])


def flow(scans: pd.DataFrame, hidden: Hidden, limit: int) -> pd.DataFrame:
    """Steps of the flow: columns `step`, `reason`, `n_files`, `n_scans`, `n_participants`, `suppressed`.

    Parameters
    ----------
    scans
        Rows of the table `scans`, with the column `outcome`.
    hidden
        From `hidden_outcomes`.
    limit
        Smallest number of people that is shown.
    """
    withdrawn = scans["outcome"].eq(Status.WITHDRAWN.value)
    few_withdrawn = 0 < len(people_of(scans[withdrawn])) < limit
    rows = _files(scans, limit, few_withdrawn=few_withdrawn)
    rows.append(_row(OF_SCANS, "", scans, shown=not few_withdrawn))
    status, outcome = scans["status"].astype(str), scans["outcome"]
    steps = {
        Status.WITHDRAWN.value: withdrawn,
        Status.EXCLUDED.value: status.eq(Status.EXCLUDED.value),
        Status.FAILED.value: status.eq(Status.FAILED.value),
        FAILED_GRADE: outcome.eq(FAILED_GRADE),
    }
    left, passed = pd.Series(True, index=scans.index), set[str]()
    for step, lost in steps.items():
        for name in sorted(outcome[lost].unique()):
            shown = not few_withdrawn if step == Status.WITHDRAWN.value else name not in hidden.names
            rows.append(_row(step, name.removeprefix(f"{step}: "), scans[outcome.eq(name)], shown=shown))
        left &= ~lost
        passed |= set(outcome[lost]) & hidden.names
        # a difference of totals gives all hidden reasons together, or none
        shown = not passed or (passed == hidden.names and hidden.safe)
        rows.append(_row(f"{_LEFT}{step}", "", scans[left], shown=shown))
    found = pd.DataFrame(rows, columns=["step", "reason", *_NUMBERS]).astype(dict.fromkeys(_NUMBERS, "Int64"))
    return _without_few_people(found, limit)


_Row = tuple[str, str, object, object, object]


def _row(step: str, reason: str, scans: pd.DataFrame, *, shown: bool) -> _Row:
    return (step, reason, pd.NA, len(scans), scans["participant_id"].nunique()) if shown else _hidden(step, reason)


def _hidden(step: str, reason: str) -> _Row:
    return step, reason, pd.NA, pd.NA, pd.NA


def _files(scans: pd.DataFrame, limit: int, *, few_withdrawn: bool) -> list[_Row]:
    """Steps before there are scans; none for tables of earlier versions, which did not count files."""
    if not set(FILE_COUNTS) <= set(scans.columns):
        return []
    counts = scans[list(FILE_COUNTS)].apply(pd.to_numeric).astype("Int64")
    if counts.isna().any(axis=None):
        return []
    found = {words: scans[counts[name].gt(0)] for name, words in _LEFT_OUT.items()}
    hidden = hidden_names({words: people_of(own) for words, own in found.items() if len(own)}, limit)
    total, used = int(counts.sum(axis=None)), int(counts["n_files"].sum())
    # a scan often has one file: with few withdrawn or few left out, files less scans would give their number
    shown = not few_withdrawn and (not hidden.names or hidden.safe)
    rows: list[_Row] = [("files in the raw folders", "", total if shown else pd.NA, pd.NA, pd.NA)]
    for name, words in _LEFT_OUT.items():
        if words in hidden.names:
            rows.append(_hidden(_FILES_LEFT_OUT, words))
        elif number := int(counts[name].sum()):
            own = found[words]
            rows.append((_FILES_LEFT_OUT, words, number, len(own), own["participant_id"].nunique()))
    rows.append((f"{_LEFT}{_FILES_LEFT_OUT}", "", pd.NA if few_withdrawn else used, pd.NA, pd.NA))
    return rows


def _without_few_people(flow: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Hide numbers of participants whose difference to the one before is that of few, who have no other scan."""
    of_files = flow.index < flow["step"].tolist().index(OF_SCANS)
    totals = flow.loc[flow["reason"].eq("") & ~of_files, "n_participants"].dropna()
    before = 0
    for place, people in zip(totals.index, totals.tolist(), strict=True):
        if 0 < before - people < limit:
            flow.loc[place, "n_participants"] = pd.NA
        else:
            before = people
    missing = flow["n_participants"].isna() & ~of_files
    hidden_files = flow["n_files"].isna() & of_files
    return flow.assign(suppressed=missing | hidden_files)


def values(path: Path, limit: int) -> pd.DataFrame:
    """Count the values by outcome, a piece of the table at a time: columns `outcome`, `n_values`, `suppressed`.

    How many values there are in all is no secret: outcomes of few people are hidden together with further ones.
    """
    counts, people = defaultdict[str, int](int), defaultdict[str, set[object]](set)
    for piece in read_pieces(path, ["participant_id", "missing_reason", "grade"]):
        text = [piece[name].cast(pa.string()) for name in ("missing_reason", "grade")]
        table = pa.table({"outcome": pc.coalesce(*text, UNKNOWN), "participant": piece["participant_id"]})
        for row in table.group_by(["outcome", "participant"]).aggregate([([], "count_all")]).to_pylist():
            counts[row["outcome"]] += row["count_all"]
            people[row["outcome"]].add(row["participant"])
    hidden = hidden_names(people, limit)
    names = sorted(counts, key=lambda name: (-counts[name], name))
    return pd.DataFrame(
        {
            "outcome": names,
            "n_values": pd.array([pd.NA if name in hidden.names else counts[name] for name in names], "Int64"),
            "suppressed": [name in hidden.names for name in names],
        }
    )


def joined_levels(levels: pd.Series, scans: pd.DataFrame, limit: int) -> pd.Series:
    """Levels of a variable, those of few people as one with the next larger: its name has all of theirs."""
    people = {str(name): people_of(scans.loc[own.index]) for name, own in levels.groupby(levels)}
    few = hidden_names(people, limit).names
    return levels.mask(levels.isin(few), ", ".join(sorted(few)))
