"""Labels equal nnU-Net's own predictor, from the image to the label map on the image's grid."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from tiny_model import TinyModel, tiny_dataset, tiny_plans

from dixonflow.errors import ConfigError, ModelError, ScanExcluded
from dixonflow.segment import Predictor, SegmentOptions
from dixonflow.segment.preprocess import preprocess
from dixonflow.segment.sliding_window import NonFiniteScoresError
from dixonflow.vocabulary import Reason

Image = np.ndarray[Any, np.dtype[np.float32]]


def body(shape: tuple[int, int, int], seed: int = 0, border: int = 2) -> Image:
    """A smooth asymmetric image with noise, zero in a border of unequal width."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    image = 400 + 200 * np.sin(7 * x + 3 * y) + 150 * np.cos(9 * z + 2 * x * x) + rng.normal(0, 60, shape)
    image[:border] = image[:, : border + 1] = image[:, :, -border - 1 :] = 0
    return image.astype(np.float32)


def nnunet_predictor(model: TinyModel, tile_step: float = 0.5, mirroring: bool = False) -> Any:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        tile_step_size=tile_step, use_mirroring=mirroring, device=torch.device("cpu"), allow_tqdm=False
    )
    architecture = model.architecture
    predictor.manual_initialization(
        architecture.build(),
        architecture.plans,
        architecture.configuration,
        model.weights,
        model.dataset,
        "nnUNetTrainer",
        model.axes,
    )
    return predictor


def nnunet_labels(
    model: TinyModel, image: Image, spacing: tuple[float, float, float], tile_step: float = 0.5, mirroring: bool = False
) -> np.ndarray[Any, Any]:
    """What nnU-Net's predictor gives for the same image, brought to (x, y, z)."""
    channels = image[None] if image.ndim == 3 else image
    zyx = np.ascontiguousarray(channels.transpose(0, 3, 2, 1))
    predictor = nnunet_predictor(model, tile_step, mirroring)
    labels = predictor.predict_single_npy_array(zyx, {"spacing": list(spacing[::-1])})
    return labels.transpose(2, 1, 0)


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., TinyModel]:
    numbers = itertools.count()

    def make(*, folds: int = 1, classes: int = 4, axes: tuple[int, ...] | None = None, **plans: Any) -> TinyModel:
        channels = plans.get("channels", 1)
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return TinyModel(folder, tiny_plans(**plans), tiny_dataset(classes=classes, channels=channels), folds, axes)

    return make


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
def test_labels_are_identical_where_grids_agree(case: str, build: Callable[..., TinyModel]) -> None:
    options, shape, tile_step = SAME_GRID[case]
    model = build(**options)
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


def test_labels_equal_where_scores_are_resampled(build: Callable[..., TinyModel]) -> None:
    different = voxels = 0
    for case, (options, shape, spacing) in RESAMPLED.items():
        model = build(**options)
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
    options: dict[str, Any], spacing: tuple[float, float, float], build: Callable[..., TinyModel]
) -> None:
    model = build(**options)
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
    orientation: str, axes: tuple[int, ...], build: Callable[..., TinyModel]
) -> None:
    model = build()
    image, spacing = body((38, 27, 31)), (3.0, 2.5, 3.0)
    ours = Predictor(model.folder, SegmentOptions(orientation=orientation)).predict(image, spacing)
    theirs = nnunet_labels(model, np.flip(image, axes), spacing)
    assert (ours != np.flip(theirs, axes)).sum() <= 1
    assert (ours != nnunet_labels(model, image, spacing)).mean() > 0.01


def test_equal_scores_go_to_the_lower_label(build: Callable[..., TinyModel]) -> None:
    model = build()
    for name in ("decoder.seg_layers.0.weight", "decoder.seg_layers.0.bias"):
        model.weights[0][name][3] = model.weights[0][name][1]  # label 3 always ties with label 1
    predictor = Predictor(model.folder)
    predictor.model.networks[0].load_state_dict(model.weights[0])
    for spacing in ((3.0, 3.0, 3.0), (2.0, 2.0, 4.0)):
        ours = predictor.predict(body((30, 27, 31)), spacing)
        assert set(np.unique(ours)) >= {1}
        assert 3 not in ours
        assert (ours != nnunet_labels(model, body((30, 27, 31)), spacing)).sum() <= 1


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e4])
def test_scores_that_are_not_finite_or_overflow_are_an_error(value: float, build: Callable[..., TinyModel]) -> None:
    predictor = Predictor(build().folder)
    network: Any = predictor.model.networks[0]
    network.decoder.seg_layers[0].bias[2] = value
    with pytest.raises(NonFiniteScoresError):
        predictor.predict(body((30, 27, 31)), (3.0, 3.0, 3.0))


def test_the_same_image_gives_the_same_bytes_whatever_came_before(build: Callable[..., TinyModel]) -> None:
    model = build(folds=2)
    image, spacing = body((40, 33, 36)), (2.2, 2.2, 3.0)
    first = Predictor(model.folder).predict(image, spacing)
    predictor = Predictor(model.folder)
    predictor.predict(body((25, 40, 30), seed=3), (3.0, 3.0, 3.0))
    again = predictor.predict(np.asfortranarray(image), spacing)
    assert first.tobytes() == again.tobytes()


def test_the_fold_asked_for_is_used(build: Callable[..., TinyModel]) -> None:
    model = build(folds=2)
    image, spacing = body((24, 22, 30)), (3.0, 3.0, 3.0)
    ours = Predictor(model.folder, SegmentOptions(folds=("1",))).predict(image, spacing)
    model.weights = model.weights[1:]
    np.testing.assert_array_equal(ours, nnunet_labels(model, image, spacing))


def nnunet_scores(model: TinyModel, image: Image, spacing: tuple[float, float, float]) -> tuple[torch.Tensor, Any]:
    """nnU-Net's own scores of an image on the network's grid, and what its preprocessor says of the image."""
    data, _, properties = DefaultPreprocessor(verbose=False).run_case_npy(
        np.ascontiguousarray(image[None].transpose(0, 3, 2, 1)),
        None,
        {"spacing": list(spacing[::-1])},
        model.architecture.plans,
        model.architecture.configuration,
        model.dataset,
    )
    return nnunet_predictor(model).predict_logits_from_preprocessed_data(torch.from_numpy(data)).cpu(), properties


def nnunet_labels_of_mean_scores(
    model: TinyModel, images: list[Image], spacing: tuple[float, float, float]
) -> np.ndarray[Any, Any]:
    """nnU-Net's own scores of each image, averaged and taken to labels with nnU-Net's own export."""
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

    scores, properties = zip(*(nnunet_scores(model, image, spacing) for image in images), strict=True)
    labels = convert_predicted_logits_to_segmentation_with_correct_shape(
        torch.stack(scores).sum(0) / len(scores),
        model.architecture.plans,
        model.architecture.configuration,
        nnunet_predictor(model).label_manager,
        properties[0],
    )
    return labels.transpose(2, 1, 0)


@pytest.mark.parametrize(("folds", "spacing"), [(1, (3.0, 3.0, 3.0)), (2, (3.0, 3.0, 3.0)), (1, (2.2, 2.2, 3.5))])
def test_mean_scores_of_several_images(
    folds: int, spacing: tuple[float, float, float], build: Callable[..., TinyModel]
) -> None:
    model = build(folds=folds)
    images = [body((34, 27, 40), seed) for seed in range(3)]
    predictor = Predictor(model.folder)
    ours = predictor.predict_mean(images, spacing)
    theirs = nnunet_labels_of_mean_scores(model, images, spacing)
    # half-precision sums of six scores are taken in another order than theirs
    assert (ours != theirs).mean() < 1e-3
    assert all((ours != predictor.predict(image, spacing)).mean() > 0.01 for image in images)


@pytest.mark.parametrize("folds", [1, 2])
def test_probabilities_are_resampled_and_averaged_by_image(folds: int, build: Callable[..., TinyModel]) -> None:
    """Against nnU-Net's scores of each image, turned into probabilities and interpolated by torch itself."""
    model = build(folds=folds)
    spacing = (2.2, 2.2, 3.5)
    images = [body((34, 27, 40), seed) for seed in range(2)]
    predictor = Predictor(model.folder, SegmentOptions(labels="probabilities"))
    prepared = predictor.prepare(images, spacing)
    theirs = nnunet_predictor(model)
    mean = torch.stack(
        [
            torch.softmax(theirs.predict_logits_from_preprocessed_data(torch.from_numpy(p.image)).float(), 0)
            for p in prepared
        ]
    ).mean(0)
    fine = torch.nn.functional.interpolate(
        mean[None], size=prepared[0].cropped_shape, mode="trilinear", align_corners=False
    )[0]
    expected = fine.argmax(0).numpy()
    ours = predictor.infer(prepared).labels
    assert ours.shape == expected.shape
    best = fine.topk(2, dim=0).values
    clear = (best[0] - best[1]).numpy() > 5e-3  # sums and probabilities are half precision here
    assert clear.mean() > 0.7
    np.testing.assert_array_equal(ours[clear], expected[clear])
    by_scores = Predictor(model.folder).infer(prepared).labels
    assert (by_scores != ours).any()
    assert predictor.provenance()["labels"] == "probabilities"


def test_images_averaged_share_one_box(build: Callable[..., TinyModel]) -> None:
    model = build()
    narrow, wide = body((34, 27, 40), 0, border=5), body((34, 27, 40), 1, border=1)
    together = preprocess([narrow, wide], (3.0, 3.0, 3.0), model.architecture)
    alone = preprocess([wide], (3.0, 3.0, 3.0), model.architecture)[0]
    assert [one.box for one in together] == [alone.box] * 2
    np.testing.assert_array_equal(together[1].image, alone.image)
    labels = Predictor(model.folder).predict_mean([narrow, wide], (3.0, 3.0, 3.0))
    assert labels.shape == narrow.shape
    with pytest.raises(ValueError, match="different shapes"):
        preprocess([narrow, wide[1:]], (3.0, 3.0, 3.0), model.architecture)


def test_labels_by_nearest_neighbour_are_those_of_the_networks_grid(build: Callable[..., TinyModel]) -> None:
    model, image, spacing = build(), body((39, 35, 43)), (2.1, 2.3, 3.9)
    predictor = Predictor(model.folder, SegmentOptions(labels="nearest"))
    scores, properties = nnunet_scores(model, image, spacing)
    on_grid = scores.numpy().argmax(0)
    (a, a_stop), (b, b_stop), (c, c_stop) = properties["bbox_used_for_cropping"]
    expected = np.zeros(image.shape[::-1], np.uint8)
    for i, j, k in np.ndindex(a_stop - a, b_stop - b, c_stop - c):
        place = [
            int((index + 0.5) * size / wanted)
            for index, size, wanted in zip((i, j, k), on_grid.shape, (a_stop - a, b_stop - b, c_stop - c), strict=True)
        ]
        expected[a + i, b + j, c + k] = on_grid[tuple(place)]
    ours = predictor.predict(image, spacing)
    np.testing.assert_array_equal(ours, expected.transpose(2, 1, 0))
    assert (ours != Predictor(model.folder).predict(image, spacing)).any()
    assert predictor.provenance()["labels"] == "nearest"
    assert Predictor(model.folder).provenance()["labels"] == "scores"


class RunsOutOfMemory(torch.nn.Module):
    """A network that raises an error at some of its calls, as when other processes fill the device."""

    def __init__(self, network: torch.nn.Module, error: Exception, at: set[int]) -> None:
        super().__init__()
        self.network, self.error, self.at, self.calls = network, error, at, 0

    def forward(self, tile: torch.Tensor) -> Any:
        self.calls += 1
        if self.calls in self.at:
            raise self.error
        return self.network(tile)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 18.00 GB)"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8000000000 bytes"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_an_image_for_which_memory_ran_out_is_segmented_with_scores_on_the_host(
    error: Exception, build: Callable[..., TinyModel]
) -> None:
    predictor, image, spacing = Predictor(build().folder), body((24, 22, 30)), (2.4, 3.0, 3.0)
    network = predictor.model.networks[0]
    prepared = predictor.prepare([image], spacing)
    undisturbed = predictor.infer(prepared)
    assert undisturbed.provenance() == {"scores_device": predictor.device.type, "out_of_memory": False}
    predictor._networks = (RunsOutOfMemory(network, error, {2}),)
    inferred = predictor.infer(prepared)
    assert inferred.provenance() == {"scores_device": "cpu", "out_of_memory": True}
    np.testing.assert_array_equal(inferred.labels, undisturbed.labels)
    assert not predictor.infer(prepared).out_of_memory
    predictor._networks = (RunsOutOfMemory(network, error, {2, 4}),)
    with pytest.raises(MemoryError, match="again"):
        predictor.infer(prepared)


def test_other_errors_of_the_device_are_not_taken_for_memory(build: Callable[..., TinyModel]) -> None:
    predictor = Predictor(build().folder)
    network = RunsOutOfMemory(predictor.model.networks[0], RuntimeError("CUDA error: device-side assert"), {1})
    predictor._networks = (network,)
    with pytest.raises(RuntimeError, match="device-side"):
        predictor.predict(body((24, 22, 30)), (3.0, 3.0, 3.0))
    assert network.calls == 1


def test_labels_are_restored_without_the_image(build: Callable[..., TinyModel]) -> None:
    predictor, image, spacing = Predictor(build().folder), body((24, 22, 30)), (2.4, 3.0, 3.0)
    prepared = predictor.prepare([image], spacing)[0]
    inferred = predictor.infer([prepared])
    light = prepared.without_image()
    assert light.image.nbytes == 0
    assert light.network_shape == prepared.network_shape
    np.testing.assert_array_equal(predictor.restore(light, inferred), predictor.restore(prepared, inferred))


def peak_of_inference(folder: Path, rows: int) -> int:
    """In a process of its own, whose allocator gives large blocks back at once: what came before does not count."""
    script = Path(__file__).with_name("peak_of_inference.py")
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(folder), str(rows)]
    return int(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def test_memory_does_not_grow_with_the_rows_of_the_image(build: Callable[..., TinyModel]) -> None:
    classes, patch = 64, (16, 64, 64)
    folder = build(classes=classes, patch=patch).folder
    few, many = (peak_of_inference(folder, rows) for rows in (48, 144))
    plane = 128 * 128
    growth = 2 * classes * plane * (144 - 48)  # of the scores, were they kept
    assert many > classes * patch[0] * plane  # half of the sums, or nothing was measured
    assert many - few < growth / 5


def test_mirroring_needs_both_the_model_and_the_option(build: Callable[..., TinyModel]) -> None:
    image, spacing = body((24, 22, 30)), (3.0, 3.0, 3.0)
    model = build(axes=(1,))
    plain = Predictor(model.folder).predict(image, spacing)
    mirrored = Predictor(model.folder, SegmentOptions(mirroring=True)).predict(image, spacing)
    assert (plain != mirrored).any()
    assert Predictor(model.folder, SegmentOptions(mirroring=True)).provenance()["mirror_axes"] == [1]
    assert Predictor(model.folder).provenance()["mirror_axes"] == []


def test_images_that_cannot_be_segmented_are_excluded(build: Callable[..., TinyModel]) -> None:
    predictor = Predictor(build().folder)
    cases: list[tuple[Image, tuple[float, float, float], Reason]] = [
        (np.zeros((20, 20, 20), np.float32), (3.0, 3.0, 3.0), Reason.EMPTY_IMAGE),
        (np.full((20, 20, 20), 7, np.float32), (3.0, 3.0, 3.0), Reason.EMPTY_IMAGE),
        (body((20, 20, 20)), (3.0, 0.0, 3.0), Reason.UNEXPECTED_GEOMETRY),
        (body((20, 20, 20)), (3.0, np.nan, 3.0), Reason.UNEXPECTED_GEOMETRY),
        (body((20, 20, 20)), (3000.0, 3000.0, 3000.0), Reason.UNEXPECTED_GEOMETRY),
        (body((20, 20, 20)), (3.0, 3.0, 0.01), Reason.UNEXPECTED_GEOMETRY),
    ]
    for image, spacing, reason in cases:
        with pytest.raises(ScanExcluded) as caught:
            predictor.predict(image, spacing)
        assert caught.value.reason == reason


def test_wrong_calls_are_errors(build: Callable[..., TinyModel]) -> None:
    model = build()
    predictor = Predictor(model.folder)
    with pytest.raises(ModelError, match="1 images at a time, 2"):
        predictor.predict(np.stack([body((20, 20, 20))] * 2), (3.0, 3.0, 3.0))
    with pytest.raises(ValueError, match="x, y, z"):
        predictor.predict(np.ones((20, 20), np.float32), (3.0, 3.0, 3.0))
    image = body((20, 20, 20))
    image[5, 5, 5] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        predictor.predict(image, (3.0, 3.0, 3.0))
    for wrong in ({"labels": "argmax"}, {"tile_step": 0.0}, {"tile_step": 1.5}, {"threads": 0}, {"orientation": "SPL"}):
        with pytest.raises(ConfigError):
            SegmentOptions(**wrong)
    with pytest.raises(ConfigError, match="unknown"):
        Predictor(model.folder, SegmentOptions(device="toaster"))
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="not available"):
            Predictor(model.folder, SegmentOptions(device="cuda"))
