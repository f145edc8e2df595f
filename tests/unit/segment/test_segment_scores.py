"""Class scores to labels: interpolation along an axis, and slabs of scores to labels as nnU-Net's export gives them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape
from scipy import ndimage

from dixonflow.segment.scores import ResampledLabels, SameGridLabels
from dixonflow.segment.taps import axis_taps
from dixonflow.segment.transfer import DeviceTransfers, ImageRows, LabelRows

CPU = torch.device("cpu")
sizes = st.integers(1, 60)


@given(sizes, sizes)
def test_taps_are_linear_interpolation_and_hang_on_no_row_they_do_not_need(source, target):
    taps = axis_taps(source, target, 1)
    values = np.random.default_rng(source * 61 + target).normal(size=source)
    positions = source / target * (np.arange(target) + 0.5) - 0.5
    expected = ndimage.map_coordinates(values, [positions], order=1, mode="nearest")
    part = slice(target // 3, target)
    needed, matrix = taps.tile(part)
    np.testing.assert_allclose(matrix @ values[needed], expected[part], atol=1e-12)
    on_a_source_voxel = taps.part == 0
    assert np.array_equal(taps.rows[0][on_a_source_voxel], taps.rows[1][on_a_source_voxel])
    for seen in range(source + 1):
        assert taps.ready(seen) == (taps.rows[1] < seen).sum()
    assert taps.ready(source) == target


def blobs(classes: int, shape: tuple[int, int, int], background: float, seed: int = 0) -> torch.Tensor:
    """Half-precision scores of which each class has its own places; three classes are equal everywhere."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.normal(0, 3, (1, classes, 3, 3, 4)))
    scores = torch.nn.functional.interpolate(coarse, size=shape, mode="trilinear")[0].numpy()
    scores += rng.normal(0, 0.2, scores.shape)
    scores[rng.random(classes) < 0.6] += background
    scores[classes - 1] = scores[2] = scores[1]
    return torch.from_numpy(scores).half()


RESAMPLED = {
    "finer, more than a block along each axis": ((11, 33, 60), (19, 70, 140), (1, 1, 1), 0.0),
    "finer, most classes out of reach": ((11, 33, 60), (19, 70, 140), (1, 1, 1), -30.0),
    "coarser": ((25, 39, 30), (12, 33, 17), (1, 1, 1), -30.0),
    "thick slowest axis": ((9, 19, 24), (21, 26, 33), (0, 1, 1), -5.0),
    "thick fastest axis": ((19, 15, 7), (23, 20, 31), (1, 1, 0), -5.0),
}


@pytest.mark.parametrize("case", RESAMPLED)
@pytest.mark.parametrize("slab", [1, 4, 100])
def test_resampled_labels_equal_nnunets_export(case: str, slab: int) -> None:
    source, target, orders, background = RESAMPLED[case]
    scores = blobs(12, source, background)
    thick = [9.0 if order == 0 else 1.0 for order in orders]
    expected = resample_data_or_seg_to_shape(
        scores.numpy(), target, thick, thick, order=1, order_z=0, force_separate_z=None
    ).argmax(0)
    assert len(np.unique(expected)) >= 3
    sink = ResampledLabels(source, target, orders, labels := LabelRows(target, len(scores), DeviceTransfers(CPU)))
    for rows in torch.split(scores, slab, dim=1):
        sink.add(rows.clone())
    np.testing.assert_array_equal(labels.collected(), expected)


@pytest.mark.parametrize("highest", [-3.0, 0.0, 2.0])
def test_classes_that_are_equal_over_whole_blocks_are_not_taken_for_out_of_reach(highest: float) -> None:
    shape, target = (26, 40, 150), (21, 37, 140)
    steps = np.random.default_rng(5).integers(-3, 1, (9, 2, 2, 2)).astype(np.float32)
    scores = np.repeat(np.repeat(np.repeat(steps, 13, 1), 20, 2), 75, 3) + np.float32(highest)
    scores[scores == 0] = -0.0
    expected = resample_data_or_seg_to_shape(
        scores.astype(np.float16), target, [1.0] * 3, [1.0] * 3, order=1, order_z=0, force_separate_z=None
    ).argmax(0)
    assert len(np.unique(expected)) >= 3
    sink = ResampledLabels(shape, target, (1, 1, 1), labels := LabelRows(target, len(scores), DeviceTransfers(CPU)))
    for rows in torch.split(torch.from_numpy(scores).half(), 5, dim=1):
        sink.add(rows.clone())
    np.testing.assert_array_equal(labels.collected(), expected)


@pytest.mark.parametrize("classes", [12, 300])
def test_labels_on_the_same_grid_are_the_first_largest_scores(classes: int) -> None:
    scores = blobs(classes, (11, 35, 17), 0.0)
    sink = SameGridLabels(labels := LabelRows((11, 35, 17), classes, DeviceTransfers(CPU)))
    for rows in torch.split(scores, 4, dim=1):
        sink.add(rows)
    found = labels.collected()
    assert found.dtype == (np.uint8 if classes <= 256 else np.uint16)
    np.testing.assert_array_equal(found, scores.numpy().argmax(0))


def test_rows_without_labels_are_an_error() -> None:
    labels = LabelRows((3, 2, 2), 5, DeviceTransfers(CPU))
    labels.append(torch.ones(2, 2, 2, dtype=torch.uint8))
    with pytest.raises(RuntimeError, match="only 2 of 3"):
        labels.collected()


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_rows_of_an_image_arrive_when_fetched(device: str) -> None:
    image, copies = torch.randn(2, 7, 5, 4), DeviceTransfers(torch.device(device))
    rows = ImageRows(image, torch.device(device), copies)
    for stop in (3, 2, 7):
        rows.fetch(stop)
        copies.device_waits()
        assert torch.equal(rows.data[:, :stop].cpu(), image[:, :stop])
