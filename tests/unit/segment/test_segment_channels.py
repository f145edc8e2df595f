"""Several contrasts as the channels of one network: their order, the grids they come over, and what results name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imported_system import SCAN, Array, context_of, segmented
from nnunet_reference import body, nnunet_labels
from pydantic import ValidationError
from scipy import ndimage
from small_models import rule, small_model
from tiny_model import TinyModel, tiny_dataset, tiny_plans

from dixonflow.execution.content_keys import stage_key
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.stages.bids_fields import derivative_uri
from dixonflow.stages.context import stage_work
from dixonflow.vocabulary import Contrast, Layout, Stage

NAMES = ("spleen", "liver", "pancreas")
CHANNELS = (Contrast.WATER, Contrast.FAT)
SPACING = (2.5, 2.5, 3.0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    dataset = tiny_dataset(channels=2) | {
        "labels": {name: number for number, name in enumerate(("background", *NAMES))}
    }
    return TinyModel(tmp_path_factory.mktemp("model"), tiny_plans(channels=2), dataset)


@pytest.fixture(scope="module")
def images() -> dict[Contrast, Array]:
    return {contrast: body((24, 21, 20), seed, border=seed) for seed, contrast in enumerate(CHANNELS)}


def model_of(tiny: TinyModel, **changes: Any) -> Model:
    labels = {number: rule(name, "all") for number, name in enumerate(NAMES, 1)}
    fields = {"channels": CHANNELS, "input_contrasts": CHANNELS[:1], "group_contrasts": {"all": CHANNELS[:1]}}
    return small_model(labels, weights=tiny.folder, **(fields | changes))


def test_labels_are_those_of_nnunet_with_the_channels_in_their_order(
    tiny: TinyModel, images: dict[Contrast, Array], tmp_path: Path
) -> None:
    expected = nnunet_labels(tiny, np.stack([images[contrast] for contrast in CHANNELS]), SPACING)
    found = segmented(model_of(tiny), images, SPACING, tmp_path)
    assert list(found) == [Contrast.WATER]
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(found[Contrast.WATER], expected)
    turned = CHANNELS[::-1]
    swapped = model_of(tiny, channels=turned, input_contrasts=turned[:1], group_contrasts={"all": turned[:1]})
    assert (segmented(swapped, images, SPACING, tmp_path)[Contrast.FAT] != expected).any()


def test_every_channel_is_resampled_first_where_the_model_says_so(
    tiny: TinyModel, images: dict[Contrast, Array], tmp_path: Path
) -> None:
    wanted = (3.0, 3.0, 3.0)
    resampled = [
        ndimage.zoom(images[contrast].astype(float), np.array(SPACING) / wanted, order=3, mode="nearest")
        for contrast in CHANNELS
    ]
    stack = np.stack(resampled).astype(np.float32)
    stack[np.abs(stack) < 1] = 0
    labels = nnunet_labels(tiny, stack, wanted)
    expected = ndimage.zoom(labels, np.array((24, 21, 20)) / np.array(labels.shape), order=0, mode="nearest")
    model = model_of(tiny, resampling="first_zoom", spacing_mm=wanted)
    found = segmented(model, images, SPACING, tmp_path)[Contrast.WATER]
    assert np.count_nonzero(found != expected) <= found.size / 1000


def test_results_name_all_the_channels(tiny: TinyModel, images: dict[Contrast, Array], tmp_path: Path) -> None:
    model, results = model_of(tiny), Results(tmp_path)
    segmented(model, images, SPACING, tmp_path)
    entry = RawScan(SCAN, Layout.BIDS, tmp_path, "0" * 64)
    for stage in (Stage.MERGE, Stage.POSTPROCESS):
        stage_work(stage, context_of(model, results)).by_hand(entry)
    sidecar = json.loads(results.labels_sidecar(SCAN, model.name).read_text())
    assert sidecar["Sources"] == [
        derivative_uri(results, SCAN, results.stitched(SCAN, contrast)) for contrast in CHANNELS
    ]
    assert sidecar["segment"]["contrast_agreement"] == dict.fromkeys(NAMES)


def test_other_channels_are_other_work(tiny: TinyModel, tmp_path: Path) -> None:
    config = context_of(model_of(tiny), Results(tmp_path)).config
    more = model_of(tiny, channels=(*CHANNELS, Contrast.IN_PHASE))
    assert stage_key(Stage.RESAMPLE, "raw", config, model_of(tiny), []) != stage_key(
        Stage.RESAMPLE, "raw", config, more, []
    )
    assert stage_key(Stage.SEGMENT, "raw", config, model_of(tiny), []) != stage_key(
        Stage.SEGMENT, "raw", config, more, []
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": (Contrast.WATER, Contrast.WATER)},
        {"input_contrasts": CHANNELS},
        {"channels": CHANNELS[::-1]},
    ],
)
def test_channels_that_say_two_things_are_refused(tiny: TinyModel, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="channels must be different contrasts"):
        model_of(tiny, **changes)
