"""Fuzzes one target with atheris for some time; called by run.py, which says what it needs.

A finding does not end the run. Each is saved once, under a name made from its cause, with a separate description.
"""

import argparse
import hashlib
import json
import logging
import resource
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from random import Random

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "helpers")]

_ADDRESS_SPACE = 8 << 30
"""Beyond that memory is refused: the machine is not for this alone."""
_SLOWEST_S = 60
_INSTRUMENTED = ["dixonflow", "zipfile", "pydicom", "nibabel", "json", "yaml", "pickletools"]


def main() -> None:
    """Fuzz until the time is up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=_INSTRUMENTED):
        from targets import load

        target = load(options.name)
    from limits import examine

    findings, corpus = options.output / "findings", options.output / "corpus"
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
        f"-max_total_time={options.seconds}",
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
