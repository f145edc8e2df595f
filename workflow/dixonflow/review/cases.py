"""The scans of a run as the page lists them: each is a case, named by a key that does not tell whose it is."""

import csv
import hashlib
import secrets
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dixonflow.errors import DixonflowError
from dixonflow.paths import Results
from dixonflow.report.checks import SEVERITY, read_objections, read_verdicts
from dixonflow.report.contact_sheet import sheet_name
from dixonflow.report.contents import read_wide
from dixonflow.report.without_ids import masking
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import ScanId, ScanSequence, Status

_COLUMNS = (*SCAN_KEYS, "raw_key", "status", "reason", "message", "note", "scan_grade", "scan_grade_decided_by")
_COUNTS = ("values_failed", "values_to_review")
_OBJECTIONS = ("check", "structure", "model", "value", "threshold", "grade", "place", "excess")
_LARGEST_LIST = 50_000_000  # bytes, of a file that names scans


class ReviewError(DixonflowError):
    """The page cannot be shown as asked. The message says what to do."""


@dataclass(frozen=True)
class Case:
    """One scan on the page.

    Attributes
    ----------
    position
        Place in `Cases`, from 0.
    number
        What it is called where ids are not shown, from 1; the order of numbers tells nothing of ids. Scans whose raw
        data was not read have the last ones, since their keys are other ones at each start.
    key
        As in the name of its contact sheet: the same in every run on the same raw data, if that was read.
    """

    position: int
    number: int
    key: str
    scan: ScanId
    row: Mapping[Hashable, Any]

    @property
    def is_ok(self) -> bool:
        """Whether it was measured, so that there is a label map to judge."""
        return bool(self.row["status"] == Status.OK.value)

    @property
    def sheet(self) -> str:
        """File name of its contact sheet, which need not be there; empty for a scan whose raw data was not read."""
        return f"{self.key}.png" if self.row["raw_key"] else ""

    def name(self, *, with_ids: bool) -> str:
        """What the page calls it."""
        if not with_ids:
            return f"case {self.number}"
        sequence = self.scan.sequence
        other = "" if sequence is ScanSequence.DIXON else f", {sequence.value}"
        return f"{self.scan.participant}, session {self.scan.session}{other}"


class Cases:
    """All scans with ids that are not withdrawn.

    Attributes
    ----------
    scans
        One row per case.
    objections
        Checks that did not pass and ask for a look, with `case`, the position; the worst of each case first.
    unread
        Whether the raw data of each case was not read, so that its key is another one at each start.
    masked
        Takes ids out of messages where ids are not shown.
    """

    def __init__(self, scans: pd.DataFrame, objections: pd.DataFrame, masked: Callable[[str], str] = str) -> None:
        self.scans, self.objections, self.masked = scans, objections, masked
        self._places = {key: place for place, key in enumerate(scans["key"])}
        keys = np.array(scans["key"], dtype=str)
        self.numbers = np.empty(len(keys), np.int64)
        self.unread = scans["raw_key"].eq("").to_numpy(bool)
        self.numbers[np.lexsort((keys, self.unread))] = np.arange(1, len(keys) + 1)
        self._starts = np.searchsorted(objections["case"].to_numpy(), np.arange(len(keys) + 1))

    def __len__(self) -> int:
        return len(self.scans)

    def at(self, position: int) -> Case:
        """Give the case at a position. Raises IndexError where there is none."""
        if not 0 <= position < len(self):
            raise IndexError(position)
        row = self.scans.iloc[position].to_dict()
        scan = ScanId(row["participant_id"], row["session_id"], ScanSequence(row["sequence"]))
        return Case(position, int(self.numbers[position]), row["key"], scan, row)

    def find(self, key: str) -> Case | None:
        """Find a case by its key; None where there is none."""
        return self.at(self._places[key]) if key in self._places else None

    def objections_to(self, case: Case) -> pd.DataFrame:
        """Rows of `objections` of one case, the worst first."""
        return self.objections.iloc[self._starts[case.position] : self._starts[case.position + 1]]

    @cached_property
    def places_of_scans(self) -> dict[ScanId, int]:
        """Position of each scan."""
        rows = self.scans[list(SCAN_KEYS)].itertuples(index=False, name=None)
        return {
            ScanId(person, session, ScanSequence(word)): place for place, (person, session, word) in enumerate(rows)
        }

    @cached_property
    def worst_first(self) -> NDArray[np.int64]:
        """Positions by how much is wrong: the grade, values that failed, values to review, the largest excess."""
        excess = np.zeros(len(self))
        np.maximum.at(excess, self.objections["case"].to_numpy(), self.objections["excess"].to_numpy(float))
        failed, review = (self.scans[name].to_numpy(float) for name in _COUNTS)
        grade = self.scans["scan_grade"].map(SEVERITY).fillna(3).to_numpy(int)
        return np.lexsort((np.arange(len(self)), -excess, -review, -failed, grade))


def read_cases(results: Results, listed: Collection[ScanId] | None = None, *, with_ids: bool = True) -> Cases:
    """Read the cases of a run, no more of its tables than the page needs.

    Parameters
    ----------
    listed
        Scans to show; all where it is None.
    with_ids
        Whether the cases are in the order of the table, which is that of ids; else in that of their numbers.

    Raises
    ------
    ReviewError
        If there are no tables yet, or none of the scans is on the list.
    """
    quality = results.tables / "quality.parquet"
    for path in (results.scan_table, quality):
        if not path.is_file():
            raise ReviewError(f"there is no table {path.stem} in {results.tables}: run the pipeline first")
    try:
        scans = read_wide(results.scan_table, [*_COLUMNS, *_COUNTS, "source"])
        objections = read_objections(quality, read_verdicts(quality))
    except (OSError, ValueError) as error:
        raise ReviewError(f"the tables in {results.tables} cannot be read, run dixonflow aggregate: {error}") from error
    masked = str if with_ids else masking(scans)
    scans = scans.drop(columns="source")
    named = scans["participant_id"].notna() & scans["session_id"].notna() & scans["sequence"].ne("")
    scans = scans[named & scans["status"].ne(Status.WITHDRAWN.value)].reset_index(drop=True)
    texts = [*_COLUMNS]
    scans[texts] = scans[texts].astype(object).where(scans[texts].notna(), "")
    scans[list(_COUNTS)] = scans[list(_COUNTS)].astype(float).fillna(0.0)
    if listed is not None:
        rows = scans[list(SCAN_KEYS)].itertuples(index=False, name=None)
        wanted = {(scan.participant, scan.session, scan.sequence.value) for scan in listed}
        scans = scans[[row in wanted for row in rows]].reset_index(drop=True)
        if scans.empty:
            raise ReviewError("none of the scans on the list is in the tables of this run")
    scans["key"] = _keys(scans)
    if not with_ids:
        order = np.lexsort((scans["key"].to_numpy(str), scans["raw_key"].eq("")))
        scans = scans.iloc[order].reset_index(drop=True)
    places = scans[list(SCAN_KEYS)].assign(case=np.arange(len(scans)))
    objections[list(SCAN_KEYS)] = objections[list(SCAN_KEYS)].astype(object)
    objections = objections.merge(places, on=list(SCAN_KEYS), how="inner")
    objections = objections.sort_values("case", kind="stable", ignore_index=True)
    words = ["check", "structure", "model", "grade", "place"]
    objections[words] = objections[words].astype("category")
    return Cases(scans, objections[["case", *_OBJECTIONS]], masked)


def _keys(scans: pd.DataFrame) -> list[str]:
    """Key of each case; of scans whose raw data was not read, which cannot be judged, one that holds until the end."""
    secret = secrets.token_hex(16)
    keys = []
    for person, session, word, raw_key in scans[[*SCAN_KEYS, "raw_key"]].itertuples(index=False, name=None):
        scan = ScanId(person, session, ScanSequence(word))
        unread = hashlib.sha256(f"{secret}\n{scan.name}".encode()).hexdigest()[:20]
        keys.append(Path(sheet_name(scan, raw_key)).stem if raw_key else unread)
    return keys


def read_list(path: Path) -> list[ScanId]:
    """Read the scans that a CSV file names, columns participant_id, session_id and, where it has one, sequence.

    Raises
    ------
    ReviewError
        If it cannot be read, lacks a column, or a line names no scan. The message names the line, not the id.
    """
    try:
        if path.stat().st_size > _LARGEST_LIST:
            raise ReviewError(f"{path} is too large for a list of scans")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            lacking = {"participant_id", "session_id"} - set(reader.fieldnames or ())
            if lacking:
                raise ReviewError(f"{path} has no column {' and no column '.join(sorted(lacking))}")
            return [_listed(row, f"{path}: line {reader.line_num}") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReviewError(f"the list {path} cannot be read: {error}") from error


def _listed(row: Mapping[str, Any], where: str) -> ScanId:
    sequence = (row.get("sequence") or ScanSequence.DIXON.value).strip()
    try:
        return ScanId((row["participant_id"] or "").strip(), (row["session_id"] or "").strip(), ScanSequence(sequence))
    except ValueError as error:
        raise ReviewError(
            f"{where} names no scan: ids are letters and digits, sequences those of the tables"
        ) from error
