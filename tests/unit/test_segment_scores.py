"""Taps of the interpolation that brings class scores to another grid."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from dixonflow.segment.scores import axis_taps

sizes = st.integers(1, 60)


@given(sizes, sizes)
def test_taps_are_linear_interpolation_and_hang_on_no_row_they_do_not_need(source, target):
    taps = axis_taps(source, target, 1)
    values = np.random.default_rng(source * 61 + target).normal(size=source)
    positions = source / target * (np.arange(target) + 0.5) - 0.5
    expected = ndimage.map_coordinates(values, [positions], order=1, mode="nearest")
    np.testing.assert_allclose(taps.matrix(source) @ values, expected, atol=1e-12)
    on_a_source_voxel = taps.part == 0
    assert np.array_equal(taps.rows[0][on_a_source_voxel], taps.rows[1][on_a_source_voxel])
    assert taps.last_needed() == taps.rows[1].tolist()
    assert max(taps.last_needed()) < source
