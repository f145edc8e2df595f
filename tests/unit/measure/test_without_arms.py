"""Trunk and thighs without arms, on drawn cross-sections of which every voxel is known."""

import numpy as np
import pytest

from dixonflow.measure.compartments.without_arms import without_arms

SPACING_MM = (2.0, 2.5, 3.0)
AFFINE = np.diag([*SPACING_MM, 1.0])
SHAPE = (260, 120)
BONE = 7


def disc(x_mm: float, y_mm: float, rx_mm: float, ry_mm: float) -> np.ndarray:
    x = SPACING_MM[0] * np.arange(SHAPE[0])[:, None] - x_mm
    y = SPACING_MM[1] * np.arange(SHAPE[1])[None, :] - y_mm
    return (x / rx_mm) ** 2 + (y / ry_mm) ** 2 <= 1


TRUNK = disc(260, 150, 170, 110)


def stack(*sections: np.ndarray) -> np.ndarray:
    return np.stack(sections, axis=2).astype(np.uint8)


@pytest.mark.parametrize("gap_mm", [10.0, 2.0, 0.0, -4.0, -12.0])
def test_arms_go_whether_they_touch_or_not(gap_mm):
    arms = [disc(260 + side * (170 + 45 + gap_mm), 150, 45, 50) for side in (-1, 1)]
    found = without_arms(stack(TRUNK | arms[0] | arms[1]), AFFINE)
    body = found.mask[:, :, 0]
    assert (body & TRUNK).sum() == pytest.approx(TRUNK.sum(), rel=0.01)
    outside = (arms[0] | arms[1]) & ~TRUNK
    assert (body & outside).sum() <= 0.05 * outside.sum()
    assert not found.joined.any()


def test_arms_that_touch_by_bridges_of_two_widths_go_both():
    left, right = disc(260 - 200, 150, 40, 45), disc(260 + 206, 150, 40, 45)
    body = without_arms(stack(TRUNK | left | right), AFFINE).mask[:, :, 0]
    assert body.sum() == pytest.approx(TRUNK.sum(), rel=0.02)


def test_a_stray_humerus_in_the_trunk_takes_nothing_off():
    section = TRUNK.astype(np.uint8)
    section[disc(290, 150, 8, 8)] = BONE
    found = without_arms(section[:, :, None], AFFINE, [BONE])
    assert (found.mask[:, :, 0] == TRUNK).all()
    assert not found.joined.any()


def test_a_thin_leg_is_no_hand():
    thick, thin = disc(350, 150, 90, 95), disc(170, 150, 45, 50)
    section = (thick | thin).astype(np.uint8)
    section[disc(170, 150, 10, 10)] = BONE
    assert (without_arms(section[:, :, None], AFFINE, (), [BONE]).mask[:, :, 0] == (thick | thin)).all()


def test_an_open_ring_of_fat_is_closed_by_what_has_signal():
    ring = TRUNK & ~disc(260, 150, 150, 90)
    ring[128:132, :60] = False
    inner = disc(260, 150, 30, 25)
    labels, tissue = stack(ring | inner), TRUNK[:, :, None]
    assert not (without_arms(labels, AFFINE).mask[:, :, 0] & inner).any(), "this is why"
    body = without_arms(labels, AFFINE, tissue=tissue).mask[:, :, 0]
    assert (body & inner).sum() == inner.sum()


def test_both_thighs_stay_and_hands_go():
    thighs = [disc(260 + side * 90, 150, 85, 90) for side in (-1, 1)]
    hands = [disc(260 + side * 225, 150, 30, 40) for side in (-1, 1)]
    body = without_arms(stack(thighs[0] | thighs[1] | hands[0] | hands[1]), AFFINE).mask[:, :, 0]
    assert (body == (thighs[0] | thighs[1])).all()


def test_thighs_that_touch_are_one_and_stay_whole():
    thighs = disc(172, 150, 90, 95) | disc(348, 150, 90, 95)
    assert (without_arms(stack(thighs), AFFINE).mask[:, :, 0] == thighs).all()


def test_holes_belong_to_the_body_and_a_hollow_ring_is_no_small_piece():
    ring, organ = TRUNK & ~disc(260, 150, 140, 80), disc(260, 150, 30, 30)
    assert (without_arms(stack(ring | organ), AFFINE).mask[:, :, 0] == TRUNK).all()


def test_a_slim_trunk_without_arms_is_left_alone():
    waist = disc(260, 150, 120, 70) | disc(260, 60, 30, 30)  # a fold in front
    assert (without_arms(stack(waist), AFFINE).mask[:, :, 0] == waist).all()


def test_an_arm_that_grows_out_of_the_trunk_is_parted_by_its_bone_and_said_so():
    arm, bone = disc(260 + 180, 150, 60, 60), disc(260 + 180, 150, 12, 12)
    section = (TRUNK | arm).astype(np.uint8)
    section[bone] = BONE
    free = TRUNK.astype(np.uint8)
    found = without_arms(np.stack([section, free], axis=2), AFFINE, [BONE])
    assert found.joined.tolist() == [True, False]
    assert not (found.mask[:, :, 0] & bone).any()
    assert (found.mask[:, :, 0] & ~TRUNK).sum() < 0.2 * (arm & ~TRUNK).sum()
    assert (found.mask[:, :, 1] == TRUNK).all()


def test_an_empty_slice_has_no_body():
    assert not without_arms(stack(np.zeros(SHAPE, bool)), AFFINE).mask.any()
