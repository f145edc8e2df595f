"""From scores to labels in ways of our own: the mean of several images, probabilities, nearest neighbour."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from nnunet_reference import Image, body, nnunet_predictor
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from tiny_model import TinyModel

from dixonflow.segment import Predictor, SegmentOptions
from dixonflow.segment.preprocess import preprocess
from dixonflow.vocabulary import Interpolate


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
    model: TinyModel, images: list[Image], spacing: tuple[float, float, float], weights: tuple[float, ...]
) -> np.ndarray[Any, Any]:
    """nnU-Net's own scores of each image, averaged by weight and taken to labels with nnU-Net's own export."""
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

    scores, properties = zip(*(nnunet_scores(model, image, spacing) for image in images), strict=True)
    labels = convert_predicted_logits_to_segmentation_with_correct_shape(
        torch.einsum("i...,i->...", torch.stack(scores), torch.tensor(weights, dtype=scores[0].dtype)) / sum(weights),
        model.architecture.plans,
        model.architecture.configuration,
        nnunet_predictor(model).label_manager,
        properties[0],
    )
    return labels.transpose(2, 1, 0)


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.5)])
@pytest.mark.parametrize(("folds", "spacing"), [(1, (3.0, 3.0, 3.0)), (2, (3.0, 3.0, 3.0)), (1, (2.2, 2.2, 3.5))])
def test_mean_scores_of_several_images(
    folds: int,
    spacing: tuple[float, float, float],
    weights: tuple[float, ...],
    build_model: Callable[..., TinyModel],
) -> None:
    model = build_model(folds=folds)
    images = [body((34, 27, 40), seed) for seed in range(3)]
    predictor = Predictor(model.folder, SegmentOptions(image_weights=weights))
    ours = predictor.predict_mean(images, spacing)
    theirs = nnunet_labels_of_mean_scores(model, images, spacing, weights)
    # half-precision sums of six scores are taken in another order than theirs
    assert (ours != theirs).mean() < 1e-3
    assert all((ours != predictor.predict(image, spacing)).mean() > 0.01 for image in images)


@pytest.mark.parametrize("folds", [1, 2])
def test_probabilities_are_resampled_and_averaged_by_image(folds: int, build_model: Callable[..., TinyModel]) -> None:
    """Against nnU-Net's scores of each image, turned into probabilities and interpolated by torch itself."""
    model = build_model(folds=folds)
    spacing = (2.2, 2.2, 3.5)
    images = [body((34, 27, 40), seed) for seed in range(2)]
    predictor = Predictor(model.folder, SegmentOptions(interpolate="probabilities"))
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
    assert predictor.provenance()["interpolate"] == "probabilities"


@pytest.mark.parametrize("folds", [1, 2])
@pytest.mark.parametrize("interpolate", ["scores", "nearest"])
def test_labels_of_each_image_are_those_that_it_gives_alone(
    interpolate: Interpolate, folds: int, build_model: Callable[..., TinyModel]
) -> None:
    model, spacing = build_model(folds=folds), (2.2, 2.2, 3.5)
    images = [body((34, 27, 40), seed) for seed in range(3)]
    predictor = Predictor(model.folder, SegmentOptions(interpolate=interpolate))
    prepared = predictor.prepare(images, spacing)
    together = predictor.infer(prepared, each=True)
    np.testing.assert_array_equal(together.labels, predictor.infer(prepared).labels)
    nearest = Predictor(model.folder, SegmentOptions(interpolate="nearest"))
    on_grid = [nearest.infer([one]).labels for one in prepared]
    on_images = [nearest.restore(one, nearest.infer([one])) for one in prepared]
    for found, back, grid, image in zip(
        together.each, predictor.labels_of_each(prepared[0], together), on_grid, on_images, strict=True
    ):
        np.testing.assert_array_equal(found, grid)
        np.testing.assert_array_equal(back, image)
    (alone,) = predictor.infer(prepared[1:2], each=True).each
    np.testing.assert_array_equal(alone, on_grid[1])
    assert predictor.infer(prepared).each == ()


def test_images_averaged_share_one_box(build_model: Callable[..., TinyModel]) -> None:
    model = build_model()
    narrow, wide = body((34, 27, 40), 0, border=5), body((34, 27, 40), 1, border=1)
    together = preprocess([narrow, wide], (3.0, 3.0, 3.0), model.architecture)
    alone = preprocess([wide], (3.0, 3.0, 3.0), model.architecture)[0]
    assert [one.box for one in together] == [alone.box] * 2
    np.testing.assert_array_equal(together[1].image, alone.image)
    labels = Predictor(model.folder).predict_mean([narrow, wide], (3.0, 3.0, 3.0))
    assert labels.shape == narrow.shape
    with pytest.raises(ValueError, match="different shapes"):
        preprocess([narrow, wide[1:]], (3.0, 3.0, 3.0), model.architecture)


def test_labels_by_nearest_neighbour_are_those_of_the_networks_grid(build_model: Callable[..., TinyModel]) -> None:
    model, image, spacing = build_model(), body((39, 35, 43)), (2.1, 2.3, 3.9)
    predictor = Predictor(model.folder, SegmentOptions(interpolate="nearest"))
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
    assert predictor.provenance()["interpolate"] == "nearest"
    assert Predictor(model.folder).provenance()["interpolate"] == "scores"
