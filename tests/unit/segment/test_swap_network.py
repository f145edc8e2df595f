"""A network that looks for swapped water and fat: what it says, and what the segment stage makes of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imported_system import SCAN, Array, ImportedSystem, segmented
from nnunet_reference import body, nnunet_labels
from small_models import rule, small_model
from tiny_model import TinyModel, tiny_dataset, tiny_plans

from dixonflow.config import Config, SegmentConfig, demo_config, parse_config
from dixonflow.errors import ConfigError, ModelError
from dixonflow.execution.content_keys import stage_key
from dixonflow.imaging.nifti import NiftiImage
from dixonflow.labelmap.swap_witness import swapped_patches
from dixonflow.models.load import MODELS, load_model, load_models, named_models
from dixonflow.models.model import Model
from dixonflow.models.runnable import check_runnable
from dixonflow.paths import Results
from dixonflow.segment.swap_network import SwapNetwork
from dixonflow.vocabulary import DIXON, Contrast, ScanSequence, Stage

SPACING = (2.5, 2.5, 3.0)
CHANNELS = (Contrast.WATER, Contrast.OPPOSED_PHASE, Contrast.IN_PHASE)
WATER, FAT = 2, 5
CLASSES = {WATER: "w", FAT: "f"} | {number: f"c{number}" for number in range(1, 10) if number not in (WATER, FAT)}
"""Of a network with random weights, which gives many classes: these two stand for water and fat."""
SEGMENT = SegmentConfig(device="cpu", threads=1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    labels = {"background": 0} | {name: number for number, name in CLASSES.items()}
    return TinyModel(
        tmp_path_factory.mktemp("model"), tiny_plans(channels=3), tiny_dataset(channels=3) | {"labels": labels}
    )


@pytest.fixture(scope="module")
def images() -> dict[Contrast, Array]:
    return {contrast: body((24, 21, 20), seed, border=seed) for seed, contrast in enumerate(DIXON)}


def witness_of(tiny: TinyModel) -> Model:
    names = ["w", "f", *(name for name in CLASSES.values() if name not in ("w", "f"))]
    labels = {number: rule(name, "all") for number, name in enumerate(names, 1)}
    return small_model(
        labels,
        name="witness",
        weights=tiny.folder,
        finds_swaps=True,
        channels=CHANNELS,
        input_contrasts=CHANNELS[:1],
        group_contrasts={"all": CHANNELS[:1]},
    )


def test_swapped_is_what_both_runs_of_the_network_say(tiny: TinyModel, images: dict[Contrast, Array]) -> None:
    runs = {
        first: nnunet_labels(tiny, np.stack([images[each] for each in (first, *CHANNELS[1:])]), SPACING)
        for first in (Contrast.WATER, Contrast.FAT)
    }
    expected = (runs[Contrast.WATER] == FAT) & (runs[Contrast.FAT] == WATER)
    affine = np.diag([*SPACING, 1.0])
    scan = {contrast: NiftiImage(image, affine) for contrast, image in images.items()}
    found = SwapNetwork(witness_of(tiny), SEGMENT).swapped(scan)
    assert expected.any()
    np.testing.assert_array_equal(found, expected)


def test_the_segment_stage_says_which_structures_lie_there(
    tiny: TinyModel, images: dict[Contrast, Array], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").mkdir()
    plain = TinyModel(tmp_path / "plain", tiny_plans(), tiny_dataset())
    names = {number: rule(name, "all") for name, number in tiny_dataset()["labels"].items() if number}
    model = small_model(
        names, weights=plain.folder, input_contrasts=CHANNELS[:1], group_contrasts={"all": CHANNELS[:1]}
    )
    monkeypatch.setattr("dixonflow.labelmap.tissue_fit.MIN_PATCH_ML", 0.0)
    # a network with random weights gives speckle, which has no core
    monkeypatch.setattr("dixonflow.labelmap.tissue_fit.opened", lambda mask, _spacing: mask)
    results = Results(tmp_path)

    def content(used: Model) -> dict[str, Any]:
        labels = segmented(used, images, SPACING, tmp_path)[Contrast.WATER]
        path = results.segment_provenance("shard", SCAN, used.name)
        return json.loads(path.read_text()) | {"labels": labels}

    assert "swapped_patches" not in content(model), "one contrast, which a swap alters, contradicts nothing"
    found = content(model.with_swaps(witness_of(tiny)))
    affine = np.diag([*SPACING, 1.0])
    scan = {contrast: NiftiImage(image, affine) for contrast, image in images.items()}
    swapped = SwapNetwork(witness_of(tiny), SEGMENT).swapped(scan)
    labels, water, fat = found["labels"], images[Contrast.WATER], images[Contrast.FAT]
    expected = swapped_patches(labels, [], water, fat, SPACING, model, swapped)
    assert expected.ml
    assert found["swapped_patches"]["ml"] == pytest.approx(expected.ml)
    assert found["swapped_patches"]["network"]["model"] == "witness"


def test_a_network_that_looks_for_swaps_is_work_of_its_own(tiny: TinyModel) -> None:
    model, config = small_model({1: rule("liver", "all")}, weights=tiny.folder), demo_config()
    keys = [stage_key(Stage.SEGMENT, "raw", config, each, []) for each in (model, model.with_swaps(witness_of(tiny)))]
    assert keys[0] != keys[1]
    with pytest.raises(ValueError, match="does not look for swaps"):
        model.with_swaps(model)


def test_the_published_network_is_imported_and_refused_where_it_cannot_be_used(tmp_path: Path) -> None:
    system = ImportedSystem("vibesegmentator282", tmp_path)
    assert system.model.is_imported
    assert system.model.channels == CHANNELS
    assert system.model.finds_swaps
    demo = load_model(MODELS / "demo.yaml")
    used = demo.with_swaps(system.model)
    check_runnable(used, demo_config())
    assert used.for_sequence(ScanSequence.HASTE).swaps is None
    unstitched = _config(unstitched=True)
    with pytest.raises(ConfigError, match=r"unstitched.*stitched images"):
        check_runnable(used, unstitched)


def _config(**segment: Any) -> Config:
    return parse_config(demo_config().model_dump() | {"segment": segment})


def test_a_configuration_names_it_in_its_own_place() -> None:
    with pytest.raises(ConfigError, match=r"segment\.swap_model"):
        named_models(_config(models=["vibesegmentator282"]))
    with pytest.raises(ConfigError, match="does not look for swaps"):
        named_models(_config(swap_model="demo"))
    with pytest.raises(ConfigError, match="takes Dixon scans"):
        named_models(_config(models=["totalsegmentatorct"], swap_model="vibesegmentator282"))
    (model,) = named_models(_config(swap_model="vibesegmentator282"))
    assert model.swaps is not None
    with pytest.raises(ModelError, match="dixonflow import-model vibesegmentator282"):
        load_models(_config(swap_model="vibesegmentator282"))
