"""Ranges between landmarks: their heights and the weights of their slices, or why there are none."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spine import LABEL, MODEL, phantom_spine

from dixonflow.measure.compartments.body_range import BodyRange, Landmarks, body_range
from dixonflow.measure.compartments.landmark import Landmark, Position
from dixonflow.measure.levels import Level, Levels, find_levels
from dixonflow.measure.missing_reason import MissingReason

T12, L3, L5, SACRUM = 19, 22, 24, 26
MID_L3 = Landmark("vertebrae_L3", Position.CENTRE)
T12_TOP, L5_FOOT = (
    Landmark("vertebrae_T12", Position.SUPERIOR_ENDPLATE),
    Landmark("vertebrae_L5", Position.INFERIOR_ENDPLATE),
)
HIPS = Landmark("hips", Position.INFERIOR_ENDPLATE)
BONES: dict[str, float | MissingReason] = {"hips": -1100.0, "femurs": MissingReason.CUT_BY_FIELD_OF_VIEW}


def lumbar(**changes: Level) -> Landmarks:
    """T12 to L5 and sacrum, 36 mm apart, bodies of 27 mm; T11 cut, the rest not found."""
    found = {vertebra: Level(-36.0 * vertebra, 27 - 36.0 * vertebra) for vertebra in (*range(T12, L5 + 1), SACRUM - 1)}
    found[SACRUM] = Level(-1000.0, found.pop(SACRUM - 1).upper_mm)
    missing = dict.fromkeys(range(1, 18), MissingReason.NOT_FOUND) | {18: MissingReason.CUT_BY_FIELD_OF_VIEW}
    levels = Levels(found | {int(name[1:]): level for name, level in changes.items()}, missing)
    return Landmarks(levels, BONES)


def test_heights_are_those_of_the_landmarks() -> None:
    levels = lumbar()
    middle = -36.0 * L3 + 13.5
    assert body_range(levels, MID_L3, MID_L3) == BodyRange(middle, middle)
    assert body_range(levels, T12_TOP, L5_FOOT) == BodyRange(-36.0 * L5, 27 - 36.0 * T12)


def test_a_missing_landmark_is_the_reason_and_never_another_one() -> None:
    levels = lumbar()
    cut, absent = (
        Landmark("vertebrae_T11", Position.INFERIOR_ENDPLATE),
        Landmark("vertebrae_C7", Position.INFERIOR_ENDPLATE),
    )
    assert body_range(levels, cut, MID_L3) is MissingReason.CUT_BY_FIELD_OF_VIEW
    assert body_range(levels, absent, MID_L3) is MissingReason.NOT_FOUND
    assert body_range(levels, absent, cut) is MissingReason.NOT_FOUND, "the first that is missing"


def found_in(landmarks: Landmarks) -> Mapping[int, Level]:
    assert landmarks.levels is not None
    return landmarks.levels.found


def test_vertebrae_out_of_order_give_no_range_across_them() -> None:
    found = found_in(lumbar())
    swapped = lumbar(v21=found[L3], v22=found[21])
    l2 = Landmark("vertebrae_L2", Position.INFERIOR_ENDPLATE)
    assert body_range(swapped, l2, MID_L3) is MissingReason.OUT_OF_ORDER
    assert isinstance(body_range(swapped, T12_TOP, L5_FOOT), BodyRange)
    one_place = lumbar(v21=found[L3])
    same = Landmark("vertebrae_L2", Position.CENTRE)
    assert body_range(one_place, same, MID_L3) is MissingReason.OUT_OF_ORDER


def test_vertebrae_that_touch_are_in_order() -> None:
    levels = found_in(lumbar())
    upper, lower = levels[21], levels[L3]
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
    for wrong in (Landmark("liver", Position.CENTRE), Landmark("hips", Position.CENTRE)):
        with pytest.raises(ValueError, match="is no landmark"):
            body_range(levels, wrong, wrong)


def test_a_landmark_that_no_model_labels_is_said_so() -> None:
    nothing = Landmarks(None, dict.fromkeys(BONES, MissingReason.NO_LANDMARK))
    for landmark in (MID_L3, HIPS):
        assert body_range(nothing, landmark, landmark) is MissingReason.NO_LANDMARK
    some = Landmarks(Levels({T12: found_in(lumbar())[T12]}, {}), BONES)
    assert body_range(some, T12_TOP, MID_L3) is MissingReason.NO_LANDMARK, "the model does not name L3"


def test_ranges_between_bones_and_vertebrae() -> None:
    thigh = Landmark("hips", Position.INFERIOR_ENDPLATE, -150.0)
    assert body_range(lumbar(), HIPS, thigh) == BodyRange(-1250.0, -1100.0)
    assert body_range(lumbar(), T12_TOP, HIPS) == BodyRange(-1100.0, 27 - 36.0 * T12)
    femurs = Landmark("femurs", Position.SUPERIOR_ENDPLATE)
    assert body_range(lumbar(), T12_TOP, femurs) is MissingReason.CUT_BY_FIELD_OF_VIEW
    assert body_range(lumbar(), HIPS, L5_FOOT) is MissingReason.OUT_OF_ORDER


def grid(origin: float, spacing: float) -> np.ndarray:
    affine = np.diag([2.0, 2.0, spacing, 1.0])
    affine[2, 3] = origin
    return affine


def weights(low: float, high: float, depth: int, affine: np.ndarray) -> np.ndarray:
    found = BodyRange(low, high).weights(depth, affine)
    assert isinstance(found, np.ndarray)
    return found


def test_slices_count_by_the_share_that_lies_inside() -> None:
    affine = grid(-100.0, 3.0)  # slices at -100, -97, ...
    assert weights(-98.5, -92.5, 5, affine).tolist() == [0, 1, 1, 0, 0]
    assert weights(-97.0, -91.0, 5, affine) == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert weights(-96.9, -96.6, 5, affine) == pytest.approx([0, 0.1, 0, 0, 0]), "less than a slice"
    assert weights(-97.0, -97.0, 5, affine).tolist() == [0, 1, 0, 0, 0], "a level, in the middle of a slice"
    assert weights(-96.0, -96.0, 5, affine) == pytest.approx([0, 2 / 3, 1 / 3, 0, 0]), "or between two"
    edge = -100 - 1.5, -100 + 40 * 3 - 1.5
    assert weights(*edge, 40, affine).tolist() == [1] * 40
    assert weights(edge[1], edge[1], 40, affine).tolist() == [0] * 39 + [1]
    for low, high in ((edge[0] - 0.1, 0.0), (-90.0, edge[1] + 0.1)):
        assert BodyRange(low, high).weights(40, affine) is MissingReason.OUTSIDE_FIELD_OF_VIEW


@given(
    st.lists(st.floats(0.0, 117.0), min_size=3, max_size=3, unique=True).map(sorted),
    st.floats(-500.0, 500.0),
    st.floats(0.8, 6.0),
)
def test_ranges_that_follow_each_other_share_nothing_and_leave_nothing_out(
    places: list[float], origin: float, spacing: float
) -> None:
    low, middle, high = (origin + spacing * place for place in places)
    if not low < middle < high:  # too close for this origin
        return
    affine = grid(origin, spacing)
    lower, upper, whole = (weights(*ends, 118, affine) for ends in ((low, middle), (middle, high), (low, high)))
    assert lower + upper == pytest.approx(whole, abs=1e-6)
    assert whole.sum() * spacing == pytest.approx(high - low, abs=1e-6)


def test_mid_l3_of_a_phantom_lies_in_l3() -> None:
    spine = phantom_spine(5.0)
    landmarks = Landmarks(find_levels(spine.labels, spine.affine, spine.box(), MODEL), BONES)
    found = body_range(landmarks, MID_L3, MID_L3)
    assert isinstance(found, BodyRange)
    lower, upper = spine.ends_mm[L3]
    assert found.low_mm == found.high_mm == pytest.approx((lower + upper) / 2, abs=5.0)
    here = weights(found.low_mm, found.high_mm, spine.labels.shape[2], spine.affine) > 0
    names = set(np.unique(spine.labels[:, :, here]).tolist())
    assert LABEL[L3] in names
    assert not names & {LABEL[21], LABEL[23]}
