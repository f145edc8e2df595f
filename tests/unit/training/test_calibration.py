"""Volumes without bias: what is found for each class, and that it reaches the exported weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from tiny_model import TinyModel, tiny_dataset, tiny_plans

from dixonflow.segment import Predictor, SegmentOptions, load_model_folder
from dixonflow.training.calibration import find_shifts, score, volume_errors
from dixonflow.training.export import export_model
from dixonflow.training.plan import Workspace

SPACING_MM = (2.5, 2.5, 3.0)
AFFINE = np.diag([*SPACING_MM, 1.0])
WEIGHTS = (2.0, 1.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return TinyModel(tmp_path_factory.mktemp("model"), tiny_plans(), tiny_dataset(classes=4))


def images_of(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [100 * ndimage.gaussian_filter(rng.normal(size=(26, 22, 30)), 2.5) for _ in range(2)]


def volumes_ml(folder, images) -> np.ndarray:
    labels = Predictor(folder, SegmentOptions(interpolate="probabilities", image_weights=WEIGHTS)).predict_mean(
        images, SPACING_MM
    )
    return np.bincount(labels.ravel(), minlength=4) * np.prod(SPACING_MM) / 1000


def test_volumes_are_those_that_the_segment_stage_finds(model):
    images = images_of(0)
    scan = score(load_model_folder(model.folder), images, WEIGHTS, AFFINE, np.zeros(4))
    found = volumes_ml(model.folder, images)
    assert (found[1:] > 0).sum() >= 2
    assert scan.volumes_ml(np.zeros(4)) == pytest.approx(found, rel=2e-3, abs=0.04)


def two_balls(scan, radius: float):
    """Scores of two balls, classes 1 and 2, that grow by 1 for each voxel towards the inside."""
    voxels = np.indices(scan.prepared.network_shape)
    size = np.array(voxels.shape[1:])
    large, small = (
        length - np.linalg.norm(voxels - (part * size)[:, None, None, None], axis=0)
        for length, part in ((radius, 0.35), (0.7 * radius, 0.8))
    )
    scores = np.stack([0 * large, large, small, np.full(large.shape, -9.0)])
    return replace(scan, scores=[scores.astype(np.float16)] * 2)


def test_shifts_bring_the_median_volume_to_the_truth(model):
    plain = score(load_model_folder(model.folder), images_of(0), WEIGHTS, AFFINE, np.zeros(4))
    scans = [two_balls(plain, radius) for radius in (5.0, 6.0, 7.0)]
    # the truth is what these shifts give; class 3 is nowhere
    scans = [replace(scan, true_ml=scan.volumes_ml(np.array([0.0, 0.3, -0.4, 0.0]))) for scan in scans]
    before = volume_errors(scans, np.zeros(4))
    assert before[1] > 0.05
    assert before[2] < -0.05
    shifts, history = find_shifts(scans)
    assert shifts == pytest.approx([0.0, 0.3, -0.4, 0.0], abs=0.1)
    after = volume_errors(scans, shifts)[1:]
    assert np.abs(after).max() < 0.02
    assert history[-1] < 0.2 * history[0]


def test_a_class_without_volume_is_left_alone(model):
    scan = score(load_model_folder(model.folder), images_of(0), WEIGHTS, AFFINE, np.zeros(4))
    assert (volume_errors([scan], np.zeros(4)) == 0).all()


def test_the_export_adds_the_shifts_of_its_own_checkpoint(tmp_path):
    workspace = Workspace(tmp_path)
    plans, dataset = tiny_plans(), tiny_dataset(classes=4)
    (tmp_path / "tiny").mkdir()
    tiny = TinyModel(tmp_path / "tiny", plans, dataset)
    weights = load_model_folder(tiny.folder).networks[0].state_dict()
    for path, content in ((workspace.plans_file, plans), (workspace.dataset_file, dataset)):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    arguments = {"configuration": "3d_fullres", "fold": 0}
    keys = ("optimizer_state", "grad_scaler_state", "logging", "_best_ema", "inference_allowed_mirroring_axes")
    content = dict.fromkeys(keys) | {"network_weights": weights, "init_args": arguments, "current_epoch": 7}
    torch.save(content | {"iteration": 7}, workspace.checkpoint_file)

    def exported() -> dict[str, torch.Tensor]:
        export_model(workspace, tmp_path / "model")
        return load_model_folder(tmp_path / "model").networks[0].state_dict()

    plain = exported()
    shifts = [0.0, 0.5, -0.25, 0.125]
    workspace.calibration_file.write_text(json.dumps({"iteration": 6, "shifts": shifts}))
    assert all(torch.equal(tensor, plain[name]) for name, tensor in exported().items())
    workspace.calibration_file.write_text(json.dumps({"iteration": 7, "shifts": shifts}))
    calibrated = exported()
    changed = {name for name, tensor in calibrated.items() if not torch.equal(tensor, plain[name])}
    (name,) = changed
    assert name.startswith("decoder.seg_layers.")
    assert (calibrated[name] - plain[name]).tolist() == pytest.approx(shifts, abs=1e-3)
