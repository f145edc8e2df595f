import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from dixonflow.labelmap import components as components_module
from dixonflow.labelmap.component_rules import (
    CleanedLabels,
    ComponentLimit,
    drop_surplus,
    drop_surplus_then_keep_largest,
)
from dixonflow.labelmap.components import bounding_box, find_components

SHAPE = (5, 4, 6)
VOLUMES = arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 1, 2, 7]))
STRUCTURES = {6: ndimage.generate_binary_structure(3, 1), 26: np.ones((3, 3, 3))}


def line(*runs: tuple[int, int]) -> np.ndarray:
    """Volume of one row along x: pairs of label and length."""
    return np.repeat([label for label, _ in runs], [length for _, length in runs]).astype(np.uint8)[:, None, None]


def surplus_dropped(volume, limits, voxel_mm3, *, spare_largest):
    return drop_surplus(volume, find_components(volume, 26), limits, voxel_mm3, spare_largest=spare_largest)


@settings(max_examples=60, deadline=None)
@given(VOLUMES, st.sampled_from([6, 26]), st.sampled_from("CF"))
def test_components_are_those_of_scipy(volume, connectivity, order):
    components = find_components(np.array(volume, order=order), connectivity)
    for label in (1, 2, 7):
        theirs, count = ndimage.label(volume == label, STRUCTURES[connectivity])
        expected = sorted(np.bincount(theirs.ravel())[1:].tolist())
        ids = components.of(label)
        assert len(ids) == count
        assert sorted(components.voxels[ids].tolist()) == expected
    assert components.voxels.sum() == volume.size
    everything = components.positions(np.arange(len(components.label)) > 0)
    assert sorted(everything.tolist()) == np.flatnonzero(volume.ravel(order=components.order)).tolist()


@settings(max_examples=150, deadline=None)
@given(
    arrays(np.uint8, st.tuples(*[st.integers(1, 7)] * 3), elements=st.sampled_from([0, 0, 1, 2, 7])),
    st.sampled_from("CF"),
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 6)),
    st.booleans(),
    st.sampled_from([2, 1 << 20]),
)
def test_one_pass_does_what_dropping_and_keeping_do_one_after_the_other(volume, order, limit, spare, at_once):
    limits = {1: ComponentLimit(*limit), 2: ComponentLimit(1, 1, 3.0), 7: ComponentLimit(0, 1000, 9.0)}
    expected = volume.copy()
    for label, bound in limits.items():
        parts, count = ndimage.label(volume == label, STRUCTURES[26])
        if count and not bound.minimum <= count <= bound.maximum:
            sizes = np.bincount(parts.ravel())
            small = sizes <= bound.drop_mm3
            if spare and small[1:].all():
                small[1 + np.argmax(sizes[1:])] = False
            expected[(parts > 0) & small[parts]] = 0
    for label in (1, 7):
        parts, count = ndimage.label(expected == label, STRUCTURES[6])
        if count > 1:
            expected[(parts > 0) & (parts != 1 + np.argmax(np.bincount(parts.ravel())[1:]))] = 0
    laid_out = np.array(volume, order=order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(components_module, "VOXELS_AT_ONCE", at_once)
        result = drop_surplus_then_keep_largest(laid_out, limits, 1.0, {1, 7, 9}, spare_largest=spare)
    assert np.array_equal(result, expected)
    assert np.array_equal(laid_out, volume), "the input is not changed"
    strided = np.repeat(volume, 2, axis=0)[::2]
    assert np.array_equal(drop_surplus_then_keep_largest(strided, limits, 1.0, {1, 7}, spare_largest=spare), expected)


@settings(max_examples=40, deadline=None)
@given(arrays(np.uint8, (4, 3, 5), elements=st.sampled_from([0] * 12 + [3])), st.sampled_from("CF"))
def test_bounding_box_is_that_of_scipy(volume, order):
    found = bounding_box(np.array(volume, order=order))
    expected = ndimage.find_objects((volume > 0).astype(int))
    assert found == (expected[0] if expected else (slice(0, 0),) * 3)


def test_labels_without_a_limit_are_refused():
    with pytest.raises(ValueError, match=r"no limit: \[5, 9\]"):
        surplus_dropped(line((4, 1), (5, 2), (9, 1)), {4: ComponentLimit(1, 1, 1.0)}, 1.0, spare_largest=True)


def test_components_touching_by_an_edge_are_one_for_counting_and_two_for_the_largest():
    volume = np.zeros((4, 4, 1), np.uint8)
    volume[0, 0] = volume[1, 1] = volume[2, 1] = 3
    assert len(find_components(volume, 26).of(3)) == 1
    assert len(find_components(volume, 6).of(3)) == 2
    limits = {3: ComponentLimit(0, 1, 2.0)}
    kept = drop_surplus_then_keep_largest(volume, limits, 1.0, {3}, spare_largest=True)
    assert kept.sum() == 6, "one too few to be dropped, two of which the larger is kept"


def test_neighbouring_labels_are_not_connected():
    assert len(find_components(line((1, 2), (2, 3), (1, 2)), 26).of(1)) == 2


def test_surplus_is_dropped_at_the_threshold_and_not_above():
    volume = line((1, 5), (0, 1), (1, 2), (0, 1), (1, 3))
    limits = {1: ComponentLimit(1, 1, 4.0)}
    result, dropped = surplus_dropped(volume, limits, 2.0, spare_largest=True)
    assert np.array_equal(result, line((1, 5), (0, 4), (1, 3)))
    assert dropped == [CleanedLabels(1, found=3, components=1, voxels=2)]
    result, _ = surplus_dropped(volume, {1: ComponentLimit(1, 1, 3.9999)}, 2.0, spare_largest=True)
    assert np.array_equal(result, line((1, 5), (0, 4), (1, 3))), "a threshold rounded to 0.0001 mm3 counts the same"
    result, dropped = surplus_dropped(volume, {1: ComponentLimit(1, 1, 3.0)}, 2.0, spare_largest=True)
    assert np.array_equal(result, volume)
    assert dropped == []


def test_allowed_counts_are_left_alone():
    volume = line((1, 5), (0, 1), (1, 2))
    result, dropped = surplus_dropped(volume, {1: ComponentLimit(1, 2, 1e9)}, 1.0, spare_largest=False)
    assert np.array_equal(result, volume)
    assert dropped == []
    assert result is not volume


def test_too_few_components_are_dropped_as_published_or_spared():
    volume = line((4, 3), (0, 2), (5, 2))
    limits = {4: ComponentLimit(2, 2, 10.0), 5: ComponentLimit(1, 1, 10.0)}
    published, dropped = surplus_dropped(volume, limits, 1.0, spare_largest=False)
    assert not (published == 4).any()
    assert dropped == [CleanedLabels(4, found=1, components=1, voxels=3)]
    spared, dropped = surplus_dropped(volume, limits, 1.0, spare_largest=True)
    assert np.array_equal(spared, volume)
    assert dropped == []


def test_the_published_rule_deletes_every_component_under_the_threshold():
    volume = line((1, 2), (0, 1), (1, 4))
    limits = {1: ComponentLimit(1, 1, 4.0)}
    assert not surplus_dropped(volume, limits, 1.0, spare_largest=False)[0].any()
    assert np.array_equal(surplus_dropped(volume, limits, 1.0, spare_largest=True)[0], line((0, 3), (1, 4)))


def test_uint16_labels_above_255():
    volume = line((1, 2), (0, 1), (1, 1)).astype(np.uint16) * 300
    kept = drop_surplus_then_keep_largest(volume, {300: ComponentLimit(0, 9, 0.0)}, 1.0, {300}, spare_largest=True)
    assert kept.dtype == np.uint16
    assert kept.sum() == 600


@pytest.mark.parametrize("wrong", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 2), np.int16)])
def test_what_is_not_a_label_map_is_refused(wrong):
    with pytest.raises(ValueError, match="label map"):
        find_components(wrong, 26)
