"""Mappings: published label lists, those of models, and the user's own files."""

import json

import numpy as np
import pytest

from dixonflow.evaluation.masks.class_subsets import class_subset
from dixonflow.evaluation.masks.mapping import IGNORED, PROSTATE_OR_UTERUS, LabelMapping, structure_ids
from dixonflow.evaluation.masks.mapping_files import known_mappings, named_mapping, published_mappings, read_mapping
from dixonflow.evaluation.masks.problem import CaseProblem, EvaluationError
from dixonflow.models.anatomy import known_structures


def meaning(name):
    """Structure of each label of a mapping."""
    return {label: each for low, high, each in named_mapping(name).ranges for label in range(low, high + 1)}


@pytest.mark.parametrize("name", [name for name in known_mappings() if name != "vibesegmentator282"])
def test_every_mapping_names_structures_of_the_vocabulary(name):
    mapping = named_mapping(name)
    assert mapping.source
    assert mapping.structures <= known_structures() | {PROSTATE_OR_UTERUS}


def test_published_lists_have_the_published_number_of_structures():
    assert {name: len(each.structures) for name, each in published_mappings().items()} == {
        "amos13": 13, "amos15": 15, "btcv13": 13, "chaosmr": 4, "kartukbb": 5, "kartgnc": 5,
    }  # fmt: skip


def test_the_kidneys_of_the_two_models_of_kart_are_swapped():
    ukbb, gnc = meaning("kartukbb"), meaning("kartgnc")
    assert (ukbb[3], ukbb[4]) == ("kidney_left", "kidney_right")
    assert (gnc[3], gnc[4]) == ("kidney_right", "kidney_left")
    assert {label: ukbb[label] for label in (1, 2, 5)} == {1: "liver", 2: "spleen", 5: "pancreas"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("amos15", {2: "kidney_right", 3: "kidney_left", 8: "aorta", 10: "pancreas", 14: "urinary_bladder"}),
        ("amos13", {11: "adrenal_gland_right", 12: "adrenal_gland_left", 14: IGNORED, 15: IGNORED}),
        ("btcv13", {2: "kidney_right", 3: "kidney_left", 10: "portal_vein_and_splenic_vein", 11: "pancreas"}),
        ("chaosmr", {63: "liver", 126: "kidney_right", 189: "kidney_left", 252: "spleen", 55: "liver", 255: "spleen"}),
        ("totalsegmentatormr", {2: "kidney_right", 10: "lung_left", 20: "IVD", 50: "brain"}),
        ("totalsegmentatorct", {10: "lung_upper_lobe_left", 25: "sacrum", 117: "costal_cartilages"}),
    ],
)
def test_labels_mean_what_their_authors_say(name, expected):
    assert {label: meaning(name)[label] for label in expected} == expected


def test_the_lists_of_totalsegmentator_and_kart_are_those_of_the_facts(shared_data):
    facts = shared_data.parent / "facts"
    tasks = json.loads((facts / "labels-totalsegmentator.json").read_text())["class_map"]
    for task, name in (("total", "totalsegmentatorct"), ("total_mr", "totalsegmentatormr")):
        named = named_mapping(name)
        assert {int(label): named.structure_of_file(stem) for label, stem in tasks[task].items()} == meaning(name)
    kart = json.loads((facts / "labels-kart-ukbb-gnc.json").read_text())
    sides = {"left_kidney": "kidney_left", "right_kidney": "kidney_right"}
    for model, name in (("UKBB", "kartukbb"), ("GNC", "kartgnc")):
        assert {int(label): sides.get(each, each) for label, each in kart[model].items()} == meaning(name)


def test_a_label_that_is_not_named_is_listed_and_never_background():
    labels = np.array([[[0, 1, 6, 77, 200]]], np.uint16)
    with pytest.raises(CaseProblem, match=r"does not name: 77, 200"):
        named_mapping("amos15").recode(labels)


def test_ignored_labels_are_background_and_ranges_are_whole():
    recoded = named_mapping("amos13").recode(np.array([[[1, 14, 15]]], np.uint16))
    assert recoded.tolist() == [[[structure_ids()["spleen"], 0, 0]]]
    recoded = named_mapping("chaosmr").recode(np.array([[[60, 63, 70, 0]]], np.uint16))
    assert set(recoded.ravel()[:3].tolist()) == {structure_ids()["liver"]}
    with pytest.raises(CaseProblem, match="71"):
        named_mapping("chaosmr").recode(np.array([[[63, 71]]], np.uint16))


def write_mapping(tmp_path, text, name="own.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_the_user_has_numbers_ranges_names_and_ignored_labels(tmp_path):
    text = "label,structure\n1,liver\n2,liver\n10-12,spleen\n0,ignored\n99,ignored\nLeber,liver\n"
    mapping = named_mapping(str(write_mapping(tmp_path, text)))
    assert mapping.structures == {"liver", "spleen"}
    assert mapping.structure_of_file("Leber") == "liver"
    assert mapping.structure_of_file("kidney_left") == "kidney_left"
    assert mapping.structure_of_file("mri") is None
    found = mapping.recode(np.array([[[1, 2, 11, 99, 0]]], np.uint16)).ravel().tolist()
    liver, spleen = structure_ids()["liver"], structure_ids()["spleen"]
    assert found == [liver, liver, spleen, 0, 0]


def test_a_lookup_table_of_bids_is_a_mapping(tmp_path):
    text = "index\tname\tcolor\n0\tbackground\tn/a\n5\tliver\t#ff0000\n1\tspleen\t#00ff00\n9\tn/a\t#0000ff\n"
    path = write_mapping(tmp_path, text, "dseg.tsv")
    assert read_mapping(path).ranges == ((5, 5, "liver"), (1, 1, "spleen"))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("label,structure\n1,livre\n", "is livre liver"),
        ("label,structure\n1,liver\n1,spleen\n", "label 1 is named twice"),
        ("label,structure\n1-5,liver\n3,spleen\n", "label 3 is named twice"),
        ("label,structure\n5-1,liver\n", "label 5 to 1 is not a range"),
        ("label,structure\n70000,liver\n", "not a range between 1 and 65535"),
        ("label,structure\nx,liver\nx,spleen\n", "x is named twice"),
        ("label,structure\n1,\n", "line 2 needs a label and a structure"),
        ("label,structure\n", "names no label"),
        ("number,organ\n1,liver\n", "needs the columns label and structure"),
        ("label,label,structure\n1,1,liver\n", "a column twice"),
        ("", "needs the columns"),
        ("label,structure\n1,liver,spleen\n", "line 2 has 3 cells, not 2"),
        ("label,structure\n\n\n1,\n", "line 4 needs a label"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(tmp_path, text, what):
    with pytest.raises(EvaluationError, match=what):
        read_mapping(write_mapping(tmp_path, text))


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path):
    (tmp_path / "own.csv").write_bytes(b"label,structure\n1,\xff\xfe\n")
    with pytest.raises(EvaluationError, match="not text in UTF-8"):
        read_mapping(tmp_path / "own.csv")
    with pytest.raises(EvaluationError, match="there is no mapping"):
        named_mapping(str(tmp_path / "none.csv"))
    with pytest.raises(EvaluationError, match="amos13, amos15"):
        named_mapping("amos")
    with pytest.raises(EvaluationError, match="no structures"):
        named_mapping("vibesegmentator282")


@pytest.mark.parametrize("number", ["40", "32", "24", "13"])
def test_class_subsets_have_their_number_of_structures(number):
    assert len(class_subset(number)) == int(number)
    assert class_subset(number) <= known_structures()


def test_a_subset_without_a_source_is_refused_and_ones_own_is_read(tmp_path):
    with pytest.raises(EvaluationError, match=r"no set 36: known are 40, 32, 24, 13"):
        class_subset("36")
    (tmp_path / "mine.txt").write_text("liver\nspleen\n")
    assert class_subset(str(tmp_path / "mine.txt")) == {"liver", "spleen"}
    (tmp_path / "mine.txt").write_text("livre\n")
    with pytest.raises(EvaluationError, match="liver"):
        class_subset(str(tmp_path / "mine.txt"))


def test_a_mapping_without_numbers_reads_no_label_map():
    with pytest.raises(CaseProblem, match="names no label numbers"):
        LabelMapping("files", "").recode(np.zeros((1, 1, 1), np.uint16))
