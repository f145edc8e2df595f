"""Tables of one shard, whose scans are of one sequence, and those of all scans."""

from pathlib import Path

import pandas as pd
import pytest
from table_rows import long_rows

from dixonflow.tables.columns import Table
from dixonflow.tables.definitions import QUALITY, SHARD_QUALITY
from dixonflow.tables.measurements import MEASUREMENTS, SHARD_MEASUREMENTS
from dixonflow.tables.parquet import write_table
from dixonflow.tables.schema import arrow_schema, check_rows
from dixonflow.tables.shards import in_scan_order


@pytest.mark.parametrize(
    ("shard", "final"), [(SHARD_MEASUREMENTS, MEASUREMENTS), (SHARD_QUALITY, QUALITY)], ids=["measurements", "quality"]
)
def test_the_table_of_a_shard_lacks_the_sequence_and_nothing_else(shard: Table, final: Table) -> None:
    assert final.names[:3] == ("participant_id", "session_id", "sequence")
    assert tuple(column for column in final.columns if column.name != "sequence") == shard.columns
    assert tuple(key for key in final.keys if key != "sequence") == shard.keys
    assert final.keys.index("sequence") == final.keys.index("session_id") + 1
    assert (final.name, final.description, final.rules) == (shard.name, shard.description, shard.rules)


def test_rows_of_shards_get_the_sequence_of_their_scans(tmp_path: Path) -> None:
    rows = long_rows({("1", "2", "demo"): {("liver", "volume"): 1500.0}}).drop(columns="sequence")
    files = {shard: tmp_path / f"{shard}.parquet" for shard in ("aaa", "bbb")}
    for path in files.values():
        write_table(path, SHARD_MEASUREMENTS, rows)
    scans = pd.DataFrame(
        [("1", "2", "haste", "aaa"), ("1", "2", "dixon", "bbb")],
        columns=["participant_id", "session_id", "sequence", "shard"],
    )
    (found,) = in_scan_order(files, scans, MEASUREMENTS)
    assert found.schema.equals(arrow_schema(MEASUREMENTS))
    assert check_rows(found, MEASUREMENTS)["sequence"].to_pylist() == ["dixon", "haste"]
