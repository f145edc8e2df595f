"""Run one stage over the scans of a shard.

A scan never takes its shard down: whatever happens to it becomes its outcome. Work that was done from the same inputs,
parameters, model and code is not done again.
"""

from collections.abc import Iterable, Mapping

from dixonflow.atomic import remove_leftovers
from dixonflow.attempt import Task
from dixonflow.cohort.shards import ShardScan
from dixonflow.outcome import Outcome
from dixonflow.records import Record, Records
from dixonflow.supervisor import Limits, supervise
from dixonflow.vocabulary import Reason, ScanId, Stage, Status
from dixonflow.work import StageWork

MAX_INTERRUPTIONS = 10
"""Jobs that may be killed while they work on a scan before the scan is blamed: a scan that takes its whole node down
must come to an end, because there are no tables before; a cluster that kills jobs for reasons of its own must not cost
scans, and hardly hits the same minute of work so often."""


def run_shard(
    work: StageWork,
    scans: Iterable[ShardScan],
    upstream: Mapping[ScanId, Outcome],
    records: Records,
    max_attempts: int,
    limits: Limits | None = None,
) -> list[Record]:
    """Bring every scan of a shard through a stage.

    Parameters
    ----------
    upstream
        Outcomes of the stage before. Rows that are not ok are carried on unchanged.
    limits
        What one scan may take; none by default.

    Returns
    -------
    One record per scan, in the order of `scans`. Nothing is ever missing.

    Raises
    ------
    ModelError
        It concerns every scan alike.
    RuntimeError
        If the stage fails outside any scan.
    """
    scans = list(scans)
    known, begun = records.load(), records.begun()
    results: dict[ScanId, Record] = {}
    tasks: list[Task] = []
    for scan in scans:
        decided = _carried(work.stage, scan, upstream, known) or _decide(work, scan, known, begun, max_attempts)
        if isinstance(decided, Record):
            results[scan.scan] = decided
        else:
            tasks.append(decided)
    for record in supervise(work, tasks, records, limits or Limits()):
        results[record.outcome.scan] = record
    records.pack({scan: record for scan, record in results.items() if record.outcome.stage is work.stage})
    return [results[scan.scan] for scan in scans]


def _carried(
    stage: Stage, scan: ShardScan, upstream: Mapping[ScanId, Outcome], known: Mapping[ScanId, Record]
) -> Record | None:
    before = upstream.get(scan.scan)
    if before is not None:
        return None if before.status is Status.OK else Record(before)
    previous = known.get(scan.scan)
    attempts = previous.outcome.attempt if previous and not previous.outcome.content_key else 0
    lost = Task(scan, "", attempts + 1)
    return Record(lost.outcome(stage, Reason.INTERNAL_ERROR, "no row came from the stage before"))


def _decide(
    work: StageWork,
    scan: ShardScan,
    known: Mapping[ScanId, Record],
    begun: Mapping[ScanId, tuple[str, int]],
    max_attempts: int,
) -> Record | Task:
    """Give the record that stands, or what is to be done."""
    key = work.key(scan)
    previous = known.get(scan.scan)
    if previous is not None and previous.outcome.content_key != key:
        previous = None
    begun_key, interruptions = begun.get(scan.scan, ("", 0))
    task = Task(scan, key, previous.outcome.attempt + 1 if previous else 1, interruptions if begun_key == key else 0)
    if task.interruptions > MAX_INTERRUPTIONS:
        often = f"the job was killed {task.interruptions} times while it worked on this scan"
        return Record(Task(scan, key, max_attempts).outcome(work.stage, Reason.WORKER_DIED, often))
    if previous is not None and _stands(work, scan, previous, max_attempts):
        return previous
    if work.superseded(scan):
        return Record(task.outcome(work.stage, Reason.NONE))
    if task.attempt > 1 or scan.scan in begun:
        for path in work.outputs(scan):
            remove_leftovers(path)
    return task


def _stands(work: StageWork, scan: ShardScan, record: Record, max_attempts: int) -> bool:
    match record.outcome.status:
        case Status.OK:
            return work.superseded(scan) or all(path.exists() for path in work.outputs(scan))
        case Status.FAILED:
            return record.outcome.attempt >= max_attempts
        case _:
            return True
