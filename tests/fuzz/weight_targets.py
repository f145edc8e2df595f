"""Fuzz targets of models: archives of weights, checkpoints, plans, model files."""

import io
import json
import shutil
import zipfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mutators import mutate_json, mutate_yaml, mutate_zip
from published_weights import MRSEG, TRAINING, VIBE, models
from targets import Target
from tiny_model import CONFIGURATION, tiny_dataset, tiny_plans
from trained_weights import dataset_of, inherited_plans, old_plans, residual_plans

from dixonflow.checkpoint.export import export_checkpoint
from dixonflow.errors import ModelError
from dixonflow.importing.archive import ZipArchive
from dixonflow.importing.check import check_configuration, check_training
from dixonflow.importing.files import ArchiveFiles
from dixonflow.importing.training import check_addenda, find_training
from dixonflow.models.backend_record import NAME, read_backend_records
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.model import Model
from dixonflow.models.nnunet_files import trained_orientation, trained_spacing_mm
from dixonflow.segment.architecture import read_architecture

_MODEL_FILES = ("demo", "mrsegmentator", "totalsegmentatormr6mm", "totalsegmentatorbodymr")


def _read_archive(data: bytes, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "weights.zip"
    path.write_bytes(data)
    known, refused = models(folder), list[ModelError]()
    with ZipArchive(path) as archive:
        for name in (MRSEG, VIBE):
            try:
                _find(ArchiveFiles([archive]), known[name], folder)
            except ModelError as error:
                refused.append(error)
    if len(refused) == 2:
        raise refused[0]


def _find(files: ArchiveFiles, model: Model, folder: Path) -> None:
    """Import as far as to the checkpoints."""
    part = model.parts[0]
    part = part.model_copy(update={"folds": part.folds and part.folds[:1]})
    check_addenda(files, part)
    training = find_training(files, part, best_as_well=True)
    check_training(training, model, part)
    check_configuration(training.read_json("plans.json"), CONFIGURATION, part, training.origin)
    for checkpoint in training.checkpoints.values():
        with training.files.local(checkpoint, folder / "scratch") as local:
            local.stat()


def _archives(_: Path) -> list[bytes]:
    mrseg = {
        "plans.json": json.dumps(inherited_plans()),
        "dataset.json": json.dumps(dataset_of({1: "spleen", 2: "right_kidney"})),
        "version.json": '{"weights_version": 1.2}',
        "fold_0/checkpoint_final.pth": "0" * 300,
    }
    names = {1: "spleen", 2: "liver", 3: "muscle_other", 4: "rib (ct only)"}
    vibe = {
        "plans.json": json.dumps(residual_plans()),
        "dataset.json": json.dumps(dataset_of(names, orientation=["R", "A", "S"])),
        "inference_config.json": json.dumps({"model_expected_orientation": ["R", "A", "S"]}),
        "other_downloads.json": json.dumps(["_1", "_2"]),
        **{f"fold_{fold}/checkpoint_final.pth": "0" * 300 for fold in range(3)},
    }
    archives = []
    for files, prefix in ((mrseg, ""), (vibe, f"Dataset100_x/{TRAINING}/")):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(prefix + name, content)
        archives.append(buffer.getvalue())
    return archives


@cache
def _checkpoint() -> bytes:
    """A checkpoint with all that nnU-Net's trainer writes, and small weights."""
    architecture = read_architecture(tiny_plans(), tiny_dataset(), CONFIGURATION)
    content: dict[str, Any] = {
        "network_weights": architecture.build().state_dict(),
        "optimizer_state": {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.01}]},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5)], "dice_per_class_or_region": [[np.float32(0.5)] * 3]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 1,
        "init_args": {"plans": {}, "configuration": CONFIGURATION, "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _export(folder: Path, checkpoint: bytes, plans: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "model", ignore_errors=True)
    (folder / "checkpoint.pth").write_bytes(checkpoint)
    (folder / "plans.json").write_bytes(plans)
    (folder / "dataset.json").write_text(json.dumps(tiny_dataset()))
    export_checkpoint(
        folder / "checkpoint.pth", folder / "plans.json", folder / "dataset.json", folder / "model", fold="0"
    )


def _read_checkpoint(data: bytes, folder: Path) -> None:
    _export(folder, data, json.dumps(tiny_plans()).encode())


def _checkpoints(_: Path) -> list[bytes]:
    return [_checkpoint()]


def _read_plans(data: bytes, folder: Path) -> None:
    _export(folder, _checkpoint(), data)
    trained_spacing_mm(folder / "model")
    (folder / "model" / "dataset.json").write_bytes(data)  # plans may be any JSON: these readers take any, too
    for read in (trained_spacing_mm, trained_orientation):
        with suppress(ModelError):
            read(folder / "model")


def _plans(_: Path) -> list[bytes]:
    return [json.dumps(plans).encode() for plans in (tiny_plans(), old_plans("a"), inherited_plans())]


def _read_model(data: bytes, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.yaml").write_bytes(data)
    load_model(folder / "model.yaml")


def _model_files(_: Path) -> list[bytes]:
    return [(MODELS / f"{name}.yaml").read_bytes() for name in _MODEL_FILES]


def _read_backends(data: bytes, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    demo = load_model(MODELS / "demo.yaml")
    for name in ("plans.json", "dataset.json", "metadata.json"):
        shutil.copy(demo.weights / name, folder)
    (folder / NAME).write_bytes(data)
    read_backend_records(demo.model_copy(update={"weights": folder}))


def _backend_records(_: Path) -> list[bytes]:
    return [(load_model(MODELS / "demo.yaml").weights / NAME).read_bytes()]


IMPORT_ARCHIVE = Target(_read_archive, (ModelError,), _archives, mutate_zip)
CHECKPOINT = Target(_read_checkpoint, (ModelError,), _checkpoints, mutate_zip, 1 << 17)
PLANS = Target(_read_plans, (ModelError,), _plans, mutate_json, 1 << 14)
MODEL_YAML = Target(_read_model, (ModelError,), _model_files, mutate_yaml, 1 << 15)
BACKENDS = Target(_read_backends, (ModelError,), _backend_records, mutate_json, 1 << 12)
