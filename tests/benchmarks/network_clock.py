"""Runs a program and reports the seconds that it spends inside its networks.

`python -m benchmarks.network_clock REPORT THREADS PROGRAM ARGUMENTS...`, where PROGRAM is a script's path or
`module:function`. The same clock runs on both sides: it is wrapped around calls of a network from outside, whatever
class it is. It is for CPUs: on a GPU calls return before the work is done.
"""

import importlib
import json
import multiprocessing
import runpy
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn


class NetworkClock:
    """Seconds inside calls of modules that are not parts of other modules, over all threads."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0
        self.first = self.last = 0.0
        self._inside = threading.local()
        self._lock = threading.Lock()

    def install(self) -> None:
        """Wrap calls of all modules."""
        call = nn.Module.__call__

        def timed(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if getattr(self._inside, "yes", False):
                return call(module, *args, **kwargs)
            self._inside.yes = True
            started = time.perf_counter()
            try:
                return call(module, *args, **kwargs)
            finally:
                self._inside.yes = False
                self._add(started, time.perf_counter())

        nn.Module.__call__ = timed  # type: ignore[method-assign]

    def _add(self, started: float, ended: float) -> None:
        with self._lock:
            self.first = self.first or started
            self.last = ended
            self.seconds += ended - started
            self.calls += 1

    def report(self) -> dict[str, float]:
        """Seconds inside, number of calls, and seconds from the first call's begin to the last one's end."""
        return {"network_s": self.seconds, "calls": self.calls, "first_to_last_s": self.last - self.first}


def main(report: Path, threads: int, program: str, arguments: list[str]) -> None:
    """Run the program with `threads` threads in torch."""
    clock = NetworkClock()
    clock.install()
    torch.set_num_threads(threads)
    multiprocessing.cpu_count = lambda: threads  # nnUNetv2_predict gives torch so many threads
    sys.argv = [program, *arguments]
    try:
        if ":" in program:
            module, function = program.split(":")
            getattr(importlib.import_module(module), function)()
        else:
            runpy.run_path(program, run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
    report.write_text(json.dumps(clock.report()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
