"""A copy of the project in which the tests call Snakemake, as its user does."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dixonflow.execution.records import Records
from dixonflow.paths import Results
from dixonflow.vocabulary import Stage, Status

STAGES = tuple(Stage)[1:]
"""Those that work on shards."""

T = TypeVar("T")
Done = dict[tuple[str, str], bytes]
"""Record of each scan that a stage is done with, by stage and scan. What is computed twice has other seconds."""


class Content(bytes):
    """Bytes of a file. Where two differ a failed test says that, and does not print them."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes, SHA-256 {hashlib.sha256(self).hexdigest()[:16]}>"


@dataclass(frozen=True)
class Call:
    """A running call of Snakemake, in its own process group."""

    process: subprocess.Popen[str]
    output: Path

    def wait(self) -> tuple[int, str]:
        """Exit status and all that was printed."""
        status = self.process.wait()
        return status, self.output.read_text()

    def until(self, condition: Callable[[], bool], seconds: float = 1800, pause: float = 0.02) -> None:
        """Wait for `condition`; the call must still be running then."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"the call ended too early\n{self.output.read_text()}"
            assert time.monotonic() < end, f"waited {seconds:.0f} s\n{self.output.read_text()}"
            time.sleep(pause)

    def until_found(self, find: Callable[[], T | None]) -> T:
        """Wait until there is what `find` looks for."""
        found: list[T] = []

        def there() -> bool:
            what = find()
            if what is not None:
                found.append(what)
            return bool(found)

        self.until(there)
        return found[0]

    def kill(self) -> None:
        """Kill Snakemake alone, as a crash does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def kill_group(self) -> None:
        """Kill Snakemake and all that it has started on this machine."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass(frozen=True)
class Run:
    """A results folder, and the one command that fills it.

    Attributes
    ----------
    folder
        Where it is called.
    root
        The results folder as the command names it.
    """

    folder: Path
    root: str
    command: Sequence[str]
    calls: list[Call]

    @property
    def results(self) -> Results:
        """What lies where below the results folder."""
        return Results(self.folder / self.root)

    def start(self, *more: str) -> Call:
        """Begin a call of the command, with `more` where it is not the same."""
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(self.folder / "workflow"),
        }
        output = self.folder / f"call-{len(self.calls)}.txt"
        with output.open("w") as log:
            process = subprocess.Popen(
                [*self.command, *more],
                cwd=self.folder,
                env=environment,
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.calls.append(Call(process, output))
        return self.calls[-1]

    def to_the_end(self) -> str:
        """Call the command; it must end well. Return what was printed."""
        status, output = self.start().wait()
        assert status == 0, output
        return output

    def tables(self) -> dict[str, bytes]:
        """Bytes of every table but `timings`, where all that differs between equal runs lives."""
        return {
            path.name: Content(path.read_bytes())
            for path in sorted(self.results.tables.iterdir())
            if path.name != "timings.parquet"
        }

    def shards(self) -> list[str]:
        """Names of the shards."""
        return sorted(path.stem for path in self.results.shards.glob("*.json"))

    def done(self) -> Done:
        """What every stage is done with so far; what failed is not done."""
        return {
            (stage.value, scan.name): record.to_json()
            for stage in STAGES
            for shard in self.shards()
            for scan, record in Records(records_of(self.results, stage, shard)).load().items()
            if record.outcome.status is not Status.FAILED
        }


def records_of(results: Results, stage: Stage, shard: str) -> Path:
    """Records of a shard at a stage, of the one model of these runs."""
    return results.records(stage, shard, "" if stage is Stage.STITCH else "demo")


@dataclass(frozen=True)
class Project:
    """A copy of the project, its raw data, and the calls of Snakemake that it has seen."""

    folder: Path
    config: Sequence[str] = ()
    calls: list[Call] = field(default_factory=list)

    def local(self, root: str, *options: str, config: Sequence[str] = ()) -> Run:
        """A run on this machine into the results folder `root`."""
        return self._run(["--cores", "2", *options], root, config)

    def slurm(self, root: str, *options: str, config: Sequence[str] = ()) -> Run:
        """A run on Slurm: the command of the docs, with status checks at the pace of a test.

        A check that finds no job ended puts the next one off by 10 s more: 8 s is when most jobs here have ended.
        """
        pace = ["--slurm-init-seconds-before-status-checks", "8", "--latency-wait", "10"]
        return self._run(["--profile", "slurm", *pace, *options], root, config)

    def _run(self, options: Sequence[str], root: str, config: Sequence[str]) -> Run:
        command = ["snakemake", *options, "--config", f"results={root}", *self.config, *config]
        return Run(self.folder, root, command, self.calls)

    def end(self) -> None:
        """Kill what a test that failed left behind."""
        for call in self.calls:
            if call.process.poll() is None:
                call.kill_group()
