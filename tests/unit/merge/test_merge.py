import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from small_models import THREE, rule, small_model

from dixonflow.merge.strategies import clean, merge
from dixonflow.models.model import Model
from dixonflow.vocabulary import DIXON, Contrast, MergeStrategy

WATER, IN, OPPOSED = THREE
TOUCHING = np.ones((3, 3, 3))

MODEL = small_model(
    {
        1: rule("aorta", "vessel", single_piece=False, drop_mm3_per_contrast=1.0),
        2: rule("gluteus_left", "muscle", drop_mm3_per_contrast=2.0),
        3: rule("liver", "organ", drop_mm3_per_contrast=1.0),
        4: rule("thyroid_gland", "organ", single_piece=False, min_components=2, max_components=2),
        5: rule("subcutaneous_fat", "rest", single_piece=False, max_components=1000),
    },
    group_contrasts={"vessel": THREE, "muscle": (WATER,), "organ": THREE, "rest": (OPPOSED, WATER)},
)
MAPS = arrays(np.uint8, (4, 3, 5), elements=st.sampled_from([0, 0, 1, 2, 3, 4, 5]))


def row(*labels: int) -> np.ndarray:
    return np.array(labels, np.uint8)[:, None, None]


def merged_row(model: Model, water, in_phase, opposed_phase) -> list[int]:
    maps = {WATER: row(*water), IN: row(*in_phase), OPPOSED: row(*opposed_phase)}
    return merge(maps, model, 1.0).ravel().tolist()


def as_published(maps: dict[Contrast, np.ndarray], model: Model, voxel_mm3: float) -> np.ndarray:
    """Follow the published procedure literally: label by label, filling what is empty."""
    cleaned = {}
    for contrast, volume in maps.items():
        kept = volume.copy()
        for label, entry in model.labels.items():
            parts, count = ndimage.label(volume == label, TOUCHING)
            if count and not entry.min_components <= count <= entry.max_components:
                sizes = np.bincount(parts.ravel())
                for part in range(1, count + 1):
                    if sizes[part] * voxel_mm3 <= entry.drop_mm3_per_contrast:
                        kept[parts == part] = 0
        cleaned[contrast] = kept
    out = np.zeros_like(next(iter(maps.values())))
    for group in model.group_order:
        for contrast in model.group_contrasts[group]:
            for label, entry in model.labels.items():
                if entry.group != group:
                    continue
                mask = cleaned[contrast] == label
                if entry.single_piece and mask.any():
                    parts, _ = ndimage.label(mask)
                    mask = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
                out[(out == 0) & mask] = label
    return out


@settings(max_examples=100, deadline=None)
@given(MAPS, MAPS, MAPS, st.sampled_from("CF"))
def test_equal_to_the_published_procedure(water, in_phase, opposed_phase, order):
    maps = {WATER: water, IN: in_phase, OPPOSED: opposed_phase}
    published = MODEL.model_copy(update={"keep_largest": False})
    ours = merge({contrast: np.array(volume, order=order) for contrast, volume in maps.items()}, published, 1.0)
    assert np.array_equal(ours, as_published(maps, published, 1.0))


@settings(max_examples=60, deadline=None)
@given(MAPS, MAPS, MAPS)
def test_every_voxel_has_its_first_choice(water, in_phase, opposed_phase):
    maps = {WATER: water, IN: in_phase, OPPOSED: opposed_phase}
    before = {contrast: volume.copy() for contrast, volume in maps.items()}
    result = merge(maps, MODEL, 1.0)
    cleaned = {contrast: clean(volume, MODEL, 1.0) for contrast, volume in maps.items()}
    for voxel in np.ndindex(result.shape):
        offers = [
            int(cleaned[contrast][voxel])
            for group in MODEL.group_order
            for contrast in MODEL.group_contrasts[group]
            if cleaned[contrast][voxel] and MODEL.labels[int(cleaned[contrast][voxel])].group == group
        ]
        assert result[voxel] == (offers[0] if offers else 0)
    assert all(np.array_equal(maps[contrast], before[contrast]) for contrast in maps), "inputs are not changed"


@settings(max_examples=30, deadline=None)
@given(MAPS)
def test_equal_maps_give_the_cleaned_map(volume):
    assert np.array_equal(merge(dict.fromkeys(THREE, volume), MODEL, 1.0), clean(volume, MODEL, 1.0))


def test_groups_win_in_their_order_over_contrasts():
    assert merged_row(MODEL, [3, 2, 5], [0, 0, 0], [1, 3, 3]) == [1, 2, 3]


def test_contrasts_fill_in_their_order():
    assert merged_row(MODEL, [0, 3, 0], [0, 4, 0], [4, 0, 0]) == [4, 3, 0]
    assert merged_row(MODEL, [5, 5, 0], [5, 0, 5], [0, 0, 0]) == [5, 5, 0], "the last group takes no in-phase"


def test_water_only_groups_take_nothing_else():
    assert merged_row(MODEL, [0, 2, 0], [2, 2, 0], [0, 0, 2]) == [0, 2, 0]


def test_single_pieces_are_made_single_in_each_contrast_before_the_merge():
    # each contrast has its own largest piece of liver: both end up in the result, as published
    assert merged_row(MODEL, [3, 3, 0, 3, 0, 0, 0], [0] * 7, [3, 0, 0, 0, 3, 3, 3]) == [3, 3, 0, 0, 3, 3, 3]


def test_vessels_may_have_pieces_but_lose_small_surplus():
    assert merged_row(MODEL, [1, 1, 0, 1, 1, 0, 1], [0] * 7, [0] * 7) == [1, 1, 0, 1, 1, 0, 0]


def test_keep_largest_saves_what_the_published_rule_deletes():
    water = [2, 0, 2, 2, 0, 0]
    published = MODEL.model_copy(update={"keep_largest": False})
    assert merged_row(published, water, [0] * 6, [0] * 6) == [0] * 6
    assert merged_row(MODEL, water, [0] * 6, [0] * 6) == [0, 0, 2, 2, 0, 0]


def test_thresholds_are_volumes():
    water = [1, 1, 0, 1]
    maps = {WATER: row(*water), IN: row(0, 0, 0, 0), OPPOSED: row(0, 0, 0, 0)}
    assert merge(maps, MODEL, 1.0).ravel().tolist() == [1, 1, 0, 0]
    assert merge(maps, MODEL, 1.5).ravel().tolist() == [1, 1, 0, 1]


def test_what_is_not_the_models_is_refused():
    volume = row(0, 1, 2)
    with pytest.raises(ValueError, match=r"missing: \['opposed_phase'\]"):
        merge({WATER: volume, IN: volume}, MODEL, 1.0)
    with pytest.raises(ValueError, match=r"unexpected: \['fat'\]"):
        merge(dict.fromkeys(DIXON, volume), MODEL, 1.0)
    with pytest.raises(ValueError, match="in_phase is"):
        merge({WATER: volume, IN: row(0, 1), OPPOSED: volume}, MODEL, 1.0)
    with pytest.raises(ValueError, match=r"no limit: \[9\]"):
        merge({WATER: volume, IN: row(0, 1, 9), OPPOSED: volume}, MODEL, 1.0)


def literal_majority(votes: list[int]) -> int:
    most = max(votes.count(label) for label in votes)
    return next(label for label in votes if votes.count(label) == most)


@settings(max_examples=60, deadline=None)
@given(MAPS, MAPS, MAPS)
def test_strategies_voxel_by_voxel(water, in_phase, opposed_phase):
    maps = {WATER: water, IN: in_phase, OPPOSED: opposed_phase}
    cleaned = [clean(maps[contrast], MODEL, 1.0) for contrast in THREE]
    majority = merge(maps, MODEL, 1.0, MergeStrategy.MAJORITY)
    first = merge(maps, MODEL, 1.0, MergeStrategy.FIRST)
    for voxel in np.ndindex(water.shape):
        votes = [int(volume[voxel]) for volume in cleaned]
        assert majority[voxel] == literal_majority(votes)
        assert first[voxel] == next((label for label in votes if label), 0)


@pytest.mark.parametrize("contrasts", [1, 2, 4])
def test_strategies_take_any_number_of_contrasts(contrasts):
    rng = np.random.default_rng(contrasts)
    names = tuple(DIXON)[:contrasts]
    model = small_model(
        {label: rule(f"s{label}", "rest", single_piece=False, max_components=1000) for label in (1, 2, 3)},
        input_contrasts=names,
        group_contrasts={"rest": names},
    )
    maps = {name: rng.integers(0, 4, (6, 5, 4)).astype(np.uint16) for name in names}
    majority = merge(maps, model, 1.0, MergeStrategy.MAJORITY)
    assert majority.dtype == np.uint16
    for voxel in np.ndindex(majority.shape):
        assert majority[voxel] == literal_majority([int(maps[name][voxel]) for name in names])


def test_mean_scores_leave_nothing_to_merge():
    with pytest.raises(ValueError, match="already averaged the contrasts"):
        merge(dict.fromkeys(THREE, row(1, 0)), MODEL, 1.0, MergeStrategy.MEAN_SCORES)
