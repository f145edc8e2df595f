"""Reads a file of covariates: values of each participant and session, as text or as what they are."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from dixonflow.analyse.covariate_columns import participant_column, session_column, value_columns
from dixonflow.config.cohort import COVARIATES, CovariatesConfig
from dixonflow.errors import ConfigError

ID, SESSION = "participant_id", "session_id"

_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", ".", "<NA>")


def read_covariate_file(
    section: CovariatesConfig, sessions: Iterable[str]
) -> tuple[pd.DataFrame, dict[str, str], bool]:
    """Read all rows of the file for some sessions.

    Parameters
    ----------
    section
        The file and its columns.
    sessions
        Sessions of the scans.

    Returns
    -------
    rows
        Text or null: participant_id as in the file, session_id, and each of `COVARIATES`; those without a column are
        null.
    columns
        Columns that were read, by `<session> <covariate>`.
    has_sessions
        Whether each row of the file is of one session.

    Raises
    ------
    ConfigError
        If the file cannot be read, or its columns are not clear.
    """
    path = section.file
    names = _names(path)
    participant, session = participant_column(names, section), session_column(names, section)
    wanted = {each: value_columns(names, section, each) for each in sorted(set(sessions))}
    used = {participant, *([session] if session else []), *(name for of in wanted.values() for name in of.values())}
    if twice := sorted(name for name in used if names.count(name) > 1):
        raise ConfigError(f"the file of covariates {path} has the column {twice[0]} twice")
    content = _content(path, [name for name in names if name in used])
    ids = content[participant].map(_as_id)
    parts = []
    for each, columns in wanted.items():
        rows = pd.DataFrame({ID: ids, SESSION: each}, dtype=object).reindex(columns=[ID, SESSION, *COVARIATES])
        for covariate, column in columns.items():
            rows[covariate] = content[column]
        parts.append(rows[content[session].map(_as_id).eq(each)] if session else rows)
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[ID, SESSION, *COVARIATES])
    columns = {f"{each} {name}": column for each, of in wanted.items() for name, column in of.items()}
    return rows, columns, session is not None


def _as_id(text: object) -> str | None:
    """An id as text: numbers that a program has written with a fraction of zero lose that."""
    if not isinstance(text, str):
        return None
    return re.sub(r"(?<=[0-9])\.0+$", "", text.strip('"').strip()) or None


def _unreadable(path: Path, error: Exception) -> ConfigError:
    """What to do; not what is in the file."""
    if isinstance(error, OSError) and error.strerror:
        return ConfigError(f"the file of covariates {path} cannot be read: {error.strerror}")
    if path.suffix == ".parquet":
        return ConfigError(f"the file of covariates {path} cannot be read: it is no Parquet file, or a damaged one")
    return ConfigError(
        f"the file of covariates {path} cannot be read: it must be text in UTF-8, with as many columns in every line "
        "as in the first"
    )


def _names(path: Path) -> list[str]:
    try:
        if path.suffix == ".parquet":
            return list(pq.read_schema(path).names)
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file, delimiter=_delimiter(path)), [])
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _delimiter(path: Path) -> str:
    """Tab, semicolon or comma: whichever the first line has most."""
    with path.open(encoding="utf-8-sig") as file:
        first = file.readline()
    return max("\t;,", key=first.count)


def _content(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            table = pq.read_table(path, columns=columns)
            texts = {name: table[name].cast(pa.string()) for name in columns}
            rows = pd.DataFrame({name: text.to_pandas() for name, text in texts.items()}, dtype=object)
        else:
            delimiter = _delimiter(path)
            text = pa_csv.ConvertOptions(include_columns=columns, column_types=dict.fromkeys(columns, pa.string()))
            parsed = pa_csv.read_csv(path, parse_options=pa_csv.ParseOptions(delimiter=delimiter), convert_options=text)
            rows = parsed.to_pandas().astype(object)
            if delimiter == ";":  # as spreadsheets write it where the comma is the decimal mark
                rows = rows.map(lambda text: re.sub(r"^(-?[0-9]+),([0-9]+)$", r"\1.\2", text))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    stripped = rows.map(lambda text: text.strip() if isinstance(text, str) else None)
    plain: pd.DataFrame = stripped.where(~stripped.isin(_MISSING), None)
    return plain
