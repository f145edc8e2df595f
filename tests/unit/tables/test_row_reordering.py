"""Rows that come scan by scan, turned to those of one structure after another."""

import shutil
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_rows import long_rows, sorted_long

from dixonflow.tables.measurements import MEASUREMENTS
from dixonflow.tables.parquet import read_table, table_writer
from dixonflow.tables.row_reordering import row_reordering
from dixonflow.tables.schema import TableError

PAIRS = [("liver", "fat_fraction"), ("liver", "volume"), ("spleen", "volume")]
SCANS = [(participant, session) for participant in ("01", "1", "10", "2") for session in ("2", "3")]


def rows_of(scans: list[tuple[str, str]]):
    """Rows of some scans for two models, of which one lacks the spleen; each has a value of its own."""
    content = {
        (*scan, model): {
            pair: (100 * place + 10 * SCANS.index(scan) + number) / 1000
            for number, pair in enumerate(PAIRS[: 3 - place])
        }
        for scan in scans
        for place, model in enumerate(("demo", "other"))
    }
    return sorted_long(long_rows(content))


@settings(deadline=None, max_examples=20)
@given(st.sets(st.integers(1, len(SCANS) - 1)), st.integers(1, 40))
def test_however_the_scans_come_the_rows_are_those_sorted_at_once(
    tmp_path_factory: pytest.TempPathFactory, cuts: set[int], rows_at_once: int
) -> None:
    path = tmp_path_factory.mktemp("turned") / "measurements.parquet"
    with (
        patch("dixonflow.tables.row_reordering.ROW_GROUP_ROWS", rows_at_once),
        row_reordering(path, MEASUREMENTS) as turned,
        table_writer(path, MEASUREMENTS) as writer,
    ):
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(SCANS)], strict=True):
            turned.add(rows_of(SCANS[start:end]))
        pieces = list(turned.turned())
        assert all(1 <= piece.num_rows <= rows_at_once for piece in pieces)
        assert all(len(piece["structure"].unique()) == 1 for piece in pieces)
        for piece in pieces:
            writer.write(piece)
    assert read_table(path, MEASUREMENTS).equals(rows_of(SCANS))
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_scans_out_of_order_are_refused_not_mixed_up(tmp_path: Path) -> None:
    path = tmp_path / "measurements.parquet"
    with (
        pytest.raises(TableError, match="not sorted"),
        row_reordering(path, MEASUREMENTS) as turned,
        table_writer(path, MEASUREMENTS) as writer,
    ):
        turned.add(rows_of(SCANS[4:]))
        turned.add(rows_of(SCANS[:4]))
        for piece in turned.turned():
            writer.write(piece)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    path = tmp_path / "measurements.parquet"
    with row_reordering(path, MEASUREMENTS) as turned:
        turned.add(rows_of(SCANS))
        (folder,) = tmp_path.iterdir()
        shutil.copytree(folder, tmp_path / "as it was")
    assert folder.name.startswith(".")  # no listing takes it for a result
    (tmp_path / "as it was").rename(folder)
    with row_reordering(path, MEASUREMENTS) as turned:
        assert not list(folder.iterdir())
        turned.add(rows_of(SCANS[:1]))
        assert sum(piece.num_rows for piece in turned.turned()) == 5
    assert not list(tmp_path.iterdir())
