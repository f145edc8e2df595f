"""Left and right checked against the body: planted mix-ups in true label maps of phantoms."""

import numpy as np
import pytest

from dixonflow.labelmap.components import find_components
from dixonflow.labelmap.laterality import Landmarks, Pair, find_laterality_errors, landmarks_of, moved, pairs_of
from dixonflow.models.load import MODELS, load_model
from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.anatomy.structures import Structure

SPACING = (4.0, 4.0, 4.0)
MODEL = load_model(MODELS / "demo.yaml")
PAIRS, MARKS = pairs_of(MODEL), landmarks_of(MODEL)


@pytest.fixture(scope="module", params=[610000, 610001, 610002, 610003])
def body(request) -> np.ndarray:
    return np.asfortranarray(render_anatomy(draw_participant(request.param), SPACING[0]).labels)


def check(labels, pairs=PAIRS, marks=MARKS):
    labels = np.asfortranarray(labels)
    sides = find_laterality_errors(find_components(labels, 26), SPACING, pairs, marks)
    return sides, moved(labels, sides.moves)


def same(result, body) -> bool:
    """But for crumbs of a muscle at the midline, which could be of either side."""
    return np.count_nonzero(result != body) <= 2


def swap(labels, *pairs):
    result = labels.copy(order="F")
    for pair in pairs:
        result[labels == pair.left], result[labels == pair.right] = pair.right, pair.left
    return result


def test_a_body_whose_sides_are_right_is_left_alone(body):
    sides, result = check(body)
    assert (sides.known, sides.mirrored, sides.unclear_voxels, len(sides.moves)) == (True, False, 0, 0)
    assert np.array_equal(result, body)


def test_every_swapped_pair_is_put_right(body):
    for pair in PAIRS:
        sides, result = check(swap(body, pair))
        assert same(result, body), pair
        assert all(move.whole for move in sides.moves)


def test_all_pairs_swapped_at_once_are_put_right(body):
    assert same(check(swap(body, *PAIRS))[1], body)


def test_both_sides_under_one_name_are_parted(body):
    for pair in PAIRS:
        one_name = body.copy(order="F")
        one_name[body == pair.left] = pair.right
        if len(find_components(one_name, 26).of(pair.right)) > 1:
            assert same(check(one_name)[1], body), pair


def test_a_piece_with_the_name_of_the_other_side_is_given_back(body):
    piece = body == Structure.KIDNEY_RIGHT
    piece[:, :, : int(np.mean(np.nonzero(piece)[2]))] = False
    mixed = np.where(piece, np.uint8(Structure.KIDNEY_LEFT), body)
    sides, result = check(mixed)
    assert np.array_equal(result, body)
    assert [(move.label, move.partner, len(move.positions)) for move in sides.moves] == [
        (Structure.KIDNEY_LEFT, Structure.KIDNEY_RIGHT, piece.sum())
    ]


def test_the_far_end_of_a_muscle_that_reaches_across_is_given_back(body):
    mixed = body.copy(order="F")
    across = (body == Structure.GLUTEUS_MAXIMUS_RIGHT) | (body == Structure.GLUTEUS_MAXIMUS_LEFT)
    mixed[across] = Structure.GLUTEUS_MAXIMUS_LEFT
    bridge = np.argwhere(across)
    y, z = bridge[len(bridge) // 2][1:]
    row = slice(bridge[:, 0].min(), bridge[:, 0].max())
    before = mixed[row, y, z].copy()
    mixed[row, y, z] = Structure.GLUTEUS_MAXIMUS_LEFT  # the two sides hang together
    sides, result = check(mixed)
    result[row, y, z] = before
    assert False in [move.whole for move in sides.moves if move.label == Structure.GLUTEUS_MAXIMUS_LEFT]
    right = body == Structure.GLUTEUS_MAXIMUS_RIGHT
    assert (result == Structure.GLUTEUS_MAXIMUS_RIGHT).sum() > 0.6 * right.sum()
    assert not ((result == Structure.GLUTEUS_MAXIMUS_RIGHT) & (body == Structure.GLUTEUS_MAXIMUS_LEFT)).any()


def test_an_organ_that_reaches_across_is_counted_and_not_cut(body):
    mixed = body.copy(order="F")
    mixed[body == Structure.KIDNEY_RIGHT] = Structure.KIDNEY_LEFT
    right, left = (
        np.argwhere(body == kidney).mean(axis=0).astype(int)
        for kidney in (Structure.KIDNEY_RIGHT, Structure.KIDNEY_LEFT)
    )
    z = right[2]
    mixed[left[0] : right[0], right[1] - 1 : right[1] + 2, z] = Structure.KIDNEY_LEFT
    mixed[left[0], min(left[1], right[1]) - 1 : max(left[1], right[1]) + 2, z] = Structure.KIDNEY_LEFT
    mixed[left[0], left[1], min(left[2], z) : max(left[2], z) + 1] = Structure.KIDNEY_LEFT
    sides, result = check(mixed)
    assert sides.unclear_voxels > 0.5 * (body == Structure.KIDNEY_RIGHT).sum()
    assert np.array_equal(result == Structure.KIDNEY_LEFT, mixed == Structure.KIDNEY_LEFT)


def test_a_mirrored_body_is_named_and_not_touched(body):
    sides, result = check(body[::-1])
    assert sides.mirrored
    assert np.array_equal(result, body[::-1])


def test_without_spine_pelvis_and_thighs_nothing_is_said():
    labels = np.zeros((20, 20, 40), np.uint8, order="F")
    labels[2:5, 5:8, 10:20], labels[14:17, 5:8, 10:20] = Structure.KIDNEY_RIGHT, Structure.KIDNEY_LEFT
    sides, result = check(labels)
    assert not sides.known
    assert np.array_equal(result, labels)


def test_the_spine_leads_where_it_is_curved():
    labels = np.zeros((60, 20, 60), np.uint8, order="F")
    for z in range(60):
        middle = 30 + round(12 * np.sin(np.pi * z / 60))
        labels[middle - 2 : middle + 3, 5:9, z] = Structure.VERTEBRA_BODY
        labels[middle + 5 : middle + 9, 5:9, z] = Structure.AUTOCHTHON_RIGHT
        labels[middle - 9 : middle - 5, 5:9, z] = Structure.AUTOCHTHON_LEFT
    assert not check(labels)[0].moves
    swapped = swap(labels, Pair(Structure.AUTOCHTHON_LEFT, Structure.AUTOCHTHON_RIGHT, stays=True))
    assert np.array_equal(check(swapped)[1], labels)


def test_the_layout_of_the_label_map_is_checked():
    with pytest.raises(ValueError, match="Fortran"):
        find_laterality_errors(find_components(np.ones((2, 2, 2), np.uint8), 26), SPACING, PAIRS, Landmarks((), ()))
