"""Parquet files of the tables: order, pieces, versions."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_rows import timing

from dixonflow.tables.definitions import TIMINGS
from dixonflow.tables.parquet import ROW_GROUP_ROWS, read_table, table_writer, write_table
from dixonflow.tables.schema import TableError, to_arrow


def test_rows_are_sorted_and_unique(tmp_path: Path) -> None:
    path = tmp_path / "timings.parquet"
    write_table(path, TIMINGS, pd.DataFrame([timing("10"), timing("9"), timing("010"), timing("10", "1")]))
    found = read_table(path, TIMINGS)
    assert list(zip(found["participant_id"].to_pylist(), found["session_id"].to_pylist(), strict=True)) == [
        ("010", "2"), ("10", "1"), ("10", "2"), ("9", "2"),
    ]  # fmt: skip
    with pytest.raises(TableError, match="1 rows have the keys of another row"):
        write_table(path, TIMINGS, pd.DataFrame([timing("9"), timing("10"), timing("9")]))


def test_pieces_must_come_in_order(tmp_path: Path) -> None:
    rows = to_arrow(pd.DataFrame([timing("1"), timing("2")]), TIMINGS)
    for second in (rows.slice(0, 1), rows.slice(1, 1)):
        with (
            pytest.raises(TableError, match=r"sorted|another row"),
            table_writer(tmp_path / "t.parquet", TIMINGS) as writer,
        ):
            writer.write(rows)
            writer.write(second)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_writer_left_goes_and_other_files_stay(tmp_path: Path) -> None:
    rows = pd.DataFrame([timing("1")])
    left, others = tmp_path / ".0123456789ab.t.parquet", {".0123456789ab.u.parquet", "u.parquet"}
    for name in (left.name, *others):
        (tmp_path / name).write_bytes(b"PAR1")
    write_table(tmp_path / "t.parquet", TIMINGS, rows)
    assert {path.name for path in tmp_path.iterdir()} == {"t.parquet", *others}


@settings(deadline=None, max_examples=4)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_bytes_do_not_depend_on_the_pieces(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    folder = tmp_path_factory.mktemp("pieces")
    frame = pd.DataFrame([timing(f"{number:04d}", seconds=number / 3) for number in range(sum(sizes))])
    rows = to_arrow(frame, TIMINGS)
    write_table(folder / "whole.parquet", TIMINGS, rows)
    with table_writer(folder / "pieces.parquet", TIMINGS) as writer:
        start = 0
        for size in sizes:
            writer.write(rows.slice(start, size))
            start += size
    assert (folder / "pieces.parquet").read_bytes() == (folder / "whole.parquet").read_bytes()


def test_row_groups_do_not_depend_on_the_pieces(tmp_path: Path) -> None:
    count = 2 * ROW_GROUP_ROWS + 5
    names = pa.array([f"{number:07d}" for number in range(count)])
    constant = {name: value for name, value in timing().items() if name != "participant_id"}
    columns = {"participant_id": names} | {name: pa.array([value] * count) for name, value in constant.items()}
    rows = pa.table(columns)
    write_table(tmp_path / "whole.parquet", TIMINGS, rows)
    with table_writer(tmp_path / "pieces.parquet", TIMINGS) as writer:
        for start in range(0, count, 100_000):
            writer.write(rows.slice(start, 100_000))
    assert (tmp_path / "pieces.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    metadata = pq.ParquetFile(tmp_path / "whole.parquet").metadata
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [
        ROW_GROUP_ROWS, ROW_GROUP_ROWS, 5,
    ]  # fmt: skip
    assert {metadata.row_group(0).column(number).compression for number in range(7)} == {"ZSTD"}


def test_empty_table_has_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "timings.parquet"
    write_table(path, TIMINGS, pd.DataFrame(columns=list(TIMINGS.names)))
    assert read_table(path, TIMINGS).num_rows == 0


def test_file_of_another_major_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "timings.parquet"
    write_table(path, TIMINGS, pd.DataFrame([timing()]))
    rows = pq.read_table(path)
    for version in (b"3.0", b"0.9", b"", b"x"):
        pq.write_table(rows.replace_schema_metadata(dict(rows.schema.metadata) | {b"schema_version": version}), path)
        with pytest.raises(TableError, match=f"schema version '{version.decode()}'"):
            read_table(path, TIMINGS)
    pq.write_table(rows.replace_schema_metadata(dict(rows.schema.metadata) | {b"schema_version": b"1.4"}), path)
    assert read_table(path, TIMINGS).equals(rows)
    with pytest.raises(TableError, match=r"1\.4"):
        read_table(path, replace(TIMINGS, since=2))
