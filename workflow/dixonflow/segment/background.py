"""Steps that one thread takes in order while another computes."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import torch


class BackgroundSteps(AbstractContextManager["BackgroundSteps"]):
    """Takes steps one after the other, in a thread of its own and at most one behind; or at once. A context.

    At its end all steps are done. The error of a step is raised by a later `submit` or at the end; steps after it are
    not taken.

    Parameters
    ----------
    in_thread
        Whether to use a thread. It has as many threads of torch as the one that makes it.
    """

    def __init__(self, in_thread: bool) -> None:
        threads = torch.get_num_threads()
        start = (lambda: torch.set_num_threads(threads)) if in_thread else None
        self._executor = ThreadPoolExecutor(1, initializer=start) if in_thread else None
        self._pending: Future[None] | None = None

    def submit(self, step: Callable[[], None]) -> None:
        """Take a step, after all before it."""
        if self._executor is None:
            step()
            return
        self._wait()
        self._pending = self._executor.submit(_inferring, step)

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        try:
            if kind is None:
                self._wait()
        finally:
            if self._executor is not None:
                self._executor.shutdown()

    def _wait(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()


def _inferring(step: Callable[[], None]) -> None:
    with torch.inference_mode():  # it holds for one thread
        step()
