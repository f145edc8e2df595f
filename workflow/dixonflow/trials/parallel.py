"""Calls in several processes, with a bar."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

from rich.console import Console
from rich.progress import track


def run_all(jobs: int, function: Callable[..., object], calls: Sequence[tuple[Any, ...]], name: str) -> None:
    """Call a function with each of some arguments, in `jobs` processes; the first error stops it."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(function, *call) for call in calls]
        try:
            for done in track(as_completed(running), name, total=len(running), console=Console(stderr=True)):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
