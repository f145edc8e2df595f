"""What is exported: a table of a run with the labels of its columns, one row per scan or per participant."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from dixonflow.errors import ConfigError
from dixonflow.tables.parquet import read_whole

PARTICIPANT, SESSION = "participant_id", "session_id"
WRITTEN_BY_PEOPLE = ("comment",)
"""Columns of free text that somebody typed, who may have named a person."""

LINKING = (
    *("source", "raw_key", "shard", "message", "note", "content_key", "label_map_key", "rating_id"),
    *WRITTEN_BY_PEOPLE,
)
"""Columns that lead back to the ids that a bridge replaces: names of files, fingerprints, free text."""


@dataclass(frozen=True)
class Variable:
    """A column of an exported file.

    Attributes
    ----------
    name
        As in the table of the run, with the session at the end where each has a column of its own.
    label
        What it is.
    unit
        Unit of the values; empty for text and counts.
    """

    name: str
    label: str
    unit: str


@dataclass(frozen=True)
class Exported:
    """Rows to export.

    Attributes
    ----------
    name
        Name of the table.
    rows
        Text, numbers with nulls, or booleans.
    variables
        Its columns in order.
    """

    name: str
    rows: pd.DataFrame
    variables: tuple[Variable, ...]


def read_source(tables: Path, name: str) -> Exported:
    """Read a table of a run.

    Raises
    ------
    ConfigError
        If it is not there.
    TableError
        If it is damaged.
    """
    path = tables / f"{name}.parquet"
    if not path.exists():
        there = ", ".join(sorted(each.stem for each in tables.glob("*.parquet")))
        raise ConfigError(f"there is no table {name} in {tables}; there is {there or 'none'}")
    table = read_whole(path)
    variables = [
        Variable(field.name, _of(field, b"description") or field.name, _of(field, b"unit")) for field in table.schema
    ]
    columns = {field.name: _column(table[field.name]) for field in table.schema}
    return Exported(name, pd.DataFrame(columns), tuple(variables))


def _of(field: pa.Field, key: bytes) -> str:
    return ((field.metadata or {}).get(key) or b"").decode()


def _column(values: pa.ChunkedArray) -> pd.Series:
    """Text as objects with None; whole numbers and booleans as numbers with nulls."""
    if pa.types.is_floating(values.type):
        return pd.Series(values.to_numpy().astype(float))
    if pa.types.is_integer(values.type) or pa.types.is_boolean(values.type):
        return pd.Series(values.to_pylist(), dtype="Int64")
    return pd.Series(values.to_pylist(), dtype=object)


def is_text(column: pd.Series) -> bool:
    """Whether a column holds text; all others hold numbers."""
    return not pd.api.types.is_numeric_dtype(column)


def per_participant(source: Exported) -> Exported:
    """One row per participant: what differs between sessions has a column for each, ending in `_i<session>`.

    Raises
    ------
    ConfigError
        If the table has several rows per session of a participant: it is no wide table.
    """
    rows = source.rows
    if PARTICIPANT in rows:  # a file without an id is nobody's
        rows = rows[[isinstance(each, str) for each in rows[PARTICIPANT]]]
    if PARTICIPANT not in rows or SESSION not in rows or rows.duplicated([PARTICIPANT, SESSION]).any():
        raise ConfigError(f"table {source.name} has not one row per session: export it with one row per scan")
    sessions = sorted(rows[SESSION].unique())
    others = [each for each in source.variables if each.name not in (PARTICIPANT, SESSION)]
    ids = pd.Series(sorted(rows[PARTICIPANT].unique()), dtype=object)
    columns: dict[str, pd.Series] = {PARTICIPANT: ids}
    variables = [next(each for each in source.variables if each.name == PARTICIPANT)]
    for session in sessions:
        own = rows[rows[SESSION] == session].set_index(PARTICIPANT)
        for each in others:
            values = own[each.name].reindex(ids)
            columns[f"{each.name}_i{session}"] = values.reset_index(drop=True)
            variables.append(Variable(f"{each.name}_i{session}", f"{each.label} (session {session})", each.unit))
    return Exported(source.name, pd.DataFrame(columns), tuple(variables))


def bridged(source: Exported, bridge: Mapping[str, str]) -> tuple[Exported, int]:
    """Replace participants' ids by those of another application; rows without one are left out and counted."""
    if PARTICIPANT not in source.rows:
        raise ConfigError(f"table {source.name} has no participants")
    variables = tuple(each for each in source.variables if each.name not in LINKING)
    source = Exported(source.name, source.rows[[each.name for each in variables]], variables)
    ids = source.rows[PARTICIPANT].map(lambda own: bridge.get(own) if isinstance(own, str) else None)
    known = ids.notna()
    rows = source.rows.assign(**{PARTICIPANT: ids.astype(object)})[known].reset_index(drop=True)
    order = [PARTICIPANT, SESSION] if SESSION in rows else [PARTICIPANT]
    rows = rows.sort_values(order, kind="stable", ignore_index=True)  # the order of rows must not tell the old ids
    return Exported(source.name, rows, source.variables), int((~known).sum())


def read_bridge(path: Path) -> dict[str, str]:
    """Read a file of two columns, own id and that of the other application, comma, tab or blank between them.

    Raises
    ------
    ConfigError
        If it cannot be read, or an id stands in it twice on either side. The message names the line, not the id.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the bridge file {path} cannot be read: {type(error).__name__}") from error
    bridge: dict[str, str] = {}
    others: set[str] = set()
    for number, line in enumerate(lines, 1):
        words = [word.strip().strip('"') for word in line.replace("\t", ",").replace(";", ",").split(",")]
        words = line.split() if len(words) == 1 else words
        if not any(words):
            continue
        if len(words) != 2 or not all(word.isascii() and word.isalnum() for word in words):
            if number == 1:
                continue  # a heading
            raise ConfigError(f"{path}, line {number}: not two ids (letters and digits)")
        own, other = words
        if number == 1 and not any(character.isdigit() for character in line):
            continue
        if own in bridge or other in others:
            raise ConfigError(f"{path}, line {number}: an id that stood in an earlier line")
        bridge[own] = other
        others.add(other)
    return bridge
