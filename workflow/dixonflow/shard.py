"""Run one stage over the scans of a shard, each scan in isolation.

A scan never takes its shard down: whatever happens to it becomes its outcome. Work that was done from the same inputs,
parameters, model and code is not done again.
"""

import errno
import logging
import resource
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dixonflow.cohort.shards import ShardScan
from dixonflow.errors import ModelError, ScanExcluded
from dixonflow.outcome import Outcome, status_of
from dixonflow.records import Record, Records
from dixonflow.vocabulary import Reason, ScanId, Stage, Status

log = logging.getLogger(__name__)

_FILE_REASONS = {Reason.UNREADABLE_FILE, Reason.TRUNCATED_PIXELS, Reason.SPACING_MISMATCH}
"""Only stitch reads raw data: in later stages these reasons speak of our own files, and the scan is not to blame."""


@dataclass(frozen=True)
class Done:
    """What a stage says of a scan that went well: JSON-compatible facts, and the seconds on the device."""

    payload: dict[str, Any] = field(default_factory=dict)
    gpu_seconds: float = 0.0


@dataclass(frozen=True)
class StageWork:
    """One stage, ready to run.

    Attributes
    ----------
    stage
        Which one.
    key
        Content key of a scan at this stage.
    process
        Does the work for one scan; raises ScanExcluded where the data does not allow it.
    outputs
        Files without which a scan does not count as done.
    superseded
        True where a later stage holds a valid result already, so that temporary images need not be made.
    write_rows
        Writes what the stage has to say beside its outcome rows, from the records of the whole shard.
    """

    stage: Stage
    key: Callable[[ShardScan], str]
    process: Callable[[ShardScan], Done]
    outputs: Callable[[ShardScan], Sequence[Path]]
    superseded: Callable[[ShardScan], bool] = lambda scan: False
    write_rows: Callable[[Sequence[Record]], None] | None = None


def run_shard(
    work: StageWork,
    scans: Iterable[ShardScan],
    upstream: Mapping[ScanId, Outcome] | None,
    records: Records,
    max_attempts: int,
) -> list[Record]:
    """Bring every scan of a shard through a stage.

    Parameters
    ----------
    upstream
        Outcomes of the stage before; none for the first stage. Rows that are not ok are carried on unchanged.

    Returns
    -------
    One record per scan, in the order of `scans`. Nothing is ever missing.
    """
    known = records.load()
    begun = records.begun()
    results: list[Record] = []
    for scan in scans:
        carried = _carried(work.stage, scan, upstream)
        if carried is not None:
            results.append(carried)
            continue
        key = work.key(scan)
        previous = known.get(scan.scan)
        if previous is not None and previous.outcome.content_key != key:
            previous = None
        attempts = previous.outcome.attempt if previous else 0
        if scan.scan in begun and begun[scan.scan][0] == key:
            attempts = begun[scan.scan][1]
            if attempts >= max_attempts:
                died = "the process ended while this scan was worked on, at every attempt"
                previous = Record(_outcome(work.stage, scan, key, attempts, Reason.WORKER_DIED, died))
        if previous is not None and _stands(work, scan, previous, max_attempts):
            results.append(previous)
            continue
        records.begin(scan.scan, key, attempts + 1)
        record = _attempt(work, scan, key, attempts + 1)
        records.finish(record)
        results.append(record)
    records.pack({record.outcome.scan: record for record in results if record.outcome.stage is work.stage})
    return results


def _carried(stage: Stage, scan: ShardScan, upstream: Mapping[ScanId, Outcome] | None) -> Record | None:
    if upstream is None:
        return None
    before = upstream.get(scan.scan)
    if before is None:
        lost = "no row came from the stage before"
        return Record(_outcome(stage, scan, "", 0, Reason.INTERNAL_ERROR, lost))
    return None if before.status is Status.OK else Record(before)


def _stands(work: StageWork, scan: ShardScan, record: Record, max_attempts: int) -> bool:
    match record.outcome.status:
        case Status.OK:
            return work.superseded(scan) or all(path.exists() for path in work.outputs(scan))
        case Status.FAILED:
            return record.outcome.attempt >= max_attempts
        case _:
            return True


def _attempt(work: StageWork, scan: ShardScan, key: str, attempt: int) -> Record:
    started = time.perf_counter()
    _reset_peak_memory()
    done = Done()
    reason, message = Reason.NONE, ""
    try:
        if not work.superseded(scan):
            done = work.process(scan)
    except ScanExcluded as excluded:
        reason, message = excluded.reason, excluded.message
        if work.stage is not Stage.STITCH and reason in _FILE_REASONS:
            reason, message = Reason.INTERNAL_ERROR, f"a file of an earlier stage, remove it and run again: {message}"
    except ModelError:
        raise  # concerns every scan alike: the job ends with the message
    except Exception as error:
        reason = _reason(error)
        message = f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error)).replace(scan.scan.participant, "<participant>")
        log.error("a scan failed at %s: %s", work.stage, trace)
    outcome = _outcome(work.stage, scan, key, attempt, reason, message)
    outcome = replace(
        outcome,
        seconds=time.perf_counter() - started,
        peak_memory_mb=_peak_memory_mb(),
        gpu_seconds=done.gpu_seconds,
    )
    log.info("%s: %s %s in %.1f s", work.stage, outcome.status, reason, outcome.seconds)
    return Record(outcome, done.payload)


def _reason(error: Exception) -> Reason:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch.OutOfMemoryError
        return Reason.OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Reason.DISK_FULL
    return Reason.INTERNAL_ERROR


def _outcome(stage: Stage, scan: ShardScan, key: str, attempt: int, reason: Reason, message: str) -> Outcome:
    return Outcome(
        scan=scan.scan,
        stage=stage,
        status=status_of(reason),
        reason=reason,
        message=message,
        seconds=0.0,
        peak_memory_mb=0.0,
        gpu_seconds=0.0,
        attempt=attempt,
        content_key=key,
    )


def _reset_peak_memory() -> None:
    # Linux only: makes VmHWM the peak of this scan, not of the process.
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak_memory_mb() -> float:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        log.debug("no /proc: the peak memory is that of the whole process")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
