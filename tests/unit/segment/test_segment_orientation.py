"""A network trained on LPS and one trained on RAS give the same sides; the wrong orientation does not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunet_reference import body
from tiny_model import CONFIGURATION, random_weights, tiny_dataset, tiny_plans, write_checkpoint

from dixonflow.checkpoint.export import export_checkpoint
from dixonflow.segment import Predictor, SegmentOptions
from dixonflow.segment.architecture import read_architecture

# Windows of odd size that lie the same from either end, and no strides along x and y: else a mirrored network, whose
# every other voxel counts from the other end, is another network.
PATCH = (16, 15, 17)  # z, y, x
SHAPE = (33, 29, 26)  # x, y, z
SPACING = (3.0, 3.0, 3.0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A network for RAS, and the same with its kernels mirrored along x and y."""
    plans, dataset = tiny_plans(patch=PATCH), tiny_dataset(classes=6)
    plans["configurations"][CONFIGURATION]["architecture"]["arch_kwargs"]["strides"] = [[1, 1, 1], [2, 1, 1]]
    weights = random_weights(read_architecture(plans, dataset, CONFIGURATION), seed=3)
    mirrored = {
        name: torch.flip(tensor, (3, 4)).contiguous() if tensor.ndim == 5 else tensor
        for name, tensor in weights.items()
    }
    found = {}
    for orientation, tensors in {"RAS": weights, "LPS": mirrored}.items():
        folder = tmp_path_factory.mktemp(orientation)
        (folder / "plans.json").write_text(json.dumps(plans))
        (folder / "dataset.json").write_text(json.dumps(dataset))
        write_checkpoint(folder / "checkpoint.pth", tensors, 0, None)
        export_checkpoint(folder / "checkpoint.pth", folder / "plans.json", folder / "dataset.json", folder / "model")
        found[orientation] = folder / "model"
    return found


def test_both_give_the_same_sides_and_only_in_their_own_orientation(folders: dict[str, Path]) -> None:
    image = body(SHAPE, border=0)
    labels = {
        (trained, stated): Predictor(folder, SegmentOptions(orientation=stated)).predict(image, SPACING)
        for trained, folder in folders.items()
        for stated in ("RAS", "LPS")
    }
    expected = labels["RAS", "RAS"]
    assert len(np.unique(expected)) > 3
    # scores are summed in another order, and in half precision
    assert np.count_nonzero(labels["LPS", "LPS"] != expected) <= expected.size / 1000
    for wrong in (labels["LPS", "RAS"], labels["RAS", "LPS"], expected[::-1, ::-1]):
        assert np.count_nonzero(wrong != expected) > expected.size / 50
