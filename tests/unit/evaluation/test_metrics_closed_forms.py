"""Bodies whose overlap and distances are known without a computer: spheres, shifted cubes, thin sheets."""

import itertools
from math import pi, sqrt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dixonflow.evaluation.metrics.compare import compare
from dixonflow.evaluation.regions import Region

BODY = [Region("body", (1,))]
SPACINGS = [(1.0, 1.0, 1.0), (2.2, 2.2, 3.0), (1.4, 1.4, 6.0)]


def row(predicted, reference, spacing, tolerance_mm=3.0):
    return compare(
        predicted.astype(np.uint8), reference.astype(np.uint8), spacing, BODY, tolerance_mm=tolerance_mm
    ).iloc[0]


def ball(radius_mm, centre_mm, spacing, half_mm=54.0):
    axes = [np.arange(-half_mm, half_mm, s) - c for s, c in zip(spacing, centre_mm, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    return x**2 + y**2 + z**2 <= radius_mm**2


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("shift_mm", [6.0, 20.0, 45.0])
def test_shifted_balls_overlap_in_a_lens(spacing, shift_mm):
    radius = 30.0
    found = row(ball(radius, (0, 0, shift_mm / 2), spacing), ball(radius, (0, 0, -shift_mm / 2), spacing), spacing)
    lens = pi * (4 * radius + shift_mm) * (2 * radius - shift_mm) ** 2 / 12
    whole = 4 / 3 * pi * radius**3
    error = 0.002 * max(spacing)
    assert found["dice"] == pytest.approx(lens / whole, abs=error)
    assert found["under_fraction"] == pytest.approx(1 - lens / whole, abs=error)
    assert found["over_fraction"] == pytest.approx(1 - lens / whole, abs=error)
    assert found["reference_ml"] == pytest.approx(whole / 1000, rel=error)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.0, 2.0), (2.0, 1.0, 1.0)])
@pytest.mark.parametrize("tolerance_mm", [3.0, 6.0])
def test_surfaces_of_shifted_balls(spacing, tolerance_mm):
    radius, shift = 30.0, 10.0
    cosine = np.linspace(-1, 1, 20001)  # evenly spread over a sphere (Archimedes)
    distance = np.abs(np.sqrt(radius**2 + shift**2 - 2 * radius * shift * cosine) - radius)
    found = row(
        ball(radius, (0, 0, shift / 2), spacing), ball(radius, (0, 0, -shift / 2), spacing), spacing, tolerance_mm
    )
    voxel = max(spacing)  # either surface is up to half a voxel off
    assert np.mean(distance <= tolerance_mm - voxel) < found["nsd"] < np.mean(distance <= tolerance_mm + voxel)
    assert found["hd95_mm"] == pytest.approx(np.percentile(distance, 95), abs=voxel)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_balls_of_two_sizes(spacing):
    large, small = ball(34.0, (0, 0, 0), spacing), ball(28.0, (0, 0, 0), spacing)
    voxel = sqrt(sum(s**2 for s in spacing))
    found = row(large, small, spacing, 6.0 + voxel)
    assert found["nsd"] == 1
    assert found["hd95_mm"] == pytest.approx(6.0, abs=voxel)
    assert found["volume_error_percent"] == pytest.approx(100 * ((34 / 28) ** 3 - 1), rel=0.02)
    assert found["dice"] == pytest.approx(2 * 28**3 / (34**3 + 28**3), abs=0.006)
    if voxel < 5:  # at 6 mm a slice, the surfaces meet at a pole
        assert row(large, small, spacing, 6.0 - voxel)["nsd"] == 0


def cubes(size, shift, axis):
    """A block of `size` voxels, and the same shifted along an axis; the larger grid holds both."""
    reference = np.zeros([n + shift + 4 for n in size], bool)
    reference[tuple(slice(2, 2 + n) for n in size)] = True
    return np.roll(reference, shift, axis), reference


def element_areas(spacing):
    """Area of a surface element on faces, edges and the corners of a block: a face of a voxel, a chamfer, a cut corner.

    By axis: a face is normal to it, an edge runs along it.
    """
    a, b, c = spacing
    faces = (b * c, a * c, a * b)
    edges = tuple(spacing[axis] * sqrt(sum(s**2 for s in spacing) - spacing[axis] ** 2) / 2 for axis in range(3))
    return faces, edges, sqrt(sum(face**2 for face in faces)) / 8


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shift", [1, 3])
def test_shifted_blocks(spacing, axis, shift):
    size = [16, 14, 5]
    found = row(*cubes(size, shift, axis), spacing, 0.5)
    share = (size[axis] - shift) / size[axis]
    assert found["dice"] == pytest.approx(share, abs=1e-12)
    assert found["under_fraction"] == found["over_fraction"] == pytest.approx(1 - share, abs=1e-12)
    assert found["volume_error_percent"] == 0
    # Exactly the elements on the sides, from the later to the earlier end, and those on one of each block's ends.
    faces, edges, corner = element_areas(spacing)
    one, two = (other for other in range(3) if other != axis)

    def side(length):
        """Sides without their ends, `length` elements long."""
        return length * (2 * (size[two] - 1) * faces[one] + 2 * (size[one] - 1) * faces[two] + 4 * edges[axis])

    rim = 2 * (size[one] - 1) * edges[one] + 2 * (size[two] - 1) * edges[two] + 4 * corner
    end = (size[one] - 1) * (size[two] - 1) * faces[axis]
    whole = side(size[axis] - 1) + 2 * rim + 2 * end
    assert found["nsd"] == pytest.approx((side(size[axis] - shift) + rim) / whole, abs=1e-12)
    # More than 5 % of the area, the end without its rim, is as far away as the shift, and nothing is farther.
    assert end / whole > 0.05
    assert found["hd95_mm"] == pytest.approx(shift * spacing[axis], abs=1e-12)
    assert row(*cubes(size, shift, axis), spacing, shift * spacing[axis])["nsd"] == 1


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("gap", [1, 2, 5])
def test_thin_sheets_are_as_far_apart_as_their_gap(spacing, axis, gap):
    reference = np.zeros((12, 12, 12), bool)
    np.moveaxis(reference, axis, 0)[3] = True
    predicted = np.roll(reference, gap, axis)
    step = spacing[axis]
    found = row(predicted, reference, spacing, gap * step - 0.01)
    assert (found["dice"], found["under_fraction"], found["over_fraction"]) == (0, 1, 1)
    assert found["hd95_mm"] == pytest.approx(gap * step, abs=1e-12)
    # A sheet has two sides. The inner ones are a voxel less apart.
    assert found["nsd"] == pytest.approx(0.5, abs=1e-12)
    assert row(predicted, reference, spacing, gap * step)["nsd"] == 1
    if gap > 1:
        assert row(predicted, reference, spacing, (gap - 1) * step - 0.01)["nsd"] == 0


def test_a_slice_of_three_millimetres_in_single_precision_is_within_three():
    reference = np.zeros((8, 8, 8), bool)
    reference[:, :, 3] = True
    spacing = (2.2, 2.2, float(np.nextafter(np.float32(3), np.float32(4))))
    assert spacing[2] > 3
    assert row(np.roll(reference, 1, 2), reference, spacing)["nsd"] == 1


@pytest.mark.parametrize("spacing", SPACINGS)
def test_single_voxels(spacing):
    reference, predicted = np.zeros((2, 9, 7, 8), bool)
    reference[0, 0, 0] = predicted[-1, -1, -1] = True  # at both ends of the array
    found = row(predicted, reference, spacing, 0.5)
    # Of 8 elements each, all alike, the farthest is more than 5 %.
    assert found["hd95_mm"] == pytest.approx(
        sqrt(sum(((n - 1) * s) ** 2 for n, s in zip((9, 7, 8), spacing, strict=True)))
    )
    assert (found["dice"], found["nsd"]) == (0, 0)
    assert row(reference, reference, spacing)[["dice", "nsd", "hd95_mm"]].tolist() == [1, 1, 0]


def test_what_fills_the_array_has_its_surface_at_the_border():
    full = np.ones((10, 11, 12), bool)
    smaller = full.copy()
    smaller[0] = False
    found = row(smaller, full, (2.0, 2.0, 2.0), 1.0)
    assert found["hd95_mm"] == 2
    padded = row(np.pad(smaller, 3), np.pad(full, 3), (2.0, 2.0, 2.0), 1.0)
    pd.testing.assert_series_equal(found, padded)


bodies = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).choice(3, (2, 5, 4, 6), p=[0.5, 0.3, 0.2]).astype(np.uint8)
)
REGIONS = [*BODY, Region("two", (2,)), Region("union", (1, 2), composite=True)]


@given(bodies, st.permutations([0, 1, 2]))
def test_axes_in_any_order_give_the_same(maps, order):
    spacing = (1.4, 2.2, 6.0)
    turned = compare(*(each.transpose(order) for each in maps), [spacing[axis] for axis in order], REGIONS)
    pd.testing.assert_frame_equal(compare(*maps, spacing, REGIONS), turned)


@given(bodies, st.lists(st.floats(0.1, 40), min_size=2, max_size=5))
def test_more_tolerance_never_gives_less(maps, tolerances):
    found = [compare(*maps, (1.4, 2.2, 6.0), REGIONS, tolerance_mm=each)["nsd"] for each in sorted(tolerances)]
    for less, more in itertools.pairwise(found):
        assert (more.dropna() >= less.dropna()).all()
    assert pd.concat(found).dropna().between(0, 1).all()
