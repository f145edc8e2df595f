"""Outcome rows: what became of each scan of a shard at one stage."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from dixonflow.tables.columns import Column, ColumnType, Rule, Table, text_column
from dixonflow.tables.outcome_rules import reason_fits_status
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.vocabulary import Reason, ScanId, ScanSequence, Stage, Status

_MOST = 1e15
"""More than any time in seconds, memory in MB or number of attempts."""


@dataclass(frozen=True)
class Outcome:
    """What became of one scan at one stage.

    Attributes
    ----------
    scan
        Whose outcome it is.
    stage
        Stage that gave it. Later stages carry an outcome that is not ok on as it is, this word included.
    status, reason
        They must agree (`Reason.status`).
    message
        What was seen, for a person; of an ok scan usually empty.
    seconds
        Wall time spent on this scan at this stage (s).
    peak_memory_mb
        Largest resident memory of the process while it worked on this scan (MB).
    gpu_seconds
        Time on the GPU (s).
    attempt
        Which try at this stage gave the outcome, from 1; 0 where the stage never began.
    content_key
        Key over inputs, parameters, model and code of this scan and stage; empty where none was formed.

    Raises
    ------
    ValueError
        If status and reason disagree, or a number is negative or not finite.
    """

    scan: ScanId
    stage: Stage
    status: Status
    reason: Reason
    message: str
    seconds: float
    peak_memory_mb: float
    gpu_seconds: float
    attempt: int
    content_key: str

    @classmethod
    def because(
        cls, reason: Reason, scan: ScanId, stage: Stage, *, message: str = "", attempt: int = 0, content_key: str = ""
    ) -> "Outcome":
        """Make an outcome from its reason, without measured costs."""
        return cls(scan, stage, reason.status, reason, message, 0.0, 0.0, 0.0, attempt, content_key)

    def __post_init__(self) -> None:
        if self.reason.status is not self.status:
            raise ValueError(f"reason {self.reason.value} does not go with status {self.status.value}")
        for number in (self.seconds, self.peak_memory_mb, self.gpu_seconds, self.attempt):
            if not 0 <= number <= _MOST:  # no whole number that is too large for a float passes, nor does NaN
                raise ValueError(f"seconds, memory and attempt must be finite and not negative, not {number}")

    def to_row(self) -> dict[str, Any]:
        """Plain values under the column names of `OUTCOMES`."""
        return {
            "participant_id": self.scan.participant,
            "session_id": self.scan.session,
            "stage": self.stage.value,
            "status": self.status.value,
            "reason": self.reason.value,
            "message": self.message,
            "seconds": float(self.seconds),
            "peak_memory_mb": float(self.peak_memory_mb),
            "gpu_seconds": float(self.gpu_seconds),
            "attempt": self.attempt,
            "content_key": self.content_key,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Outcome":
        """Inverse of `to_row`. Raises ValueError, KeyError or TypeError for anything else."""
        return cls(
            scan=ScanId(row["participant_id"], row["session_id"], ScanSequence(row.get("sequence", "dixon"))),
            stage=Stage(row["stage"]),
            status=Status(row["status"]),
            reason=Reason(row["reason"]),
            message=row["message"],
            seconds=row["seconds"],
            peak_memory_mb=row["peak_memory_mb"],
            gpu_seconds=row["gpu_seconds"],
            attempt=row["attempt"],
            content_key=row["content_key"],
        )


def outcome_of_models(outcomes: Mapping[str, Outcome]) -> Outcome:
    """What became of a scan at a stage that was run for several models: it is ok where it is for all of them.

    An exclusion counts before a failure, because trying again is pointless then; among equals the first model counts.
    The message names the model. Seconds are added up, of memory and attempts the largest counts.

    Parameters
    ----------
    outcomes
        Of one scan, by the name of the model, in the order of the run. Rows that were carried on from an earlier stage
        are the same for all models.

    Raises
    ------
    ValueError
        If there is none, or they are of different scans.
    """
    rows = list(outcomes.values())
    if not rows or len({row.scan for row in rows}) > 1:
        raise ValueError("outcomes must be of one scan")
    if len(rows) == 1:
        return rows[0]
    order = (Status.WITHDRAWN, Status.EXCLUDED, Status.FAILED, Status.OK)
    name, worst = min(outcomes.items(), key=lambda item: order.index(item[1].status))
    if all(row == worst for row in rows):  # carried on
        return worst
    keys = "".join(row.content_key for row in rows)
    messages = {of: row.message for of, row in outcomes.items() if worst.status is Status.OK or of == name}
    return replace(
        worst,
        message="; ".join(f"model {of}: {message}" for of, message in messages.items() if message),
        seconds=sum(row.seconds for row in rows),
        peak_memory_mb=max(row.peak_memory_mb for row in rows),
        gpu_seconds=sum(row.gpu_seconds for row in rows),
        attempt=max(row.attempt for row in rows),
        content_key=hashlib.sha256(keys.encode()).hexdigest() if worst.status is Status.OK else worst.content_key,
    )


OUTCOMES = Table(
    "outcomes",
    "Outcome of each scan of a shard at one stage, or at the earlier stage that ended it.",
    ("participant_id", "session_id"),
    (
        text_column("participant_id", "Participant id as written by the cohort"),
        text_column("session_id", "Session of the participant"),
        text_column("stage", "Stage that wrote the row", allowed=Stage),
        text_column("status", "Outcome of the scan", allowed=Status),
        text_column("reason", "Why the scan is not ok", allowed=Reason),
        text_column("message", "Explanation for people; of ok scans what was done in another way, usually empty"),
        Column("seconds", ColumnType.DOUBLE, "Wall time", "s", minimum=0),
        Column("peak_memory_mb", ColumnType.DOUBLE, "Largest resident memory of the process", "MB", minimum=0),
        Column("gpu_seconds", ColumnType.DOUBLE, "Time on the GPU", "s", minimum=0),
        Column("attempt", ColumnType.INT64, "Attempt that wrote the row, from 1; 0 if the stage never ran", minimum=0),
        text_column("content_key", "Key over inputs, parameters, model and code"),
    ),
    (Rule("status and reason agree", reason_fits_status),),
)
"""Outcome rows of a shard. A working table of the run, not one of the tables that are handed out."""


def write_outcomes(path: Path, outcomes: list[Outcome]) -> None:
    """Write the outcomes of a shard as Parquet, sorted by scan, whole or not at all.

    Raises
    ------
    TableError
        If a scan has two outcomes.
    """
    rows = [outcome.to_row() for outcome in outcomes]
    types = {ColumnType.STRING: pa.string(), ColumnType.DOUBLE: pa.float64(), ColumnType.INT64: pa.int64()}
    arrays = [pa.array([row[column.name] for row in rows], types[column.type]) for column in OUTCOMES.columns]
    write_table(path, OUTCOMES, pa.Table.from_arrays(arrays, names=list(OUTCOMES.names)))


def read_outcomes(path: Path, sequence: ScanSequence = ScanSequence.DIXON) -> list[Outcome]:
    """Read the outcomes of a shard, sorted by scan.

    Parameters
    ----------
    sequence
        Of the scans of the shard.

    Raises
    ------
    TableError
        If the file is missing, unreadable, or does not hold outcome rows.
    """
    return [Outcome.from_row(row | {"sequence": sequence}) for row in read_table(path, OUTCOMES).to_pylist()]
