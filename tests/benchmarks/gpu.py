"""Throughput and idle share of a GPU: the segment command and nnUNetv2_predict, on whole NAKO scans.

`PYTHONPATH=tests:tests/helpers python -m benchmarks.gpu` on a machine with an NVIDIA GPU, after
tests/benchmarks/install_peers.sh.
Networks have the size of published ones (nnU-Net's default and ResEnc-L plans, 73 classes) and random weights. The peer
runs once with one command for all scans and once with one command a scan, mirroring off on both sides.
`--device cpu --small` tries the script where there is no GPU; its numbers mean nothing.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.arrays import make_once
from benchmarks.harness import Setting, run_process
from benchmarks.networks import DEFAULT, RESENC_L, TINY, TINY_RESIDUAL, Plan, write_model_folder
from benchmarks.peers import installed_versions
from benchmarks.phantom_scan import phantom_scan, stitched_contrasts
from benchmarks.segment_stage import NNUNET, label_map_pairs
from benchmarks.shard import (
    check_outcomes,
    copy_of_project,
    link_images,
    shard_scans,
    write_images,
    write_nnunet_folder,
    write_shard,
)
from dixonflow.imaging.nifti import read_labels
from dixonflow.paths import Results
from dixonflow.vocabulary import Contrast

ROOT = Path(__file__).resolve().parents[2]
CONTRASTS = (Contrast.WATER, Contrast.IN_PHASE, Contrast.OPPOSED_PHASE)
Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Run:
    """One program on the shard.

    Attributes
    ----------
    network, program
        Which of each.
    device
        Name of the GPU, or cpu.
    scans
        Scans of three contrasts each.
    seconds, seconds_per_scan
        Wall time of all commands, start-up included.
    idle_share
        Part of that time in which no kernel ran on the GPU, 0 to 1; None without a GPU.
    idle_share_working
        The same between the first and the last moment at which the GPU was busy: start-up and end left out.
    differing_voxels
        Part of all voxels whose label is not ours; None for ourselves.
    """

    network: str
    program: str
    device: str
    scans: int
    seconds: float
    seconds_per_scan: float
    idle_share: float | None
    idle_share_working: float | None
    differing_voxels: float | None


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
        command = [
            "nvidia-smi",
            "--query-gpu=utilization.gpu",
            "--format=csv,noheader,nounits",
            "-i",
            "0",
            "-lms",
            "200",
        ]
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


@dataclass(frozen=True)
class Shard:
    """Where one network's inputs lie and how programs are run on them."""

    folder: Path
    plan: Plan
    device: Device
    setting: Setting
    scans: int

    @classmethod
    def make(cls, inputs: Path, name: str, plan: Plan, device: Device, setting: Setting, scans: int) -> "Shard":
        """Write the network in both forms, and the images: the same NAKO scan under several ids."""
        scan = phantom_scan(inputs, "nako", setting.small)

        def fill(folder: Path) -> None:
            write_nnunet_folder(write_model_folder(folder, plan), folder / "nnunet")
            entries = shard_scans(scans)
            first = Results(folder / "results")
            write_images(first.root, entries[0].scan, *stitched_contrasts(scan))
            for entry in entries[1:]:
                for contrast in CONTRASTS:
                    path = first.stitched(entry.scan, contrast)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    os.link(first.stitched(entries[0].scan, contrast), path)
            link_images(first.root, entries, CONTRASTS, folder / "images")

        folder = make_once(inputs / f"{scan.name}-gpu-{name}-{scans}", fill)
        return cls(folder, plan, device, setting, scans)

    def run_ours(self, output: Path) -> float:
        """Run the segment command; gives its wall seconds."""
        results, project = Results(output / "results"), output / "project"
        package, model = copy_of_project(project, self.plan, self.folder / "model", CONTRASTS)
        results.root.mkdir()
        results.derivatives.symlink_to(self.folder / "results" / "derivatives")
        shard = write_shard(results.root, model, shard_scans(self.scans), self.setting.threads, self.device)
        command = [str(self.setting.ours), "-m", "dixonflow", "stage", "segment"]
        command += ["--config", str(results.config), "--shard", shard]
        seconds = run_process(command, self.setting, [package]).seconds
        check_outcomes(results.root, shard)
        for path in (results.root / "temporary").rglob("*_dseg.nii.gz"):
            path.rename(output / path.name)
        return seconds

    def run_nnunet(self, output: Path, *, per_scan: bool) -> float:
        """Run nnUNetv2_predict; gives the wall seconds of all commands."""
        threads = str(self.setting.threads)
        seconds = 0.0
        for folder in sorted((self.folder / "images").iterdir()):
            if (folder.name == "all") == per_scan:
                continue
            command = [str(self.setting.peers), "-m", "benchmarks.network_clock", str(output / "clock.json"), threads]
            command += [NNUNET, "-i", str(folder), "-o", str(output), "-m", str(self.folder / "nnunet"), "-f", "0"]
            command += ["-device", self.device, "--disable_tta", "--disable_progress_bar"]
            seconds += run_process(command, self.setting).seconds
        return seconds


def measure(name: str, shard: Shard) -> list[Run]:
    """Run the three programs and compare the labels."""
    device = torch.cuda.get_device_name() if shard.device == "cuda" else "cpu"
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(dir=shard.folder.parent, prefix="output-") as temporary:
        outputs = [Path(temporary) / program for program in ("ours", "all", "per-scan")]
        for output in outputs:
            output.mkdir()
        calls = {
            "dixonflow": lambda: shard.run_ours(outputs[0]),
            "nnUNetv2_predict, one command for all": lambda: shard.run_nnunet(outputs[1], per_scan=False),
            "nnUNetv2_predict, one command a scan": lambda: shard.run_nnunet(outputs[2], per_scan=True),
        }
        for (program, call), output in zip(calls.items(), outputs, strict=True):
            utilization = Utilization()
            with utilization.watching(shard.device):
                seconds = call()
            runs.append(
                Run(
                    network=name,
                    program=program,
                    device=device,
                    scans=shard.scans,
                    seconds=seconds,
                    seconds_per_scan=seconds / shard.scans,
                    idle_share=utilization.idle(working=False),
                    idle_share_working=utilization.idle(working=True),
                    differing_voxels=None if output is outputs[0] else _differing(outputs[0], output),
                )
            )
    return runs


def _differing(ours: Path, theirs: Path) -> float:
    different = voxels = 0
    for our_path, path in label_map_pairs(ours, theirs, "benchmark"):
        our_labels, labels = read_labels(our_path)[0], read_labels(path)[0]
        different += int(np.count_nonzero(our_labels != labels))
        voxels += labels.size
    return different / voxels


def print_runs(runs: Sequence[Run], console: Console) -> None:
    """Print the runs, a row each."""
    table = Table(title=f"Segment stage on {runs[0].device}")
    for column in ("network", "program", "scans", "s a scan", "GPU idle", "idle while working", "labels not ours"):
        table.add_column(column)
    for run in runs:
        row: list[Any] = [run.network, run.program, run.scans, f"{run.seconds_per_scan:.1f}"]
        row += ["-" if share is None else f"{share:.1%}" for share in (run.idle_share, run.idle_share_working)]
        row.append("-" if run.differing_voxels is None else f"{run.differing_voxels:.2g}")
        table.add_row(*map(str, row))
    console.print(table)


def main(
    device: Annotated[str, typer.Option(help="cuda, or cpu to try the script.")] = "cuda",
    small: Annotated[bool, typer.Option("--small", help="A tiny scan and tiny networks.")] = False,
    scans: Annotated[int, typer.Option(min=1, help="Scans of the shard, three contrasts each.")] = 4,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of every library, on both sides.")] = 1,
    peers: Annotated[Path, typer.Option(help="Python of the peers' environment.")] = ROOT / ".venv-peers/bin/python",
    results: Annotated[Path, typer.Option(help="Folder of benchmarks-gpu.json and of the inputs.")] = ROOT / "results",
) -> None:
    """Measure the segment stage on a GPU."""
    if device not in ("cpu", "cuda"):
        sys.exit("--device is cuda or cpu")
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("There is no NVIDIA GPU here: nothing was measured.")
    if installed_versions(peers)["nnunetv2"] is None:
        sys.exit(f"nnunetv2 is missing in the environment of {peers}: nothing was measured.")
    inputs = results.resolve() / "benchmark-inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    setting = Setting(Path(sys.executable), peers, threads, small)
    kind: Device = "cuda" if device == "cuda" else "cpu"
    networks = {"default": TINY, "ResEnc-L": TINY_RESIDUAL} if small else {"default": DEFAULT, "ResEnc-L": RESENC_L}
    runs: list[Run] = []
    for name, plan in networks.items():
        runs += measure(name, Shard.make(inputs, name, plan, kind, setting, scans))
        path = results / ("benchmarks-gpu-small.json" if small else "benchmarks-gpu.json")
        path.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n", encoding="utf-8")
    print_runs(runs, Console(width=None if sys.stdout.isatty() else 160))


if __name__ == "__main__":
    typer.run(main)
