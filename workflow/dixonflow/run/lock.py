"""One run at a time per results folder: a lock that ends with its process, however that ends.

Snakemake's own lock is a list of files in .snakemake: it stays behind when Snakemake is killed, and it does not know of
a second copy of the project that writes to the same results.
"""

import fcntl
import getpass
import json
import logging
import os
import socket
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from dixonflow.errors import ConfigError, DixonflowError
from dixonflow.paths import Results
from dixonflow.system.atomic import write_json
from dixonflow.system.file_lock import try_lock

log = logging.getLogger(__name__)

_TRIES = 5  # a reader that asks whether a run is in progress holds the lock for a moment


class RunInProgressError(DixonflowError):
    """Another process runs the workflow into the same results."""


@dataclass(frozen=True)
class Run:
    """Who runs the workflow, or ran it last.

    Attributes
    ----------
    user, host, process, folder
        Whose Snakemake it is, where, and the folder it was called in.
    started
        Time in ISO 8601, UTC.
    slurm_name
        Name that all its Slurm jobs carry; empty on one machine.
    ended
        It came to a good end: nothing of it is left anywhere.
    """

    user: str
    host: str
    process: int
    folder: str
    started: str
    slurm_name: str = ""
    ended: bool = False

    @classmethod
    def here(cls, slurm_name: str = "") -> "Run":
        """The run that this process begins now."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(getpass.getuser(), socket.gethostname(), os.getpid(), str(Path.cwd()), now, slurm_name)

    def __str__(self) -> str:
        return f"started {self.started} by {self.user} on {self.host} (process {self.process}) in {self.folder}"


class RunLock:
    """The lock of a results folder. Held until the process ends; nobody has to remove it.

    Parameters
    ----------
    results
        `run.lock` in it is the lock, `run.json` says whose it is.
    """

    def __init__(self, results: Results) -> None:
        self._results = results
        self._descriptor: int | None = None

    def take(self) -> Run | None:
        """Take the lock, unless this object holds it already. Return the run that held it last.

        Raises
        ------
        RunInProgressError
            If another process, on this machine or another, holds it.
        ConfigError
            If the folder cannot be written to.
        """
        if self._descriptor is None:
            try:
                self._results.run_lock.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(self._results.run_lock, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise ConfigError(f"config: results: {error.filename} cannot be written: {error.strerror}") from error
            locked = _locked(descriptor, fcntl.LOCK_EX)
            run = read_run(self._results)
            if locked is False or (locked is None and run is not None and _may_go_on(run)):
                os.close(descriptor)
                how = (
                    "when it has ended, the same command continues from there"
                    if locked is False
                    else f"if it has ended, remove {self._results.run}: this file system does not support locks"
                )
                raise RunInProgressError(
                    f"a run into {self._results.root} is in progress, {run or 'started by another user'}. "
                    f"`dixonflow status` shows its progress; {how}"
                )
            self._descriptor = descriptor
        return read_run(self._results)

    def is_free(self) -> bool:
        """Take the lock if nobody else has it and the folder can be written to; else the start of the run says why."""
        try:
            self.take()
        except DixonflowError:
            return False
        return True

    def announce(self, run: Run) -> None:
        """Write who holds the lock."""
        write_json(self._results.run, asdict(run))

    def end(self) -> None:
        """Say that the run came to a good end."""
        run = read_run(self._results)
        if run is not None:
            self.announce(replace(run, ended=True))


def read_run(results: Results) -> Run | None:
    """Read who runs the workflow, or ran it last; None where nobody did."""
    try:
        return Run(**json.loads(results.run.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def is_running(results: Results) -> bool:
    """Whether a run into these results is in progress, on this machine or another.

    Not for the process that holds the lock itself: it would lose it with the file that is closed here.
    """
    try:
        descriptor = os.open(results.run_lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        return _locked(descriptor, fcntl.LOCK_SH, tries=1) is False
    finally:
        os.close(descriptor)


def _may_go_on(run: Run) -> bool:
    """Where there is no lock to ask: a process of this machine can be looked for, one of another cannot."""
    return not run.ended and (run.host != socket.gethostname() or psutil.pid_exists(run.process))


def _locked(descriptor: int, kind: int, tries: int = _TRIES) -> bool | None:
    for left in reversed(range(tries)):
        locked = try_lock(descriptor, kind, "runs into the same results")
        if locked is not False:
            return locked
        if left:
            time.sleep(0.1)
    return False
