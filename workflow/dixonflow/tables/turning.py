"""Rows that come scan by scan and are wanted structure by structure, turned on disk: memory holds one structure."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dixonflow.tables.columns import Table
from dixonflow.tables.schema import arrow_schema
from dixonflow.tables.shards import SCAN_KEYS


class Turning:
    """Takes the rows of some scans after those of others, and gives all rows in the order of the table's keys.

    They lie in one file for each value of the first key in between.
    """

    def __init__(self, folder: Path, table: Table, stack: ExitStack) -> None:
        self._folder = folder
        self._table = table
        self._stack = stack
        self._writers: dict[str, pq.ParquetWriter] = {}

    def add(self, rows: pa.Table) -> None:
        """Take the rows of further scans, sorted by the keys of the table.

        They are all of their scans, which come after those before them.
        """
        runs = pc.run_end_encode(rows[self._table.keys[0]].combine_chunks())
        start = 0
        for value, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            self._writer(value).write_table(rows.slice(start, end - start))
            start = end

    def turned(self) -> Iterator[pa.Table]:
        """Give the rows, those with one value of the first key at a time. No more can be added."""
        self._stack.close()
        order = [(key, "ascending") for key in self._table.keys if key not in SCAN_KEYS]
        for value in sorted(self._writers):
            # a stable sort: the scans keep the order in which they came
            yield pq.read_table(self._path(value)).sort_by(order)

    def _writer(self, value: str) -> pq.ParquetWriter:
        if value not in self._writers:
            writer = pq.ParquetWriter(self._path(value), arrow_schema(self._table), compression="zstd")
            self._writers[value] = self._stack.enter_context(writer)
        return self._writers[value]

    def _path(self, value: str) -> Path:
        return self._folder / f"{value}.parquet"


@contextmanager
def turning(path: Path, table: Table) -> Iterator[Turning]:
    """Turn the rows of `table`, in a hidden folder beside `path` that goes at the end.

    It takes as much room as the table. What a killed process left of it goes first.
    """
    folder = path.parent / f".{path.name}.turning"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with ExitStack() as stack:
            yield Turning(folder, table, stack)
    finally:
        shutil.rmtree(folder)
