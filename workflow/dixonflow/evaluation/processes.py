"""Calls in several processes, of which one that ends its process costs no other."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

LOST = "its process ended without a result: is memory short?"
"""What is said of a call that ended its process."""

T = TypeVar("T")
R = TypeVar("R")


def results_of(
    function: Callable[[T], R], tasks: Sequence[T], jobs: int, lost: Callable[[T], R]
) -> Iterator[tuple[int, R]]:
    """Call a function with each task and give the number of the task and its result, as they come.

    Parameters
    ----------
    function
        A function of a module, for it is sent to other processes.
    tasks
        Its argument in each call.
    jobs
        Processes; 1 calls it here.
    lost
        Gives the result of a task whose process ended.
    """
    if jobs == 1 or len(tasks) < 2:
        yield from enumerate(map(function, tasks))
        return
    left = set(range(len(tasks)))
    try:
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            running = {pool.submit(function, task): number for number, task in enumerate(tasks)}
            for future in as_completed(running):
                result = future.result()
                left.remove(running[future])
                yield running[future], result
    except BrokenProcessPool:
        for number in sorted(left):  # nobody knows whose process it was: each has its own now
            try:
                with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                    result = pool.submit(function, tasks[number]).result()
            except BrokenProcessPool:
                result = lost(tasks[number])
            yield number, result
