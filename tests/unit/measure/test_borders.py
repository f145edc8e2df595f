"""Borders of structures that the image shows, and those that it does not."""

import numpy as np
import pytest
from small_models import rule, small_model

from dixonflow.measure.checks.borders import Borders, borders_of
from dixonflow.models.model import Model

MODEL = small_model({1: rule("muscle", "a"), 2: rule("liver", "a"), 3: rule("spleen", "a")})


def abdomen() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A liver and a spleen in muscle, with noise of 1 %."""
    labels = np.ones((60, 50, 40), np.uint8)
    labels[10:30, 10:40, 10:30] = 2
    labels[42:52, 15:30, 12:28] = 3
    rng = np.random.default_rng(1)
    water, fat = (np.array(values, float)[labels - 1] for values in ([300, 450, 400], [20, 30, 10]))
    noisy = [np.rint(image + rng.normal(0, 4, labels.shape)).clip(0).astype(np.int16) for image in (water, fat)]
    return labels, noisy[0], noisy[1]


def found_in(labels: np.ndarray, water: np.ndarray, fat: np.ndarray) -> Borders:
    return borders_of(labels, water, fat, MODEL)


def seen(labels: np.ndarray, water: np.ndarray, fat: np.ndarray, model: Model) -> dict[str, float]:
    return borders_of(labels, water, fat, model).seen


def test_all_borders_of_a_right_label_map_are_seen_also_a_voxel_off() -> None:
    labels, water, fat = abdomen()
    assert set(seen(labels, water, fat, MODEL)) == {"muscle", "liver", "spleen"}
    assert min(seen(labels, water, fat, MODEL).values()) > 0.97
    assert min(seen(np.roll(labels, 1, axis=2), water, fat, MODEL).values()) > 0.9


@pytest.mark.parametrize(
    ("case", "unseen"),
    [("part lost", "liver"), ("part of another", "spleen"), ("grown", "liver"), ("lost to nothing", "spleen")],
)
def test_a_border_that_is_drawn_through_a_structure_is_not_seen(case: str, unseen: str) -> None:
    labels, water, fat = abdomen()
    wrong = labels.copy()
    if case == "part lost":
        wrong[10:30, 10:40, 22:30] = 1
    elif case == "part of another":
        wrong[42:52, 15:30, 20:28] = 2
    elif case == "grown":
        wrong[6:34, 6:44, 6:34] = 2
    else:
        wrong[42:52, 15:30, 20:28] = 0
    right, found = seen(labels, water, fat, MODEL), seen(wrong, water, fat, MODEL)
    assert found[unseen] < right[unseen] - 0.1


def test_parts_of_one_structure_have_no_border_to_see() -> None:
    labels, water, fat = abdomen()
    lobes = small_model(
        {1: rule("muscle", "a"), 2: rule("lung_upper_lobe_left", "a"), 3: rule("lung_lower_lobe_left", "a")}
    )
    split = np.where((labels == 2) & (np.arange(40) > 20), 3, np.minimum(labels, 2)).astype(np.uint8)
    assert min(seen(split, water, fat, lobes).values()) > 0.9
    assert min(seen(split, water, fat, MODEL).values()) < 0.9


def test_a_structure_without_a_border_has_no_value() -> None:
    labels, water, fat = abdomen()
    assert seen(np.where(labels == 3, 1, labels).astype(np.uint8), water, fat, MODEL).keys() == {
        "muscle",
        "liver",
    }
    assert seen(np.ones_like(labels), water, fat, MODEL) == {}
    assert seen(labels[:2], water[:2], fat[:2], MODEL) == {}


@pytest.mark.parametrize(("end", "other"), [("seen_top", "seen_bottom"), ("seen_bottom", "seen_top")])
def test_a_cut_across_the_body_is_seen_at_its_end_alone(end: str, other: str) -> None:
    labels, water, fat = abdomen()
    if end == "seen_bottom":
        labels, water, fat = (image[:, :, ::-1] for image in (labels, water, fat))
    wrong = labels.copy()
    lowest_of_top = 28 if end == "seen_top" else 10
    wrong[10:30, 10:40, lowest_of_top : lowest_of_top + 2] = 0
    right, found = found_in(labels, water, fat), found_in(wrong, water, fat)
    assert getattr(right, end)["liver"] > 0.97
    assert getattr(found, end)["liver"] < 0.05
    assert getattr(found, other)["liver"] > 0.97
    assert found.seen["liver"] > 0.75


def test_an_end_that_is_hardly_there_has_no_value() -> None:
    labels, water, fat = abdomen()
    flat = np.where(labels == 3, 1, labels).astype(np.uint8)
    flat[12:14, 12:14, :] = 3  # a column through the whole scan
    assert "spleen" in found_in(flat, water, fat).seen
    assert "spleen" not in found_in(flat, water, fat).seen_top


def test_what_a_structure_takes_the_surface_of_is_touched_by_it() -> None:
    labels, water, fat = abdomen()
    found = found_in(labels, water, fat)
    assert found.touched == {"muscle": ["liver", "spleen"], "liver": ["muscle"], "spleen": ["muscle"]}
    grown = labels.copy()
    grown[10:43, 10:40, 10:30] = 2
    assert found_in(grown, water, fat).touched["liver"] == ["muscle", "spleen"]
