"""From a training checkpoint to the folders that nnunetv2's predictor and DixonFlow load."""

from pathlib import Path
from typing import Any

import torch

from dixonflow.atomic import atomic_path, write_bytes
from dixonflow.errors import ModelError
from dixonflow.segment.checkpoint import export_checkpoint
from dixonflow.training.plan import Workspace

# what nnunetv2's own trainer writes; the rest of our checkpoint serves to go on with the training
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
_TRAINER = "nnUNetTrainer"
"""Inference takes nothing but the network's construction from the trainer, the same in all of them. nnunetv2 finds this
one without importing the variants that come before the one we trained with, of which one needs torchvision."""


def export_nnunet_folder(workspace: Workspace) -> Path:
    """Write the averaged weights as the folder of a finished nnunetv2 training.

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
    # our own file, written by our own trainer: it holds an optimizer state and nnU-Net's plans beside tensors
    content: dict[str, Any] = torch.load(source, map_location="cpu", weights_only=False)
    folder = workspace.results / "demo"
    write_bytes(folder / "plans.json", workspace.plans_file.read_bytes())
    write_bytes(folder / "dataset.json", workspace.dataset_file.read_bytes())
    with atomic_path(folder / "fold_0" / "checkpoint_final.pth") as temporary:
        torch.save({key: content[key] for key in _NNUNET_KEYS} | {"trainer_name": _TRAINER}, temporary)
    return folder


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
