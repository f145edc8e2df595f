"""Tables of one shard, whose scans are of one sequence, and those of all scans."""

from pathlib import Path

import pandas as pd
import pytest
from table_rows import long_rows

from dixonflow.tables.columns import Column, Table
from dixonflow.tables.definitions import QUALITY, SHARD_QUALITY
from dixonflow.tables.measurements import GRADED, MEASUREMENTS, SHARD_MEASUREMENTS
from dixonflow.tables.parquet import write_table
from dixonflow.tables.shards import in_scan_order


@pytest.mark.parametrize(
    ("shard", "final", "added"),
    [(SHARD_MEASUREMENTS, MEASUREMENTS, GRADED), (SHARD_QUALITY, QUALITY, ())],
    ids=["measurements", "quality"],
)
def test_the_table_of_a_shard_lacks_the_sequence_and_the_grades(
    shard: Table, final: Table, added: tuple[Column, ...]
) -> None:
    assert final.names[:3] == ("participant_id", "session_id", "sequence")
    assert tuple(column for column in final.columns if column.name != "sequence") == (*shard.columns, *added)
    assert tuple(key for key in final.keys if key != "sequence") == shard.keys
    assert final.keys.index("sequence") == final.keys.index("session_id") + 1
    assert (final.name, final.description) == (shard.name, shard.description)
    assert final.rules[: len(shard.rules)] == shard.rules


def test_rows_of_shards_get_the_sequence_of_their_scans(tmp_path: Path) -> None:
    rows = long_rows({("1", "2", "demo"): {("liver", "volume"): 1500.0}})[list(SHARD_MEASUREMENTS.names)]
    files = {shard: tmp_path / f"{shard}.parquet" for shard in ("aaa", "bbb")}
    for path in files.values():
        write_table(path, SHARD_MEASUREMENTS, rows)
    scans = pd.DataFrame(
        [("1", "2", "haste", "aaa"), ("1", "2", "dixon", "bbb")],
        columns=["participant_id", "session_id", "sequence", "shard"],
    )
    (found,) = in_scan_order(files, scans, MEASUREMENTS)
    assert found.column_names == [name for name in MEASUREMENTS.names if name not in {each.name for each in GRADED}]
    assert found["sequence"].to_pylist() == ["dixon", "haste"]
