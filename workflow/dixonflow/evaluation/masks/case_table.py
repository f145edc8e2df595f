"""A table of cases: where the reference, the prediction and the image of each are."""

import csv
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dixonflow.evaluation.masks.case_files import FoundCase, find_cases, identified, stem_of
from dixonflow.evaluation.masks.label_files import LabelFiles
from dixonflow.evaluation.masks.mapping import LabelMapping
from dixonflow.evaluation.masks.problem import EvaluationError
from dixonflow.evaluation.masks.text_table import text_table
from dixonflow.system.regular_file import read_regular
from dixonflow.vocabulary import ScanId, ScanSequence

MAX_TABLE_BYTES = 2**28

TABLE_ENDINGS = (".csv", ".tsv", ".parquet")

COLUMNS = ("case", "participant_id", "session_id", "sequence", "reference", "prediction", "image")


def is_case_table(path: Path) -> bool:
    """Whether a path names a table of cases."""
    return path.suffix.lower() in TABLE_ENDINGS


def has_predictions(path: Path) -> bool:
    """Whether a path is a table that names predictions. Raises EvaluationError if it is one that cannot be read."""
    return is_case_table(path) and "prediction" in _rows(path)


def read_case_table(path: Path, column: str, mapping: LabelMapping) -> list[FoundCase]:
    """Read the cases of a table.

    Parameters
    ----------
    path
        CSV, TSV or Parquet. Each row is named by `case`, or by `participant_id` and `session_id` (and `sequence`).
        Paths in it are absolute or start in its folder.
    column
        `reference` or `prediction`: which label maps are meant. A cell is a file, or a folder of masks.
    mapping
        Of the label maps.

    Raises
    ------
    EvaluationError
        If the table cannot be read, lacks a column, or names a case twice or not at all.
    """
    rows = _rows(path)
    if column not in rows:
        raise EvaluationError(f"the table {path} has no column {column}; it may have: {', '.join(COLUMNS)}")
    if "case" not in rows and not {"participant_id", "session_id"} <= set(rows):
        raise EvaluationError(f"the table {path} needs a column case, or participant_id and session_id")
    cases = []
    for number, row in enumerate(rows.to_dict("records"), start=2):
        case = _identified({str(key): str(value) for key, value in row.items()}, path, number)
        files, problem = _files(row[column], path, mapping)
        image = path.parent / row["image"] if row.get("image") else None
        cases.append(replace(case, files=files, problem=problem, image=image))
    twice = pd.Series([case.name for case in cases])
    if twice.duplicated().any():
        line = int(twice.duplicated().to_numpy().nonzero()[0][0]) + 2
        raise EvaluationError(f"the table {path} names the case of line {line} twice")
    return sorted(cases, key=lambda case: case.name)


def _identified(row: dict[str, str], path: Path, number: int) -> FoundCase:
    participant, session = row.get("participant_id", ""), row.get("session_id", "")
    participant, session = participant.removeprefix("sub-"), session.removeprefix("ses-")
    name = row.get("case", "")
    if not name and not (participant and session):
        raise EvaluationError(f"the table {path}: line {number} names no case")
    try:
        sequence = ScanSequence(row.get("sequence") or ScanSequence.DIXON)
        scan = ScanId(participant, session, sequence) if participant and session else None
    except ValueError as error:
        raise EvaluationError(f"the table {path}: line {number}: {error}") from error
    by_name = identified(name) if name else None
    if scan is None:
        scan = by_name.scan if by_name else None
    elif by_name and by_name.scan not in (None, scan):
        raise EvaluationError(f"the table {path}: line {number}: case names another scan than its ids")
    if by_name and participant and by_name.participant not in (by_name.name, participant):
        raise EvaluationError(f"the table {path}: line {number}: case names another participant than participant_id")
    if scan is not None:
        return FoundCase(scan.name, scan.participant, scan.session, scan)
    return FoundCase(name, participant or name, session)


def _files(cell: str, path: Path, mapping: LabelMapping) -> tuple[LabelFiles | None, str]:
    """Label map or masks that a cell names, or why there are none."""
    if not cell:
        return None, "the table names no file"
    place = path.parent / cell
    if place.is_dir():
        found = find_cases(place, mapping)
        if len(found) != 1:
            return None, f"its folder holds {len(found)} label maps, not one"
        return found[0].files, found[0].problem
    if not place.is_file():
        return None, "its file does not exist"
    if stem_of(place) == place.name:
        return None, "its file is no .nii or .nii.gz"
    return LabelFiles(mapping, place), ""


def _rows(path: Path) -> pd.DataFrame:
    """All cells as text without spaces around it, empty where there is nothing."""
    try:
        data = read_regular(path, MAX_TABLE_BYTES)
        if path.suffix.lower() == ".parquet":
            table = pq.read_table(pa.BufferReader(data))
            texts = {name: table[name].cast(pa.string()).to_pandas() for name in table.column_names if name in COLUMNS}
            rows = pd.DataFrame(texts, dtype=object)
        else:
            names, lines = text_table(data.decode("utf-8-sig"), f"the table {path}")
            rows = pd.DataFrame([cells for _, cells in lines], columns=names, dtype=object)
    except FileNotFoundError as error:
        raise EvaluationError(f"there is no table {path}") from error
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise EvaluationError(f"the table {path} cannot be read: {error}".splitlines()[0]) from error
    if rows.empty:
        raise EvaluationError(f"the table {path} has no rows")
    return rows.fillna("").map(str.strip)
