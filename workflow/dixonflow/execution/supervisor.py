"""Keeps a worker process going: a scan that crashes it, exhausts its memory or never ends costs that scan alone."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

import psutil

from dixonflow.errors import DixonflowError
from dixonflow.execution.attempt import Task
from dixonflow.execution.outcome import Outcome
from dixonflow.execution.records import Record, Records
from dixonflow.execution.stage_work import StageWork
from dixonflow.execution.worker import Message, ScanFinished, ScanStarted, WorkerBegins, WorkerUnusable, work_through
from dixonflow.system.lifetime import end_with
from dixonflow.vocabulary import Reason

log = logging.getLogger(__name__)

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
    """What the watching process knows of one worker."""

    tasks: Sequence[Task]
    ways: WorkerBegins = field(default_factory=lambda: WorkerBegins(False, False))
    in_flight: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)
    last_sign: float = field(default_factory=time.monotonic)
    peak_mb: float = 0.0
    ended_by: Reason = Reason.WORKER_DIED
    error: Exception | None = None

    def hear(self, message: Message | Exception) -> Record | None:
        self.last_sign = time.monotonic()
        match message:
            case WorkerBegins():
                self.ways = message
            case ScanStarted(place):
                self.in_flight.add(place)
            case ScanFinished(place, record):
                self.in_flight.discard(place)
                self.finished.add(place)
                return record
            case WorkerUnusable():
                log.error("the worker process cannot continue, a new one takes over")
                self.in_flight.clear()
            case _:
                self.error = message
        return None


def supervise(work: StageWork, tasks: Sequence[Task], records: Records, limits: Limits) -> Iterator[Record]:
    """Bring tasks through a stage in a worker process, and start another where it dies.

    Where the dead worker had several scans in hand, these are done again one at a time, without counting as a try: the
    one to blame shows itself.

    Yields
    ------
    The record of every task, in the order in which they end; each is on disk by then.

    Raises
    ------
    DixonflowError
        It concerns every scan alike: a model that is not what it should be, a device that is not there.
    StartDiedError
        If the worker dies before it began a scan.
    """
    rest, overlap = list(tasks), work.overlaps
    suspects: list[Task] = []
    while rest or suspects:
        alone = bool(suspects)
        life = _WorkerState(suspects if alone else rest)
        yield from _watch(work, life, records, limits, overlap=overlap and not alone)
        known = records.load() if life.in_flight else {}
        for place in sorted(life.in_flight):
            record = known.get(life.tasks[place].scan.scan)
            if record is not None and _is_of(record, life.tasks[place]):  # it died before it could say so
                life.hear(ScanFinished(place, record))
                yield record
        held = [life.tasks[place] for place in sorted(life.in_flight)]
        left = [
            task for place, task in enumerate(life.tasks) if place not in life.finished and place not in life.in_flight
        ]
        if len(held) == 1:
            yield from _again(work, held[0], life, records, limits)
        elif not held and not life.finished:
            if life.ways.safer_at_start and life.ended_by is Reason.WORKER_DIED:
                log.error("%s: the worker process died at its start: all scans in the safer way", work.stage)
                work = work.in_safer_way("the process died at its start")
                continue
            message = f"the worker process of stage {work.stage} ended before it started ({life.ended_by})"
            raise StartDiedError(f"{message}: see the log above", life.ended_by)
        if alone:
            suspects = left
        else:
            suspects, rest = (held if len(held) > 1 else []), left


def _again(work: StageWork, task: Task, life: _WorkerState, records: Records, limits: Limits) -> Iterator[Record]:
    """Try a task that a worker died of in the safer way, where the stage has one; else it has failed."""
    failure = _failure(work, task, life, limits)
    if life.ways.safer_later and life.ended_by is not Reason.TIMEOUT:
        log.error("%s: %s: %s: the scan again in the safer way", work.stage, failure.reason, failure.message)
        try:
            yield from supervise(work.in_safer_way(failure.message), [task], records, limits)
            return
        except StartDiedError as error:
            log.error("%s: %s", work.stage, error)
    log.error("%s: %s: %s", work.stage, failure.reason, failure.message)
    record = Record(failure, raw_stamp=work.raw_stamp(task.scan, failure.status))
    records.finish(record)
    yield record


def _is_of(record: Record, task: Task) -> bool:
    return record.outcome.content_key == task.key and record.outcome.attempt == task.attempt


def _failure(work: StageWork, task: Task, life: _WorkerState, limits: Limits) -> Outcome:
    match life.ended_by:
        case Reason.OUT_OF_MEMORY:
            message = f"the process reached {life.peak_mb:.0f} MB of the {limits.memory_mb:.0f} MB allowed"
        case Reason.TIMEOUT:
            message = f"not finished after {limits.seconds:.0f} s"
        case _:
            message = "the process that worked on this scan terminated unexpectedly"
    return task.outcome(work.stage, life.ended_by, message)


def _watch(work: StageWork, life: _WorkerState, records: Records, limits: Limits, *, overlap: bool) -> Iterator[Record]:
    """Run one worker until it ends, or end it where it goes over a limit."""
    # Forked: the stage's functions need not travel, and modules that are imported already are not imported again. No
    # thread of this process runs anything at this point.
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_worker, args=(work, life.tasks, records, overlap, theirs, os.getpid()), daemon=True
    )
    process.start()
    theirs.close()
    watched = psutil.Process(process.pid)
    try:
        while True:
            if wait([ours], timeout=_LOOK_SECONDS):
                try:
                    record = life.hear(ours.recv())
                except (EOFError, OSError):  # it has ended, perhaps in the middle of a message
                    break
                if record is not None:
                    yield record
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


def _worker(
    work: StageWork, tasks: Sequence[Task], records: Records, overlap: bool, pipe: Connection, parent: int
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the one that watches
    end_with(parent)
    _prefer_for_oom_kill()
    lock = threading.Lock()

    def tell(message: Message | Exception) -> None:
        with lock:
            pipe.send(message)

    try:
        work_through(work, tasks, records, overlap=overlap, tell=tell)
    except DixonflowError as error:
        tell(error)
    except Exception as error:
        log.exception("the worker process failed between scans")
        tell(RuntimeError(f"the worker process failed: {type(error).__name__}: {error}"))


def _prefer_for_oom_kill() -> None:
    """Let the kernel take this process first where memory runs out."""
    if sys.platform.startswith("linux"):
        Path("/proc/self/oom_score_adj").write_text("1000")
