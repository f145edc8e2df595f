"""Work on cases in several processes: one that dies costs the case that it worked on."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def results_of(
    function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int
) -> Iterator[tuple[Task, Result | None]]:
    """Call a function with each task; give each with its result as they come, None where its process died.

    Parameters
    ----------
    function
        Of a module, as a new process imports it. Its errors come to the caller.
    tasks
        What processes take.
    jobs
        Processes; 1 for this one.
    """
    if jobs == 1 or len(tasks) < 2:
        for task in tasks:
            yield task, function(task)
        return
    left = dict(enumerate(tasks))
    try:
        with ProcessPoolExecutor(min(jobs, len(tasks)), get_context("spawn")) as pool:
            running = {pool.submit(function, task): place for place, task in left.items()}
            for done in as_completed(running):
                result = done.result()
                yield left.pop(running[done]), result
    except BrokenProcessPool:
        # nobody knows whose process it was, but those at work were the first ones: each of them has its own now
        suspects, rest = list(left.values())[: jobs + 1], list(left.values())[jobs + 1 :]
        for task in suspects:
            yield task, _alone(function, task)
        yield from results_of(function, rest, jobs)


def _alone(function: Callable[[Task], Result], task: Task) -> Result | None:
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return pool.submit(function, task).result()
    except BrokenProcessPool:
        return None
