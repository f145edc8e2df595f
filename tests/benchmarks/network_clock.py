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
    """Seconds inside calls of modules that are not parts of others, over all threads and all processes forked later."""

    def __init__(self) -> None:
        self._seconds = multiprocessing.get_context("fork").Value("d", 0.0)
        self._inside = threading.local()

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
                with self._seconds.get_lock():
                    self._seconds.value += time.perf_counter() - started

        nn.Module.__call__ = timed  # type: ignore[method-assign]

    @property
    def seconds(self) -> float:
        """So far."""
        return float(self._seconds.value)


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
    report.write_text(json.dumps({"network_s": clock.seconds}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
