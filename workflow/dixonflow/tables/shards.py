"""Rows of all shards in the order of the scans, with bounded memory."""

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dixonflow.tables.columns import Table
from dixonflow.tables.parquet import read_table
from dixonflow.tables.schema import TableError, arrow_schema

log = logging.getLogger(__name__)

SHARD_KEYS = ["participant_id", "session_id"]
"""What a scan is known by in the rows of its shard, whose scans are of one sequence."""

SCAN_KEYS = [*SHARD_KEYS, "sequence"]
_SEPARATOR = "\t"  # in no id and no name

SCANS_AT_ONCE = 512
"""Scans whose rows are in memory at a time: about a million measurements, some 200 MB."""


def in_scan_order(files: Mapping[str, Path], scans: pd.DataFrame, table: Table) -> Iterator[pa.Table]:
    """Rows of all shards' files, a few hundred whole scans at a time.

    Scans come in order; the rows of those at hand are sorted by the keys of `table`, whatever the first of them is.
    The ids of shards may overlap, because new scans form new shards: only the rows of the scans at hand are taken, so
    that memory stays bounded however many shards there are.

    Parameters
    ----------
    files
        Parquet file of each shard.
    scans
        participant_id, session_id, sequence and shard of the scans that are wanted; rows of others are left out.
    """
    scans = scans.sort_values(SCAN_KEYS)
    for start in range(0, len(scans), SCANS_AT_ONCE):
        wanted = scans.iloc[start : start + SCANS_AT_ONCE]
        parts = []
        for shard, members in wanted.groupby("shard", sort=True):
            participants = members["participant_id"].unique().tolist()
            rows = pq.read_table(files[str(shard)], filters=pc.field("participant_id").isin(participants))
            parts.append(_with_sequence(_of_scans(rows, members), str(members["sequence"].iloc[0]), table))
        log.info("%s: %d of %d scans", table.name, start + len(wanted), len(scans))
        yield pa.concat_tables(parts).sort_by([(key, "ascending") for key in table.keys])


def shard_by_shard(
    files: Mapping[str, Path], scans: pd.DataFrame, columns: Sequence[str], wanted: pc.Expression
) -> Iterator[pa.Table]:
    """Some columns of some rows of all shards' files: each file is read once, and one at a time is held.

    Parameters
    ----------
    files, scans
        As `in_scan_order` takes them.
    columns
        Names of the columns in addition to `SHARD_KEYS`.
    wanted
        Which rows.
    """
    for shard, members in scans.groupby("shard", sort=True):
        rows = pq.read_table(files[str(shard)], columns=[*SHARD_KEYS, *columns], filters=wanted)
        yield _of_scans(rows, members)


def scan_problems(
    path: Path, table: Table, scans: pd.DataFrame, wanted: frozenset[tuple[str, ...]]
) -> dict[Hashable, str]:
    """Find the scans whose rows in the file of a shard are not complete.

    Parameters
    ----------
    path
        File of the shard, rows of `table`.
    scans
        participant_id and session_id of the scans of the shard that should be in it.
    wanted
        Values of the keys other than the scan's, in order: every scan has these rows and no others.

    Returns
    -------
    What is wrong, for a person, by the index of `scans`. A file that cannot be read concerns them all.
    """
    try:
        rows = read_table(path, table)
    except TableError as error:
        return dict.fromkeys(scans.index, str(error))
    known = pc.is_in(
        joined(rows, [key for key in table.keys if key not in SHARD_KEYS]),
        value_set=pa.array(map(_SEPARATOR.join, wanted), pa.string()),
    )
    keyed = rows.select(SHARD_KEYS).append_column("known", pc.cast(known, pa.int64()))
    counts = keyed.group_by(SHARD_KEYS).aggregate([("known", "sum"), ("known", "count")])
    found = {
        (row["participant_id"], row["session_id"]): (row["known_sum"], row["known_count"]) for row in counts.to_pylist()
    }
    problems: dict[Hashable, str] = {}
    for index, *scan in scans[SHARD_KEYS].itertuples(name=None):
        good, size = found.get(tuple(scan), (0, 0))
        if (good, size) != (len(wanted), len(wanted)):
            rows_found = f"{good} of {len(wanted)} rows of the scan exist, and {size - good} are unknown"
            problems[index] = f"table {table.name}: {rows_found}"
    return problems


def _of_scans(rows: pa.Table, scans: pd.DataFrame) -> pa.Table:
    names = (scans["participant_id"] + _SEPARATOR + scans["session_id"]).tolist()
    return rows.filter(pc.is_in(joined(rows, SHARD_KEYS), value_set=pa.array(names, pa.string())))


def _with_sequence(rows: pa.Table, sequence: str, table: Table) -> pa.Table:
    field = arrow_schema(table).field("sequence")
    return rows.add_column(len(SHARD_KEYS), field, pa.repeat(sequence, rows.num_rows))


def joined(rows: pa.Table, columns: Sequence[str]) -> pa.ChunkedArray:
    """One text of several columns of text, equal where all of them are."""
    return pc.binary_join_element_wise(*(rows[column] for column in columns), _SEPARATOR)
