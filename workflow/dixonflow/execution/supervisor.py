"""Keeps a worker process going: a scan that crashes it, exhausts its memory or never ends costs that scan alone."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

import psutil

from dixonflow.errors import DixonflowError
from dixonflow.execution.attempt import Task
from dixonflow.execution.records import Record
from dixonflow.execution.steps import Steps
from dixonflow.execution.worker import Message, ScanFinished, ScanStarted, WorkerBegins, WorkerUnusable, work_through
from dixonflow.system.lifetime import end_with
from dixonflow.vocabulary import Reason, ScanId

log = logging.getLogger(__name__)

Settled = tuple[int, ScanId, Record]
"""Place of a stage in the job, a scan, and what became of it there."""

_LOOK_SECONDS = 0.2
_NEARLY = 0.8
"""A worker that is killed with more than this share of its memory in use has run out of it."""


class StartDiedError(RuntimeError):
    """The worker process died before it began a scan: what it loads first is at fault, and no scan."""

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """What one scan may take; None for any amount.

    Attributes
    ----------
    memory_mb
        Resident memory of the worker process (MB).
    seconds
        Time without any scan begun or finished (s).
    """

    memory_mb: float | None = None
    seconds: float | None = None


@dataclass
class _WorkerState:
    """What the watching process knows of one worker.

    Attributes
    ----------
    tasks
        What it was given to do; of a scan that it has begun, what it began last.
    in_flight
        Places in that list of what it has in hand.
    ways
        Safer ways of the stages.
    passed
        Records of tasks that are done, by place, where there may be another one for the scan.
    """

    steps: Steps
    tasks: list[Task]
    ways: WorkerBegins = field(default_factory=WorkerBegins)
    in_flight: set[int] = field(default_factory=set)
    passed: dict[int, Record] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)
    last_sign: float = field(default_factory=time.monotonic)
    peak_mb: float = 0.0
    ended_by: Reason = Reason.WORKER_DIED
    error: Exception | None = None

    def hear(self, message: Message | Exception) -> Settled | None:
        self.last_sign = time.monotonic()
        match message:
            case WorkerBegins():
                self.ways = message
            case ScanStarted(place, task):
                self.passed.pop(place, None)
                self.tasks[place] = task
                self.in_flight.add(place)
            case ScanFinished(place, step, record):
                self.in_flight.discard(place)
                self.tasks[place] = task = replace(self.tasks[place], step=step)
                self.passed[place] = record
                if step + 1 == len(self.steps):
                    self.finished.add(place)
                return step, task.scan.scan, record
            case WorkerUnusable():
                log.error("the worker process cannot continue, a new one takes over")
                self.in_flight.clear()
            case _:
                self.error = message
        return None


def supervise(steps: Steps, tasks: Sequence[Task], limits: Limits) -> Iterator[Settled]:
    """Bring tasks through the stages of a job in a worker process, and start another where it dies.

    Where the dead worker had several scans in hand, these are done again one at a time, without counting as a try: the
    one to blame shows itself.

    Yields
    ------
    The record of every scan at every stage from that of its task on, in the order in which they end; each is on disk by
    then.

    Raises
    ------
    DixonflowError
        It concerns every scan alike: a model that is not what it should be, a device that is not there.
    StartDiedError
        If the worker dies before it began a scan.
    """
    rest, overlap = list(tasks), steps.last.work.overlaps
    suspects: list[Task] = []
    while rest or suspects:
        alone = bool(suspects)
        life = _WorkerState(steps, list(suspects if alone else rest))
        yield from _watch(life, limits, overlap=overlap and not alone)
        yield from _recorded(life)
        held = [life.tasks[place] for place in sorted(life.in_flight)]
        if len(held) == 1:
            place = life.in_flight.pop()
            if (yield from _again(steps, held[0], life, limits)):
                life.finished.add(place)
            else:
                record = _failure_record(steps, held[0], life, limits)
                yield held[0].step, held[0].scan.scan, record
                life.passed[place] = record
        elif not held and not life.passed:
            if any(life.ways.safer_at_start) and life.ended_by is Reason.WORKER_DIED:
                log.error("%s: the worker process died at its start: all scans in the safer way", steps.last.work.stage)
                steps = steps.in_safer_way(life.ways.safer_at_start, "the process died at its start")
                continue
            message = f"the worker process of stage {steps.last.work.stage} ended before it started ({life.ended_by})"
            raise StartDiedError(f"{message}: see the log above", life.ended_by)
        left = []
        for place, task in enumerate(life.tasks):
            if place in life.in_flight or place in life.finished:
                continue
            following: Task | None = task
            if place in life.passed:
                settled, following = steps.after(task, life.passed[place])
                yield from ((step, task.scan.scan, each) for step, each in settled)
            if following is not None:
                left.append(following)
        if alone:
            suspects = left
        else:
            suspects, rest = (held if len(held) > 1 else []), left


def _again(steps: Steps, task: Task, life: _WorkerState, limits: Limits) -> Generator[Settled, None, bool]:
    """Bring a task that a worker died of through its stage, and on, in the safer way, where there is one.

    Returns
    -------
    Whether there was.
    """
    ways = [place == task.step and safer for place, safer in enumerate(life.ways.safer_later)]
    if not any(ways) or life.ended_by is Reason.TIMEOUT:
        return False
    message = _message(life, limits)
    log.error("%s: %s: the scan again in the safer way", steps[task.step].work.stage, message)
    try:
        yield from supervise(steps.in_safer_way(ways, message), [task], limits)
    except StartDiedError as error:
        log.error("%s: %s", steps[task.step].work.stage, error)
        return False
    return True


def _recorded(life: _WorkerState) -> Iterator[Settled]:
    """Records that a worker wrote and died before it could say so."""
    for place in sorted(life.in_flight):
        task = life.tasks[place]
        record = life.steps[task.step].records.load().get(task.scan.scan)
        if record is not None and record.outcome.content_key == task.key and record.outcome.attempt == task.attempt:
            settled = life.hear(ScanFinished(place, task.step, record))
            if settled is not None:
                yield settled


def _message(life: _WorkerState, limits: Limits) -> str:
    """What a worker died of, for a person."""
    match life.ended_by:
        case Reason.OUT_OF_MEMORY:
            return f"the process reached {life.peak_mb:.0f} MB of the {limits.memory_mb:.0f} MB allowed"
        case Reason.TIMEOUT:
            return f"not finished after {limits.seconds:.0f} s"
        case _:
            return "the process that worked on this scan terminated unexpectedly"


def _failure_record(steps: Steps, task: Task, life: _WorkerState, limits: Limits) -> Record:
    step, message = steps[task.step], _message(life, limits)
    log.error("%s: %s: %s", step.work.stage, life.ended_by, message)
    outcome = task.outcome(step.work.stage, life.ended_by, message)
    record = Record(outcome, raw_stamp=step.work.raw_stamp(task.scan, outcome.status))
    step.records.finish(record)
    return record


def _watch(life: _WorkerState, limits: Limits, *, overlap: bool) -> Iterator[Settled]:
    """Run one worker until it ends, or end it where it goes over a limit."""
    # Forked: the stage's functions need not travel, and modules that are imported already are not imported again. No
    # thread of this process runs anything at this point.
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_worker, args=(life.steps, life.tasks, overlap, theirs, os.getpid()), daemon=True)
    process.start()
    theirs.close()
    watched = psutil.Process(process.pid)
    try:
        while True:
            if wait([ours], timeout=_LOOK_SECONDS):
                try:
                    settled = life.hear(ours.recv())
                except (EOFError, OSError):  # it has ended, perhaps in the middle of a message
                    break
                if settled is not None:
                    yield settled
            _enforce(watched, life, limits)
    finally:
        process.kill()  # it has ended, unless this one is given up
        process.join()
        ours.close()
    nearly_full = limits.memory_mb is not None and life.peak_mb > _NEARLY * limits.memory_mb
    if life.ended_by is Reason.WORKER_DIED and process.exitcode == -signal.SIGKILL and nearly_full:
        life.ended_by = Reason.OUT_OF_MEMORY  # the kernel was faster than the look at the memory
    if life.error is not None:
        raise life.error


def _enforce(watched: psutil.Process, life: _WorkerState, limits: Limits) -> None:
    try:
        memory_mb = watched.memory_info().rss / 2**20
    except psutil.NoSuchProcess:
        return
    life.peak_mb = max(life.peak_mb, memory_mb)
    if limits.memory_mb is not None and memory_mb > limits.memory_mb:
        life.ended_by = Reason.OUT_OF_MEMORY
    elif limits.seconds is not None and time.monotonic() - life.last_sign > limits.seconds:
        life.ended_by = Reason.TIMEOUT
    else:
        return
    watched.kill()


def _worker(steps: Steps, tasks: Sequence[Task], overlap: bool, pipe: Connection, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the one that watches
    end_with(parent)
    _prefer_for_oom_kill()
    lock = threading.Lock()

    def tell(message: Message | Exception) -> None:
        with lock:
            pipe.send(message)

    try:
        work_through(steps, tasks, overlap=overlap, tell=tell)
    except DixonflowError as error:
        tell(error)
    except Exception as error:
        log.exception("the worker process failed between scans")
        tell(RuntimeError(f"the worker process failed: {type(error).__name__}: {error}"))


def _prefer_for_oom_kill() -> None:
    """Let the kernel take this process first where memory runs out."""
    if sys.platform.startswith("linux"):
        Path("/proc/self/oom_score_adj").write_text("1000")
