"""What the predictor refuses: images that cannot be segmented, scores that are not finite, wrong calls."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from nnunet_reference import Image, body
from tiny_model import TinyModel

from dixonflow.errors import ConfigError, ModelError, ScanExcluded
from dixonflow.segment import Predictor, SegmentOptions
from dixonflow.segment.sliding_window import NonFiniteScoresError
from dixonflow.vocabulary import Reason


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e4])
def test_scores_that_are_not_finite_or_overflow_are_an_error(
    value: float, build_model: Callable[..., TinyModel]
) -> None:
    predictor = Predictor(build_model().folder)
    network: Any = predictor.model.networks[0]
    network.decoder.seg_layers[0].bias[2] = value
    with pytest.raises(NonFiniteScoresError):
        predictor.predict(body((30, 27, 31)), (3.0, 3.0, 3.0))


def test_images_that_cannot_be_segmented_are_excluded(build_model: Callable[..., TinyModel]) -> None:
    predictor = Predictor(build_model().folder)
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


def test_wrong_calls_are_errors(build_model: Callable[..., TinyModel]) -> None:
    model = build_model()
    predictor = Predictor(model.folder)
    with pytest.raises(ModelError, match="takes 1 images, not 2"):
        predictor.predict(np.stack([body((20, 20, 20))] * 2), (3.0, 3.0, 3.0))
    with pytest.raises(ValueError, match="x, y, z"):
        predictor.predict(np.ones((20, 20), np.float32), (3.0, 3.0, 3.0))
    image = body((20, 20, 20))
    image[5, 5, 5] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        predictor.predict(image, (3.0, 3.0, 3.0))
    for wrong in (
        {"interpolate": "argmax"},
        {"tile_step": 0.0},
        {"tile_step": 1.5},
        {"threads": 0},
        {"orientation": "SPL"},
    ):
        with pytest.raises(ConfigError):
            SegmentOptions(**wrong)
    with pytest.raises(ConfigError, match="unknown"):
        Predictor(model.folder, SegmentOptions(device="toaster"))
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="not available"):
            Predictor(model.folder, SegmentOptions(device="cuda"))
