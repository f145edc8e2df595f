"""Processes that end with the one that started them, however that ends. On Linux only; elsewhere they live on."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)
PARENT_VARIABLE = "DIXONFLOW_PARENT"
"""Set by the Snakefile for its jobs: the process that runs them."""


def end_with(parent: int) -> None:
    """Have the system kill this process when `parent` ends, which is the process that started it.

    The call is undone by nothing but the end of this process: what it starts itself is not concerned.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)


def end_with_snakemake() -> None:
    """Have a job end with the Snakemake that runs it: the next call would start a second one on the same shard.

    Where a script is called by hand nothing changes.
    """
    parent = os.environ.pop(PARENT_VARIABLE, "")
    if parent:
        end_with(int(parent))
