"""A shard of phantom scans as the segment stage finds it, and the same files and networks as nnU-Net wants them."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from project_copy import copy_project

from benchmarks.harness import BenchmarkError
from benchmarks.networks import Plan, write_model_file
from dixonflow.cohort.shards import shard_of, write_shards
from dixonflow.config import demo_config
from dixonflow.execution.outcome import Outcome, read_outcomes, write_outcomes
from dixonflow.imaging.nifti import write_nifti
from dixonflow.models.load import load_model
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.segment import load_model_folder
from dixonflow.vocabulary import DIXON, Contrast, Layout, MergeStrategy, Reason, ScanId, Stage, Status


def shard_scans(count: int) -> list[RawScan]:
    """Entries of a shard list; nothing of them is read by the segment stage but the ids."""
    ids = [ScanId(f"{1000000 + number}", "2") for number in range(count)]
    return [RawScan(scan, Layout.UKB, Path(f"{scan.participant}.zip"), "0" * 64) for scan in ids]


def write_shard(
    results: Path, model: Model, scans: Sequence[RawScan], threads: int, device: Literal["cpu", "cuda"] = "cpu"
) -> str:
    """Write configuration, shard list and what the stages before the segment stage say; gives the shard's name."""
    paths = Results(results)
    config = demo_config()
    # a label map of each contrast, as nnU-Net gives them
    ours = {"models": (model.name,), "threads": threads, "device": device, "interpolate": "scores"}
    segment = config.segment.model_copy(update=ours)
    merge = config.merge.model_copy(update={"strategy": MergeStrategy.PRIORITY})
    # the demo's list of withdrawn participants is there only where the demo was made
    cohort = config.cohort.model_copy(update={"withdrawn": None})
    config = config.model_copy(update={"results": results, "segment": segment, "merge": merge, "cohort": cohort})
    results.mkdir(parents=True, exist_ok=True)
    paths.config.write_text(config.model_dump_json(), encoding="utf-8")
    shard = shard_of(scans)
    write_shards(paths.shards, [shard])
    rows = [
        Outcome(entry.scan, Stage.RESAMPLE, Status.OK, Reason.NONE, "", 1.0, 1.0, 0.0, 1, "0" * 64) for entry in scans
    ]
    write_outcomes(paths.outcomes(Stage.RESAMPLE, shard.name), rows)
    return shard.name


def write_images(
    results: Path, scan: ScanId, contrasts: Mapping[str, NDArray[np.int16]], affine: NDArray[np.float64]
) -> None:
    """Write the stitched contrasts of a scan."""
    for contrast in DIXON:
        write_nifti(Results(results).stitched(scan, contrast), contrasts[contrast.value], affine)


def link_images(results: Path, scans: Sequence[RawScan], contrasts: Sequence[Contrast], folder: Path) -> None:
    """Link the stitched images as nnU-Net wants them: `<folder>/all/` and `<folder>/<scan>/` for one scan each."""
    for entry in scans:
        for contrast in contrasts:
            image = Results(results).stitched(entry.scan, contrast)
            for name in ("all", entry.scan.name):
                (folder / name).mkdir(parents=True, exist_ok=True)
                link = folder / name / f"{entry.scan.name}-{contrast.value}_0000.nii.gz"
                link.symlink_to(os.path.relpath(image, link.parent))


def write_nnunet_folder(model_folder: Path, folder: Path) -> None:
    """Write a model folder back as nnU-Net's own, with `checkpoint_final.pth` for each fold.

    The trainer is named nnUNetTrainer, nnU-Net's default: at inference it only builds the network of the plans.
    """
    model = load_model_folder(model_folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("plans.json", "dataset.json"):
        (folder / name).write_bytes((model_folder / name).read_bytes())
    for fold, network in zip(model.folds, model.networks, strict=True):
        (folder / f"fold_{fold}").mkdir()
        content: dict[str, Any] = {
            "network_weights": network.state_dict(),
            "init_args": {"configuration": model.metadata.configuration, "fold": fold},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": model.metadata.inference_allowed_mirroring_axes,
        }
        torch.save(content, folder / f"fold_{fold}" / "checkpoint_final.pth")


def copy_of_project(folder: Path, plan: Plan, weights: Path, contrasts: Sequence[Contrast]) -> tuple[Path, Model]:
    """Copy the workflow and its scripts and add a model; gives the folder of the package and the model.

    The commands of the workflow know the models of their own project only.
    """
    copy_project(folder, ("workflow", "scripts"))
    model_file = folder / "workflow" / "dixonflow" / "models" / "files" / "benchmark.yaml"
    write_model_file(model_file, plan, weights, contrasts)
    return folder / "workflow", load_model(model_file)


def check_outcomes(results: Path, shard: str) -> None:
    """Raise BenchmarkError, with the reason, where the segment stage failed on a scan."""
    for row in read_outcomes(Results(results).outcomes(Stage.SEGMENT, shard)):
        if row.status is not Status.OK:
            raise BenchmarkError(f"the segment stage: {row.status} {row.reason} {row.message}")


def read_shard_name(results: Path) -> str:
    """Name of the only shard."""
    (path,) = Results(results).shards.glob("*.json")
    return str(json.loads(path.read_text(encoding="utf-8"))["shard"])
