"""Labels equal nnU-Net's own predictor, from the image to the label map on the image's grid."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from nnunet_reference import body, nnunet_labels
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from tiny_model import TinyModel

from dixonflow.segment import Predictor, SegmentOptions
from dixonflow.segment.preprocess import preprocess

SAME_GRID: dict[str, tuple[dict[str, Any], tuple[int, int, int], float]] = {
    "several patches": ({}, (32, 28, 40), 0.5),
    "two folds": ({"folds": 2}, (26, 23, 30), 0.5),
    "three folds, larger step": ({"folds": 3}, (29, 25, 36), 0.8),
    "smaller than a patch": ({}, (14, 12, 13), 0.5),
    "smaller along the slowest axis, odd padding": ({}, (31, 27, 16), 0.5),
    "smaller in the plane": ({}, (12, 31, 40), 0.5),
    "one patch along an axis": ({"patch": (16, 24, 16)}, (30, 27, 40), 0.5),
    "steps of one patch": ({}, (40, 38, 44), 1.0),
    "transposed": ({"transpose": (2, 0, 1), "patch": (16, 8, 24)}, (34, 41, 29), 0.5),
    "mirrored": ({"axes": (0, 2)}, (24, 22, 30), 0.5),
    "masked normalisation": ({"mask": True}, (30, 27, 31), 0.5),
    "two channels": ({"channels": 2}, (28, 26, 31), 0.5),
}


@pytest.mark.parametrize("case", SAME_GRID)
def test_labels_are_identical_where_grids_agree(case: str, build_model: Callable[..., TinyModel]) -> None:
    options, shape, tile_step = SAME_GRID[case]
    model = build_model(**options)
    channels = options.get("channels", 1)
    image = body(shape) if channels == 1 else np.stack([body(shape, seed) for seed in range(channels)])
    spacing = (3.0, 3.0, 3.0)
    mirroring = "axes" in options
    ours = Predictor(model.folder, SegmentOptions(tile_step=tile_step, mirroring=mirroring)).predict(image, spacing)
    theirs = nnunet_labels(model, image, spacing, tile_step, mirroring)
    assert ours.dtype == np.uint8
    assert ours.shape == shape
    assert len(np.unique(ours)) >= 3
    np.testing.assert_array_equal(ours, theirs)


RESAMPLED: dict[str, tuple[dict[str, Any], tuple[int, int, int], tuple[float, float, float]]] = {
    "finer image": ({}, (52, 44, 60), (2.232, 2.232, 2.5)),
    "coarser image": ({"patch": (16, 16, 24)}, (26, 24, 40), (4.5, 4.2, 3.7)),
    "mixed, two folds": ({"folds": 2, "transpose": (1, 0, 2)}, (50, 31, 44), (1.9, 4.0, 3.0)),
    "only the slowest axis": ({}, (33, 31, 64), (3.0, 3.0, 1.4)),
    "separate z, thick slices": ({}, (62, 60, 25), (1.4, 1.4, 6.0)),
    "separate z, thick plans": ({"spacing": (6.0, 1.5, 1.5), "patch": (8, 24, 24)}, (60, 56, 37), (2.0, 2.0, 2.0)),
    "separate z, same slices": ({"spacing": (6.0, 1.5, 1.5), "patch": (8, 24, 24)}, (40, 44, 20), (2.0, 2.0, 6.0)),
    "separate z, transposed": (
        {"spacing": (1.5, 6.0, 1.5), "patch": (24, 8, 24), "transpose": (2, 0, 1)},
        (50, 46, 33),
        (2.0, 2.0, 5.0),
    ),
    "smaller than a patch": ({}, (16, 15, 17), (2.0, 2.0, 2.0)),
    "one patch along an axis": ({"patch": (16, 24, 16)}, (40, 36, 50), (2.0, 2.0, 2.0)),
    "one slab to many rows": ({"spacing": (12.0, 3.0, 3.0)}, (30, 31, 60), (3.0, 3.0, 2.9)),
}


def test_labels_equal_where_scores_are_resampled(build_model: Callable[..., TinyModel]) -> None:
    different = voxels = 0
    for case, (options, shape, spacing) in RESAMPLED.items():
        model = build_model(**options)
        image = body(shape)
        ours = Predictor(model.folder, SegmentOptions()).predict(image, spacing)
        theirs = nnunet_labels(model, image, spacing)
        assert ours.shape == shape, case
        assert len(np.unique(ours)) >= 3, case
        count = int((ours != theirs).sum())
        assert count <= 2, f"{case}: {count} of {ours.size} voxels differ"
        different, voxels = different + count, voxels + ours.size
    assert voxels > 500_000  # or the next line could not see one voxel in 100,000
    assert different <= voxels / 100_000


@pytest.mark.parametrize(
    ("options", "spacing"),
    [
        ({}, (2.0, 2.5, 3.5)),
        ({"transpose": (2, 0, 1), "spacing": (2.0, 5.0, 3.0)}, (2.4, 2.4, 3.0)),
        ({"mask": True}, (3.0, 3.0, 3.0)),
        ({"channels": 2, "spacing": (6.0, 1.5, 1.5)}, (2.0, 2.0, 3.0)),
    ],
)
def test_network_input_equals_nnunets_preprocessor(
    options: dict[str, Any], spacing: tuple[float, float, float], build_model: Callable[..., TinyModel]
) -> None:
    model = build_model(**options)
    shape = (31, 26, 22)
    image = np.stack([body(shape, seed) for seed in range(options.get("channels", 1))])
    before = image.copy()
    theirs, _, properties = DefaultPreprocessor(verbose=False).run_case_npy(
        np.ascontiguousarray(image.transpose(0, 3, 2, 1)),
        None,
        {"spacing": list(spacing[::-1])},
        model.architecture.plans,
        model.architecture.configuration,
        model.dataset,
    )
    for given in (image, np.asfortranarray(image)):
        prepared = preprocess([given], spacing, model.architecture)[0]
        np.testing.assert_array_equal(given, before)
        assert prepared.image.dtype == np.float32
        np.testing.assert_allclose(prepared.image, theirs, rtol=0, atol=1e-6 * np.ptp(theirs))
        assert [[part.start, part.stop] for part in prepared.box] == properties["bbox_used_for_cropping"]
        assert prepared.cropped_shape == properties["shape_after_cropping_and_before_resampling"]


@pytest.mark.parametrize(("orientation", "axes"), [("LPS", (0, 1)), ("RAI", (2,)), ("LAS", (0,))])
def test_orientation_reverses_the_image_and_the_labels_back(
    orientation: str, axes: tuple[int, ...], build_model: Callable[..., TinyModel]
) -> None:
    model = build_model()
    image, spacing = body((38, 27, 31)), (3.0, 2.5, 3.0)
    ours = Predictor(model.folder, SegmentOptions(orientation=orientation)).predict(image, spacing)
    theirs = nnunet_labels(model, np.flip(image, axes), spacing)
    assert (ours != np.flip(theirs, axes)).sum() <= 1
    assert (ours != nnunet_labels(model, image, spacing)).mean() > 0.01


def test_equal_scores_go_to_the_lower_label(build_model: Callable[..., TinyModel]) -> None:
    model = build_model()
    for name in ("decoder.seg_layers.0.weight", "decoder.seg_layers.0.bias"):
        model.weights[0][name][3] = model.weights[0][name][1]  # label 3 always ties with label 1
    predictor = Predictor(model.folder)
    predictor.model.networks[0].load_state_dict(model.weights[0])
    for spacing in ((3.0, 3.0, 3.0), (2.0, 2.0, 4.0)):
        ours = predictor.predict(body((30, 27, 31)), spacing)
        assert set(np.unique(ours)) >= {1}
        assert 3 not in ours
        assert (ours != nnunet_labels(model, body((30, 27, 31)), spacing)).sum() <= 1


def test_the_same_image_gives_the_same_bytes_whatever_came_before(build_model: Callable[..., TinyModel]) -> None:
    model = build_model(folds=2)
    image, spacing = body((40, 33, 36)), (2.2, 2.2, 3.0)
    first = Predictor(model.folder).predict(image, spacing)
    predictor = Predictor(model.folder)
    predictor.predict(body((25, 40, 30), seed=3), (3.0, 3.0, 3.0))
    again = predictor.predict(np.asfortranarray(image), spacing)
    assert first.tobytes() == again.tobytes()


def test_the_fold_asked_for_is_used(build_model: Callable[..., TinyModel]) -> None:
    model = build_model(folds=2)
    image, spacing = body((24, 22, 30)), (3.0, 3.0, 3.0)
    ours = Predictor(model.folder, SegmentOptions(folds=("1",))).predict(image, spacing)
    model.weights = model.weights[1:]
    np.testing.assert_array_equal(ours, nnunet_labels(model, image, spacing))


def test_mirroring_needs_both_the_model_and_the_option(build_model: Callable[..., TinyModel]) -> None:
    image, spacing = body((24, 22, 30)), (3.0, 3.0, 3.0)
    model = build_model(axes=(1,))
    plain = Predictor(model.folder).predict(image, spacing)
    mirrored = Predictor(model.folder, SegmentOptions(mirroring=True)).predict(image, spacing)
    assert (plain != mirrored).any()
    assert Predictor(model.folder, SegmentOptions(mirroring=True)).provenance()["mirror_axes"] == [1]
    assert Predictor(model.folder).provenance()["mirror_axes"] == []
