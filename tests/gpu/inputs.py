"""Networks, images and shards that the sections share, made once below a folder."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from benchmarks.arrays import make_once
from benchmarks.harness import Setting, run_process
from benchmarks.networks import DEFAULT, RESENC_L, TINY, TINY_RESIDUAL, Plan, write_model_folder
from benchmarks.phantom_scan import phantom_scan, stitched_contrasts
from benchmarks.shard import copy_of_project, link_images, shard_scans, write_images, write_nnunet_folder, write_shard
from numpy.typing import NDArray

from dixonflow.models.load import MODELS, load_model
from dixonflow.paths import Results
from dixonflow.segment import Predictor, SegmentOptions
from dixonflow.vocabulary import DIXON, Contrast

CONTRASTS = (Contrast.WATER, Contrast.IN_PHASE, Contrast.OPPOSED_PHASE)
MODEL = "benchmark"
"""Name of the model that `copy_of_project` adds."""

Device = Literal["cpu", "cuda"]

_CROP = (1.0, 1.25, 1.5)
"""Size of an image that a CPU still gets through, as a multiple of the patch along x, y, z: four patches."""


@dataclass(frozen=True)
class Image:
    """(x, y, z) in RAS+, and its voxel size in mm."""

    voxels: NDArray[np.int16]
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Inputs:
    """Where everything lies and what is run.

    Attributes
    ----------
    folder
        Of what is made once.
    device
        That is checked; the CPU is what it is compared with.
    setting
        Pythons, CPU threads of every program, tiny inputs or not.
    scans
        Of a shard, three contrasts each.
    """

    folder: Path
    device: Device
    setting: Setting
    scans: int

    @property
    def plans(self) -> dict[str, Plan]:
        """The networks of published size, or tiny ones, with random weights."""
        if self.setting.small:
            return {"default": TINY, "ResEnc-L": TINY_RESIDUAL}
        return {"default": DEFAULT, "ResEnc-L": RESENC_L}

    def model_folder(self, network: str) -> Path:
        """Weights of a network of `plans`, or of `demo`."""
        if network == "demo":
            return load_model(MODELS / "demo.yaml").weights
        return self._weights(network) / "model"

    def predictor(self, network: str, device: str) -> Predictor:
        """Load a network; on the CPU with all threads, since it is no part of what is timed there."""
        threads = self.setting.threads if device != "cpu" or self.setting.small else os.cpu_count() or 1
        return Predictor(self.model_folder(network), SegmentOptions(device=device, threads=threads))

    def image(self, contrast: Contrast, network: str, *, whole: bool = False) -> Image:
        """Give a contrast of a NAKO scan; for large networks its middle, unless it is to be whole."""
        contrasts, affine = stitched_contrasts(phantom_scan(self.folder, "nako", self.setting.small))
        voxels = contrasts[contrast.value]
        x, y, z = (float(size) for size in np.abs(np.diag(affine))[:3])
        if self.setting.small and network == "demo":
            voxels = voxels[:, :, voxels.shape[2] // 2 : voxels.shape[2] * 2 // 3]
        if network in self.plans and not whole:
            plan = self.plans[network]
            sizes_mm = [n * s * part for n, s, part in zip(plan.patch, plan.spacing_mm, _CROP, strict=True)]
            voxels = voxels[_middle(voxels.shape, sizes_mm, (x, y, z))]
        return Image(np.ascontiguousarray(voxels), (x, y, z))

    def shard(self, network: str) -> "Shard":
        """Give the images of a shard, as the segment stage and as nnU-Net wants them: one scan under several ids."""
        scan = phantom_scan(self.folder, "nako", self.setting.small)

        def fill(folder: Path) -> None:
            entries = shard_scans(self.scans)
            first = Results(folder / "results")
            write_images(first.root, entries[0].scan, *stitched_contrasts(scan))
            for entry in entries[1:]:
                for contrast in DIXON:
                    path = first.stitched(entry.scan, contrast)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    os.link(first.stitched(entries[0].scan, contrast), path)
            link_images(first.root, entries, CONTRASTS, folder / "images")

        images = make_once(self.folder / f"{scan.name}-gpu-{self.scans}", fill)
        return Shard(images, self._weights(network), self.plans[network], self)

    def _weights(self, network: str) -> Path:
        def fill(folder: Path) -> None:
            write_nnunet_folder(write_model_folder(folder, self.plans[network]), folder / "nnunet")
            plans = folder / "nnunet" / "plans.json"
            plans.write_text(plans.read_text(encoding="utf-8").replace("SimpleITKIO", "NibabelIO"), encoding="utf-8")

        return make_once(self.folder / f"network-{network}{'-small' if self.setting.small else ''}", fill)


@dataclass(frozen=True)
class Shard:
    """Images of a shard and the network that is run on them.

    Attributes
    ----------
    folder
        `results/` as the segment stage finds it, `images/` as nnU-Net wants them.
    weights
        `model/` in our form, `nnunet/` in nnU-Net's.
    """

    folder: Path
    weights: Path
    plan: Plan
    inputs: Inputs

    def start_run(self, output: Path) -> tuple[Path, Path, str]:
        """Prepare a run of the segment stage of its own; gives its results, its package and the name of the shard."""
        results = Results(output / "results")
        package, model = copy_of_project(output / "project", self.plan, self.weights / "model", CONTRASTS)
        results.root.mkdir()
        results.derivatives.symlink_to(self.folder / "results" / "derivatives")
        setting = self.inputs.setting
        shard = write_shard(results.root, model, shard_scans(self.inputs.scans), setting.threads, self.inputs.device)
        return results.root, package, shard

    def command(self, results: Path, shard: str) -> list[str]:
        """Give the segment command."""
        python = str(self.inputs.setting.ours)
        config = str(Results(results).config)
        return [python, "-m", "dixonflow", "stage", "segment", "--config", config, "--shard", shard]

    def run(self, command: list[str], package: Path, limit_s: float) -> float:
        """Run a command for at most so long; gives its wall seconds."""
        return limited(command, self.inputs.setting, limit_s, [package])


def limited(command: list[str], setting: Setting, limit_s: float, paths: list[Path]) -> float:
    """Run a command with `paths` first on Python's path; it and its children are killed after `limit_s`.

    Raises
    ------
    BenchmarkError
        If it fails or is killed.
    """
    return run_process(["timeout", "--signal=KILL", f"{max(limit_s, 1):.0f}", *command], setting, paths).seconds


def label_maps(results: Path) -> list[Path]:
    """Label maps that the segment stage left so far."""
    return sorted(path for path in (results / "temporary").rglob("*_dseg.nii.gz") if not path.name.startswith("."))


def machine(device: Device) -> dict[str, Any]:
    """What the numbers were measured on."""
    described: dict[str, Any] = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "device": "cpu"}
    described |= {"torch": torch.__version__, "CPUs": os.cpu_count()}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        described |= {"device": properties.name, "memory_gb": round(properties.total_memory / 1e9, 1)}
        described |= {"CUDA": torch.version.cuda, "cuDNN": torch.backends.cudnn.version()}
    return described


def synchronize(device: Device) -> None:
    """Wait until the device has done all that it was told."""
    if device == "cuda":
        torch.cuda.synchronize()


def _middle(
    shape: tuple[int, ...], sizes_mm: list[float], spacing_mm: tuple[float, float, float]
) -> tuple[slice, slice, slice]:
    parts = []
    for length, size_mm, voxel_mm in zip(shape, sizes_mm, spacing_mm, strict=True):
        wanted = min(length, max(1, round(size_mm / voxel_mm)))
        parts.append(slice((length - wanted) // 2, (length - wanted) // 2 + wanted))
    return parts[0], parts[1], parts[2]
