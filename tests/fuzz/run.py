"""Fuzz the readers: python tests/fuzz/run.py --seconds 60. Exits with 1 if anything was found.

Every reader of files from outside gets its share of the time. A finding is an exception that its docstring does not
declare, a message of more than one line, more than 2 s of processor time or 300 MB of memory for one input, or the end
of the process. Each is read again without atheris before it counts. To keep one that has been mended: put it into
tests/fuzz/regressions/<target>/, which a unit test reads.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from targets import MODULES  # noqa: E402

_CONFIRM_S = 120


@dataclass
class Result:
    """What came of one target."""

    name: str
    executions: int = 0
    coverage: int = 0
    features: int = 0
    corpus: int = 0
    findings: tuple[tuple[Path, str], ...] = ()
    problem: str = ""


def main() -> None:
    """Fuzz all targets or one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together, on one core")
    parser.add_argument("--target", choices=sorted(MODULES), action="append", help="default: all")
    parser.add_argument("--jobs", type=int, default=1, help="processes; each target then has more time")
    parser.add_argument("--output", type=Path, default=Path(".fuzz"), help="corpora and findings; kept between calls")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.exit("fuzzing needs atheris, which is published for Linux on x86_64 and aarch64 only; it is not installed")
    names = options.target or list(MODULES)
    each = max(1, options.seconds * options.jobs // len(names))
    output = options.output.resolve()
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda group: _fuzz(group, each, output), _groups(names, options.jobs)))
        results = list(pool.map(lambda name: _result(name, output / name), names))
    print(f"{'target':16}{'executions':>12}{'coverage':>10}{'features':>10}{'corpus':>8}  findings")
    for result in results:
        numbers = f"{result.executions:12,}{result.coverage:10,}{result.features:10,}{result.corpus:8,}"
        print(f"{result.name:16}{numbers}  {result.problem or len(result.findings)}")
    for result in results:
        for path, what in result.findings:
            print(f"\n{result.name}: {path}\n{what}")
    if any(result.findings or result.problem for result in results):
        sys.exit(1)


def _groups(names: list[str], jobs: int) -> list[list[str]]:
    """Targets that a process fuzzes one after another: all of one module, what they need is imported once."""
    of_module: dict[str, list[str]] = {}
    for name in names:
        of_module.setdefault(MODULES[name], []).append(name)
    return [part for own in of_module.values() for job in range(jobs) if (part := own[job::jobs])]


def _fuzz(names: list[str], seconds: int, output: Path) -> None:
    """Fuzz targets of one module, so many seconds each."""
    for name in names:
        (output / name).mkdir(parents=True, exist_ok=True)
        for log in (output / name).glob("log*.txt"):
            log.unlink()
    command = [
        sys.executable,
        str(HERE / "fuzz_targets.py"),
        *names,
        "--seconds",
        str(seconds),
        "--output",
        str(output),
    ]
    with (output / f"{names[0]}.txt").open("w", encoding="utf-8") as log:
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)


def _result(name: str, output: Path) -> Result:
    """What the logs of a target say, and its findings, read again."""
    result = Result(name)
    for log in sorted(output.glob("log*.txt")):
        _count(result, log.read_text(encoding="utf-8", errors="replace"))
    if not result.executions:
        result.problem = f"did not start: see {output} and the text files next to it"
    result.findings = _findings(name, output / "findings")
    return result


def _count(result: Result, log: str) -> None:
    """Take the numbers from libFuzzer's lines."""
    progress = re.findall(r"^#(\d+)\s.* cov: (\d+) ft: (\d+) corp: (\d+)", log, re.MULTILINE)
    if progress:
        result.executions += max(int(line[0]) for line in progress)
        result.coverage, result.features, result.corpus = (int(number) for number in progress[-1][1:])


def _findings(name: str, folder: Path) -> tuple[tuple[Path, str], ...]:
    """Read each saved input again; those that are read well by now are removed."""
    findings = []
    for path in sorted(folder.glob("*")):
        if path.suffix == ".json":
            continue
        try:
            command = [sys.executable, str(HERE / "replay.py"), name, str(path)]
            replayed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_CONFIRM_S)
            what = replayed.stdout.strip() if replayed.returncode else ""
            if replayed.returncode and not what:
                what = f"the process ended with {replayed.returncode}: {replayed.stderr[-2000:]}"
        except subprocess.TimeoutExpired:
            what = f"takes more than {_CONFIRM_S} s"
        if what:
            findings.append((path, what))
        else:
            path.unlink()
            path.with_suffix(".json").unlink(missing_ok=True)
    return tuple(findings)


if __name__ == "__main__":
    main()
