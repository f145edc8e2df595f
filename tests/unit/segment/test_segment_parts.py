"""Several networks in one label map: what each gives by itself, later ones over earlier ones, on any plans."""

import json
from pathlib import Path

import numpy as np
import pytest
from nnunet_reference import body
from numpy.typing import NDArray
from tiny_model import TinyModel, tiny_dataset, tiny_plans

from dixonflow.errors import ConfigError, ModelError
from dixonflow.segment import PartsPredictor, Predictor, SegmentOptions

SPACING = (2.5, 2.5, 3.0)
LOOKUPS = {"organs": np.array([0, 5, 2, 7]), "bones": np.array([0, 300, 7, 0, 9])}
"""One class that is no label, one label of both networks, one above 255."""


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TinyModel]:
    """Networks that differ in all that plans say."""
    plans = {
        "organs": tiny_plans(),
        "bones": tiny_plans(spacing=(4.0, 2.2, 3.5), patch=(8, 24, 16), transpose=(1, 0, 2), mask=True),
    }
    return {
        name: TinyModel(tmp_path_factory.mktemp(name), plans[name], tiny_dataset(classes=len(lookup)), folds=1)
        for name, lookup in LOOKUPS.items()
    }


def folders(networks: dict[str, TinyModel]) -> dict[str, Path]:
    return {name: network.folder for name, network in networks.items()}


def joined(maps: dict[str, NDArray[np.uint16]]) -> NDArray[np.uint16]:
    found = np.zeros(next(iter(maps.values())).shape, np.uint16)
    for name, classes in maps.items():
        for number, label in enumerate(LOOKUPS[name]):
            if label:
                found[classes == number] = label
    return found


@pytest.mark.parametrize("interpolate", ["scores", "nearest"])
def test_the_label_map_is_that_of_each_network_alone_in_their_order(networks, interpolate) -> None:
    options = SegmentOptions(interpolate=interpolate)
    images = [body((30, 25, 28), seed) for seed in range(2)]
    maps = {
        name: Predictor(network.folder, options).predict_mean(images, SPACING) for name, network in networks.items()
    }
    first, second = (LOOKUPS[name][maps[name]] for name in LOOKUPS)
    assert ((first != second) & (first > 0) & (second > 0)).any()
    assert ((first > 0) & (second == 0)).any()
    found = {}
    for order in (["organs", "bones"], ["bones", "organs"]):
        predictor = PartsPredictor({name: networks[name].folder for name in order}, LOOKUPS, options)
        prepared = predictor.prepare(images, SPACING)
        labels = predictor.restore(prepared, predictor.infer(prepared))
        assert labels.dtype == np.uint16
        np.testing.assert_array_equal(labels, joined({name: maps[name] for name in order}))
        found[order[0]] = labels
    assert (found["organs"] != found["bones"]).any()


def test_labels_of_each_image_are_joined_image_by_image(networks) -> None:
    images = [body((30, 25, 28), seed) for seed in range(2)]
    predictor = PartsPredictor(folders(networks), LOOKUPS, SegmentOptions(interpolate="nearest"))
    prepared = predictor.prepare(images, SPACING)
    inferred = predictor.infer(prepared, each=True)
    small = [[images_of_part[0].without_image()] for images_of_part in prepared]
    of_each = predictor.labels_of_each(small, inferred)
    assert len(of_each) == 2
    for place, found in enumerate(of_each):
        alone = [[images_of_part[place]] for images_of_part in prepared]
        expected = predictor.restore(alone, predictor.infer(alone))
        np.testing.assert_array_equal(found, expected)
    assert (of_each[0] != of_each[1]).any()
    assert predictor.labels_of_each(small, predictor.infer(prepared)) == []


def test_reflected_voxels_are_added_for_every_network_and_taken_off_again(networks) -> None:
    image = body((22, 19, 17), border=0)
    options = SegmentOptions(interpolate="nearest")
    padded = PartsPredictor(folders(networks), LOOKUPS, options, pad_voxels=3)
    prepared = padded.prepare([image], SPACING)
    inferred = padded.infer(prepared, each=True)
    reflected = np.pad(image, 3, mode="reflect")
    maps = {name: Predictor(network.folder, options).predict(reflected, SPACING) for name, network in networks.items()}
    expected = joined(maps)[3:-3, 3:-3, 3:-3]
    np.testing.assert_array_equal(padded.restore(prepared, inferred), expected)
    (of_image,) = padded.labels_of_each(prepared, inferred)
    np.testing.assert_array_equal(of_image, expected)
    plain = PartsPredictor(folders(networks), LOOKUPS, options)
    prepared = plain.prepare([image], SPACING)
    assert (plain.restore(prepared, plain.infer(prepared)) != expected).any()


def test_the_sidecar_names_the_weights_of_every_part(networks) -> None:
    predictor = PartsPredictor(folders(networks), LOOKUPS, SegmentOptions())
    provenance = predictor.provenance()
    hashes = {
        name: json.loads((network.folder / "metadata.json").read_text())["weights_sha256"]
        for name, network in networks.items()
    }
    assert provenance["weights_sha256"] == hashes
    assert hashes["organs"] != hashes["bones"]
    assert provenance["mirror_axes"] == {"organs": [], "bones": []}
    assert provenance["interpolate"] == "scores"
    prepared = predictor.prepare([body((20, 20, 20))], SPACING)
    of_image = {"scores_device": predictor.device.type, "out_of_memory": False}
    found = predictor.image_provenance(predictor.infer(prepared))
    assert found == {"organs": of_image, "bones": of_image}


def test_a_network_that_is_not_there_or_has_not_the_folds_is_named(networks, tmp_path) -> None:
    with pytest.raises(ModelError, match="missing does not exist"):
        PartsPredictor(folders(networks) | {"bones": tmp_path / "missing"}, LOOKUPS, SegmentOptions())
    with pytest.raises(ModelError, match="has no fold '1'"):
        PartsPredictor(folders(networks), LOOKUPS, SegmentOptions(folds=("1",)))
    with pytest.raises(ConfigError, match="toaster"):
        PartsPredictor(folders(networks), LOOKUPS, SegmentOptions(device="toaster"))
