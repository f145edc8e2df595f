"""A copy of the project, for tests and benchmarks that run it as its user does."""

import os
import pty
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "config.yaml", "workflow", "scripts", "profiles", "slurm", "envs")
"""All that a run needs."""


def copy_project(folder: Path, parts: Sequence[str] = PARTS) -> None:
    """Copy what a run needs into a folder."""
    for part in parts:
        source = ROOT / part
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part, follow_symlinks=False)


def call_in(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a copy of the project, on its own package; output and errors together."""
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder / "workflow")} | variables,
        text=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def call_in_terminal(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """As `call_in`, for somebody who watches: output and errors go to a terminal."""
    ours, terminal = pty.openpty()
    parts: list[bytes] = []

    def read() -> None:
        try:
            while part := os.read(ours, 65536):
                parts.append(part)
        except OSError:  # the last one has closed it
            return

    reader = threading.Thread(target=read)
    reader.start()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder / "workflow"), "TERM": "dumb"}
    ended = subprocess.run(
        command, cwd=folder, env=environment | variables, check=False, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    reader.join()
    os.close(ours)
    return subprocess.CompletedProcess(command, ended.returncode, b"".join(parts).decode().replace("\r\n", "\n"))
