"""Parquet files of the tables: one way to write them, one way to read them.

zstd, sorted by the keys, plain types, nulls never NaN, unit and description in the metadata of every field. The bytes
depend on the rows alone: nothing of the time or the machine is written.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dixonflow.system.atomic import atomic_path, remove_leftovers
from dixonflow.tables import SCHEMA_VERSION
from dixonflow.tables.columns import Table
from dixonflow.tables.schema import (
    ARROW_TYPES,
    TableError,
    arrow_schema,
    check_order,
    check_rows,
    check_types,
    to_arrow,
)

ROW_GROUP_ROWS = 1 << 17
"""Rows of a row group: small enough to find the rows of a scan without reading much else."""


class TableWriter:
    """Takes the rows of one table in order, in pieces of any size, and checks them all before they are written.

    The row groups do not depend on how the rows were cut into pieces.
    """

    def __init__(self, writer: pq.ParquetWriter, table: Table) -> None:
        self._writer = writer
        self._table = table
        self._waiting = arrow_schema(table).empty_table()
        self._last = self._waiting

    def write(self, rows: pa.Table) -> None:
        """Append rows.

        Raises
        ------
        TableError
            If they break the definition of the table, or do not sort after the rows before them. What takes long is
            checked a row group at a time, so that the error may come with a later piece, or with `finish`.
        """
        if not rows.num_rows:
            return
        rows = check_types(rows, self._table)
        check_order(pa.concat_tables([self._last, rows]), self._table)
        self._last = rows.slice(rows.num_rows - 1)
        self._waiting = pa.concat_tables([self._waiting, rows])
        while self._waiting.num_rows >= ROW_GROUP_ROWS:
            self._flush(self._waiting.slice(0, ROW_GROUP_ROWS))
            self._waiting = self._waiting.slice(ROW_GROUP_ROWS)

    def finish(self) -> None:
        """Write what is waiting for a full row group."""
        self._flush(self._waiting)

    def _flush(self, rows: pa.Table) -> None:
        if rows.num_rows:
            # chunks are joined first: a page of the file would end where a piece ended
            rows = check_rows(rows.combine_chunks(), self._table)
        self._writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)


@contextmanager
def table_writer(path: Path, table: Table) -> Iterator[TableWriter]:
    """Open a Parquet file for a table. The file appears, whole, when the block ends without an error.

    What a killed writer left in its folder is removed: a half-written table can be as large as the table.
    """
    remove_leftovers(path)
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, arrow_schema(table), compression="zstd", version="2.6") as parquet,
    ):
        writer = TableWriter(parquet, table)
        yield writer
        writer.finish()


def write_table(path: Path, table: Table, rows: pd.DataFrame | pa.Table) -> None:
    """Sort rows by the keys of their table, check them and write them as a whole.

    Raises
    ------
    TableError
        If the rows break the definition of the table, or two rows have the same keys.
    """
    if isinstance(rows, pd.DataFrame):
        rows = to_arrow(rows, table)
    missing = sorted(set(table.keys) - set(rows.column_names))
    if missing:
        raise TableError(f"table {table.name}: missing columns: {', '.join(missing)}")
    rows = rows.sort_by([(key, "ascending") for key in table.keys])
    with table_writer(path, table) as writer:
        writer.write(rows)


def check_file(path: Path, table: Table, added: Sequence[str] = ()) -> None:
    """Check that a Parquet file holds this table, by its footer alone.

    Parameters
    ----------
    added
        Columns that files of earlier versions lack.

    Raises
    ------
    TableError
        If the file is missing, unreadable, of a major schema version with other content, or has other columns or types.
    """
    try:
        found: pa.Schema = pq.read_schema(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise TableError(f"table {table.name}: {path.name} cannot be read: {type(error).__name__}") from error
    metadata = {key.decode(): value.decode() for key, value in (found.metadata or {}).items() if key != b"ARROW:schema"}
    version = metadata.get("schema_version", "")
    if metadata.get("table") != table.name or _major(version) not in range(table.since, _major(SCHEMA_VERSION) + 1):
        raise TableError(f"table {table.name}: {path.name} is {metadata.get('table')!r}, schema version {version!r}")
    wanted = arrow_schema(table)
    wanted = pa.schema([field for field in wanted if field.name in found.names or field.name not in added])
    if not found.equals(wanted):
        raise TableError(f"table {table.name}: {path.name} does not match the table's definition")


def _major(version: str) -> int:
    """Major version of the schema; 0 for anything else."""
    first = version.split(".", maxsplit=1)[0]
    return int(first) if first.isdecimal() else 0


def read_table(path: Path, table: Table, added: Sequence[str] = ()) -> pa.Table:
    """Read a whole table and check its columns, types, missing values and order; the rest was checked on writing.

    Parameters
    ----------
    added
        Columns that files of earlier versions lack: they are read as null, or as empty text where null is not allowed.

    Raises
    ------
    TableError
        If the file is missing, unreadable, cut off, or not of this table.
    """
    check_file(path, table, added)
    try:
        rows = pq.read_table(path, memory_map=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise TableError(f"table {table.name}: {path.name} cannot be read: {type(error).__name__}") from error
    for column in table.columns:
        if column.name in added and column.name not in rows.column_names:
            missing = None if column.nullable else ""
            rows = rows.append_column(column.name, pa.array([missing] * rows.num_rows, ARROW_TYPES[column.type]))
    if added and set(rows.column_names) == set(table.names):
        rows = rows.select(table.names)
    rows = check_types(rows, table)
    check_order(rows, table)
    return rows


def read_whole(path: Path, columns: Sequence[str] | None = None, which: Any = None) -> pa.Table:
    """Read a Parquet file as it is, of whatever table; `read_table` checks that it is the table meant.

    Parameters
    ----------
    columns
        Names of the columns; all by default.
    which
        Filter, as `pyarrow.parquet.read_table` takes it.

    Raises
    ------
    TableError
        If the file cannot be read.
    """
    try:
        return pq.read_table(path, columns=None if columns is None else list(columns), filters=which)
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path} cannot be read: {type(error).__name__}") from error


def column_names(path: Path) -> list[str]:
    """Names of the columns of a Parquet file, of whatever table. Raises TableError."""
    try:
        return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path} cannot be read: {type(error).__name__}") from error


def read_pieces(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Read a Parquet file as `read_whole` does, a row group at a time: one piece without rows where there are none."""
    try:
        file = pq.ParquetFile(path)
        wanted = None if columns is None else [name for name in file.schema_arrow.names if name in columns]
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=wanted)
        if not file.num_row_groups:
            yield file.read(columns=wanted)
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path} cannot be read: {type(error).__name__}") from error
