"""Rows that come scan by scan and are wanted structure by structure, turned on disk: memory holds one structure."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dixonflow.tables.columns import ColumnType, Table
from dixonflow.tables.parquet import ROW_GROUP_ROWS
from dixonflow.tables.schema import arrow_schema
from dixonflow.tables.shards import SCAN_KEYS


class RowReordering:
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
        """Give the rows, at most a row group at a time. No more can be added."""
        self._stack.close()
        texts = [column.name for column in self._table.columns if column.type is ColumnType.STRING]
        for value in sorted(self._writers):
            # texts as numbers, and few rows at a time as texts: else it takes longer a row the more rows there are
            rows = pq.read_table(self._path(value), read_dictionary=texts).unify_dictionaries().combine_chunks()
            order = self._order(rows)
            for start in range(0, len(order), ROW_GROUP_ROWS):
                yield rows.take(order[start : start + ROW_GROUP_ROWS]).cast(arrow_schema(self._table))

    def _order(self, rows: pa.Table) -> npt.NDArray[np.int64]:
        """Places of the rows in the order of the keys; the scans keep the order in which they came.

        The sort is stable, and that of small numbers takes time in proportion to the rows.
        """
        ranks = []
        for key in self._table.keys:
            if key not in SCAN_KEYS:
                column = rows[key].combine_chunks()
                rank = pc.rank(column.dictionary).to_numpy()
                ranks.append(rank.astype(np.min_scalar_type(len(rank)))[column.indices.to_numpy()])
        return np.lexsort(ranks[::-1])

    def _writer(self, value: str) -> pq.ParquetWriter:
        if value not in self._writers:
            writer = pq.ParquetWriter(self._path(value), arrow_schema(self._table), compression="zstd")
            self._writers[value] = self._stack.enter_context(writer)
        return self._writers[value]

    def _path(self, value: str) -> Path:
        return self._folder / f"{value}.parquet"


@contextmanager
def row_reordering(path: Path, table: Table) -> Iterator[RowReordering]:
    """Turn the rows of `table`, in a hidden folder next to `path` that is removed at the end.

    It takes as much room as the table. What a killed process left of it goes first.
    """
    folder = path.parent / f".{path.name}.turning"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with ExitStack() as stack:
            yield RowReordering(folder, table, stack)
    finally:
        shutil.rmtree(folder)
