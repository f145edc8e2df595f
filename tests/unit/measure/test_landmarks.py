"""Stretches between landmarks: their heights and their slices, or why there are none."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from spine import LABEL, MODEL, phantom_spine

from dixonflow.measure.definitions import MissingReason
from dixonflow.measure.landmarks import BodyRange, Landmark, body_range
from dixonflow.measure.levels import Level, Levels, Position, find_levels
from dixonflow.vocabulary import Grade

T12, L3, L5, SACRUM = 19, 22, 24, 26
MID_L3 = Landmark("vertebrae_L3", Position.CENTRE)
T12_TOP, L5_FOOT = (
    Landmark("vertebrae_T12", Position.SUPERIOR_ENDPLATE),
    Landmark("vertebrae_L5", Position.INFERIOR_ENDPLATE),
)


def lumbar(**changes: Level) -> Levels:
    """T12 to L5 and sacrum, 36 mm apart, bodies of 27 mm; T11 cut, the rest not found."""
    found = {vertebra: Level(-36.0 * vertebra, 27 - 36.0 * vertebra) for vertebra in (*range(T12, L5 + 1), SACRUM - 1)}
    found[SACRUM] = Level(-1000.0, found.pop(SACRUM - 1).upper_mm)
    missing = dict.fromkeys(range(1, 18), MissingReason.NOT_FOUND) | {18: MissingReason.CUT_BY_FIELD_OF_VIEW}
    return Levels(found | {int(name[1:]): level for name, level in changes.items()}, missing)


def test_heights_are_those_of_the_landmarks() -> None:
    levels = lumbar()
    middle = -36.0 * L3 + 13.5
    assert body_range(levels, MID_L3, MID_L3) == BodyRange(middle, middle, Grade.PASS)
    assert body_range(levels, T12_TOP, L5_FOOT) == BodyRange(-36.0 * L5, 27 - 36.0 * T12, Grade.PASS)


def test_a_missing_landmark_is_the_reason_and_never_another_one() -> None:
    levels = lumbar()
    cut, absent = (
        Landmark("vertebrae_T11", Position.INFERIOR_ENDPLATE),
        Landmark("vertebrae_C7", Position.INFERIOR_ENDPLATE),
    )
    assert body_range(levels, cut, MID_L3) is MissingReason.CUT_BY_FIELD_OF_VIEW
    assert body_range(levels, absent, MID_L3) is MissingReason.NOT_FOUND
    assert body_range(levels, absent, cut) is MissingReason.NOT_FOUND, "the first that is missing"


def test_vertebrae_out_of_order_give_no_stretch_across_them_and_no_better_grade_than_review() -> None:
    good = lumbar()
    swapped = lumbar(v21=good.found[L3], v22=good.found[21])
    l2 = Landmark("vertebrae_L2", Position.INFERIOR_ENDPLATE)
    assert body_range(swapped, l2, MID_L3) is MissingReason.OUT_OF_ORDER
    whole = body_range(swapped, T12_TOP, L5_FOOT)
    assert isinstance(whole, BodyRange)
    assert whole.grade is Grade.REVIEW
    one_place = lumbar(v21=good.found[L3])
    same = Landmark("vertebrae_L2", Position.CENTRE)
    assert body_range(one_place, same, MID_L3) is MissingReason.OUT_OF_ORDER


def test_vertebrae_that_touch_are_in_order() -> None:
    upper, lower = lumbar().found[21], lumbar().found[L3]
    touching = lumbar(v21=replace(upper, lower_mm=lower.upper_mm))
    ends = (
        Landmark("vertebrae_L2", Position.INFERIOR_ENDPLATE),
        Landmark("vertebrae_L3", Position.SUPERIOR_ENDPLATE),
    )
    found = body_range(touching, *ends)
    assert isinstance(found, BodyRange)
    assert found.low_mm == found.high_mm == lower.upper_mm


def test_wrong_questions_are_refused() -> None:
    levels = lumbar()
    with pytest.raises(ValueError, match="vertebrae_L5 lower_end is not above vertebrae_T12 upper_end"):
        body_range(levels, L5_FOOT, T12_TOP)
    with pytest.raises(ValueError, match="lower_end is not above"):
        body_range(levels, Landmark("vertebrae_L3", Position.INFERIOR_ENDPLATE), MID_L3)
    with pytest.raises(ValueError, match="liver is not a single vertebra"):
        body_range(levels, Landmark("liver", Position.CENTRE), MID_L3)
    with pytest.raises(ValueError, match="the model has no vertebrae_L3"):
        body_range(Levels({T12: levels.found[T12]}, {}), T12_TOP, MID_L3)


def grid(origin: float, spacing: float) -> np.ndarray:
    affine = np.diag([2.0, 2.0, spacing, 1.0])
    affine[2, 3] = origin
    return affine


def test_slices_are_those_whose_centres_lie_inside() -> None:
    affine = grid(-100.0, 3.0)  # slices at -100, -97, ...
    assert BodyRange(-97.0, -91.0, Grade.PASS).slices(40, affine) == slice(1, 3), "the upper end is the next one's"
    assert BodyRange(-98.4, -90.6, Grade.PASS).slices(40, affine) == slice(1, 4)
    assert BodyRange(-96.0, -96.0, Grade.PASS).slices(40, affine) == slice(1, 2), "the slice that it lies in"
    assert BodyRange(-97.0, -97.0, Grade.PASS).slices(40, affine) == slice(1, 2)
    assert BodyRange(-96.9, -94.2, Grade.PASS).slices(40, affine) == slice(1, 2), (
        "it holds no centre; its middle is here"
    )
    edge = -100 - 1.5, -100 + 40 * 3 - 1.5
    assert BodyRange(*edge, Grade.PASS).slices(40, affine) == slice(0, 40)
    assert BodyRange(edge[1], edge[1], Grade.PASS).slices(40, affine) == slice(39, 40)
    for low, high in ((edge[0] - 0.1, 0.0), (-90.0, edge[1] + 0.1)):
        assert BodyRange(low, high, Grade.PASS).slices(40, affine) is MissingReason.OUTSIDE_FIELD_OF_VIEW


@given(
    st.lists(st.floats(0.0, 117.0), min_size=3, max_size=3).map(sorted),
    st.floats(-500.0, 500.0),
    st.floats(0.8, 6.0),
)
def test_stretches_that_follow_each_other_share_no_slice_and_leave_none_out(
    places: list[float], origin: float, spacing: float
) -> None:
    low, middle, high = places
    assume(min(middle - low, high - middle) > 1.01)
    heights = [origin + spacing * place for place in (low, middle, high)]
    parts = [
        BodyRange(below, above, Grade.PASS).slices(118, grid(origin, spacing))
        for below, above in ((heights[0], heights[1]), (heights[1], heights[2]), (heights[0], heights[2]))
    ]
    assert all(isinstance(part, slice) for part in parts)
    lower, upper, whole = ([*range(118)[part]] for part in parts)
    assert lower + upper == whole
    assert all(low - 0.01 <= index < high + 0.01 for index in whole)


def test_mid_l3_of_a_phantom_lies_in_l3() -> None:
    spine = phantom_spine(5.0)
    levels = find_levels(spine.labels, spine.affine, spine.box(), MODEL)
    found = body_range(levels, MID_L3, MID_L3)
    assert isinstance(found, BodyRange)
    here = found.slices(spine.labels.shape[2], spine.affine)
    assert isinstance(here, slice)
    lower, upper = spine.ends_mm[L3]
    height = spine.affine[2, 3] + 5.0 * here.start
    assert abs(height - (lower + upper) / 2) <= 5.0
    names = set(np.unique(spine.labels[:, :, here]).tolist())
    assert LABEL[L3] in names
    assert not names & {LABEL[21], LABEL[23]}
