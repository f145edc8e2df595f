"""The way of every scan through the stages, to its rows in the tables `scans` and `timings`."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from dixonflow.aggregate.graded_tables import OF_GRADES
from dixonflow.execution.outcome import OUTCOMES
from dixonflow.paths import Results
from dixonflow.tables.definitions import SCANS, TIMINGS
from dixonflow.tables.parquet import read_table
from dixonflow.tables.schema import TableError, arrow_schema, to_pandas
from dixonflow.tables.shards import SCAN_KEYS, SHARD_KEYS
from dixonflow.vocabulary import SHARD_STAGES, Reason, Stage, Status


@dataclass(frozen=True)
class StageRows:
    """Outcome rows of all shards at one stage.

    Attributes
    ----------
    rows
        Columns of `OUTCOMES` and `shard`.
    lost
        Shards without readable rows, and what is wrong with their file.
    """

    rows: pd.DataFrame
    lost: Mapping[str, str]


def stage_rows(results: Results, stage: Stage, shards: Sequence[str]) -> StageRows:
    """Read the outcomes of all shards at one stage."""
    parts, lost = [], {}
    for shard in shards:
        try:
            rows = read_table(results.outcomes(stage, shard), OUTCOMES)
        except TableError as error:
            lost[shard] = f"the rows of stage {stage.value} are lost: {error}"
        else:
            parts.append(rows.append_column("shard", pa.repeat(shard, rows.num_rows)))
    none = arrow_schema(OUTCOMES).empty_table().append_column("shard", pa.array([], pa.string()))
    return StageRows(to_pandas(pa.concat_tables([none, *parts])), lost)


def scan_rows(cohort: pd.DataFrame, stages: Mapping[Stage, StageRows]) -> pd.DataFrame:
    """Follow every scan of the cohort through the stages, to the rows of the table `scans`.

    The first stage that is not ok decides; later ones repeat it. A scan without a row at a stage that it should have
    reached is failed there.
    """
    scans = cohort.copy()
    scans["last_stage"] = Stage.COHORT.value
    scans[f"{Stage.COHORT.value}_status"] = scans["status"]
    scans[f"{Stage.COHORT.value}_reason"] = scans["reason"]
    for stage in SHARD_STAGES:
        found = scans[[*SHARD_KEYS, "shard"]].merge(
            stages[stage].rows, how="left", on=[*SHARD_KEYS, "shard"], validate="many_to_one"
        )
        found.index = scans.index
        going = scans["status"].eq(Status.OK.value)
        present = going & found["status"].notna()
        for column in ("status", "reason", "content_key"):
            scans.loc[present, column] = found.loc[present, column]
        ended = present & found["status"].ne(Status.OK.value)
        scans.loc[ended, "message"] = found.loc[ended, "message"]
        noted = present & found["status"].eq(Status.OK.value) & found["message"].ne("")
        scans.loc[noted, "note"] = _joined(scans.loc[noted, "note"], found.loc[noted, "message"])
        scans.loc[going, "last_stage"] = stage.value
        gone = going & ~present
        lost = stages[stage].lost
        shards = dict(scans.loc[gone, "shard"].items())
        no_row = f"the scan has no row at stage {stage.value}"
        fail(scans, {index: lost[shard] for index, shard in shards.items() if shard in lost}, Reason.WORKER_DIED)
        fail(scans, {index: no_row for index, shard in shards.items() if shard not in lost}, Reason.INTERNAL_ERROR)
        scans[f"{stage.value}_status"] = scans["status"]
        scans[f"{stage.value}_reason"] = scans["reason"]
    scans["content_key"] = scans["content_key"].replace("", pd.NA)
    left_out = set[str]()
    scans["n_files"] = _first_seen(scans["source"] + "\n" + scans["more_sources"], set())
    scans["n_files_superseded"] = _first_seen(scans["superseded"], left_out)
    scans["n_files_repeated"] = _first_seen(scans["others"], left_out)
    scans[list(OF_GRADES)] = None  # known when the checks are
    return scans[list(SCANS.names)]


def _joined(notes: "pd.Series[str]", more: "pd.Series[str]") -> "pd.Series[str]":
    return (notes + "; " + more).str.removeprefix("; ")


def _first_seen(texts: pd.Series, seen: set[str]) -> pd.Series:
    """Number of lines of each text that stand in none before: scans of several sequences may share a BIDS folder."""
    counts = []
    for text in texts:
        new = {line for line in text.splitlines() if line} - seen
        seen |= new
        counts.append(len(new))
    return pd.Series(counts, texts.index, "Int64")


def timing_rows(scans: pd.DataFrame, stages: Mapping[Stage, StageRows]) -> pd.DataFrame:
    """Rows of the table `timings`: stages that worked on a scan, not those that carried its row on."""
    staying = scans.loc[scans["status"].ne(Status.WITHDRAWN.value) & scans["shard"].notna(), [*SCAN_KEYS, "shard"]]
    parts = []
    for stage, found in stages.items():
        worked = found.rows[found.rows["stage"].eq(stage.value)]
        parts.append(worked.merge(staying, how="inner", on=[*SHARD_KEYS, "shard"])[list(TIMINGS.names)])
    return pd.concat(parts, ignore_index=True)


def fail(scans: pd.DataFrame, messages: Mapping[Hashable, str], reason: Reason) -> None:
    """Make rows those of failed scans, in place.

    Parameters
    ----------
    messages
        Explanation for people, by the label of the row.
    """
    rows = list(messages)
    scans.loc[rows, ["status", "reason"]] = [Status.FAILED.value, reason.value]
    scans.loc[rows, "message"] = list(messages.values())
    scans.loc[rows, "content_key"] = pd.NA
