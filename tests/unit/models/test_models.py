"""The model files: every label under one vocabulary, left is left, networks and label tables fit together."""

import re

import pytest
import yaml

from dixonflow.errors import ModelError
from dixonflow.models.anatomy import known_structures, makes_up, structures
from dixonflow.models.joined_views import joined_views
from dixonflow.models.label_table import ANY_NAME
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.model import Model
from dixonflow.tables.wide import wide_tables
from dixonflow.vocabulary import Contrast, ScanSequence

FILES = sorted(MODELS.glob("*.yaml"))
LOADED = {path.stem: load_model(path) for path in FILES}
OF_STRUCTURES = {name: model for name, model in LOADED.items() if not model.finds_swaps}
PUBLISHED = {name: model for name, model in LOADED.items() if model.source is not None}

LABELS = {
    "demo": 46,
    "vibesegmentator100": 71,
    "vibesegmentator282": 2,
    "vibesegmentator99": 71,
    "vibesegmentator540": 1,
    "mrsegmentator": 40,
    "mrsegmentatorbody": 10,
    "totalsegmentatormr": 50,
    "totalsegmentatormr3mm": 50,
    "totalsegmentatormr6mm": 50,
    "totalsegmentatortissuemr": 3,
    "totalsegmentatorvertebraemr": 25,
    "totalsegmentatorbodymr": 2,
    "totalsegmentatorbonesmr": 8,
    "totalsegmentatormusclesmr": 18,
    "totalsegmentatorfacemr": 1,
    "totalsegmentatorct": 117,
    "totalsegmentatorct3mm": 117,
    "totalsegmentatortissuect": 3,
    "totalsegmentatortissue4ct": 4,
    "totalsegmentatorbodyct": 2,
    "totalsegmentatorvertebrabodyct": 2,
    "totalsegmentatorfacect": 1,
    "totalsegmentatorheartct": 7,
}
LICENSED = {
    *("totalsegmentatortissuemr", "totalsegmentatorbonesmr", "totalsegmentatormusclesmr", "totalsegmentatorfacemr"),
    *("totalsegmentatortissuect", "totalsegmentatortissue4ct", "totalsegmentatorfacect", "totalsegmentatorheartct"),
}
SIDE_WORDS = {"left": "left", "right": "right", "links": "left", "rechts": "right"}


def each(models: dict[str, Model]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", models.values(), ids=models.keys())


def sides_in(name: str) -> set[str]:
    return {SIDE_WORDS[word] for word in re.split("[_ ]", name.lower()) if word in SIDE_WORDS}


def test_there_is_a_file_for_every_published_model():
    assert {name: len(model.labels) for name, model in LOADED.items()} == LABELS
    assert all(name == model.name for name, model in LOADED.items())


@each(OF_STRUCTURES)
def test_every_label_and_composite_is_in_the_vocabulary(model):
    assert {*model.structures, *model.composites} <= known_structures()


@each(OF_STRUCTURES)
def test_left_is_left(model):
    for label, rule in model.labels.items():
        for name in {rule.published_name, *rule.also_published} - {ANY_NAME}:
            assert sides_in(name) == ({structures()[rule.name].side} - {"none"}), f"label {label}"


@each(OF_STRUCTURES)
def test_composites_are_made_of_all_their_parts(model):
    for whole, members in model.composites.items():
        assert makes_up(members, whole), whole


@each(OF_STRUCTURES)
def test_a_composite_is_named_wherever_its_parts_are(model):
    """The same structure is in the tables of every model that has its parts."""
    common = {name for each in LOADED.values() for name in each.composites} - {"vertebrae"}
    for whole in common - set(model.structures):
        assert (whole in model.composites) == _can_make_up(model, whole), whole


@each(OF_STRUCTURES)
def test_published_names_differ_in_nothing_but_the_order_of_words(model):
    other_words = {
        "IVD": "intervertebral_discs",
        "pancreas": "pankreas",
        "total_muscle": "skeletal_muscle",
        "muscle_without_fat": "skeletal_muscle",
        "vertebrae": "spine",
        "vertebra_body": "vertebrae_body",
        "subcutaneous_fat_other": "subcutaneous_fat",
        "autochthon_left": "left_autochthonous_muscle",
        "autochthon_right": "right_autochthonous_muscle",
        "iliopsoas_left": "left_iliopsoas_muscle",
        "iliopsoas_right": "right_iliopsoas_muscle",
    }
    for rule in model.labels.values():
        names = {rule.published_name, *rule.also_published}
        same = any(sorted(name.split("_")) == sorted(rule.name.split("_")) for name in names)
        assert same or other_words.get(rule.name) in names, rule.name


@each(PUBLISHED)
def test_every_class_of_every_network_is_a_label_or_unused(model):
    seen = []
    for part in model.parts:
        classes, names = model.classes_of(part), model.published_names_of(part)
        assert list(classes) == list(range(len(classes)))
        assert list(names) == list(classes)[1:]
        assert {number for number, label in classes.items() if label == 0} == {0, *part.unused_classes}
        known = [name for each in names.values() for name in each if name != ANY_NAME]
        assert len(set(known)) == len(known)
        seen += [label for label in classes.values() if label]
    assert sorted(seen) == sorted(model.labels)


@each(PUBLISHED)
def test_files_say_where_their_numbers_come_from(model):
    assert {"weights", "licence", "chain", "labels"} <= set(model.sources)
    assert ("published_dice" in model.sources) == any(rule.published_dice for rule in model.labels.values())
    assert ("lower_cutoffs" in model.sources) == any(rule.lower_cutoff_ml for rule in model.labels.values())
    for part in model.parts:
        assert [archive.url is None for archive in part.archives] == [bool(model.consent)] * len(part.archives)
        for archive in part.archives:
            assert archive.url is None or archive.url.endswith("/" + archive.file)
        assert part.folder is None or part.folder.startswith(f"Dataset{part.dataset_id:03}")


@each(PUBLISHED)
def test_names_fit_bids_and_weights_lie_in_the_folder_of_weights(model, tmp_path):
    assert re.fullmatch("[a-z0-9]+", model.name)
    assert load_model(MODELS / f"{model.name}.yaml", tmp_path).weights == tmp_path / model.name
    assert set(model.folders.values()) == (
        {model.weights} if len(model.parts) == 1 else {model.weights / part.name for part in model.parts}
    )


def test_the_licensed_tasks_need_consent():
    assert {name for name, model in LOADED.items() if model.consent} == LICENSED


def test_each_system_keeps_its_own_chain():
    chain = {name: (model.orientation, model.resampling, model.spacing_mm) for name, model in LOADED.items()}
    assert chain["vibesegmentator100"] == ("dataset", "first", "plans")
    assert chain["mrsegmentator"] == chain["mrsegmentatorbody"] == ("LPS", "nnunet", None)
    sizes = {"totalsegmentatormr3mm": 3.0, "totalsegmentatorct3mm": 3.0, "totalsegmentatormr6mm": 6.0}
    for name in LABELS:
        if name.startswith("totalsegmentator") and name != "totalsegmentatorheartct":  # which crops first
            assert chain[name] == ("RAS", "first_zoom", (sizes.get(name, 1.5),) * 3)
    assert {name: model.tile_step for name, model in LOADED.items() if model.tile_step != 0.5} == {
        "totalsegmentatorct": 0.8
    }
    of_ct = [name for name, model in LOADED.items() if model.modality == "ct"]
    assert of_ct == [name for name in LOADED if name.endswith(("ct", "ct3mm"))]


def test_the_sagittal_model_of_vibesegmentator_has_the_labels_of_the_axial_one():
    """72 with the ribs, which it labels in CT."""
    axial, sagittal = LOADED["vibesegmentator100"], LOADED["vibesegmentator99"]
    for label, rule in axial.labels.items():
        assert sagittal.labels[label] == rule.model_copy(update={"published_dice": None})
    assert sagittal.group_contrasts == axial.group_contrasts
    for model in (axial, sagittal):
        assert len(model.published_names_of(model.parts[0])) == len(model.for_sequence(ScanSequence.CT).labels) == 72


def test_kidneys_and_gluteal_muscles_change_the_order_of_sides():
    """The source's order flips inside one label map; a table that is put in order would swap them."""
    for name in ("vibesegmentator100", "totalsegmentatormr", "totalsegmentatorct", "mrsegmentator"):
        ids = LOADED[name].structures
        assert ids["kidney_right"] + 1 == ids["kidney_left"]
        assert ids["gluteus_maximus_left"] + 1 == ids["gluteus_maximus_right"]
        assert ids["adrenal_gland_right"] + 1 == ids["adrenal_gland_left"]


def test_vertebrae_count_upward_from_the_sacrum_in_mr():
    ids = LOADED["totalsegmentatorvertebraemr"].structures
    order = (
        [f"L{n}" for n in range(5, 0, -1)] + [f"T{n}" for n in range(12, 0, -1)] + [f"C{n}" for n in range(7, 0, -1)]
    )
    assert ids["sacrum"] == 1
    assert [ids[f"vertebrae_{level}"] for level in order] == list(range(2, 26))


def test_the_parts_of_total_split_the_label_map():
    model = LOADED["totalsegmentatorct"]
    sizes = {part.name: len(model.published_names_of(part)) for part in model.parts}
    assert sizes == {"organs": 24, "vertebrae": 26, "cardiac": 18, "muscles": 23, "ribs": 26}
    model = LOADED["totalsegmentatormr"]
    assert [len(model.published_names_of(part)) for part in model.parts] == [29, 21]
    # one network for all labels has the label table of the several
    assert LOADED["totalsegmentatorct3mm"].structures == LOADED["totalsegmentatorct"].structures
    assert LOADED["totalsegmentatormr3mm"].structures == model.structures
    assert LOADED["totalsegmentatormr6mm"].structures == model.structures


@pytest.mark.parametrize(
    ("view", "count"), [("totalsegmentatormri80", 80), ("totalsegmentatorct104", 104), ("mrsegmentator2", 50)]
)
def test_a_joined_view_names_each_structure_of_its_paper_once(view, count):
    models = joined_views()[view]
    assert len(models) == count
    assert all(structure in LOADED[model].structures for structure, model in models.items())
    if view != "totalsegmentatorct104":  # whole models, which have no structure twice
        assert sum(LABELS[model] for model in set(models.values())) == count
    used = [LOADED[model] for model in set(models.values())]
    (table,) = [each for each in wide_tables(used) if view in each.table.name]
    assert len(table.values) == 2 * count
    assert set(table.models.values()) == set(models.values())
    assert not [each for each in wide_tables(used[1:]) if view in each.table.name]


def test_the_demo_follows_vibesegmentator():
    demo, published = LOADED["demo"], LOADED["vibesegmentator100"]
    assert demo.group_order == published.group_order
    assert demo.group_contrasts == published.group_contrasts
    for label, rule in demo.labels.items():
        same = published.labels[label].model_copy(update={"published_dice": None, "also_published": ()})
        assert rule == same


def test_the_component_rules_are_those_published():
    """Voxels of the source, x 5 per contrast, x 15 after the merge, x 1.40625^2 x 3 mm3; vessels in pieces."""
    model = LOADED["vibesegmentator100"]
    for rule in model.labels.values():
        voxels = rule.drop_mm3_per_contrast / 5 / (1.40625**2 * 3)
        assert voxels == pytest.approx(round(voxels), abs=0.01)
        assert rule.drop_mm3 == pytest.approx(3 * rule.drop_mm3_per_contrast, abs=0.2)
        assert rule.single_piece == (rule.max_components == 1 and rule.group != "vessel")
    assert model.group_contrasts["muscle"] == model.group_contrasts["prone_to_over_seg"] == (Contrast.WATER,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": {1: {"name": "spleeen", "group": "all"}}}, "not in the vocabulary .*spleeen"),
        ({"labels": {2: {"name": "spleen", "group": "all"}}}, "part body: its classes must be 1, 2"),
        ({"labels": {1: {"name": "spleen", "group": "all", "part": "other"}}}, "label 1: part must be"),
        ({"spacing_mm": [1, 1, 1]}, "spacing_mm goes with resampling"),
        ({"modality": "ct"}, "input_contrasts must name images of modality 'ct'"),
        ({"parts": []}, "source and parts go together"),
        ({"wieghts": "x"}, "wieghts: Extra inputs"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path, change, message):
    content = yaml.safe_load((MODELS / "mrsegmentator.yaml").read_text(encoding="utf-8"))
    content["labels"] = {1: {"name": "spleen", "group": "all"}}
    content["composites"] = {}
    path = tmp_path / "mrsegmentator.yaml"
    path.write_text(yaml.safe_dump(content))
    assert load_model(path).name == "mrsegmentator"
    path.write_text(yaml.safe_dump(content | change))
    with pytest.raises(ModelError, match=message) as error:
        load_model(path)
    assert str(error.value).startswith(f"model file {path}: ")
    assert len(str(error.value).splitlines()) == 1


def test_no_file_names_a_machine():
    for path in FILES:
        assert not re.search(r"/(work|home|tmp|root)/", path.read_text(encoding="utf-8")), path


def _can_make_up(model: Model, whole: str) -> bool:
    within = [name for name in model.structures if makes_up({whole, name}, whole)]
    return bool(within) and makes_up(within, whole)
