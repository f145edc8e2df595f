"""Scans per hour and idle share of the GPU: the segment command and other programs, on whole NAKO scans.

Mirroring is off on all sides. nnUNetv2_predict runs once with one command for all scans and once with one per scan.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import torch
from benchmarks.harness import BenchmarkError
from benchmarks.segment_stage import NNUNET, label_map_pairs
from benchmarks.shard import check_outcomes

from dixonflow.imaging.nifti import read_labels
from gpu.inputs import MODEL, Device, Inputs, Shard, label_maps, limited
from gpu.record import Budget, Row, Value

SECTION = "throughput"

_MODULE, _, _FUNCTION = NNUNET.partition(":")
NNUNET_PREDICT = f"from {_MODULE} import {_FUNCTION}; {_FUNCTION}()"
"""The command nnUNetv2_predict, as a program: whoever has the package may not have the command."""

PEERS = {"FastSegmentator": "fastsegmentator.nnunet_infer_nii", "nnU-Net": _MODULE}
"""Module of each peer that is imported to see whether it is there."""

NOT_RUN = {"KonfAI": "it reads no nnU-Net model folder: networks have to be written in its own configuration"}
"""Programs that are never run, and why."""


class Utilization:
    """What nvidia-smi says five times a second: percent of time in which a kernel ran."""

    def __init__(self) -> None:
        self.samples: list[int] = []

    @contextmanager
    def watching(self, device: Device) -> Iterator[None]:
        """Watch while the block runs; nothing is watched on a CPU."""
        if device == "cpu":
            yield
            return
        query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        # by its name: nvidia-smi numbers all GPUs of the machine, CUDA those in CUDA_VISIBLE_DEVICES
        gpu = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
        command = ["nvidia-smi", *query, "-i", gpu, "-lms", "200"]
        with tempfile.TemporaryFile("w+") as log, subprocess.Popen(command, stdout=log, text=True) as watcher:
            try:
                yield
            finally:
                watcher.terminate()
                watcher.wait()
                log.seek(0)
                self.samples += [int(line) for line in log.read().splitlines() if line.strip().isdigit()]

    def idle(self, *, working: bool) -> float | None:
        """Idle share, 0 to 1, over all samples or from the first busy one to the last."""
        busy = [index for index, sample in enumerate(self.samples) if sample > 0]
        if not busy:
            return None
        chosen = self.samples[busy[0] : busy[-1] + 1] if working else self.samples
        return 1 - sum(chosen) / (100 * len(chosen))


Program = Callable[[Shard, Path, Budget], float]
"""Runs on a shard, leaves label maps in a folder that is there, and gives the wall seconds of all its commands."""


def run_ours(shard: Shard, output: Path, budget: Budget) -> float:
    """Run the segment command."""
    results, package, name = shard.start_run(output)
    seconds = shard.run(shard.command(results, name), package, budget.left)
    check_outcomes(results, name)
    for path in label_maps(results):
        path.rename(output / path.name)
    return seconds


def run_nnunet(shard: Shard, output: Path, budget: Budget, *, per_scan: bool) -> float:
    """Run nnUNetv2_predict with its default numbers of processes."""
    setting = shard.inputs.setting
    seconds = 0.0
    for folder in sorted((shard.folder / "images").iterdir()):
        if (folder.name == "all") == per_scan:
            continue
        command = [str(setting.peers), "-c", NNUNET_PREDICT, "-i", str(folder), "-o", str(output)]
        command += ["-m", str(shard.weights / "nnunet"), "-f", "0"]
        command += ["-device", shard.inputs.device, "--disable_tta", "--disable_progress_bar"]
        seconds += limited(command, setting, budget.left, [])
    return seconds


def run_fastsegmentator(shard: Shard, output: Path, budget: Budget, *, threshold: bool) -> float:
    """Run FastSegmentator; `threshold`: its default, which drops voxels whose largest score is below 0.5."""
    setting = shard.inputs.setting
    command = [str(setting.peers), "-m", "fastsegmentator.cli", "nnunet", "-i", str(shard.folder / "images" / "all")]
    command += ["-o", str(output), "--model_path", str(shard.weights / "nnunet"), "--fold", "0"]
    command += ["--device", shard.inputs.device, *([] if threshold else ["--use_softmax"])]
    return limited(command, setting, budget.left, [])


PROGRAMS: dict[str, tuple[str, Program]] = {
    "dixonflow": ("", run_ours),
    "nnUNetv2_predict, one command for all": (
        "nnU-Net",
        lambda shard, output, budget: run_nnunet(shard, output, budget, per_scan=False),
    ),
    "FastSegmentator, argmax": (
        "FastSegmentator",
        lambda shard, output, budget: run_fastsegmentator(shard, output, budget, threshold=False),
    ),
    "FastSegmentator, its default": (
        "FastSegmentator",
        lambda shard, output, budget: run_fastsegmentator(shard, output, budget, threshold=True),
    ),
    "nnUNetv2_predict, one command per scan": (
        "nnU-Net",
        lambda shard, output, budget: run_nnunet(shard, output, budget, per_scan=True),
    ),
}
"""What is run, in order, and which peer it needs."""


def check(inputs: Inputs, budget: Budget) -> Iterator[Row]:
    """Run every program with each network of published size and compare labels with ours."""
    for program, reason in NOT_RUN.items():
        yield Row(SECTION, "all", program, "skipped", note=reason)
    with tempfile.TemporaryDirectory(dir=inputs.folder, prefix="output-") as temporary:
        for number, (program, (peer, call)) in enumerate(PROGRAMS.items()):
            for network in inputs.plans:
                shard, ours = inputs.shard(network), Path(temporary) / f"0-{network}"
                output = Path(temporary) / f"{number}-{network}"
                output.mkdir()
                if not budget.left:
                    yield Row(SECTION, network, program, "skipped", note="out of time")
                elif peer and (reason := reason_missing(inputs.setting.peers, PEERS[peer])):
                    yield Row(SECTION, network, program, "skipped", note=reason)
                else:
                    yield measure(network, program, call, shard, output, ours, budget)


def measure(network: str, program: str, call: Program, shard: Shard, output: Path, ours: Path, budget: Budget) -> Row:
    """Run a program once."""
    utilization = Utilization()
    limit_s = budget.left
    try:
        with utilization.watching(shard.inputs.device):
            seconds = call(shard, output, budget)
        different = None if output == ours else differing(ours, output)
    except BenchmarkError as error:
        if not budget.left:
            values: dict[str, Value] = {"scans": shard.inputs.scans, "seconds": None}
            values["scans_per_hour"] = None
            note = f"stopped after {limit_s:.0f} s: less than {3600 * shard.inputs.scans / limit_s:.3g} scans per hour"
            return Row(SECTION, network, program, "skipped", values, note)
        return Row(SECTION, network, program, "failed", note=str(error)[-600:])
    values = {
        "scans": shard.inputs.scans,
        "seconds": seconds,
        "scans_per_hour": 3600 * shard.inputs.scans / seconds,
        "gpu_idle": utilization.idle(working=False),
        "gpu_idle_while_working": utilization.idle(working=True),
        "differing_share": different,
    }
    return Row(SECTION, network, program, "measured", values)


def differing(ours: Path, theirs: Path) -> float:
    """Part of all voxels whose label is not ours.

    Raises
    ------
    BenchmarkError
        If there is no label map to compare, or one of ours is not there.
    """
    different = voxels = 0
    for our_path, path in label_map_pairs(ours, theirs, MODEL):
        if not our_path.exists():
            raise BenchmarkError(f"no label map {our_path.name} to compare with")
        our_labels, labels = read_labels(our_path)[0], read_labels(path)[0]
        different += int(np.count_nonzero(our_labels != labels))
        voxels += labels.size
    if not voxels:
        raise BenchmarkError("the program left no label map")
    return different / voxels


@cache
def reason_missing(python: Path, module: str) -> str:
    """Say why a module cannot be imported in the environment of `python`; empty if it can."""
    if not python.exists():
        return f"there is no {python}"
    command = [python, "-c", f"import {module}"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode == 0:
        return ""
    said = asked.stderr.strip().splitlines()
    return f"{module} cannot be imported: {said[-1] if said else asked.returncode}"[:300]
