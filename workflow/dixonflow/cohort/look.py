"""Look into many scans at once, in processes of their own: one that dies takes nothing along."""

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from dixonflow.cohort.raw import RawScan
from dixonflow.cohort.reader import InspectOptions, inspect
from dixonflow.errors import ScanExcluded
from dixonflow.lifetime import end_with
from dixonflow.vocabulary import Reason

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """What was found out about a scan; the attributes are those of `CohortScan`."""

    reason: Reason = Reason.NONE
    message: str = ""
    note: str = ""
    n_stations: int | None = None
    n_slices: int | None = None


DIED = Finding(Reason.WORKER_DIED, "the process ended while it looked into this scan")


def look(raw: RawScan, options: InspectOptions) -> Finding:
    """Look into one scan. Whatever happens to it is its outcome, never the end of the run."""
    try:
        summary = inspect(raw, options)
    except ScanExcluded as excluded:
        return Finding(excluded.reason, excluded.message)
    except MemoryError:
        return Finding(Reason.OUT_OF_MEMORY, "memory ran out while the headers were read")
    except Exception as error:
        log.debug("failed: %s", raw.path, exc_info=True)
        return Finding(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")
    notes = "; ".join(summary.notes)
    return Finding(note=notes, n_stations=summary.n_stations, n_slices=summary.n_slices)


def open_pool(workers: int) -> ProcessPoolExecutor:
    """Open a pool of processes, all of which are started with the first piece of work."""
    # fork, and nothing else: with the other methods the executor starts processes one by one, and in Python 3.11 it can
    # then overlook one that dies, or wait for ever for one that was started while it cleared up after another. What
    # runs in the children touches none of the threads and locks of this process.
    context = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=end_with, initargs=(os.getpid(),))


def look_into(
    scans: Sequence[RawScan],
    options: InspectOptions,
    pool: ProcessPoolExecutor,
    advance: Callable[[], None] = lambda: None,
) -> list[Finding]:
    """Look into scans.

    Parameters
    ----------
    pool
        Left broken where one of its processes died.
    advance
        Called after each scan.

    Returns
    -------
    One finding per scan, in their order; a scan whose process dies when it is looked into alone is `worker_died`.
    """
    findings: dict[int, Finding] = {}

    def done(index: int, finding: Finding) -> None:
        findings[index] = finding
        advance()

    try:
        futures = {pool.submit(look, raw, options): index for index, raw in enumerate(scans)}
        for future in as_completed(futures):
            done(futures[future], future.result())
    except BrokenProcessPool:
        log.warning("a process died; the scans that are left are looked into one at a time, to find the one it was")
    _look_alone([(index, raw) for index, raw in enumerate(scans) if index not in findings], options, done)
    return [findings[index] for index in range(len(scans))]


def _look_alone(
    left: Iterable[tuple[int, RawScan]], options: InspectOptions, done: Callable[[int, Finding], None]
) -> None:
    pool: ProcessPoolExecutor | None = None
    for index, raw in left:
        pool = pool or open_pool(1)
        try:
            done(index, pool.submit(look, raw, options).result())
        except BrokenProcessPool:
            done(index, DIED)
            pool.shutdown()
            pool = None
    if pool is not None:
        pool.shutdown()
