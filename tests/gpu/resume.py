"""The segment command killed in the middle and started again: finished label maps stay, the rest is made, all equal."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from benchmarks.harness import TESTS, BenchmarkError
from benchmarks.shard import check_outcomes

from dixonflow.execution.records import Records
from dixonflow.imaging.nifti import read_labels
from dixonflow.paths import Results
from dixonflow.vocabulary import Stage
from gpu.inputs import CONTRASTS, MODEL, Inputs, label_maps
from gpu.record import Budget, Row, Value

SECTION = "resume"
NETWORK = "default"

_PAUSE_S = 0.02


def check(inputs: Inputs, budget: Budget) -> Iterator[Row]:
    """Kill, resume and compare with a run that nobody killed."""
    if inputs.scans < 2:
        yield Row(SECTION, NETWORK, "killed and started again", "skipped", note="needs --scans 2 or more")
        return
    shard = inputs.shard(NETWORK)
    with tempfile.TemporaryDirectory(dir=inputs.folder, prefix="resume-") as temporary:
        whole, broken = Path(temporary) / "whole", Path(temporary) / "broken"
        results, package, name = shard.start_run(broken)
        command = shard.command(results, name)
        records = Records(Results(results).records(Stage.SEGMENT, name, MODEL))
        kill_in_the_middle(command, package, records, budget)
        finished = {scan.name for scan in records.load()}
        before = {path: _state(path) for path in label_maps(results) if path.name.startswith(tuple(finished))}
        seconds = shard.run(command, package, budget.left)
        check_outcomes(results, name)
        after = {path: _state(path) for path in label_maps(results)}
        kept = sum(after.get(path) == state for path, state in before.items())
        values: dict[str, Value] = {"scans": inputs.scans, "scans_when_killed": len(finished)}
        values |= {"label_maps_of_these": len(before), "kept": kept, "label_maps": len(after)}
        values |= {"seconds_of_the_second_run": seconds}
        passed = len(after) == inputs.scans * len(CONTRASTS) and kept == len(before) == len(finished) * len(CONTRASTS)
        note = "" if len(finished) < inputs.scans else "all scans were finished before it was killed"
        yield Row.checked(SECTION, NETWORK, "killed and started again", passed and not note, values, note)
        if not budget.left:
            yield Row(SECTION, NETWORK, "labels of a whole run", "skipped", note="out of time")
            return
        reference, package, name = shard.start_run(whole)
        shard.run(shard.command(reference, name), package, budget.left)
        check_outcomes(reference, name)
        different = voxels = 0
        for path in label_maps(results):
            ours, theirs = read_labels(path)[0], read_labels(reference / path.relative_to(results))[0]
            different, voxels = different + int(np.count_nonzero(ours != theirs)), voxels + ours.size
        values = {"differing_voxels": different, "voxels": voxels}
        passed = voxels > 0 and different == 0
        yield Row.checked(SECTION, NETWORK, "labels of a whole run", passed, values)


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino


def kill_in_the_middle(command: list[str], package: Path, records: Records, budget: Budget) -> None:
    """Start a command and kill it and its children once it has recorded a scan as finished.

    Raises
    ------
    BenchmarkError
        If it ends before, or the time is over.
    """
    paths = [str(package), str(TESTS), str(TESTS / "helpers"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while not records.load():
            if process.poll() is not None:
                raise BenchmarkError(f"the segment command ended with {process.returncode} before it was killed")
            if not budget.left:
                raise BenchmarkError("out of time before the first scan was segmented")
            time.sleep(_PAUSE_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
