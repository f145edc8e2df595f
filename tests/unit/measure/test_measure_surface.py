import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from dixonflow.measure import surface as surface_module
from dixonflow.measure.field_of_view import StationBox, field_of_view
from dixonflow.measure.surface import surface

CUBE = arrays(np.uint8, (4, 5, 3), elements=st.integers(0, 3))
FACES = (6.0, 3.0, 2.0)  # spacing 1 x 2 x 3 mm


def affine(x: float, y: float, z: float) -> np.ndarray:
    return np.diag([x, y, z, 1.0])


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> StationBox:
    return StationBox(0, low, high)


def test_a_cuboid_inside_has_all_its_surface():
    region = np.zeros((7, 7, 7), np.uint8)
    region[1:4, 2:6, 1:6] = 1  # 3 x 4 x 5 voxels
    found = surface(region, None, 2, FACES)
    assert found.area_mm2[1].sum() == 2 * (4 * 5 * 6 + 3 * 5 * 3 + 3 * 4 * 2)
    assert found.cut_mm2([1]) == 0
    assert found.uncut_share([1]) == 1
    assert found.interior[region == 1].sum() == 1 * 2 * 3


def test_the_part_on_the_edge_of_the_volume_is_cut():
    region = np.zeros((6, 6, 6), np.uint8)
    region[2:4, 2:4, :3] = 1
    found = surface(region, None, 2, (1.0, 1.0, 1.0))
    assert found.cut_mm2([1]) == 4
    assert found.uncut_share([1]) == pytest.approx(1 - 4 / (4 + 4 + 4 * 2 * 3))


def test_faces_between_the_parts_of_a_composite_are_not_surface():
    region = np.ones((4, 4, 4), np.uint8)
    region[2:] = 2
    found = surface(region, None, 3, (1.0, 1.0, 1.0))
    assert found.uncut_share([1, 2]) == 0
    assert found.uncut_share([1]) == pytest.approx(16 / (16 + 16 + 4 * 8))
    assert found.cut_mm2([1, 2]) == 6 * 16


@settings(max_examples=50, deadline=None)
@given(CUBE, arrays(bool, (4, 5, 3)), st.sampled_from([17, 1 << 18]))
def test_interior_is_erosion_by_one_voxel(region, inside, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surface_module, "VOXELS_AT_ONCE", at_once)
        found = surface(region, inside, 4, FACES)
    for label in (1, 2, 3):
        mask = (region == label) & inside
        expected = ndimage.binary_erosion(mask, ndimage.generate_binary_structure(3, 1))
        assert np.array_equal(found.interior & mask, expected)
        exposed = sum(
            face * np.abs(np.diff(np.pad(mask, 1).astype(int), axis=axis)).sum() for axis, face in enumerate(FACES)
        )
        assert found.area_mm2[label].sum() == pytest.approx(exposed)


def test_field_of_view_is_the_union_of_the_stations():
    grid = affine(2, 2, 3)
    upper, lower = box((-1, 1, 7.5), (19, 9, 29)), box((-1, -1, -1.5), (9, 19, 13.5))
    inside = field_of_view((10, 10, 10), grid, [upper, lower])
    x, y, z = (2 * np.arange(10), 2 * np.arange(10), 3 * np.arange(10))
    first = np.ix_((x > -1) & (x < 19), (y > 1) & (y < 9), (z > 7.5) & (z < 29))
    second = np.ix_((x > -1) & (x < 9), (y > -1) & (y < 19), (z > -1.5) & (z < 13.5))
    expected = np.zeros((10, 10, 10), bool)
    expected[first] = expected[second] = True
    assert np.array_equal(inside, expected)


def test_stations_that_see_everything_need_no_mask():
    grid = affine(2.232, 2.232, 3)
    whole = box((-1.116, -1.116, -1.5), (8 * 2.232 - 1.116, 7 * 2.232 - 1.116, 6 * 3 - 1.5))
    assert field_of_view((8, 7, 6), grid, [whole]) is None
    halves = [box(whole.low_mm, (*whole.high_mm[:2], 7.5)), box((*whole.low_mm[:2], 7.5), whole.high_mm)]
    assert field_of_view((8, 7, 6), grid, halves) is None


def test_stations_beside_the_grid_are_refused():
    for boxes in ([], [box((100, 0, 0), (200, 10, 10))]):
        with pytest.raises(ValueError, match="no station box"):
            field_of_view((4, 4, 4), affine(1, 1, 1), boxes)


def test_a_box_is_read_from_the_sidecar():
    record = {"index": 2, "low_mm": [1, 2, 3], "high_mm": [4.5, 5, 6], "intensity_factor": 1.0}
    assert StationBox.from_record(record) == StationBox(2, (1.0, 2.0, 3.0), (4.5, 5.0, 6.0))
    with pytest.raises(KeyError):
        StationBox.from_record({"index": 0, "low_mm": [0, 0, 0]})
