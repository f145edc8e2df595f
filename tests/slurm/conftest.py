"""A pretended Slurm cluster with the real daemons, and a copy of the project whose demo cohort runs on it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cluster import Cluster, why_not

from dixonflow.layout import Results
from dixonflow.phantom.demo_cohort import DEMO_SCANS, DemoOptions, make_demo_cohort

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "config.yaml", "workflow", "scripts", "profiles", "slurm", "envs")
SMALL_COHORT = (
    "cohort={sources: [{layout: ukb, folder: small/raw/ukb}], withdrawn: small/withdrawn.txt, scans_per_shard: 2}"
)
"""The first three scans of the demo: a shard of two and one of one."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with Cluster() as cluster:
        yield cluster


@dataclass(frozen=True)
class Call:
    """One call of Snakemake that goes on."""

    process: subprocess.Popen[str]
    output: Path

    def wait(self) -> tuple[int, str]:
        """Exit status and all that was printed."""
        status = self.process.wait()
        return status, self.output.read_text()

    def until(self, condition: Callable[[], bool], seconds: float = 600) -> None:
        """Wait for `condition`; the call must still go on then."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"the call ended too early\n{self.output.read_text()}"
            assert time.monotonic() < end, f"waited {seconds:.0f} s\n{self.output.read_text()}"
            time.sleep(0.2)

    def kill(self) -> None:
        """Kill Snakemake as a crash does; what it started lives on."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@dataclass(frozen=True)
class Project:
    """A copy of the project with the demo cohort, and the calls of Snakemake that it has seen."""

    folder: Path
    calls: list[Call] = field(default_factory=list)

    def start(self, *options: str, results: str, config: Sequence[str] = ()) -> Call:
        """Begin a call of Snakemake with a results folder of its own; `small...` runs the small cohort."""
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(self.folder / "workflow"),
        }
        output = self.folder / f"{results}.txt"
        small = [SMALL_COHORT] if results.startswith("small") else []
        command = ["snakemake", *options, "--config", f"results=results/{results}", *small, *config]
        with output.open("w") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=environment, text=True, stdout=log, stderr=log)
        self.calls.append(Call(process, output))
        return self.calls[-1]

    def local(self, results: str) -> str:
        """Run on this machine; it must end well."""
        status, output = self.start("--cores", "2", results=results).wait()
        assert status == 0, output
        return output

    def slurm(self, *options: str, results: str, config: Sequence[str] = ()) -> Call:
        """The command of the docs, with status checks at the pace of a test."""
        pace = ("--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "10")
        return self.start("--profile", "slurm", *pace, *options, results=results, config=config)

    def results(self, results: str) -> Results:
        return Results(self.folder / "results" / results)

    def tables(self, results: str) -> dict[str, bytes]:
        """Bytes of every table but `timings`, where all that differs between equal runs lives."""
        folder = self.results(results).tables
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "timings.parquet"}

    def images(self, results: str) -> dict[str, tuple[int, int]]:
        """Every image with its inode and date: what is written anew differs."""
        root = self.results(results).root
        files = [path for path in root.rglob("*.nii.gz") if not path.name.startswith(".")]
        return {str(path.relative_to(root)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("slurm")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part, follow_symlinks=False)
    make_demo_cohort(folder / "small/raw", DemoOptions(), 2, lambda _: None, DEMO_SCANS[:3])
    project = Project(folder)
    yield project
    for call in project.calls:
        if call.process.poll() is None:  # its test failed before its end
            call.kill()


@pytest.fixture(scope="session")
def demo(project) -> Project:
    """The project with the whole demo cohort, which `config.yaml` names."""
    folder = project.folder / "demo"
    if (ROOT / "demo").is_dir():  # made before: what is right already is not made again
        shutil.copytree(ROOT / "demo", folder)
    make_demo_cohort(folder / "raw", DemoOptions(), 2, lambda _: None)
    return project


@pytest.fixture(scope="session")
def undisturbed(project) -> dict[str, bytes]:
    """Tables of the small cohort, made on this machine without any fault."""
    project.local("small_undisturbed")
    return project.tables("small_undisturbed")
