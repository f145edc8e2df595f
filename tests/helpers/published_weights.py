"""Weights as the published systems hand them out: small networks in each system's layout, and model files for them."""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from small_models import rule, small_model
from tiny_model import tiny_dataset, tiny_plans
from trained_weights import dataset_of, inherited_plans, old_plans, residual_plans, trained

from dixonflow.models.model import Model
from dixonflow.models.weights_source import Archive, Part, WeightsSource
from dixonflow.segment import load_model_folder

VIBE, MRSEG, TOTAL = "vibe", "mrseg", "total"
CT_INTENSITIES = {
    **{"max": 1500.0, "mean": 20.0, "median": 40.0, "min": -1024.0},
    **{"percentile_00_5": -1000.0, "percentile_99_5": 900.0, "std": 300.0},
}
"""By which CTNormalization clips and scales."""
TRAINING = "nnUNetTrainerNoMirroring__nnUNetPlannerResEncL__3d_fullres"


def write_zip(target: Path, files: Mapping[str, Path | bytes]) -> Path:
    """Write a zip with these files; names as in the zip."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, bytes) else content.read_bytes())
    return target


def below(folder: Path, prefix: str = "", folds: Iterable[str] | None = None) -> dict[str, Path | bytes]:
    """Files of a training's folder for `write_zip`; of all folds, or of some."""
    return {
        prefix + path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".json", ".pth"}
        and (folds is None or path.parent == folder or path.parent.name in {f"fold_{fold}" for fold in folds})
    }


def pinned(model: Model, folder: Path) -> Model:
    """The model with sizes and SHA-256 of the archives in a folder."""

    def pin(archive: Archive) -> Archive:
        content = (folder / archive.file).read_bytes()
        return archive.model_copy(update={"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})

    parts = [
        part.model_copy(update={"archives": tuple(pin(archive) for archive in part.archives)}) for part in model.parts
    ]
    return model.model_copy(update={"parts": tuple(parts)})


def published_at(model: Model, address: str) -> Model:
    """The model with its archives published below an address; model files themselves accept https only."""
    parts = [
        part.model_copy(
            update={
                "archives": tuple(
                    archive.model_copy(update={"url": address + archive.file}) for archive in part.archives
                )
            }
        )
        for part in model.parts
    ]
    return model.model_copy(update={"parts": tuple(parts)})


def models(weights: Path) -> dict[str, Model]:
    """One model for each way to publish; their weights belong into folders of their names."""
    vibe = small_model(
        {1: rule("spleen", "a"), 2: rule("liver", "a"), 3: rule("muscle", "a", published="muscle_other")},
        name=VIBE,
        weights=weights / VIBE,
        orientation="dataset",
        source=WeightsSource(layout="numbered_zips", environment=("VIBESEG_WEIGHTS_PATH",)),
        parts=(
            Part(
                name="all",
                dataset_id=100,
                plans=None,
                folds=None,
                archives=tuple(Archive(file=name) for name in ("100.zip", "100_1.zip", "100_2.zip")),
                unused_classes={4: ("rib (ct only)",)},
            ),
        ),
    )
    mrseg = small_model(
        {1: rule("spleen", "a"), 2: rule("kidney_right", "a", published="right_kidney")},
        name=MRSEG,
        weights=weights / MRSEG,
        orientation="LPS",
        source=WeightsSource(layout="flat_zip", environment=("MRSEG_WEIGHTS_PATH",)),
        parts=(Part(name="all", folds=("0", "1"), archives=(Archive(file="weights.zip"),)),),
    )
    total = small_model(
        {
            1: rule("spleen", "a", part="organs"),
            2: rule("liver", "a", part="organs"),
            3: rule("femur_left", "b", part="bones", network_class=1),
        },
        name=TOTAL,
        weights=weights / TOTAL,
        source=WeightsSource(layout="dataset_zips", environment=("TOTALSEG_WEIGHTS_PATH", "TOTALSEG_HOME_DIR")),
        parts=tuple(
            Part(
                name=name,
                dataset_id=number,
                folder=f"Dataset{number}_Total_{name}",
                trainer="nnUNetTrainer",
                archives=(Archive(file=f"Dataset{number}_Total_{name}.zip"),),
            )
            for name, number in (("organs", 850), ("bones", 851))
        ),
    )
    return {model.name: model for model in (vibe, mrseg, total)}


def train_all(results: Path) -> dict[str, Path]:
    """Train what `models` describes; the folder of each training."""
    names = {1: "spleen", 2: "liver", 3: "muscle_other", 4: "rib (ct only)"}
    vibe = dataset_of(names, orientation=["R", "A", "S"])
    vibe["labels"]["ignore"] = 5
    bones, organs = "Dataset851_Total_bones", "Dataset850_Total_organs"
    folders = {
        VIBE: trained(results, residual_plans(), vibe, folds="012"),
        MRSEG: trained(
            results,
            inherited_plans(),
            dataset_of({1: "spleen", 2: "right_kidney"}),
            folds="01",
            configuration="3d_fullres_bs8",
        ),
        "organs": trained(
            results, tiny_plans() | {"dataset_name": organs}, dataset_of({1: "spleen", 2: "liver"}), mirroring=True
        ),
        "bones": trained(results, old_plans(bones), dataset_of({1: "femur_left"}), mirroring=True),
    }
    (folders[MRSEG] / "version.json").write_text('{"weights_version": 1.2}')
    return folders


def publish(trainings: Mapping[str, Path], target: Path) -> Path:
    """Write the archives that `models` names."""
    everything = models(target)
    publish_model(everything[VIBE], {"all": trainings[VIBE]}, target)
    publish_model(everything[MRSEG], {"all": trainings[MRSEG]}, target)
    publish_model(everything[TOTAL], trainings, target)
    return target


def publish_model(model: Model, trainings: Mapping[str, Path], target: Path) -> None:
    """Write the archives of a model in the layout that its model file says; trainings by the name of the part."""
    assert model.source is not None
    target.mkdir(parents=True, exist_ok=True)
    for part in model.parts:
        training, files = trainings[part.name], [archive.file for archive in part.archives]
        if model.source.layout == "flat_zip":
            write_zip(target / files[0], below(training))
        elif model.source.layout == "dataset_zips":
            write_zip(target / files[0], below(training.parent, f"{training.parent.name}/"))
        else:
            addenda = [name.removeprefix(files[0].removesuffix(".zip")).removesuffix(".zip") for name in files[1:]]
            more: dict[str, Path | bytes] = {"other_downloads.json": json.dumps(addenda).encode()} if addenda else {}
            for fold, name in enumerate(files):
                write_zip(target / name, below(training, f"{training.name}/", str(fold)) | (more if fold == 0 else {}))


def train_model(
    model: Model,
    results: Path,
    *,
    orientation: str = "RAS",
    spacing: tuple[float, float, float] = (3.0, 3.0, 3.0),
    transpose: tuple[int, int, int] = (0, 1, 2),
) -> dict[str, Path]:
    """Train a tiny network for each part of a model, with its label table, channels, names and folds.

    Orientation and spacing (network's axes, which `transpose` takes from z, y, x) are what a model file that leaves
    them to its weights finds there. Parts have patches of different sizes.
    """
    channels = max(1, len(model.channels))
    if isinstance(model.spacing_mm, tuple):
        x, y, z = model.spacing_mm
        spacing = z, y, x
    trainings = {}
    for number, part in enumerate(model.parts):
        names = {label: names[0] for label, names in model.published_names_of(part).items()}
        dataset = dataset_of(names) | {"channel_names": tiny_dataset(channels=channels)["channel_names"]}
        if model.orientation == "dataset":
            dataset["orientation"] = list(orientation)
        options: dict[str, Any] = {"channels": channels, "spacing": spacing, "transpose": transpose}
        options["patch"] = (16, 16, 16 + 4 * number)
        plans = tiny_plans(**options) if part.plans else residual_plans(**options)
        if model.modality == "ct":
            plans["configurations"]["3d_fullres"]["normalization_schemes"] = ["CTNormalization"]
            plans["foreground_intensity_properties_per_channel"] = {"0": CT_INTENSITIES}
            dataset["channel_names"] = {"0": "CT"}
        plans["dataset_name"] = part.folder or f"Dataset{part.dataset_id or number + 1:03d}_x"
        trainings[part.name] = trained(
            results,
            plans | ({"plans_name": part.plans} if part.plans else {}),
            dataset,
            folds=part.folds or [str(fold) for fold in range(len(part.archives))],
            trainer_name=part.trainer,
        )
    return trainings


def checkpoints_of(trainings: Mapping[str, Path], system: str) -> dict[str, dict[str, Path]]:
    """The published checkpoints of a system, by part and fold."""
    parts = (
        {"organs": trainings["organs"], "bones": trainings["bones"]} if system == TOTAL else {"all": trainings[system]}
    )
    return {
        part: {path.parent.name.removeprefix("fold_"): path for path in folder.glob("fold_*/checkpoint_final.pth")}
        for part, folder in parts.items()
    }


def assert_holds_published_weights(model: Model, trainings: Mapping[str, Path]) -> None:
    """Every fold of an imported model has exactly the tensors of its checkpoint."""
    for part, checkpoints in checkpoints_of(trainings, model.name).items():
        loaded = load_model_folder(model.folders[part])
        assert set(loaded.folds) == set(checkpoints)
        for fold, network in zip(loaded.folds, loaded.networks, strict=True):
            published = torch.load(checkpoints[fold], weights_only=False)["network_weights"]  # our own
            state = network.state_dict()
            assert state.keys() == published.keys()
            assert all(torch.equal(state[name], published[name]) for name in state)
