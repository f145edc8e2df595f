"""Fuzzes targets of one module with atheris, one after another; called by run.py, which says what it needs.

What the targets need is imported once, under atheris, which takes far longer than without; each is then fuzzed in a
process that is forked from here, again where an input ends it, until its time is up. A finding does not end the run.
Each is saved once, under a name made from its cause, with a separate description.
"""

import argparse
import hashlib
import itertools
import json
import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import atheris

if TYPE_CHECKING:
    from targets import Target

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "helpers")]

_ADDRESS_SPACE = 8 << 30
"""Beyond that memory is refused: the machine is not for this alone."""
_SLOWEST_S = 60
_INSTRUMENTED = ["dixonflow", "zipfile", "pydicom", "nibabel", "json", "yaml", "pickletools"]


_GRACE_S = 180
"""Beyond the time of a target, for seeds and an input that takes for ever."""


def main() -> None:
    """Fuzz until the time is up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="+")
    parser.add_argument("--seconds", type=int, required=True, help="for each")
    parser.add_argument("--output", type=Path, required=True, help="a folder for each is in it")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=_INSTRUMENTED):
        from targets import load

        targets = {name: load(name) for name in options.names}
    for name, target in targets.items():
        _until_time_is_up(target, options.seconds, options.output / name)


def _until_time_is_up(target: "Target", seconds: int, output: Path) -> None:
    """Fuzz in processes of its own; the log of each is `log<number>.txt`."""
    output.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    for attempt in itertools.count(1):
        left = max(round(end - time.monotonic()), 1)
        log = output / f"log{attempt}.txt"
        process = os.fork()
        if not process:
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            _fuzz(target, left, output)
            os._exit(0)
        code = _ended(process, left + _GRACE_S)
        started = log.exists() and "cov:" in log.read_text(encoding="utf-8", errors="replace")
        if code == 0 or not started or time.monotonic() >= end:
            break


def _ended(process: int, seconds: int) -> int:
    """Exit status of a process, which is killed when it takes longer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _fuzz(target: "Target", seconds: int, output: Path) -> None:
    """Fuzz one target in this process, which ends with it."""
    from limits import examine

    findings, corpus = output / "findings", output / "corpus"
    for folder in (findings, corpus):
        folder.mkdir(parents=True, exist_ok=True)
    shared = Path("/dev/shm")
    scratch = Path(tempfile.mkdtemp(prefix="dixonflow-fuzz-", dir=shared if shared.is_dir() else None))
    for content in target.seeds(scratch / "seeds") if (scratch / "seeds").mkdir() is None else []:
        (corpus / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
        if (found := examine(target, content, scratch / "input")) is not None:
            print(f"seed: {found.key}\n{found.detail}", flush=True)
    known: set[str] = set()

    def test_one_input(data: bytes) -> None:
        found = examine(target, data, scratch / "input")
        if found is None or found.key in known:
            return
        known.add(found.key)
        name = hashlib.sha256(found.key.encode()).hexdigest()[:12]
        (findings / name).write_bytes(data)
        (findings / f"{name}.json").write_text(json.dumps({"key": found.key, "detail": found.detail}))

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        return target.mutate(data, longest, Random(seed), atheris.Mutate)

    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (_used() + _ADDRESS_SPACE, resource.RLIM_INFINITY))
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={target.longest}",
        f"-artifact_prefix={findings}/",
        f"-timeout={_SLOWEST_S}",
        "-rss_limit_mb=0",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup(arguments, test_one_input, custom_mutator=mutate)
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _used() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
