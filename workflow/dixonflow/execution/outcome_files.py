"""The outcome rows of a run's shards as they lie on disk while jobs write them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from dixonflow.execution.shard_files import outcome_dates
from dixonflow.paths import Results
from dixonflow.vocabulary import SHARD_STAGES, Stage


@dataclass(frozen=True)
class StageFiles:
    """Which outcome files there are.

    Attributes
    ----------
    dates
        Date of every file, by stage and shard.
    last
        Last stage of each shard that is in order: a file that is older than that of the stage before is from an
        earlier run and will be rewritten.
    """

    results: Results
    dates: Mapping[Stage, Mapping[str, float]]
    last: Mapping[str, Stage]

    @classmethod
    def of(cls, results: Results, shards: Iterable[str]) -> "StageFiles":
        """List the files of all stages; none is opened."""
        dates = {stage: outcome_dates(results, stage) for stage in SHARD_STAGES}
        last: dict[str, Stage] = {}
        for shard in shards:
            before = 0.0
            for stage in SHARD_STAGES:
                date = dates[stage].get(shard)
                if date is None or date < before:
                    break
                last[shard] = stage
                before = date
        return cls(results, dates, last)

    def paths(self, stage: Stage, shards: Iterable[str]) -> list[str]:
        """Outcome files of some shards."""
        return [str(self.results.outcomes(stage, shard)) for shard in shards]


def read_rows(paths: list[str], columns: list[str]) -> pd.DataFrame:
    """Rows of many small Parquet files; files that cannot be read are left out."""
    return read_rows_of_shards(paths, columns).drop(columns="file")


def read_rows_of_shards(paths: list[str], columns: list[str]) -> pd.DataFrame:
    """As `read_rows`, with the name of each row's file, without ending, in the column `file`."""
    if not paths:
        return pd.DataFrame(columns=[*columns, "file"])
    try:
        found = _plain(ds.dataset(paths, format="parquet").to_table(columns=[*columns, "__filename"]))
        names = found.pop("__filename")
        return found.assign(file=names.str.rsplit("/", n=1).str[-1].str.removesuffix(".parquet"))
    except (OSError, pa.ArrowInvalid, pa.ArrowKeyError):
        pass  # one of them is damaged, or was replaced this moment: one by one
    parts = []
    for path in paths:
        try:
            rows = pq.read_table(path, columns=columns, memory_map=False)
        except (OSError, pa.ArrowInvalid, pa.ArrowKeyError):
            continue
        parts.append(rows.append_column("file", pa.array([Path(path).stem] * rows.num_rows, pa.string())))
    return _plain(pa.concat_tables(parts)) if parts else pd.DataFrame(columns=[*columns, "file"])


def _plain(table: pa.Table) -> pd.DataFrame:
    rows: pd.DataFrame = table.to_pandas(types_mapper={pa.string(): pd.StringDtype()}.get)
    return rows
