"""Run one stage over the scans of a shard.

A scan never takes its shard down: whatever happens to it becomes its outcome. Work that was done from the same inputs,
parameters, model and code is not done again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from dixonflow.execution.attempt import Task
from dixonflow.execution.outcome import Outcome
from dixonflow.execution.records import NO_EARLIER_RESULT, EarlierResult, Record, Records, StartedMark
from dixonflow.execution.stage_work import StageWork
from dixonflow.execution.supervisor import Limits, supervise
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.system.atomic import remove_leftovers
from dixonflow.vocabulary import Reason, ScanId, Stage, Status

MAX_INTERRUPTIONS = 10
"""Jobs that may be killed while they work on a scan before the scan is blamed: a scan that takes its whole node down
must come to an end, because there are no tables before; a cluster that kills jobs for reasons of its own must not cost
scans, and hardly hits the same minute of work so often."""

MAX_EQUAL_KEYS = 8
"""Earlier keys that a record remembers: as many changes without effect in a row cost no work."""


def run_shard(
    work: StageWork,
    scans: Iterable[RawScan],
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
    stage: Stage, scan: RawScan, upstream: Mapping[ScanId, Outcome], known: Mapping[ScanId, Record]
) -> Record | None:
    before = upstream.get(scan.scan)
    if before is not None:
        return None if before.status is Status.OK else Record(before)
    previous = known.get(scan.scan)
    attempts = previous.outcome.attempt if previous and not previous.outcome.content_key else 0
    message = "the previous stage has no row for this scan"
    return Record(Outcome.because(Reason.INTERNAL_ERROR, scan.scan, stage, message=message, attempt=attempts + 1))


def _decide(
    work: StageWork,
    scan: RawScan,
    known: Mapping[ScanId, Record],
    begun: Mapping[ScanId, StartedMark],
    max_attempts: int,
) -> Record | Task:
    """Give the record that stands, or what is to be done."""
    key = work.key(scan)
    earlier = known.get(scan.scan)
    previous = _under_key(work, scan, earlier, key)
    read_again = previous is not None and not _rests_on_the_same(work, scan, previous)
    if read_again:
        previous = None
    mark = begun.get(scan.scan, StartedMark("", 0, NO_EARLIER_RESULT))
    task = Task(
        scan,
        key,
        previous.outcome.attempt + 1 if previous else 1,
        mark.interruptions if mark.key == key else 0,
        mark.before if mark.before.result else _before(work, scan, earlier),
    )
    if task.interruptions > MAX_INTERRUPTIONS:
        often = f"the job was killed {task.interruptions} times while processing this scan"
        blamed = replace(task, attempt=max_attempts).outcome(work.stage, Reason.WORKER_DIED, often)
        return Record(blamed, raw_stamp=work.raw_stamp(scan, blamed.status))
    if previous is not None and _stands(work, scan, previous, max_attempts):
        return replace(previous, raw_stamp=work.raw_stamp(scan, previous.outcome.status))
    if not read_again and work.superseded(scan):
        return Record(task.outcome(work.stage, Reason.NONE), raw_stamp=work.raw_stamp(scan, Status.OK))
    if task.attempt > 1 or scan.scan in begun:
        for path in work.outputs(scan):
            remove_leftovers(path)
    return task


def _under_key(work: StageWork, scan: RawScan, record: Record | None, key: str) -> Record | None:
    """Give a record as one of `key`, if it is one or if it was made under a key that is as good."""
    if record is None or record.outcome.content_key == key:
        return record
    if record.outcome.status is Status.OK and record.outcome.content_key in work.equal_keys(scan):
        keys = (record.outcome.content_key, *record.stands_for)[:MAX_EQUAL_KEYS]
        return replace(record, outcome=replace(record.outcome, content_key=key), stands_for=keys)
    return None


def _rests_on_the_same(work: StageWork, scan: RawScan, record: Record) -> bool:
    """Whether the raw data is in the state that the outcome was made from.

    Records of versions that did not know the state have no stamp: what was made stands, what was refused is read again.
    """
    stamp = work.raw_stamp(scan, record.outcome.status)
    return not stamp or stamp == record.raw_stamp or (not record.raw_stamp and record.outcome.status is Status.OK)


def _before(work: StageWork, scan: RawScan, record: Record | None) -> EarlierResult:
    """What to compare with, should the stage now give the same as before."""
    if record is None or record.outcome.status is not Status.OK:
        return NO_EARLIER_RESULT
    result = record.result
    # of a version without results: only the first stage's files can be those that the record is of
    if not result and work.reads_raw_data and all(path.exists() for path in work.outputs(scan)):
        try:
            result = work.result(scan)
        except (OSError, ValueError, LookupError):  # a damaged file is none to compare with
            return NO_EARLIER_RESULT
    return EarlierResult(result, (record.outcome.content_key, *record.stands_for)[:MAX_EQUAL_KEYS])


def _stands(work: StageWork, scan: RawScan, record: Record, max_attempts: int) -> bool:
    match record.outcome.status:
        case Status.OK:
            return work.superseded(scan) or all(path.exists() for path in work.outputs(scan))
        case Status.FAILED:
            return record.outcome.attempt >= max_attempts
        case _:
            return True
