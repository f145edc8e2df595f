"""Corrections of label maps whose result is known in closed form."""

import numpy as np
import pytest

from dixonflow.retraining.harmonise import (
    HarmoniseSettings,
    body_mask,
    close_gaps,
    drop_outside,
    fill_holes,
    harmonised,
)

SPACING = (2.0, 1.0, 3.0)


def shell():
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[1:8, 1:8, 1:8] = 3
    labels[3:6, 3:6, 3:6] = 0
    return labels


def test_a_cavity_is_filled_and_what_lies_in_it_stays():
    labels = shell()
    labels[4, 4, 4] = 7
    filled = fill_holes(labels, [3])
    assert np.count_nonzero(filled == 3) == 7**3 - 1 and filled[4, 4, 4] == 7
    assert np.array_equal(labels == 3, shell() == 3)  # the input is as it was


def test_an_open_cavity_and_other_structures_stay():
    labels = shell()
    labels[4, 4, 0:3] = 0
    assert np.array_equal(fill_holes(labels, [3]), labels)
    assert np.array_equal(fill_holes(shell(), [1, 200]), shell())


@pytest.mark.parametrize(("axis", "voxels"), [(0, 2), (1, 5), (2, 1)])
def test_a_gap_of_six_millimetres_is_closed_in_the_middle_and_a_wider_one_not(axis, voxels):
    labels = np.zeros((14, 14, 14), np.uint8)
    column = np.zeros(14, np.uint8)
    column[1:4], column[4 + voxels : 9 + voxels] = 1, 2
    labels[...] = np.moveaxis(np.broadcast_to(column, (14, 14, 14)), 2, axis)
    closed = np.moveaxis(close_gaps(labels, 1, 2, SPACING, 6.0), axis, 2)[5, 5]
    assert closed.tolist() == [0] + [1] * (3 + (voxels + 1) // 2) + [2] * (5 + voxels // 2) + [0] * (5 - voxels)
    assert np.array_equal(close_gaps(labels, 1, 2, SPACING, 5.9), labels)


def test_a_third_structure_in_the_gap_stays_and_one_that_is_missing_changes_nothing():
    labels = np.zeros((7, 3, 3), np.uint8)
    labels[0:2], labels[2], labels[4:] = 1, 9, 2
    closed = close_gaps(labels, 1, 2, (1.0, 1.0, 1.0), 3.0)
    assert closed[:, 1, 1].tolist() == [1, 1, 9, 2, 2, 2, 2]
    assert np.array_equal(close_gaps(labels, 1, 5, (1.0, 1.0, 1.0), 50.0), labels)
    apart = np.zeros((40, 3, 3), np.uint8)
    apart[0], apart[39] = 1, 2
    assert np.array_equal(close_gaps(apart, 1, 2, (1.0, 1.0, 1.0), 5.0), apart)


def body():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 20, (30, 30, 8)).astype(np.int16)
    image[5:25, 8:22] = rng.integers(400, 600, (20, 14, 8))
    image[10:15, 12:18] = 5  # the lungs
    image[1:3, 1:3, 2:4] = 500  # something bright in the air
    return image


def test_the_body_is_found_with_its_cavities_and_nothing_else():
    mask = body_mask([body(), body()])
    expected = np.zeros(mask.shape, bool)
    expected[5:25, 8:22] = True
    assert (mask & expected).sum() == expected.sum() and not mask[:3, :3].any()
    assert not mask[:4].any() and not mask[26:].any() and not mask[:, :7].any() and not mask[:, 23:].any()
    assert not body_mask([np.zeros((4, 4, 4), np.int16)]).any()


def test_labels_in_the_air_are_dropped():
    labels = np.full((30, 30, 8), 4, np.uint8)
    kept = drop_outside(labels, body_mask([body()]))
    assert kept.dtype == np.uint8 and kept[2, 2, 2] == 0 and kept[12, 14, 3] == 4 and kept[0, 0].max() == 0


def test_each_correction_is_counted_and_all_are_off_by_default():
    labels = shell()
    numbers = {"liver": 3, "spleen": 1}
    nothing, changed = harmonised(labels, [], SPACING, HarmoniseSettings(), numbers)
    assert np.array_equal(nothing, labels) and changed == {}
    settings = HarmoniseSettings(fill_holes=("liver",), close_gaps=(("liver", "spleen"),), drop_outside_body=True)
    found, changed = harmonised(labels, [np.zeros(labels.shape)], SPACING, settings, numbers)
    assert changed == {"fill_holes": 27, "close_gaps": 0, "drop_outside_body": 343} and not found.any()
