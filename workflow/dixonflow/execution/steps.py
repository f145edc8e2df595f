"""The stages of a job, and what is to be done for a scan at each."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

from dixonflow.execution.attempt import Task
from dixonflow.execution.outcome import Outcome
from dixonflow.execution.records import NO_EARLIER_RESULT, EarlierResult, Record, Records, StartedMark
from dixonflow.execution.stage_work import StageWork
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.system.atomic import remove_leftovers
from dixonflow.vocabulary import Reason, Status

MAX_INTERRUPTIONS = 10
"""Jobs that may be killed while they work on a scan before the scan is blamed: a scan that takes its whole node down
must come to an end, because there are no tables before; a cluster that kills jobs for reasons of its own must not cost
scans, and hardly hits the same minute of work so often."""

MAX_EQUAL_KEYS = 8
"""Earlier keys that a record remembers: as many changes without effect in a row cost no work."""


class Step:
    """A stage of a job, with what the shard had done at it when the job began.

    Parameters
    ----------
    max_attempts
        How often a scan that fails is tried.
    """

    def __init__(self, work: StageWork, records: Records, max_attempts: int) -> None:
        self.work = work
        self.records = records
        self._max_attempts = max_attempts
        self._known, self._begun = records.load(), records.begun()

    def decide(self, scan: RawScan, before: Outcome | None) -> Record | Task:
        """Give the record that stands, or what is to be done.

        Parameters
        ----------
        before
            Outcome of the scan at the stage before; one that is not ok is carried on.
        """
        return self._carried(scan, before) or self._decided(scan)

    def _carried(self, scan: RawScan, before: Outcome | None) -> Record | None:
        if before is not None:
            return None if before.status is Status.OK else Record(before)
        previous = self._known.get(scan.scan)
        attempts = previous.outcome.attempt if previous and not previous.outcome.content_key else 0
        message = "the previous stage has no row for this scan"
        outcome = Outcome.because(
            Reason.INTERNAL_ERROR, scan.scan, self.work.stage, message=message, attempt=attempts + 1
        )
        return Record(outcome)

    def _decided(self, scan: RawScan) -> Record | Task:
        work, max_attempts = self.work, self._max_attempts
        key = work.key(scan)
        earlier = self._known.get(scan.scan)
        previous = _under_key(work, scan, earlier, key)
        read_again = previous is not None and not _rests_on_the_same(work, scan, previous)
        if read_again:
            previous = None
        mark = self._begun.get(scan.scan, StartedMark("", 0, NO_EARLIER_RESULT))
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
        if task.attempt > 1 or scan.scan in self._begun:
            for path in work.outputs(scan):
                remove_leftovers(path)
        return task


class Steps:
    """The stages of a job, in their order. A scan passes one after the other."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, place: int) -> Step:
        return self._steps[place]

    @property
    def last(self) -> Step:
        """The one that names the job, and whose work keeps the device busy where there is one."""
        return self._steps[-1]

    def in_safer_way(self, which: Sequence[bool], why: str) -> "Steps":
        """The same stages, some of them in their safer way."""
        steps = []
        for step, safer in zip(self._steps, which, strict=True):
            changed = copy(step)
            changed.work = step.work.in_safer_way(why) if safer else step.work
            steps.append(changed)
        return Steps(steps)

    def advance(
        self, scan: RawScan, before: Outcome | None, start: int = 0
    ) -> tuple[list[tuple[int, Record]], Task | None]:
        """Settle for a scan what needs no work, from a stage on to the first that needs some.

        Parameters
        ----------
        before
            Outcome of the scan at the stage before that one.

        Returns
        -------
        Records of the stages that are settled, with their places, and what is to be done next; None if nothing is.
        """
        settled: list[tuple[int, Record]] = []
        for place in range(start, len(self)):
            decided = self[place].decide(scan, before)
            if isinstance(decided, Task):
                return settled, replace(decided, step=place)
            settled.append((place, decided))
            self._learn(place, decided)
            before = decided.outcome
        return settled, None

    def after(self, task: Task, record: Record) -> tuple[list[tuple[int, Record]], Task | None]:
        """As `advance`, when the work on a task has ended with a record."""
        self._learn(task.step, record)
        return self.advance(task.scan, record.outcome, task.step + 1)

    def _learn(self, place: int, record: Record) -> None:
        if record.outcome.stage is self[place].work.stage:
            for later in self._steps[place + 1 :]:
                later.work.learn(record)


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
