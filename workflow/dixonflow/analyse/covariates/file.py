"""Reads a file of covariates: values of each participant and session, as text or as what they are."""

import csv
from collections.abc import Collection, Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from dixonflow.analyse.covariates.columns import none_known, participant_column, session_column, value_columns
from dixonflow.config.cohort import COVARIATES, CovariatesConfig, whole_number
from dixonflow.errors import ConfigError

ID, SESSION, ROW = "participant_id", "session_id", "row"

_MISSING = ("", "na", "n/a", "nan", "null", ".", "<na>")
"""What stands for no value, in small letters (n/a is that of BIDS)."""


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
        Text or null: participant_id as in the file, without `sub-`; session_id; each of `COVARIATES`, null without a
        column; and `row`, the number of the row in the file. A file without sessions has each row for each session.
        Rows of other sessions have the session of the file, which is null if it says none, and no values.
    columns
        Columns that were read, by `<session> <covariate>`.
    has_sessions
        Whether each row of the file is of one session.

    Raises
    ------
    ConfigError
        If the file cannot be read, or its columns are not clear, or it has no column of a covariate for any session.
    """
    path = section.file
    written = _names(path)
    names = [name.strip() for name in written]
    participant, session = participant_column(names, section), session_column(names, section)
    wanted = {each: value_columns(names, section, each) for each in sorted(set(sessions))}
    if wanted and not any(wanted.values()):
        raise none_known(section, list(wanted))
    used = {participant, *([session] if session else []), *(name for of in wanted.values() for name in of.values())}
    if twice := sorted(name for name in used if names.count(name) > 1):
        raise ConfigError(f"the file of covariates {path} has the column {twice[0]} twice")
    read = {as_written: name for as_written, name in zip(written, names, strict=True) if name in used}
    content = _content(path, list(read)).rename(columns=read)
    keys = pd.DataFrame({ROW: range(len(content)), ID: content[participant].map(lambda text: _as_id(text, "sub-"))})
    keys[SESSION] = restored(content[session].map(lambda text: _as_id(text, "ses-")), wanted) if session else None
    keys = keys.reindex(columns=[ROW, ID, SESSION, *COVARIATES]).astype(dict.fromkeys(COVARIATES, object))
    parts = [keys[~keys[SESSION].isin(list(wanted))] if session or not wanted else keys[:0]]
    for each, columns in wanted.items():
        rows = keys.assign(**{covariate: content[column] for covariate, column in columns.items()})
        parts.append(rows[rows[SESSION].eq(each)] if session else rows.assign(**{SESSION: each}))
    columns = {f"{each} {name}": column for each, of in wanted.items() for name, column in of.items()}
    return pd.concat(parts, ignore_index=True), columns, session is not None


def restored(ids: "pd.Series[str]", known: Collection[str]) -> "pd.Series[str]":
    """Ids as `known` has them: a file of numbers has lost their leading zeros."""
    bare: dict[str, list[str]] = {}
    for each in known:
        bare.setdefault(each.lstrip("0"), []).append(each)
    sure = {short: full[0] for short, full in bare.items() if len(full) == 1}
    return ids.map(lambda text: text if text in known else sure.get(text, text))


def _as_id(text: object, prefix: str) -> str | None:
    """An id as the tables have it: BIDS writes a prefix before it, spreadsheets write numbers with a fraction."""
    if not isinstance(text, str):
        return None
    return whole_number(text.strip('"').strip()).removeprefix(prefix) or None


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
            form = pa_csv.ParseOptions(delimiter=_delimiter(path))
            text = pa_csv.ConvertOptions(include_columns=columns, column_types=dict.fromkeys(columns, pa.string()))
            parsed = pa_csv.read_csv(path, parse_options=form, convert_options=text)
            rows = parsed.to_pandas().astype(object)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    stripped = rows.map(lambda text: text.strip() if isinstance(text, str) else None)
    missing = stripped.map(lambda text: not isinstance(text, str) or text.lower() in _MISSING)
    plain: pd.DataFrame = stripped.where(~missing, None)
    return plain
