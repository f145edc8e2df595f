"""A content key changes with what the stage depends on, for that stage and all after it, and with nothing else."""

from dataclasses import replace

import pytest

from dixonflow.config import Config, MergeConfig, PostprocessConfig, StitchConfig, demo_config
from dixonflow.keys import STAGE_VERSIONS, stage_key
from dixonflow.model import load_model
from dixonflow.plan import MODELS
from dixonflow.structures import structures
from dixonflow.vocabulary import MergeStrategy, Stage

STAGES = list(STAGE_VERSIONS)


@pytest.fixture(scope="module")
def model():
    return load_model(MODELS / "demo.yaml")


def keys(config, model, raw_key="raw"):
    return [stage_key(stage, raw_key, config, model, [model]) for stage in STAGES]


def first_difference(one, other):
    different = [a != b for a, b in zip(one, other, strict=True)]
    if not any(different):
        return None
    first = different.index(True)
    assert all(different[first:]), "a later stage must follow"
    return STAGES[first]


def test_keys_are_stable_and_differ_between_stages_and_scans(model):
    config = demo_config()
    assert keys(config, model) == keys(config, model)
    assert len(set(keys(config, model))) == len(STAGES)
    assert first_difference(keys(config, model), keys(config, model, "other")) is Stage.STITCH


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        ({"stitch": StitchConfig(match_intensities=False)}, Stage.STITCH),
        ({"segment": demo_config().segment.model_copy(update={"folds": ("0",)})}, Stage.SEGMENT),
        ({"segment": demo_config().segment.model_copy(update={"interpolate": "nearest"})}, Stage.SEGMENT),
        ({"segment": demo_config().segment.model_copy(update={"threads": 7})}, None),
        ({"segment": demo_config().segment.model_copy(update={"device": "cpu"})}, None),
        ({"merge": MergeConfig(strategy=MergeStrategy.PRIORITY)}, Stage.SEGMENT),
        ({"postprocess": PostprocessConfig(repair_sides=False)}, Stage.POSTPROCESS),
        ({"max_attempts": 9}, None),
        ({"results": "elsewhere"}, None),
        ({"verify": True}, None),
    ],
)
def test_a_setting_touches_its_stage_and_what_follows(model, change, stage):
    config = demo_config()
    changed = Config.model_validate(config.model_copy(update=change).model_dump())
    assert first_difference(keys(config, model), keys(changed, model)) is stage


def test_strategies_that_merge_the_same_maps_differ_from_merge_on(model):
    one, other = (
        demo_config().model_copy(update={"merge": MergeConfig(strategy=strategy)})
        for strategy in (MergeStrategy.PRIORITY, MergeStrategy.MAJORITY)
    )
    assert first_difference(keys(one, model), keys(other, model)) is Stage.MERGE


def test_model_settings_touch_their_stage(model):
    config = demo_config()
    liver, cutoff, accuracy = (
        model.labels[5].model_copy(update=update)
        for update in ({"drop_mm3": 1.0}, {"lower_cutoff_ml": 1.0}, {"published_dice": 0.5})
    )
    for update, stage in [
        ({"tile_step": 0.8}, Stage.SEGMENT),
        ({"orientation": "LPS"}, Stage.SEGMENT),
        ({"mirroring": True}, Stage.SEGMENT),
        ({"pad_voxels": 5}, Stage.SEGMENT),
        ({"keep_largest": False}, Stage.MERGE),
        ({"labels": model.labels | {5: liver}}, Stage.MERGE),
        ({"labels": model.labels | {5: cutoff}}, Stage.MEASURE),
        ({"labels": model.labels | {5: accuracy}}, None),
        ({"composites": {}}, Stage.MEASURE),
        ({"title": "another title"}, None),
    ]:
        changed = model.model_copy(update=update)
        assert first_difference(keys(config, model), keys(config, changed)) is stage, update


def test_the_vocabulary_touches_the_check_of_sides(model, monkeypatch):
    before = keys(demo_config(), model)
    vessel = replace(structures()["kidney_left"], group="vessel")
    monkeypatch.setattr("dixonflow.keys.structures", lambda: structures() | {"kidney_left": vessel})
    assert first_difference(before, keys(demo_config(), model)) is Stage.POSTPROCESS


def test_the_cohort_has_no_key_of_its_own(model):
    with pytest.raises(ValueError, match="no content key"):
        stage_key(Stage.COHORT, "raw", demo_config(), model, [model])


def test_the_orientation_touches_resampling_only_where_one_end_of_the_image_keeps_its_place(model):
    config = demo_config()
    for resampling, stage in (("first", Stage.RESAMPLE), ("first_zoom", Stage.SEGMENT)):
        before = model.model_copy(update={"resampling": resampling, "spacing_mm": (3.0, 3.0, 3.0)})
        after = before.model_copy(update={"orientation": "LPS"})
        assert first_difference(keys(config, before), keys(config, after)) is stage
