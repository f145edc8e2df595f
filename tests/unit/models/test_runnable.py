"""A model that cannot run is one line before any job, never a wrong result."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dixonflow.config import demo_config, parse_config
from dixonflow.config.documents import config_yaml
from dixonflow.errors import ConfigError, ModelError
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.model import Model
from dixonflow.models.runnable import check_runnable, check_sequences, models_for, sequences_of
from dixonflow.run.plan import Plan
from dixonflow.vocabulary import Contrast, ScanSequence

ROOT = Path(__file__).parents[3]


def model_of(name, tmp_path=None, **changes):
    """A model, as if imported where a folder is given."""
    model = load_model(MODELS / f"{name}.yaml").model_copy(update=changes)
    if tmp_path is None:
        return model
    model = model.model_copy(update={"weights": tmp_path})
    for folder in model.folders.values():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metadata.json").touch()
    return model


def config_with(model, *consent):
    config = demo_config()
    return config.model_copy(
        update={"segment": config.segment.model_copy(update={"models": (model,), "consent": consent})}
    )


def test_what_this_version_can_run_passes(tmp_path):
    check_runnable(model_of("demo"), demo_config())
    check_runnable(model_of("mrsegmentator", tmp_path), config_with("mrsegmentator"))


def test_a_model_without_weights_names_the_remedy(tmp_path):
    absent = model_of("mrsegmentator", weights=tmp_path / "mrsegmentator")
    with pytest.raises(
        ModelError, match=r"not imported, \S+ does not hold it: run dixonflow import-model mrsegmentator$"
    ):
        check_runnable(absent, config_with("mrsegmentator"))
    with pytest.raises(ModelError, match="does not hold it"):
        check_runnable(model_of("demo", weights=tmp_path / "demo"), demo_config())


def test_terms_come_first(tmp_path):
    model = model_of("totalsegmentatortissuemr", weights=tmp_path / "weights")
    with pytest.raises(
        ConfigError, match=r"config: segment\.consent: .* licence .*add totalsegmentatortissuemr$"
    ) as error:
        check_runnable(model, config_with(model.name, "another"))
    assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match="not imported"):
        check_runnable(model, config_with(model.name, model.name))


def test_a_run_says_it_before_its_first_job(tmp_path, monkeypatch):
    monkeypatch.setattr(Model, "is_imported", False)
    content = {
        "cohort": {"sources": [{"layout": "bids", "folder": str(tmp_path)}]},
        "segment": {"models": ["totalsegmentatortissuemr"]},
        "results": str(tmp_path / "results"),
    }
    with pytest.raises(ConfigError, match=r"segment\.consent"):
        Plan.from_config(content)
    content["segment"]["consent"] = ["totalsegmentatortissuemr"]
    with pytest.raises(ModelError, match="totalsegmentatortissuemr is not imported"):
        Plan.from_config(content)
    assert not (tmp_path / "results").exists()


def test_a_stage_by_hand_says_it_in_one_line(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(config_yaml(config_with("totalsegmentatormr6mm")), encoding="utf-8")
    script = [sys.executable, "-m", "dixonflow", "stage", "segment", "--config", path, "--scan", "sub-1_ses-2"]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    folder = tmp_path / "models" / "totalsegmentatormr6mm"
    assert done.stderr.splitlines() == [
        f"segment: model totalsegmentatormr6mm is not imported, {folder} does not hold it: "
        "run dixonflow import-model totalsegmentatormr6mm"
    ]


def config_of(layouts, models, models_of=None, **segment):
    """A configuration with sources, `layout` or `layout:sequence`, and models."""
    pairs = [layout.partition(":") for layout in layouts]
    sources = [
        {"layout": layout, "folder": "raw"} | ({"sequences": [sequence]} if sequence else {})
        for layout, _, sequence in pairs
    ]
    return parse_config(
        {"cohort": {"sources": sources}, "segment": {"models": models, "models_of": models_of or {}, **segment}}
    )


def loaded(*names):
    return [load_model(MODELS / f"{name}.yaml") for name in names]


@pytest.mark.parametrize(
    ("models", "layouts", "message"),
    [
        (("demo", "totalsegmentatorct"), ("bids",), "totalsegmentatorct takes CT, and cohort.sources have Dixon scans"),
        (("totalsegmentatorct",), ("ct", "ukb"), "no model takes Dixon scans"),
        (("demo",), ("nako", "ct"), "no model takes CT: name one in segment.models_of"),
        (("mrsegmentator",), ("bids", "bids:pd"), "no model takes pd"),
    ],
)
def test_every_sequence_has_a_model_and_every_model_a_sequence(models, layouts, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_sequences(loaded(*models), config_of(layouts, models))


def test_a_model_named_for_a_sequence_must_take_it():
    models = ("demo", "totalsegmentatorct")
    config = config_of(("bids:haste", "bids"), ("demo",), {"haste": ["totalsegmentatorct"]})
    with pytest.raises(ConfigError, match=r"segment\.models_of\.haste: totalsegmentatorct does not take"):
        check_sequences(loaded(*models), config)


def test_label_maps_of_dixon_need_dixon_and_no_other_model():
    models = loaded("demo", "mrsegmentatorbody")
    names = [model.name for model in models]
    taken = {"labels_of_dixon": ["me_vibe"]}
    config = config_of(("bids", "nako:me_vibe"), names, **taken)
    check_sequences(models, config)
    of_multi_echo = models_for(ScanSequence.ME_VIBE, models, config)
    assert [model.name for model in of_multi_echo] == names, "also one that does not take the sequence itself"
    assert {model.sequence for model in of_multi_echo} == {ScanSequence.ME_VIBE}
    for wrong, message in (
        (config_of(("nako:me_vibe",), names, **taken), "must look for this sequence and for dixon"),
        (config_of(("bids",), names, **taken), "must look for this sequence and for dixon"),
        (config_of(("bids",), names, labels_of_dixon=["dixon"]), "dixon: cohort.sources must"),
        (config_of(("bids", "nako:me_vibe"), names, {"me_vibe": ["demo"]}, **taken), "leave out one of the two"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_sequences(models, wrong)


def test_label_maps_of_a_model_that_is_cropped_need_no_rough_model():
    (model, rough) = loaded("demo", "mrsegmentatorbody")
    model._rough = rough  # which does not take the sequence
    used = model.with_labels_for(ScanSequence.ME_VIBE)
    assert used.rough is None
    assert used.sequence is ScanSequence.ME_VIBE
    assert model.rough is rough
    assert model.sequence is ScanSequence.DIXON


def test_scans_of_a_sequence_go_to_the_models_that_take_it_and_to_those_named_for_it_alone():
    models = loaded("demo", "mrsegmentator", "totalsegmentatorct")
    config = config_of(("bids", "ct", "bids:t2_tse", "bids:pd"), [each.name for each in models])
    check_sequences(models, config)
    names = {
        sequence.value: [(each.name, each.sequence) for each in models_for(sequence, models, config)]
        for sequence in sequences_of(config)
    }
    assert {sequence: [name for name, _ in each] for sequence, each in names.items()} == {
        "dixon": ["demo", "mrsegmentator"],
        "t2_tse": ["demo", "mrsegmentator"],
        "pd": ["demo"],
        "ct": ["mrsegmentator", "totalsegmentatorct"],
    }
    assert all(used == sequence for sequence, each in names.items() for _, used in each)
    named = config_of(("bids", "bids:t2_tse"), ["demo"], {"t2_tse": ["mrsegmentator"]})
    assert [each.name for each in models_for(ScanSequence.T2_TSE, models, named)] == ["mrsegmentator"]


class TestAccepted:
    def test_a_model_takes_the_images_and_labels_of_the_sequence(self):
        (model,) = loaded("vibesegmentator100")
        ct = model.for_sequence(ScanSequence.CT)
        assert (ct.input_contrasts, ct.structures["ribs"], "ribs" in model.structures) == ((Contrast.CT,), 20, False)
        assert ct.classes_of(ct.parts[0])[20] == 20
        assert model.classes_of(model.parts[0])[20] == 0
        assert model.for_sequence(ScanSequence.DIXON) is model
        haste = model.for_sequence(ScanSequence.HASTE)
        assert haste.structures == model.structures
        assert {haste.contrasts_of(label) for label in haste.labels} == {(Contrast.T2,)}
        assert not any(rule.published_dice for rule in haste.labels.values())

    @pytest.mark.parametrize(
        ("accepts", "message"),
        [
            ({"haste": {"contrasts": ["water"]}}, "with images that all its scans have"),
            ({"haste": {"contrasts": ["t2", "t2"]}}, "names a contrast twice"),
            ({"me_vibe": {"contrasts": ["fat_fraction"]}}, "with images that all its scans have"),
            ({"me_vibe": {"contrasts": ["echo_3"]}}, "with images that all its scans have"),
            ({"dixon": {"contrasts": ["water"]}}, "must be another sequence"),
            ({"ct": {"contrasts": ["ct"], "labels": {1: {"name": "ribs", "group": "bone"}}}}, "in any case"),
            ({"ct": {"contrasts": ["ct"], "labels": {99: {"name": "ribs", "group": "bone"}}}}, "classes must be"),
            ({"ct": {"contrasts": ["ct"], "labels": {20: {"name": "ribs", "group": "none"}}}}, "group_order"),
            ({"ct": {"contrasts": ["ct"], "labels": {20: {"name": "liver", "group": "bone"}}}}, "same structure name"),
            ({"ct": {"contrasts": ["ct"], "labels": {20: {"name": "mystery", "group": "bone"}}}}, "vocabulary"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_when_the_file_is_read(self, tmp_path, accepts, message):
        content = yaml.safe_load((MODELS / "vibesegmentator100.yaml").read_text()) | {"accepts": accepts}
        path = tmp_path / "vibesegmentator100.yaml"
        path.write_text(yaml.safe_dump(content))
        with pytest.raises(ModelError, match=message):
            load_model(path)

    def test_no_model_bears_the_name_of_a_sequence(self, tmp_path):
        content = yaml.safe_load((MODELS / "demo.yaml").read_text()) | {"name": "haste"}
        (tmp_path / "haste.yaml").write_text(yaml.safe_dump(content))
        with pytest.raises(ModelError, match="haste is a sequence"):
            load_model(tmp_path / "haste.yaml")


def test_weights_lie_in_the_folder_of_the_configuration_or_where_version_0_1_kept_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = MODELS / "mrsegmentator.yaml"
    assert load_model(path, Path("models")).weights == tmp_path / "models" / "mrsegmentator"
    earlier = tmp_path / "workflow" / "models" / "mrsegmentator"
    (earlier).mkdir(parents=True)
    assert load_model(path, Path("models")).weights == tmp_path / "models" / "mrsegmentator", "it holds none"
    (earlier / "metadata.json").write_text("{}")
    assert load_model(path, Path("models")).weights == earlier
    (tmp_path / "models" / "mrsegmentator").mkdir(parents=True)
    (tmp_path / "models" / "mrsegmentator" / "metadata.json").write_text("{}")
    assert load_model(path, Path("models")).weights == tmp_path / "models" / "mrsegmentator"
    assert load_model(MODELS / "demo.yaml", Path("models")).weights == MODELS / "demo"
