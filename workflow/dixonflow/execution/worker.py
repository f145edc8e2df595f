"""The process that works through the scans of a shard, and tells the one that watches it how far it is."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from dixonflow.execution.attempt import Attempt, Task
from dixonflow.execution.records import Record
from dixonflow.execution.steps import Steps

AHEAD, BEHIND = 2, 2
"""Most scans that are read ahead of the one in process, and most that wait to be written after it: memory does not grow
with the shard."""


@dataclass(frozen=True)
class WorkerBegins:
    """Which stages of the job have a safer way, should the process die before the first scan, or later."""

    safer_at_start: tuple[bool, ...] = ()
    safer_later: tuple[bool, ...] = ()


@dataclass(frozen=True)
class ScanStarted:
    """Work on the task has begun, at this place in the list: the task there, or the same scan at a later stage."""

    place: int
    task: Task


@dataclass(frozen=True)
class ScanFinished:
    """The scan with this place in the list is through the stage `step` of the job, with this record.

    It is on disk, unless it is that of an earlier stage.
    """

    place: int
    step: int
    record: Record


@dataclass(frozen=True)
class WorkerUnusable:
    """The process cannot continue; the tasks in progress are not the cause."""


Message = WorkerBegins | ScanStarted | ScanFinished | WorkerUnusable
Tell = Callable[[Message], None]


def work_through(steps: Steps, tasks: Sequence[Task], *, overlap: bool, tell: Tell) -> None:
    """Bring tasks through the stages of a job.

    Parameters
    ----------
    overlap
        At the last stage, prepare the next scans and finish the last ones while one is processed; the stages before it
        are passed by the thread that prepares. Otherwise one after another, so that a death of the process has one scan
        to blame.
    tell
        Called from several threads.

    Raises
    ------
    ModelError
        It concerns every scan alike.
    """
    works = [steps[place].work for place in range(len(steps))]
    at_start, later = ([each.has_safer_way(at_start=start) for each in works] for start in (True, False))
    tell(WorkerBegins(tuple(at_start), tuple(later)))
    for each in works:
        each.start()

    def begin(place: int) -> Attempt | None:
        """Bring a scan up to the last stage and prepare it there; None where it needs no work there."""
        task: Task | None = tasks[place]
        while task is not None:
            step = steps[task.step]
            step.records.begin(task.scan.scan, task.key, task.interruptions, task.before)
            tell(ScanStarted(place, task))
            attempt = Attempt(step.work, task).prepare()
            if step is steps.last:
                return attempt
            task = finish(place, attempt.process(alone=not overlap))
        return None

    def finish(place: int, attempt: Attempt) -> Task | None:
        """Write the record, and give what is to be done for the scan at a later stage."""
        task, record = attempt.task, attempt.finish().record()
        steps[task.step].records.finish(record)
        tell(ScanFinished(place, task.step, record))
        settled, following = steps.after(task, record)
        for step, each in settled:
            tell(ScanFinished(place, step, each))
        return following

    work = steps.last.work
    if not overlap:
        for place in range(len(tasks)):
            attempt = begin(place)
            if attempt is None:
                continue
            finish(place, attempt.process())
            if not work.usable():
                tell(WorkerUnusable())
                return
        return
    usable = True
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        prepared = deque(reader.submit(begin, place) for place in range(AHEAD)[: len(tasks)])
        written: deque[Future[Task | None]] = deque()
        for place in range(len(tasks)):
            attempt = prepared.popleft().result()
            if place + AHEAD < len(tasks):
                prepared.append(reader.submit(begin, place + AHEAD))
            if attempt is None:
                continue
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
