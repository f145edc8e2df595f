"""R, where it is installed (scripts/install_readers.sh): CI has it, other machines need not."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest


@cache
def has_r() -> bool:
    """Whether R is here with haven. In CI it must be."""
    if shutil.which("Rscript") is None:
        assert "CI" not in os.environ, "R is not installed: run scripts/install_readers.sh"
        return False
    return subprocess.run(["Rscript", "-e", "library(haven)"], capture_output=True, check=False).returncode == 0


needs_r = pytest.mark.skipif(not has_r(), reason="R with haven is not installed (scripts/install_readers.sh)")


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
