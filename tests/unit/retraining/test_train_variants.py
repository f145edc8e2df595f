"""Trainings as the papers describe them, to the end: residual encoders, folds of a cross-validation, copies and CT."""

import json

import numpy as np
import pytest
from retraining_data import LABELS, TINY, tiny_case, tiny_project

from dixonflow.config import read_config
from dixonflow.imaging.nifti import write_labels, write_nifti
from dixonflow.models.load import load_models
from dixonflow.retraining.import_round import import_trained
from dixonflow.retraining.nnunet.plan import plan_training
from dixonflow.retraining.nnunet.settings import Mixture, Plan
from dixonflow.retraining.nnunet.train import train_fold
from dixonflow.retraining.nnunet.workspace import workspace_of
from dixonflow.retraining.nnunet_raw import dataset_folder
from dixonflow.segment.networks import load_networks, options_of_file


def write_ct(folder):
    grid = np.diag([4.0, 4.0, 4.0, 1.0])
    image, classes = tiny_case(50)
    write_nifti(folder / "images" / "a.nii.gz", image, grid)
    names = np.array([0, LABELS["liver"], LABELS["spleen"]], np.uint8)
    write_labels(folder / "labels" / "a.nii.gz", names[classes], grid)
    (folder / "participants.csv").write_text("case,participant\na,80001\n")
    return folder


@pytest.mark.slow
def test_residual_encoders_folds_copies_and_ct_are_trained_imported_and_predict(tmp_path):
    project = tiny_project(tmp_path / "project")
    plan = Plan(planner="resenc_m", spacing_mm=(4.0, 4.0, 4.0), patch_voxels=(16, 16, 16), batch_size=2)
    mixture = Mixture(ct=write_ct(tmp_path / "ct"), elastic_copies=2, low_contrast_copies=1)
    settings = TINY.model_copy(update={"plan": plan, "mixture": mixture, "folds": "cross"})
    workspace = workspace_of(project, 1)
    plan_training(project, workspace, settings, dataset_folder(project, 1))
    splits = json.loads(workspace.splits_file.read_text())
    assert len(splits) == project.settings.folds
    for number, split in enumerate(splits):
        assert {name for name in split["train"] if name.startswith("ct_")}
        assert not [name for name in split["val"] if not name.startswith("case_") or "_e" in name]
        train_fold(workspace, str(number), project.settings.seed)
    assert import_trained(project, workspace, "variants").new
    config = read_config(project.settings.config)
    config = config.model_copy(update={"segment": config.segment.model_copy(update={"models": ("variants",)})})
    (model,) = load_models(config)
    assert model.folds == tuple(str(number) for number in range(len(splits)))
    networks = load_networks(model, options_of_file(model, config.segment))
    (predictor,) = networks._predictors.values()
    assert type(predictor.model.networks[0]).__name__ == "ResidualEncoderUNet"
    image, _ = tiny_case(1)
    prepared = networks.prepare([image], (4.0, 4.0, 4.0))
    labels = networks.restore(prepared, networks.infer(prepared))
    assert labels.shape == image.shape
    assert set(np.unique(labels)) <= {0, *LABELS.values()}
