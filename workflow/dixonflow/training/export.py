"""From a training checkpoint to the folders that nnunetv2's predictor and DixonFlow load."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dixonflow.checkpoint.export import export_checkpoint
from dixonflow.errors import ModelError
from dixonflow.system.atomic import atomic_path, write_bytes
from dixonflow.training.plan import Workspace

# what nnunetv2's own trainer writes; the rest of our checkpoint serves to resume the training
_NNUNET_KEYS = (
    "network_weights",
    "optimizer_state",
    "grad_scaler_state",
    "logging",
    "_best_ema",
    "current_epoch",
    "init_args",
    "inference_allowed_mirroring_axes",
)
_SCORES_BIAS = re.compile(r"decoder\.seg_layers\.(\d+)\.bias")
_TRAINER = "nnUNetTrainer"
"""Inference takes nothing but the network's construction from the trainer, the same in all of them. nnunetv2 finds this
one without importing the variants that come before the one we trained with, of which one needs torchvision."""


def export_nnunet_folder(workspace: Workspace) -> Path:
    """Write the averaged weights, calibrated where that was done, as the folder of a finished nnunetv2 training.

    Returns
    -------
    Path
        Folder with plans.json, dataset.json and fold_0/checkpoint_final.pth, for
        `nnUNetPredictor.initialize_from_trained_model_folder`.

    Raises
    ------
    ModelError
        If there is no checkpoint yet.
    """
    source = workspace.checkpoint_file
    if not source.exists():
        raise ModelError(f"no checkpoint at {source}: train first")
    # our own file, written by our own trainer: it holds an optimizer state and nnU-Net's plans in addition to tensors
    content: dict[str, Any] = torch.load(source, map_location="cpu", weights_only=False)
    _add_shifts(content["network_weights"], _shifts(workspace, content["iteration"]))
    folder = workspace.results / "demo"
    write_bytes(folder / "plans.json", workspace.plans_file.read_bytes())
    write_bytes(folder / "dataset.json", workspace.dataset_file.read_bytes())
    with atomic_path(folder / "fold_0" / "checkpoint_final.pth") as temporary:
        torch.save({key: content[key] for key in _NNUNET_KEYS} | {"trainer_name": _TRAINER}, temporary)
    return folder


def _shifts(workspace: Workspace, iteration: int) -> list[float]:
    """Shifts of the classes for the checkpoint of this iteration; none where they are not found yet."""
    try:
        calibration = json.loads(workspace.calibration_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return list(calibration["shifts"]) if calibration["iteration"] == iteration else []


def _add_shifts(weights: dict[str, torch.Tensor], shifts: Sequence[float]) -> None:
    """Add to the bias of the layer that gives the scores of the finest grid."""
    if shifts:
        found = [match for name in weights if (match := _SCORES_BIAS.fullmatch(name))]
        finest = max(found, key=lambda match: int(match[1]))[0]
        weights[finest] = weights[finest] + torch.tensor(shifts, dtype=weights[finest].dtype)


def export_model(workspace: Workspace, target: Path) -> Path:
    """Write the shipped model folder, float16 weights as safetensors, and give the path of the weights.

    An earlier export in `target` is replaced: its metadata goes first, so that a reader never finds old weights under
    a new name.

    Raises
    ------
    ModelError
        If there is no checkpoint yet or it does not fit the plans.
    """
    folder = export_nnunet_folder(workspace)
    (target / "metadata.json").unlink(missing_ok=True)
    checkpoint = folder / "fold_0" / "checkpoint_final.pth"
    return export_checkpoint(checkpoint, folder / "plans.json", folder / "dataset.json", target, half_precision=True)
