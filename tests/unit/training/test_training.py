"""Parts of the demo network's training that can be checked without training."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from dixonflow.models.load import MODELS, load_model
from dixonflow.phantom.anatomy.structures import Structure
from dixonflow.training.cases import Case, load_case
from dixonflow.training.convolution import use_fast_convolutions
from dixonflow.training.loss import SMOOTH, VOLUME_SMOOTH, VOLUME_WEIGHT, Target, deeply_supervised, segmentation_loss
from dixonflow.training.plan import dataset_json
from dixonflow.training.sampling import CasePool, place, predict_classes
from dixonflow.training.scans import CLASS_OF_LABEL
from dixonflow.training.trainer import Schedule


def target_of(classes: torch.Tensor) -> Target:
    """Voxels of one class each."""
    return Target(classes, torch.zeros_like(classes), torch.ones(classes.shape))


def test_loss_equals_its_one_hot_definition() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(1, 6, 4, 5, 7, requires_grad=True), torch.randint(0, 5, (4, 5, 7))
    one_hot = functional.one_hot(target, 6).permute(3, 0, 1, 2).float()
    probability = logits[0].softmax(dim=0)
    axes = (1, 2, 3)
    found, true = probability.sum(axes), one_hot.sum(axes)
    dice = (2 * (probability * one_hot).sum(axes) + SMOOTH) / (found + true + SMOOTH)
    volumes = (found - true).abs() / (true + VOLUME_SMOOTH)
    expected = functional.cross_entropy(logits, target[None]) - 0.3 * dice[1:5].mean()
    expected = expected + VOLUME_WEIGHT * volumes[1:5].mean()
    loss = segmentation_loss(logits, target_of(target), 0.3)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
    (expected_gradient,) = torch.autograd.grad(expected, logits)
    assert torch.allclose(gradient, expected_gradient, atol=1e-6)


def test_loss_of_divided_voxels_is_least_where_probabilities_are_the_shares() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(0, 4, (4, 5, 6), generator=generator)
    second = torch.randint(0, 4, (4, 5, 6), generator=generator)
    target = Target(first, second, 0.5 + 0.5 * torch.rand((4, 5, 6), generator=generator))
    shares = torch.zeros(4, 4, 5, 6)
    shares.scatter_add_(0, first[None], target.share[None])
    shares.scatter_add_(0, second[None], 1 - target.share[None])
    entropy = -torch.special.xlogy(shares, shares).sum(dim=0).mean()
    best = segmentation_loss(shares.clamp(min=1e-9).log()[None], target, 1.0)
    assert best.item() == pytest.approx(entropy.item() - 1, abs=1e-4)
    for power in (0.7, 1.5, 20.0):
        blurred = (shares.clamp(min=1e-9) ** power).log()[None]
        assert segmentation_loss(blurred, target, 1.0) > best + 0.01


def test_deep_supervision_weights_resolutions_by_halves() -> None:
    torch.manual_seed(0)
    target = target_of(torch.randint(0, 3, (4, 4, 4)))
    fine, coarse = torch.randn(1, 3, 4, 4, 4), torch.randn(1, 3, 2, 2, 2)
    expected = (
        segmentation_loss(fine, target, 0.3)
        + 0.5 * segmentation_loss(coarse, target_of(target.first[::2, ::2, ::2]), 0.3)
    ) / 1.5
    assert float(deeply_supervised([fine, coarse], target, 0.3)) == pytest.approx(float(expected), abs=1e-6)


def test_the_dice_loses_its_weight_in_the_first_half_of_the_time() -> None:
    schedule = Schedule(deadline=0.0, last_dice_weight=0.2)
    weights = [schedule.dice_weight(progress) for progress in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert weights == pytest.approx([1.0, 0.6, 0.2, 0.2, 0.2])


def test_trained_weights_are_refined_with_a_light_dice_and_half_the_rate() -> None:
    fresh, refining = Schedule(0.0), Schedule.refining(0.0)
    assert [refining.dice_weight(progress) for progress in (0.0, 0.3, 1.0)] == pytest.approx([0.1, 0.1, 0.1])
    assert refining.learning_rate == fresh.learning_rate / 2


def test_fast_convolutions_change_nothing_but_speed() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Conv3d(1, 4, 3, padding=1),
        nn.Conv3d(4, 8, 3, 2, padding=1),
        nn.Conv3d(8, 3, 3, padding=1),
        nn.Conv3d(3, 2, 1),
    )
    fast = copy.deepcopy(plain)
    use_fast_convolutions(fast)
    assert list(plain.state_dict()) == list(fast.state_dict())
    for depth in (8, 6):
        image = torch.randn(1, 1, depth, 9, 7)
        results = [network(image) for network in (plain, fast)]
        assert torch.allclose(*results, atol=1e-5)
        gradients = [
            torch.autograd.grad(r.square().sum(), n.parameters()) for r, n in zip(results, (plain, fast), strict=True)
        ]
        for a, b in zip(*gradients, strict=True):
            assert torch.allclose(a, b, atol=1e-3, rtol=1e-4)


def test_classes_follow_the_label_ids() -> None:
    labels = dataset_json()["labels"]
    assert sorted(labels.values()) == list(range(47))
    for structure in Structure:
        assert labels[structure.published_name] == CLASS_OF_LABEL[structure]


def test_structures_are_those_of_the_model_file() -> None:
    model = load_model(MODELS / "demo.yaml")
    assert model.structures == {s.published_name: int(s) for s in Structure}


def test_place_shifts_cuts_and_pads() -> None:
    volume = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert np.array_equal(place(place(volume, (5, 5, 5), [2, 1, 0]), (2, 3, 4), [-2, -1, 0]), volume)
    assert np.array_equal(place(volume, (1, 3, 2), [-1, 0, -2]), volume[1:, :, 2:])


def test_pool_draws_patches_of_new_cases(tmp_path: Path) -> None:
    pool = CasePool(tmp_path)
    assert pool.refresh() == 0
    rng = np.random.default_rng(0)
    classes = np.zeros((30, 9, 12), np.uint8)
    classes[20:, 3:6, 4:8] = 5
    images = np.repeat(classes[None].astype(np.float16), 3, axis=0)
    share = np.full(classes.shape, 255, np.uint8)
    np.savez(tmp_path / "100000.npz", images=images, classes=np.stack([classes, 0 * classes]), share=share)
    assert pool.refresh() == 1
    case: Case = load_case(tmp_path / "100000.npz")
    assert np.array_equal(case.slices[5], np.arange(20, 30))
    seen = 0
    for _ in range(20):
        image, target = pool.draw(rng, (8, 12, 10))
        assert image.shape == (1, 1, 8, 12, 10)
        assert {part.shape for part in target} == {(8, 12, 10)}
        inside = target.first == 5
        assert (target.share[inside] == 1).all()
        seen += int(inside.any())
        if inside.any():
            assert image[0, 0][inside].mean() > image[0, 0][~inside].mean() + 1
    assert seen > 10


def test_prediction_covers_the_whole_body() -> None:
    class Threshold(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.cat([0.5 - image, image - 0.5], dim=1)

    rng = np.random.default_rng(0)
    for shape in ((21, 5, 9), (4, 6, 7)):
        image = rng.integers(0, 2, shape).astype(np.float16)
        assert np.array_equal(predict_classes(Threshold(), image, (8, 6, 10)), image.astype(np.uint8))
