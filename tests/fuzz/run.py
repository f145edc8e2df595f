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
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from targets import MODULES  # noqa: E402

_GRACE_S = 180
"""For imports, seeds, and an input that takes for ever."""
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
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time; each then has more time")
    parser.add_argument("--output", type=Path, default=Path(".fuzz"), help="corpora and findings; kept between calls")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.exit("fuzzing needs atheris, which is published for Linux on x86_64 and aarch64 only; it is not installed")
    names = options.target or list(MODULES)
    each = max(1, options.seconds * options.jobs // len(names))
    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda name: _fuzz(name, each, options.output.resolve() / name), names))
    print(f"{'target':16}{'executions':>12}{'coverage':>10}{'features':>10}{'corpus':>8}  findings")
    for result in results:
        numbers = f"{result.executions:12,}{result.coverage:10,}{result.features:10,}{result.corpus:8,}"
        print(f"{result.name:16}{numbers}  {result.problem or len(result.findings)}")
    for result in results:
        for path, what in result.findings:
            print(f"\n{result.name}: {path}\n{what}")
    if any(result.findings or result.problem for result in results):
        sys.exit(1)


def _fuzz(name: str, seconds: int, output: Path) -> Result:
    """Fuzz one target, again where an input ends the process, until the time is up."""
    output.mkdir(parents=True, exist_ok=True)
    result, end = Result(name), time.monotonic() + seconds
    while (left := int(end - time.monotonic())) > 0 or not result.executions:
        command = [sys.executable, str(HERE / "one_target.py"), name]
        command += ["--seconds", str(max(left, 1)), "--output", str(output)]
        with (output / "log.txt").open("w", encoding="utf-8") as log:
            try:
                code = subprocess.run(
                    command, stdout=log, stderr=subprocess.STDOUT, check=False, timeout=left + _GRACE_S
                ).returncode
            except subprocess.TimeoutExpired:
                code = -1
        done = _count(result, (output / "log.txt").read_text(encoding="utf-8", errors="replace"))
        if code == 0:
            break
        if not done:
            result.problem = f"did not start: see {output / 'log.txt'}"
            break
    result.findings = _findings(name, output / "findings")
    return result


def _count(result: Result, log: str) -> int:
    """Take the numbers from libFuzzer's lines."""
    progress = re.findall(r"^#(\d+)\s.* cov: (\d+) ft: (\d+) corp: (\d+)", log, re.MULTILINE)
    if not progress:
        return 0
    done = max(int(line[0]) for line in progress)
    result.executions += done
    result.coverage, result.features, result.corpus = (int(number) for number in progress[-1][1:])
    return done


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
