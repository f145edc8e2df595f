"""Label maps of single stations on the grid of the stitched image."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dixonflow.resample.label_maps import StationLabels, join_stations


def grid(shape, spacing, first):
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = first
    return shape, affine


def station(shape, spacing, first, value, reached=None):
    shape, affine = grid(shape, spacing, first)
    return StationLabels(np.full(shape, value, np.uint8), affine, reached)


def test_each_plane_is_the_station_s_that_it_lies_deeper_in():
    upper = station((4, 4, 10), (2, 2, 3), (0, 0, 30), 1)
    lower = station((4, 4, 10), (2, 2, 3), (0, 0, 15), 2)
    joined = join_stations([lower, upper], *grid((4, 4, 15), (2, 2, 3), (0, 0, 15)))
    # boxes 13.5 to 43.5 and 28.5 to 58.5 mm; the middle of what they share lies at 36 mm, between planes 6 and 7
    assert joined[0, 0].tolist() == [2] * 8 + [1] * 7 or joined[0, 0].tolist() == [2] * 7 + [1] * 8
    assert (joined == joined[:1, :1]).all()


def test_background_of_the_deeper_station_is_background():
    upper = station((2, 2, 6), (2, 2, 3), (0, 0, 9), 1)
    lower = station((2, 2, 6), (2, 2, 3), (0, 0, 0), 0)
    joined = join_stations([upper, lower], *grid((2, 2, 9), (2, 2, 3), (0, 0, 0)))
    assert joined[0, 0].tolist() == [0] * 4 + [1] * 5 or joined[0, 0].tolist() == [0] * 5 + [1] * 4


def test_what_a_station_does_not_reach_is_filled_by_another():
    narrow = station((2, 4, 8), (2, 2, 3), (2, 0, 0), 1)
    wide = station((4, 4, 8), (2, 2, 3), (0, 0, 12), 2)
    joined = join_stations([narrow, wide], *grid((4, 4, 12), (2, 2, 3), (0, 0, 0)))
    assert joined[:, 0, 5].tolist() == [2, 1, 1, 2]
    assert joined[:, 0, 0].tolist() == [0, 1, 1, 0]
    assert joined[:, 0, 11].tolist() == [2] * 4
    corner = np.ones((2, 4, 8), np.uint8)
    corner[0, 0] = 0
    cornered = StationLabels(narrow.labels, narrow.affine, corner)
    joined = join_stations([cornered, wide], *grid((4, 4, 12), (2, 2, 3), (0, 0, 0)))
    assert joined[:, 0, 5].tolist() == [2, 2, 1, 2]
    assert joined[:, 0, 0].tolist() == [0, 0, 1, 0]
    assert joined[:, 1, 5].tolist() == [2, 1, 1, 2]


@given(st.integers(1, 5), st.integers(0, 4), st.permutations(range(3)), st.integers(0, 1000))
def test_one_label_map_cut_into_stations_is_joined_again(overlap, shift, order, seed):
    """Whatever the overlap and the order of the stations, where their grids are the target's."""
    whole = np.random.default_rng(seed).integers(0, 9, (5, 6, 30)).astype(np.uint8)
    shape, affine = grid(whole.shape, (2.2, 2.2, 3.0), (-7.7, 3.1, shift - 500.0))
    cuts = [(0, 10 + overlap), (10, 20 + overlap), (20, 30)]
    stations = []
    for start, stop in cuts:
        _, own = grid(shape, (2.2, 2.2, 3.0), affine[:3, 3] + [0, 0, 3.0 * start])
        stations.append(StationLabels(whole[:, :, start:stop], own))
    joined = join_stations([stations[number] for number in order], shape, affine)
    np.testing.assert_array_equal(joined, whole)
    assert joined.dtype == np.uint8
