"""A content key changes with what the stage depends on, for that stage and all after it, and with nothing else."""

from dataclasses import replace

import pytest

from dixonflow.config import Config, MergeConfig, PostprocessConfig, StitchConfig, demo_config
from dixonflow.execution.content_keys import NEUTRAL_OPTIONS, STAGE_VERSIONS, section_in_key, stage_key
from dixonflow.models.anatomy import structures
from dixonflow.models.load import MODELS, load_model
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
        ({"segment": demo_config().segment.model_copy(update={"folds": ("0",)})}, None),  # all that the model has
        ({"segment": demo_config().segment.model_copy(update={"folds": ("1",)})}, Stage.SEGMENT),
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


def test_a_strategy_that_is_named_is_the_model_s_own(model):
    """Who has named what is now the default of a model computes nothing again."""
    vibe = model.model_copy(update={"merge": load_model(MODELS / "vibesegmentator100.yaml").merge})
    for each, own in ((vibe, MergeStrategy.PRIORITY), (model, MergeStrategy.MEAN_SCORES)):
        silent, named = (
            demo_config().model_copy(update={"merge": MergeConfig(strategy=strategy)}) for strategy in (None, own)
        )
        assert first_difference(keys(silent, each), keys(named, each)) is None
    assert first_difference(keys(demo_config(), vibe), keys(demo_config(), model)) is Stage.SEGMENT


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
    monkeypatch.setattr("dixonflow.execution.content_keys.structures", lambda: structures() | {"kidney_left": vessel})
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


PINNED = {
    Stage.STITCH: "2452f4a6066f79d974e217f4a67fe1f9dfddcbe1c361bfe6294b1b767a1e0f91",
    Stage.RESAMPLE: "70a53410cea21197eb787fa205596305fe79e4dc2481a708dc485f137f845c83",
    Stage.SEGMENT: "353be976670fcd025b1b35d8c816506b79e5613ad27fc727afb62aa5693efa52",
    Stage.MERGE: "f766e0c54ad43ed4c7984188b32216e09885fcba3f1a57e48c0c7527d629ac69",
    Stage.POSTPROCESS: "f467ef0a0ec6372e346ecfcd726424466277a47b717426d74cbbfa21506f9579",
}
PINNED_OTHERS = {
    Stage.STITCH: "3865d273a36018b4f09898f441bdb9f81737e98744f3d4a7a8dfa4f5392fb515",
    Stage.RESAMPLE: "7f0d92185499623215cc72086952f1b1458b93b4465ec7dc334063579d520329",
    Stage.SEGMENT: "ec44c0ec778362221d6c34294cb0dce2021f9af421d85ce1efd33ce3d592d481",
    Stage.MERGE: "276e16d3b51b3b93b7f85d0180fa7383562553192a9754531f183de16aa3043e",
    Stage.POSTPROCESS: "acf7dea7d8787273ee8a7fe84b481febb93acc52448cf47316b9869eb23ce88c",
}
"""Keys of finished scans as version 0.1 gave them. Who changes one makes every scan of every user again: only `measure`
may change for all scans, unless pixels or labels really change."""


def test_keys_of_finished_scans_stay(model):
    config = demo_config()
    others = Config.model_validate(
        config.model_dump()
        | {
            "stitch": {"match_intensities": False},
            "merge": {"strategy": "priority"},
            "postprocess": {"repair_sides": False},
        }
    )
    for each, pinned in ((config, PINNED), (others, PINNED_OTHERS)):
        assert {stage: stage_key(stage, "0" * 64, each, model, [model]) for stage in pinned} == pinned


def test_an_option_that_comes_later_counts_from_the_value_on_that_changes_something(monkeypatch):
    class Stitch(StitchConfig):
        sharpen: bool = False
        end_slices: int = 2

    before = section_in_key("stitch", StitchConfig())
    first = {"drop_end_slices": 2, "match_intensities": True, "exclude_swaps": True}
    assert before == first, "results of version 0.1 stand"
    with pytest.raises(KeyError):  # nobody has decided what it means for old results
        section_in_key("stitch", Stitch())
    monkeypatch.setitem(NEUTRAL_OPTIONS, "stitch", {"sharpen": False, "end_slices": 2} | NEUTRAL_OPTIONS["stitch"])
    assert section_in_key("stitch", Stitch()) == before
    assert section_in_key("stitch", Stitch(sharpen=True)) == before | {"sharpen": True}


def test_a_key_goes_on_from_what_is_known(model):
    config = demo_config()
    old, new = keys(config, model, "old"), keys(config, model, "new")
    start = {(model.name, Stage.STITCH): old[0]}
    known = [stage_key(stage, "new", config, model, [model], start) for stage in STAGES]
    assert known[0] == new[0]
    assert known[1:] == old[1:]
