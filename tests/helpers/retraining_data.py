"""A retraining project with a data set in nnU-Net's format of a few tiny cases: boxes in noise, of known classes."""

import json
import shutil
from pathlib import Path

import numpy as np
import yaml

from dixonflow.config import Config
from dixonflow.imaging.nifti import write_labels, write_nifti
from dixonflow.retraining.ledger import CaseSet, Entry, Step, append_to_ledger
from dixonflow.retraining.nnunet.settings import Plan, TrainingSettings
from dixonflow.retraining.nnunet_raw import dataset_folder
from dixonflow.retraining.project import Project, Settings, open_project
from dixonflow.vocabulary import Contrast, ScanId

LABELS = {"liver": 5, "spleen": 1}
CLASSES = {"background": 0, "liver": 1, "spleen": 2}
SHAPE = (18, 16, 20)
TINY = TrainingSettings(
    plan=Plan(planner="default", spacing_mm=(4, 4, 4), patch_voxels=(16, 16, 16), batch_size=2, features=(4, 8, 8)),
    epochs=3,
    iterations=2,
    validation_iterations=1,
    checkpoint_epochs=1,
    processes=1,
    device="cpu",
    folds="all",
)


def tiny_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (float32) and label map (uint8, classes) of a case: two boxes that lie a little differently each time."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, np.uint8)
    a, b = rng.integers(0, 3, 2)
    labels[2 + a : 9 + a, 3:12, 4 + b : 14 + b] = 1
    labels[11 + a : 15 + a, 4:11, 5:12] = 2
    image = np.array([100, 400, 250], np.float32)[labels] + rng.normal(0, 20, SHAPE).astype(np.float32)
    return image, labels


def write_dataset(folder: Path, names: list[str], *, folds: int = 3, affine: np.ndarray | None = None) -> None:
    """Write cases in nnU-Net's raw format, each its own participant."""
    grid = np.diag([4.0, 4.0, 4.0, 1.0]) if affine is None else affine
    for seed, name in enumerate(names):
        image, labels = tiny_case(seed)
        write_nifti(folder / "imagesTr" / f"{name}_0000.nii.gz", image, grid)
        write_labels(folder / "labelsTr" / f"{name}.nii.gz", labels, grid)
    description = {"channel_names": {"0": "dixon"}, "labels": CLASSES, "numTraining": len(names)}
    description |= {"file_ending": ".nii.gz", "overwrite_image_reader_writer": "NibabelIO"}
    splits = [
        {
            "train": [n for i, n in enumerate(names) if i % folds != k],
            "val": [n for i, n in enumerate(names) if i % folds == k],
        }
        for k in range(folds)
    ]
    (folder / "dataset.json").write_text(json.dumps(description))
    (folder / "splits_final.json").write_text(json.dumps(splits))


def tiny_project(folder: Path, cases: int = 3) -> Project:
    """Write a project whose round 1 has a data set."""
    config = Config.model_validate(
        {
            "results": folder / "results",
            "cohort": {"sources": [{"layout": "bids", "folder": folder}], "withdrawn": None, "covariates": None},
            "segment": {"models": ["retrained01"], "weights": folder / "models", "device": "cpu"},
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config.model_dump_json())
    settings = Settings(
        config=folder / "config.json", model="demo", contrasts=(Contrast.WATER,), labels=LABELS, folds=3, seed=7
    )
    project = Project(folder, settings)
    (folder / "retraining.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    names = [f"case_{number:04d}" for number in range(1, cases + 1)]
    append_to_ledger(
        project.ledger,
        [
            Entry(Step.SELECTED, 1, CaseSet.TRAIN, ScanId(f"7000{number}", "2"), name)
            for number, name in enumerate(names)
        ],
    )
    write_dataset(dataset_folder(project, 1), names)
    return project


def copied_project(project: Project, folder: Path) -> Project:
    """Copy a project with its configuration into another folder."""
    shutil.copytree(project.root, folder)
    for name in ("config.json", "retraining.yaml"):
        path = folder / name
        path.write_text(path.read_text().replace(str(project.root), str(folder)))
    return open_project(folder)
