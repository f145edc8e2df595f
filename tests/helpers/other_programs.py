"""Programs of others that read what we write (scripts/install_readers.sh): in CI they must be there."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def _needs(name: str, *command: str) -> pytest.MarkDecorator:
    """Skip where a command does not run; in CI that is an error, which ends the collection of the tests."""
    found = shutil.which(command[0]) is not None
    found = found and subprocess.run(command, capture_output=True, check=False).returncode == 0
    if not found and "CI" in os.environ:
        raise RuntimeError(f"{name} is not installed, and CI skips no test: run scripts/install_readers.sh")
    return pytest.mark.skipif(not found, reason=f"{name} is not installed (scripts/install_readers.sh)")


needs_r = _needs("R with haven", "Rscript", "-e", "library(haven)")
needs_plink = _needs("PLINK 2", "plink2", "--version")


def run_r(code: str, folder: Path) -> str:
    """What R prints for some code that is run in a folder; an error of R is a failure."""
    path = folder / "code.R"
    path.write_text(code, encoding="utf-8")
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["Rscript", "--vanilla", path.name], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    path.unlink()
    assert done.returncode == 0, done.stderr
    return done.stdout
