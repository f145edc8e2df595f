"""Work on many items at once, each protected from the others: what kills, fills or stalls a process costs that item."""

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Generic, TypeVar

import psutil

from dixonflow.system.lifetime import end_with
from dixonflow.vocabulary import Reason

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Allowance:
    """What one item may take; None for any amount.

    Attributes
    ----------
    memory_mb
        Resident memory that its process takes beyond what it began with (MB).
    seconds
        Wall time (s).
    """

    memory_mb: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class FailedItem:
    """An item whose process was ended: `out_of_memory`, `timeout` or `worker_died`, and what was seen."""

    reason: Reason
    message: str


@dataclass
class _Worker(Generic[Item, Result]):
    """A process that works on one item at a time."""

    work: Callable[[Item], Result]
    process: ForkProcess = field(init=False)
    pipe: Connection = field(init=False)
    began_with_mb: float = field(init=False)
    place: int | None = None
    since: float = 0.0
    ended_by: FailedItem | None = None

    def __post_init__(self) -> None:
        # Forked: what the items need need not travel. The children touch none of this process' threads and locks.
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(self.work, theirs, self.pipe, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()
        self.began_with_mb = self._memory_mb()  # a forked process holds what this one does

    def _memory_mb(self) -> float:
        try:
            return float(psutil.Process(self.process.pid).memory_info().rss / 2**20)
        except psutil.NoSuchProcess:
            return 0.0

    def give(self, place: int, item: Item) -> None:
        """Begin an item. A process that has died since shows when the answer is waited for."""
        self.place, self.since = place, time.monotonic()
        with suppress(OSError):
            self.pipe.send(item)

    def enforce(self, allowance: Allowance) -> None:
        """End the process where it goes over what an item may take."""
        memory_mb = self._memory_mb() - self.began_with_mb
        if allowance.memory_mb is not None and memory_mb > allowance.memory_mb:
            message = f"it took more memory than the {allowance.memory_mb:.0f} MB allowed"
            self.ended_by = FailedItem(Reason.OUT_OF_MEMORY, message)
        elif allowance.seconds is not None and time.monotonic() - self.since > allowance.seconds:
            self.ended_by = FailedItem(Reason.TIMEOUT, f"not finished after {allowance.seconds:.0f} s")
        else:
            return
        self.process.kill()

    def end(self) -> None:
        """Take the process away."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def guarded(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int = 1,
    allowance: Allowance | None = None,
    advance: Callable[[], None] = lambda: None,
) -> list[Result | FailedItem]:
    """Give the result of `work` for each item, in their order.

    Parameters
    ----------
    work
        Called in processes of its own. What it raises ends the process: it is to catch what may go wrong.
    workers
        Number of processes.
    allowance
        What one item may take; anything by default.
    advance
        Called after each item.
    """
    waiting: Sequence[Item] = list(items)
    allowance = allowance or Allowance()
    results: dict[int, Result | FailedItem] = {}
    staff: list[_Worker[Item, Result]] = []
    following = 0
    last_look = time.monotonic()
    try:
        while len(results) < len(waiting):
            while len(staff) < workers and following < len(waiting):
                staff.append(_Worker(work))
                staff[-1].give(following, waiting[following])
                following += 1
            ready = wait([each.pipe for each in staff], timeout=_LOOK_SECONDS)
            for worker in [each for each in staff if each.pipe in ready]:
                place = worker.place
                assert place is not None
                try:
                    results[place] = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.end()
                    staff.remove(worker)
                    results[place] = worker.ended_by or FailedItem(
                        Reason.WORKER_DIED, "the process that worked on it terminated unexpectedly"
                    )
                else:
                    if following < len(waiting):
                        worker.give(following, waiting[following])
                        following += 1
                    else:
                        worker.end()
                        staff.remove(worker)
                advance()
            if time.monotonic() - last_look > _LOOK_SECONDS:
                last_look = time.monotonic()
                for worker in staff:
                    worker.enforce(allowance)
    finally:
        for worker in staff:
            worker.end()
    return [results[place] for place in range(len(waiting))]


def _serve(work: Callable[[Item], Result], pipe: Connection, others_end: Connection, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the one that watches
    end_with(parent)
    others_end.close()
    while True:
        try:
            item: Item = pipe.recv()
        except EOFError:
            return
        pipe.send(work(item))
