"""Runs a benchmark: ours and the peer in turn, each time in a new process; outputs are compared before times are."""

import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

from benchmarks.arrays import Verdict, read_arrays
from benchmarks.record import Record

TESTS = Path(__file__).resolve().parents[1]

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    "nnUNet_def_n_proc",
)
"""How libraries, and nnU-Net's export, are told their number of threads."""


class BenchmarkError(Exception):
    """A measured process did not end well."""


@dataclass(frozen=True)
class Setting:
    """Where and how processes run.

    Attributes
    ----------
    ours, peers
        Python of this project and of the peers' environment.
    threads
        Of every library, the same on both sides.
    small
        Tiny inputs, to try the benchmarks themselves.
    """

    ours: Path
    peers: Path
    threads: int
    small: bool


@dataclass(frozen=True)
class Measured:
    """Seconds and largest resident memory (MB) of one run."""

    seconds: float
    peak_mb: float


Run = Callable[[Path, Path, Setting], Measured]
"""One run of one side: the prepared folder, a new folder for its output, the setting."""


class Benchmark(Protocol):
    """What `measure` needs of a benchmark. Outputs are left in the folder `output`, which is new."""

    @property
    def name(self) -> str:
        """Of the row."""

    @property
    def peer(self) -> str | None:
        """Name on the package index; None where we are measured alone."""

    @property
    def repeats(self) -> int:
        """How often each side is run."""

    def prepare(self, inputs: Path, setting: Setting) -> Path:
        """Make the input below `inputs` if it is not there; gives its folder."""

    def ours(self, prepared: Path, output: Path, setting: Setting) -> Measured:
        """Run us once."""

    @property
    def theirs(self) -> Run | None:
        """Runs the peer once; None where there is none."""

    def compare(self, prepared: Path, ours: Path, theirs: Path | None) -> Verdict:
        """Compare the outputs, or check ours alone."""


@dataclass(frozen=True)
class FunctionBenchmark:
    """Functions of a module of this package, timed by `benchmarks.worker`.

    Attributes
    ----------
    module
        Has the functions below and `compare(prepared, ours, theirs)`, which gives a Verdict.
    ours_function, peer_function
        Take the prepared folder and give the call to time, which gives arrays.
    prepare_function
        Takes the folder of all inputs and whether they are to be tiny, gives the prepared one.
    clock
        `wall`, or `cpu` for seconds of the processor.
    """

    name: str
    peer: str | None
    module: str
    ours_function: str = "ours"
    peer_function: str = ""
    prepare_function: str = "prepare"
    repeats: int = 3
    clock: str = "wall"

    def prepare(self, inputs: Path, setting: Setting) -> Path:
        """Make the input."""
        folder: Path = getattr(self._module(), self.prepare_function)(inputs, setting.small)
        return folder

    def ours(self, prepared: Path, output: Path, setting: Setting) -> Measured:
        """Time our function."""
        return self._run(setting.ours, self.ours_function, prepared, output, setting)

    @property
    def theirs(self) -> Run | None:
        """Times the peer's, if there is one."""
        return self._theirs if self.peer else None

    def _theirs(self, prepared: Path, output: Path, setting: Setting) -> Measured:
        return self._run(setting.peers, self.peer_function, prepared, output, setting)

    def compare(self, prepared: Path, ours: Path, theirs: Path | None) -> Verdict:
        """Compare the arrays that the functions gave."""
        verdict: Verdict = self._module().compare(prepared, read_arrays(ours), theirs and read_arrays(theirs))
        return verdict

    def _module(self) -> ModuleType:
        return importlib.import_module(f"benchmarks.{self.module}")

    def _run(self, python: Path, function: str, prepared: Path, output: Path, setting: Setting) -> Measured:
        command = [str(python), "-m", "benchmarks.worker", self.module, function, str(prepared), str(output)]
        run_process(command, setting)
        figures = json.loads((output / "figures.json").read_text(encoding="utf-8"))
        return Measured(figures[f"{self.clock}_s"], figures["peak_mb"])


def run_process(command: Sequence[str], setting: Setting, paths: Sequence[Path] = ()) -> Measured:
    """Run a command to its end, with `paths` first on Python's path; wall seconds, and the peak of its largest process.

    Raises
    ------
    BenchmarkError
        With the end of what it printed, if it fails.
    """
    environment = os.environ | dict.fromkeys(_THREAD_VARIABLES, str(setting.threads))
    own = (*paths, TESTS, TESTS / "helpers")
    environment["PYTHONPATH"] = os.pathsep.join([*map(str, own), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            said = log.read().decode(errors="replace")[-1500:]
            raise BenchmarkError(f"{' '.join(command[:4])} ended with {process.returncode}: {said}")
    bytes_a_unit = 1 if sys.platform == "darwin" else 1024
    return Measured(seconds, usage.ru_maxrss * bytes_a_unit / 1e6)


def measure(benchmark: Benchmark, inputs: Path, setting: Setting, versions: Mapping[str, str | None]) -> Record:
    """Run a benchmark.

    Parameters
    ----------
    inputs
        Folder of the cached inputs.
    versions
        Installed version of each peer, None where it is missing.
    """
    peer, version = benchmark.peer, versions.get(benchmark.peer or "")
    runs: dict[str, list[Measured]] = {"ours": [], "theirs": []}
    verdict: Verdict | None = None
    try:
        prepared = benchmark.prepare(inputs, setting)
        for _ in range(benchmark.repeats):
            outputs: dict[str, Path] = {}
            with tempfile.TemporaryDirectory(dir=inputs, prefix="output-") as folder:
                for side, run in (("ours", benchmark.ours), ("theirs", benchmark.theirs)):
                    if run and (side == "ours" or version is not None):
                        outputs[side] = Path(folder) / side
                        outputs[side].mkdir()
                        runs[side].append(run(prepared, outputs[side], setting))
                if verdict is None and (version is not None or peer is None):
                    verdict = benchmark.compare(prepared, outputs["ours"], outputs.get("theirs"))
            if verdict is not None and not verdict.equal:
                break
    except BenchmarkError as error:
        return Record(benchmark.name, peer, version, None, None, None, None, None, None, f"failed: {error}")
    missing = "" if version or peer is None else f"{peer} is missing: it could not be installed or imported"
    return _record(benchmark, version, runs, verdict, missing)


def _record(
    benchmark: Benchmark,
    version: str | None,
    runs: Mapping[str, Sequence[Measured]],
    verdict: Verdict | None,
    missing: str,
) -> Record:
    ours_s, ours_mb = _medians(runs["ours"])
    peer_s, peer_mb = _medians(runs["theirs"])
    equal = verdict.equal if verdict else None
    return Record(
        name=benchmark.name,
        peer=benchmark.peer,
        peer_version=version,
        ours_s=ours_s,
        peer_s=peer_s,
        ratio=peer_s / ours_s if equal and peer_s and ours_s else None,
        equal=equal,
        ours_peak_mb=ours_mb,
        peer_peak_mb=peer_mb,
        note=verdict.note if verdict else missing,
    )


def _medians(runs: Sequence[Measured]) -> tuple[float | None, float | None]:
    if not runs:
        return None, None
    return statistics.median(run.seconds for run in runs), statistics.median(run.peak_mb for run in runs)
