"""What only an imported network's own files say: orientation and spacing that it was trained on."""

import json

import pytest

from dixonflow.errors import ModelError
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.nnunet_files import trained_orientation, trained_spacing_mm


def write(folder, name, content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


def plans(spacing, backward=(0, 1, 2)):
    configurations = {"3d_fullres": {"spacing": spacing}, "3d_fullres_bs8": {"inherits_from": "3d_fullres"}}
    return {"configurations": configurations, "transpose_backward": backward}


@pytest.mark.parametrize("configuration", ["3d_fullres", "3d_fullres_bs8"])
def test_the_spacing_is_turned_from_the_networks_axes_to_those_of_the_image(tmp_path, configuration):
    write(tmp_path, "metadata.json", {"configuration": configuration})
    write(tmp_path, "dataset.json", {})
    write(tmp_path, "plans.json", plans([3.0, 1.5, 1.25]))
    assert trained_spacing_mm(tmp_path) == (1.25, 1.5, 3.0)
    # the network's first axis is the image's x, then z, then y: nnU-Net's transpose_forward is [2, 0, 1]
    write(tmp_path, "plans.json", plans([1.25, 3.0, 1.5], backward=(1, 2, 0)))
    assert trained_spacing_mm(tmp_path) == (1.25, 1.5, 3.0)


def test_a_spacing_that_is_stated_overrules_the_plans(tmp_path):
    write(tmp_path, "metadata.json", {"configuration": "3d_fullres"})
    write(tmp_path, "plans.json", plans([3.0, 1.5, 1.25]))
    write(tmp_path, "dataset.json", {"spacing": [4, 3, 2]})
    assert trained_spacing_mm(tmp_path) == (2.0, 3.0, 4.0)
    write(tmp_path, "dataset.json", {"spacing": [4, 3, 2], "resolution_range": [5, 6, 7]})
    assert trained_spacing_mm(tmp_path) == (5.0, 6.0, 7.0)
    write(tmp_path, "inference_config.json", {"resolution_range": [8, 8, 9]})
    assert trained_spacing_mm(tmp_path) == (8.0, 8.0, 9.0)
    for wrong in ([1, 2], "abc", 3, [1, 2, 0], [1, None, 2]):
        write(tmp_path, "inference_config.json", {"resolution_range": wrong})
        with pytest.raises(ModelError, match="the spacing"):
            trained_spacing_mm(tmp_path)


def test_a_configuration_without_spacing_is_named(tmp_path):
    write(tmp_path, "metadata.json", {"configuration": "2d"})
    write(tmp_path, "dataset.json", {})
    write(tmp_path, "plans.json", plans([1, 1, 1]))
    with pytest.raises(ModelError, match=r"plans\.json: cannot read the spacing of 2d"):
        trained_spacing_mm(tmp_path)


def test_inference_config_overrules_dataset_json(tmp_path):
    write(tmp_path, "dataset.json", {"orientation": ["R", "A", "S"]})
    assert trained_orientation(tmp_path) == "RAS"
    write(tmp_path, "inference_config.json", {"model_expected_orientation": "LPS"})
    assert trained_orientation(tmp_path) == "LPS"


@pytest.mark.parametrize("codes", [None, ["P", "I", "R"], ["R", "A"], 3, "ras"])
def test_other_orders_of_axes_are_refused(tmp_path, codes):
    write(tmp_path, "dataset.json", {"orientation": codes})
    with pytest.raises(ModelError, match="must be like RAS or LPS"):
        trained_orientation(tmp_path)


def test_loading_fills_in_what_the_import_brought(tmp_path):
    path = tmp_path / "vibesegmentator100.yaml"
    path.write_text((MODELS / path.name).read_text(encoding="utf-8"), encoding="utf-8")
    before = load_model(path)
    assert (before.is_imported, before.orientation, before.spacing_mm) == (False, "dataset", "plans")
    folder = tmp_path / "vibesegmentator100"
    write(folder, "dataset.json", {"orientation": ["L", "A", "S"]})
    write(folder, "plans.json", plans([3.0, 1.40625, 1.40625]))
    write(folder, "metadata.json", {"configuration": "3d_fullres"})
    after = load_model(path)
    assert (after.is_imported, after.orientation, after.spacing_mm) == (True, "LAS", (1.40625, 1.40625, 3.0))


def test_a_model_is_imported_when_all_its_networks_are(tmp_path):
    path = tmp_path / "totalsegmentatormr.yaml"
    path.write_text((MODELS / path.name).read_text(encoding="utf-8"), encoding="utf-8")
    for part, expected in (("organs", False), ("muscles", True)):
        write(tmp_path / "totalsegmentatormr" / part, "metadata.json", {"configuration": "3d_fullres"})
        assert load_model(path).is_imported is expected
