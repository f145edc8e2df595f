"""The process that works through the scans of a shard, and tells the one that watches it how far it is."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from dixonflow.execution.attempt import Attempt, Task
from dixonflow.execution.records import Record, Records
from dixonflow.execution.stage_work import StageWork

AHEAD, BEHIND = 2, 2
"""Most scans that are read ahead of the one in process, and most that wait to be written after it: memory does not grow
with the shard."""


@dataclass(frozen=True)
class ScanStarted:
    """Work on the task with this place in the list has begun."""

    place: int


@dataclass(frozen=True)
class ScanFinished:
    """Work on the task with this place in the list has ended with this record, which is on disk."""

    place: int
    record: Record


@dataclass(frozen=True)
class WorkerUnusable:
    """The process cannot continue; the tasks in progress are not the cause."""


@dataclass(frozen=True)
class WorkerBegins:
    """Whether the stage has a safer way, should the process die before the first scan, or later."""

    safer_at_start: bool
    safer_later: bool


Message = WorkerBegins | ScanStarted | ScanFinished | WorkerUnusable
Tell = Callable[[Message], None]


def work_through(work: StageWork, tasks: Sequence[Task], records: Records, *, overlap: bool, tell: Tell) -> None:
    """Bring tasks through a stage.

    Parameters
    ----------
    overlap
        Prepare the next scans and finish the last ones while one is processed; otherwise one after another, so that a
        death of the process has one scan to blame.
    tell
        Called from several threads.

    Raises
    ------
    ModelError
        It concerns every scan alike.
    """
    tell(WorkerBegins(work.has_safer_way(at_start=True), work.has_safer_way(at_start=False)))
    work.start()

    def begin(place: int) -> Attempt:
        task = tasks[place]
        records.begin(task.scan.scan, task.key, task.interruptions, task.before)
        tell(ScanStarted(place))
        return Attempt(work, task).prepare()

    def finish(place: int, attempt: Attempt) -> None:
        record = attempt.finish().record()
        records.finish(record)
        tell(ScanFinished(place, record))

    if not overlap:
        for place in range(len(tasks)):
            attempt = begin(place).process()
            finish(place, attempt)
            if not work.usable():
                tell(WorkerUnusable())
                return
        return
    usable = True
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        prepared: deque[Future[Attempt]] = deque(reader.submit(begin, place) for place in range(AHEAD)[: len(tasks)])
        written: deque[Future[None]] = deque()
        for place in range(len(tasks)):
            attempt = prepared.popleft().result()
            if place + AHEAD < len(tasks):
                prepared.append(reader.submit(begin, place + AHEAD))
            attempt.process()
            if len(written) == BEHIND:
                written.popleft().result()
            written.append(writer.submit(finish, place, attempt))
            del attempt  # its images, once written
            usable = work.usable()
            if not usable:
                break
        for future in written:
            future.result()
    if not usable:
        tell(WorkerUnusable())  # when the reader has begun what it had taken on
