"""From a network's classes to label ids: by number and name as published, and a difference is named."""

import json

import numpy as np
import pytest

from dixonflow.errors import ModelError
from dixonflow.models.label_table import label_lookup
from dixonflow.models.load import MODELS, load_model


def imported(name, folder):
    """A published model whose networks have exactly the classes that the file says."""
    model = load_model(MODELS / f"{name}.yaml").model_copy(update={"weights": folder})
    for part in model.parts:
        names = {first: number for number, (first, *_) in model.published_names_of(part).items()}
        write_labels(model, part, {"background": 0} | names)
    return model


def write_labels(model, part, labels):
    folder = model.folders[part.name]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")


def read_labels(model, part):
    return json.loads((model.folders[part.name] / "dataset.json").read_text(encoding="utf-8"))["labels"]


def test_a_network_that_ships_with_dixonflow_is_tied_by_name():
    model = load_model(MODELS / "demo.yaml")
    classes = json.loads((model.weights / "dataset.json").read_text())["labels"]
    lookup = label_lookup(model)
    assert lookup[classes["kidney_right"]] == model.structures["kidney_right"] == 2
    assert sorted(lookup) == [0, *sorted(model.labels)]


def test_classes_of_several_parts_become_labels_of_one_map(tmp_path):
    model = imported("totalsegmentatorct", tmp_path)
    seen = [label for part in model.parts for label in label_lookup(model, part) if label]
    assert sorted(seen) == list(range(1, 118))
    ribs = model.parts[4]
    assert label_lookup(model, ribs)[13] == model.structures["rib_right_1"] == 104
    with pytest.raises(ModelError, match="several parts"):
        label_lookup(model)


def test_unused_and_ignored_classes_become_background(tmp_path):
    model = imported("vibesegmentator100", tmp_path)
    part = model.parts[0]
    write_labels(model, part, read_labels(model, part) | {"ignore": 73})
    lookup = label_lookup(model)
    assert lookup[20] == 0
    np.testing.assert_array_equal(np.delete(lookup, 20), np.delete(np.arange(73), 20))


def test_any_name_that_the_authors_use_is_accepted(tmp_path):
    model = imported("vibesegmentator100", tmp_path)
    part = model.parts[0]
    labels = read_labels(model, part)
    labels["muscle_other"] = labels.pop("muscle")
    write_labels(model, part, labels)
    assert label_lookup(model)[66] == 66


@pytest.mark.parametrize(
    ("published", "found", "same"),
    [
        ("sartorius_left", "M. sartorius left", True),
        ("sartorius_left", "left_sartorius", True),
        ("sartorius_left", "sartorius links", True),
        ("sartorius_left", "sartorius_rechts", False),
        ("sartorius_left", "M. sartorius", False),  # which one it is cannot be known
        ("sartorius_right", "sartorius_left", False),
        ("deltoid", "deltoid_muscle", True),
        ("deltoid", "deltoid_left", False),
        ("deltoid", "trapezius", False),  # another class of the network
        ("deltoid", "liver", False),  # another structure of the vocabulary
    ],
)
def test_names_that_the_archive_alone_has_must_agree_in_laterality_and_be_no_other_structure(
    tmp_path, published, found, same
):
    model = imported("totalsegmentatormusclesmr", tmp_path)
    part = model.parts[0]
    labels = read_labels(model, part)
    number = labels.pop(published)
    if found in labels:  # the two are swapped
        labels[published] = labels[found]
    write_labels(model, part, labels | {found: number})
    if same:
        assert label_lookup(model)[number] == number
        return
    with pytest.raises(ModelError, match=f"{found!r}, in the model file '{published}'"):
        label_lookup(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"right_kidney": 3, "left_kidney": 2}, "class 2 is 'left_kidney', in the model file 'right_kidney'; class 3"),
        ({"right_kidney": None, "kidney_right": 2}, "class 2 is 'kidney_right', in the model file 'right_kidney'"),
        ({"rib": 41}, "class 41 is 'rib', in the model file nothing"),
        ({"right_gluteus_minimus": None}, "class 40 is nothing, in the model file 'right_gluteus_minimus'"),
        ({"spleen": None}, "not numbered 1, 2, ... 39"),
        ({"spleen": [1, 2]}, "cannot read the labels"),
    ],
)
def test_another_label_table_is_refused_by_name(tmp_path, change, message):
    model = imported("mrsegmentator", tmp_path)
    part = model.parts[0]
    labels = {name: number for name, number in (read_labels(model, part) | change).items() if number is not None}
    write_labels(model, part, labels)
    with pytest.raises(ModelError, match="model mrsegmentator: ") as error:
        label_lookup(model)
    assert message in str(error.value)
    assert "dataset.json" in str(error.value)
