"""A run of the whole demo, as a new user does it, shared by the tests of the workflow."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from project_copy import call_in, call_in_terminal, copy_project


@dataclass(frozen=True)
class Project:
    """A copy of the project in which the demo has run."""

    folder: Path
    first_output: str

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def demo(self) -> Path:
        return self.folder / "demo"

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project with this Python first on the path; output and errors together."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return call_in(self.folder, *command, PATH=path)

    def snakemake(self, *options: str) -> str:
        """Run the workflow; it must end well."""
        run = self.call("snakemake", "--cores", "2", *options)
        assert run.returncode == 0, run.stdout
        return run.stdout

    def state(self) -> dict[str, int]:
        """Every result file with its date; logs and Snakemake's own records apart."""
        return {
            str(path.relative_to(self.results)): path.stat().st_mtime_ns
            for path in sorted(self.results.rglob("*"))
            if path.is_file() and path.relative_to(self.results).parts[0] != "logs"
        }


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    bare = Project(folder, "")
    made = bare.call("python", "scripts/make_demo_cohort.py", "--jobs", "2")
    assert made.returncode == 0, made.stdout
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    watched = call_in_terminal(folder, "snakemake", "--cores", "2", PATH=path)
    assert watched.returncode == 0, watched.stdout
    return Project(folder, watched.stdout)
