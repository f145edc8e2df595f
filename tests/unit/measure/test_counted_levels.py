"""Vertebrae that are counted from the sacrum, on label maps of phantoms of which the truth is known."""

import numpy as np
import pytest
from spine import phantom_spine

from dixonflow.measure.compartments.counted_levels import FIRST, L5, counted_levels
from dixonflow.measure.compartments.landmark import can_count_vertebrae, level_model
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.levels import Levels
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.models.anatomy import SACRUM
from dixonflow.models.load import MODELS, load_model
from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.anatomy.vertebrae import vertebra_truth

MODEL = load_model(MODELS / "demo.yaml")
DISC, BODY, BONE = (MODEL.structures[name] for name in ("IVD", "vertebra_body", "sacrum"))
SPACING_MM = 3.0
T12, L3, L4 = 19, 22, 23


@pytest.fixture(scope="module")
def anatomy():
    return render_anatomy(draw_participant(0), SPACING_MM)


@pytest.fixture(scope="module")
def ends(anatomy):
    return vertebra_truth(draw_participant(0), anatomy).ends_mm


def counted(anatomy, labels: np.ndarray | None = None, high_mm: float | None = None) -> Levels:
    low = anatomy.affine[:3, 3] - SPACING_MM / 2
    high = low + SPACING_MM * np.array(anatomy.labels.shape)
    high[2] = high[2] if high_mm is None else high_mm
    box = StationBox(0, tuple(low.tolist()), tuple(high.tolist()))
    return counted_levels(anatomy.labels if labels is None else labels, anatomy.affine, [box], MODEL)


def disc_below(anatomy, ends, vertebra: int) -> np.ndarray:
    """Where the disc under a vertebra is."""
    lower, below = ends[vertebra][0], ends[vertebra + 1][1]
    z = anatomy.affine[2, 3] + SPACING_MM * np.arange(anatomy.labels.shape[2])
    return (anatomy.labels == DISC) & ((z > below - 3) & (z < lower + 3))


@pytest.mark.parametrize("seed", range(5))
def test_every_vertebra_has_its_level(seed):
    anatomy = render_anatomy(draw_participant(seed), SPACING_MM)
    found = counted(anatomy).found
    truth = vertebra_truth(draw_participant(seed), anatomy).ends_mm
    assert {*range(12, L5 + 1), SACRUM} <= set(found)
    for vertebra in set(found) - {SACRUM}:
        assert found[vertebra].lower_mm == pytest.approx(truth[vertebra][0], abs=3.0)
        assert found[vertebra].upper_mm == pytest.approx(truth[vertebra][1], abs=3.0)


def test_above_a_lost_disc_nothing_has_a_name(anatomy, ends):
    labels = anatomy.labels.copy()
    labels[disc_below(anatomy, ends, L3)] = BODY
    levels = counted(anatomy, labels)
    assert set(levels.found) == {L5, SACRUM}, "the body of L4 ends at the disc that is lost"
    assert {levels.missing[vertebra] for vertebra in range(FIRST, L5)} == {MissingReason.OUT_OF_ORDER}


def test_a_lost_disc_under_l4_leaves_no_l5_of_twice_its_height(anatomy, ends):
    labels = anatomy.labels.copy()
    labels[disc_below(anatomy, ends, L4)] = BODY
    levels = counted(anatomy, labels)
    assert set(levels.found) == {SACRUM}
    assert levels.missing[L5] is MissingReason.OUT_OF_ORDER


@pytest.mark.parametrize("vertebra", [L5, L4, L3])
def test_two_discs_that_are_joined_shift_no_name(vertebra, anatomy, ends):
    labels = anatomy.labels.copy()
    places = np.argwhere(disc_below(anatomy, ends, vertebra - 1))
    x, y, z = np.median(places, axis=0).astype(int)
    height = round((ends[vertebra][1] - ends[vertebra][0]) / SPACING_MM)
    labels[x : x + 2, y : y + 2, z - height - 4 : z] = DISC
    before, found = counted(anatomy).found, counted(anatomy, labels).found
    assert set(found) < set(before)
    for each in set(found) - {SACRUM}:
        assert found[each].centre_mm == pytest.approx(before[each].centre_mm, abs=SPACING_MM)


def test_a_lost_body_is_seen_too(anatomy, ends):
    labels = anatomy.labels.copy()
    z = anatomy.affine[2, 3] + SPACING_MM * np.arange(labels.shape[2])
    labels[(labels == BODY) & ((z > ends[L3][0]) & (z < ends[L3][1]))] = 0
    levels = counted(anatomy, labels)
    assert set(levels.found) == {L4, L5, SACRUM}
    assert levels.missing[L3] is MissingReason.OUT_OF_ORDER


def test_the_lowest_disc_may_be_lost(anatomy, ends):
    labels = anatomy.labels.copy()
    z = anatomy.affine[2, 3] + SPACING_MM * np.arange(labels.shape[2])
    labels[(labels == DISC) & (z < ends[L5][0] + 3)] = 0
    found, before = counted(anatomy, labels).found, counted(anatomy).found
    assert found[L3] == before[L3]
    assert found[L5].lower_mm == pytest.approx(ends[L5][0], abs=SPACING_MM)


def test_without_the_two_lowest_discs_nothing_is_counted(anatomy, ends):
    labels = anatomy.labels.copy()
    z = anatomy.affine[2, 3] + SPACING_MM * np.arange(labels.shape[2])
    labels[(labels == DISC) & (z < ends[L4][0] + 3)] = 0
    levels = counted(anatomy, labels)
    assert set(levels.found) == {SACRUM}
    assert set(levels.missing.values()) == {MissingReason.OUT_OF_ORDER}


def test_strays_and_pieces_of_a_disc_do_not_count(anatomy, ends):
    before = counted(anatomy).found
    labels = anatomy.labels.copy()
    disc = disc_below(anatomy, ends, T12)
    x, y, z = (int(np.median(place)) for place in np.nonzero(disc))
    split = disc.copy()
    split[: x - 1], split[x + 1 :] = False, False
    labels[split] = BODY
    labels[x, y, z + 5 : z + 7] = DISC
    labels[2:4, 2:4, z : z + 3] = DISC
    found = counted(anatomy, labels).found
    assert set(found) == set(before)
    for vertebra, level in found.items():
        assert level.centre_mm == pytest.approx(before[vertebra].centre_mm, abs=SPACING_MM)


def test_a_remnant_of_a_disc_in_the_sacrum_shifts_no_name(anatomy):
    before = counted(anatomy)
    labels = anatomy.labels.copy()
    place = np.argwhere(labels == BONE)
    x, y, z = np.median(place, axis=0).astype(int)
    labels[x - 5 : x + 5, y - 3 : y + 3, z : z + 2] = DISC
    assert counted(anatomy, labels).found == before.found


def test_what_the_field_of_view_cuts_has_no_level(anatomy, ends):
    levels = counted(anatomy, high_mm=(ends[T12][0] + ends[T12][1]) / 2)
    assert min(levels.found) > T12
    assert levels.missing[T12] in (MissingReason.CUT_BY_FIELD_OF_VIEW, MissingReason.NOT_FOUND)


def test_a_scan_without_a_sacrum_has_no_levels(anatomy):
    labels = np.where(anatomy.labels == BONE, 0, anatomy.labels)
    levels = counted(anatomy, labels)
    assert not levels.found
    assert set(levels.missing.values()) == {MissingReason.NOT_FOUND}


def test_named_vertebrae_go_before_counted_ones():
    vertebrae, other = (
        load_model(MODELS / f"{name}.yaml") for name in ("totalsegmentatorvertebraemr", "mrsegmentator")
    )
    assert can_count_vertebrae(MODEL)
    assert not can_count_vertebrae(vertebrae)
    assert level_model([MODEL, vertebrae]) is vertebrae
    assert level_model([other, MODEL]) is MODEL
    assert level_model([other]) is None


def test_counted_and_named_levels_agree():
    spine = phantom_spine(SPACING_MM)
    assert spine.ends_mm  # the same participant
    counted_ends = counted(render_anatomy(draw_participant(0), SPACING_MM)).found
    for vertebra in range(T12, L5 + 1):
        assert counted_ends[vertebra].lower_mm == pytest.approx(spine.ends_mm[vertebra][0], abs=SPACING_MM)
