"""Dice of label maps of one scan, against its definition written out."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dixonflow.labelmap.dice import pairwise_dice

LABELS = (1, 2, 5)


def literal(maps: list[np.ndarray], label: int) -> float | None:
    dice = []
    for one, other in itertools.combinations(maps, 2):
        size = (one == label).sum() + (other == label).sum()
        if size:
            dice.append(2 * ((one == label) & (other == label)).sum() / size)
    return float(np.mean(dice)) if dice else None


@given(st.integers(1, 4), st.data())
def test_dice_is_that_of_its_definition(number: int, data: st.DataObject) -> None:
    values = st.sampled_from([0, *LABELS])
    kind = data.draw(st.sampled_from([np.uint8, np.uint16]))
    maps = [data.draw(arrays(kind, (3, 2, 4), elements=values)) for _ in range(number)]
    found = pairwise_dice(maps, LABELS)
    assert list(found) == [1, 2, 5]
    for label in LABELS:
        expected = literal(maps, label)
        assert found[label] == (None if expected is None else pytest.approx(expected, abs=1e-15))


def test_a_label_that_only_some_have_and_one_that_none_has() -> None:
    with_it, without = np.full((2, 2, 2), 1, np.uint8), np.zeros((2, 2, 2), np.uint8)
    assert pairwise_dice([with_it, with_it], [1, 2]) == {1: 1.0, 2: None}
    assert pairwise_dice([with_it, without, without], [1]) == {1: 0.0}  # the pair of those without has no Dice
    assert pairwise_dice([with_it, with_it, without], [1]) == {1: pytest.approx(1 / 3)}
    assert pairwise_dice([with_it], [1]) == {1: None}
    assert pairwise_dice([], [1]) == {1: None}


def test_the_order_of_the_maps_and_of_their_memory_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 4, (5, 6, 7)).astype(np.uint8) for _ in range(3)]
    found = pairwise_dice(maps, (1, 2, 3))
    turned = [np.asfortranarray(one) for one in reversed(maps)]
    assert pairwise_dice(turned, (3, 2, 1)) == {label: pytest.approx(dice, abs=1e-15) for label, dice in found.items()}


def test_maps_that_cannot_be_compared_are_refused() -> None:
    one = np.full((2, 3, 4), 5, np.uint8)
    with pytest.raises(ValueError, match="different shapes"):
        pairwise_dice([one, one[1:]], [5])
    for labels in ([1], [1, 9]):
        with pytest.raises(ValueError, match="label 5, which its model does not have"):
            pairwise_dice([one, one], labels)
