"""Centrelines of tubes whose length, chord and diameter are known in closed form, on the grids of the cohorts."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from dixonflow.measure.missing_reason import MissingReason
from dixonflow.measure.vessels.centreline import find_centreline
from dixonflow.measure.vessels.vessel_values import vessel_values

GRIDS = [(1.4, 1.4, 3.0), (2.2, 2.2, 3.0)]
PHASES = 3


def line(start, end) -> np.ndarray:
    return np.linspace(0, 1, 3000)[:, None] * (np.array(end) - np.array(start)) + np.array(start)


def helix(radius: float, pitch: float, turns: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi * turns, 5000)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), pitch * angle / (2 * np.pi)], axis=1)


def arc(radius: float, degrees: float) -> np.ndarray:
    angle = np.linspace(0, np.deg2rad(degrees), 2500)
    return np.stack([radius * np.cos(angle), 0 * angle, radius * np.sin(angle)], axis=1)


def cane(radius: float, leg: float) -> np.ndarray:
    """A straight leg, a half circle and a short leg, as the aorta's arch."""
    return np.vstack(
        [line((radius, 0, -leg / 3), (radius, 0, 0)), arc(radius, 180), line((-radius, 0, 0), (-radius, 0, -leg))]
    )


def elbow(radius: float, leg: float) -> np.ndarray:
    return np.vstack(
        [line((radius, 0, -leg), (radius, 0, 0)), arc(radius, 90), line((0, 0, radius), (-leg, 0, radius))]
    )


TUBES = {
    # path, radius, length and chord in closed form
    "along the body": (line((0, 0, 0), (0, 0, 200)), 12.0, 200.0, 200.0),
    "oblique": (line((0, 0, 0), (70, 40, 150)), 6.2, np.sqrt(70**2 + 40**2 + 150**2), np.sqrt(70**2 + 40**2 + 150**2)),
    "helix": (
        helix(25, 80, 1.5), 6.2, 1.5 * np.hypot(2 * np.pi * 25, 80), np.sqrt((2 * 25) ** 2 + 120**2)
    ),
    "narrow helix": (helix(15, 60, 2), 5.0, 2 * np.hypot(2 * np.pi * 15, 60), 120.0),
    "elbow": (elbow(40, 60), 10.0, 120 + 20 * np.pi, np.sqrt(2) * 100),
    "cane": (cane(35, 180), 12.0, 60 + 35 * np.pi + 180, np.hypot(70, 120)),
}  # fmt: skip


def tube(path: np.ndarray, radius: float, spacing: tuple[float, float, float], phase: int) -> np.ndarray:
    """Voxels whose centres lie in a round tube with flat ends around a path."""
    step = np.array(spacing)
    low = path.min(axis=0) - radius - 5 + np.random.default_rng(phase).uniform(0, 1, 3) * step
    shape = np.ceil((path.max(axis=0) + radius + 5 - low) / step).astype(int)
    axes = [low[axis] + step[axis] * np.arange(shape[axis]) for axis in range(3)]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    distance, nearest = cKDTree(path).query(centres)
    tangents = np.gradient(path, axis=0)
    beyond = ((centres - path[nearest]) * tangents[nearest]).sum(axis=1)
    inside = (distance <= radius) & ~((nearest == 0) & (beyond < 0))
    inside &= ~((nearest == len(path) - 1) & (beyond > 0))
    return inside.reshape(shape)


@pytest.mark.parametrize("spacing", GRIDS, ids=str)
@pytest.mark.parametrize("name", TUBES)
def test_length_and_tortuosity_are_within_two_percent(name, spacing):
    path, radius, length, chord = TUBES[name]
    diameters = []
    for phase in range(PHASES):
        mask = tube(path, radius, spacing, phase)
        found = find_centreline(mask, spacing)
        assert found is not None
        assert found.length_mm == pytest.approx(length, rel=0.02)
        assert found.chord_mm == pytest.approx(chord, rel=0.02)
        assert found.tortuosity == pytest.approx(length / chord, rel=0.02)
        diameters.append(found.diameter_mm)
        volume = mask.sum() * np.prod(spacing)
        assert found.diameter_mm == pytest.approx(2 * np.sqrt(volume / np.pi / length), rel=0.01), "of these voxels"
    # how many voxel centres lie in a tube depends on where the grid begins
    assert np.mean(diameters) == pytest.approx(2 * radius, rel=0.02)


def test_a_vessel_that_tapers_keeps_its_narrow_end():
    path, _, length, chord = TUBES["cane"]
    radii = np.interp(np.linspace(0, 1, len(path)), [0, 0.5, 1], [15.0, 12.0, 8.5])
    step = np.array((1.4, 1.4, 3.0))
    low = path.min(axis=0) - 20
    shape = np.ceil((path.max(axis=0) + 20 - low) / step).astype(int)
    axes = [low[axis] + step[axis] * np.arange(shape[axis]) for axis in range(3)]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    distance, nearest = cKDTree(path).query(centres)
    mask = (distance <= radii[nearest]) & (nearest > 0) & (nearest < len(path) - 1)
    found = find_centreline(mask.reshape(shape), (1.4, 1.4, 3.0))
    assert found is not None
    assert found.length_mm == pytest.approx(length, rel=0.02)
    assert found.tortuosity == pytest.approx(length / chord, rel=0.02)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_it_does_not_depend_on_the_order_of_axes_or_on_the_direction(axes):
    path, radius, *_ = TUBES["cane"]
    mask = tube(path, radius, (2.2, 2.2, 3.0), 0)
    spacing = tuple((2.2, 2.2, 3.0)[axis] for axis in axes)
    whole = find_centreline(mask, (2.2, 2.2, 3.0))
    turned = find_centreline(mask.transpose(axes)[::-1], spacing)
    assert whole is not None
    assert turned is not None
    assert turned.length_mm == pytest.approx(whole.length_mm, rel=0.01)


def test_what_is_no_tube_has_no_centreline():
    assert find_centreline(np.ones((3, 3, 3), bool), (2.0, 2.0, 3.0)) is None
    ball = np.linalg.norm(np.indices((31, 31, 31)) - 15.0, axis=0) <= 15
    found = find_centreline(ball, (2.0, 2.0, 2.0))
    assert found is None or found.tortuosity < 1.2


def values(labels: np.ndarray, *, removed: int = 0, uncut: float = 1.0) -> dict:
    affine = np.diag([2.2, 2.2, 3.0, 1.0])
    return dict(vessel_values(labels, affine, 1, removed, uncut, is_tube=True))


def test_pieces_and_gaps_are_counted():
    labels = np.zeros((20, 20, 90), np.uint8)
    labels[6:13, 6:13, 2:40] = 1
    labels[6:13, 6:13, 45:80] = 1
    labels[1, 1, 84] = 1
    found = values(labels, removed=2)
    assert found["components"] == 5
    assert found["largest_gap"] == pytest.approx(np.sqrt(2 * (5 * 2.2) ** 2 + (5 * 3.0) ** 2)), "to the stray"
    labels[1, 1, 84] = 0
    assert values(labels)["largest_gap"] == pytest.approx(6 * 3.0)
    assert found["centreline_length"] is MissingReason.IN_PIECES
    assert found["diameter"] is MissingReason.IN_PIECES
    whole = np.zeros_like(labels)
    whole[6:13, 6:13, 2:80] = 1
    whole[1, 1, 84] = 1
    found = values(whole)
    assert found["components"] == 2
    assert found["centreline_length"] == pytest.approx(78 * 3.0, rel=0.02)
    one = whole.copy()
    one[1, 1, 84] = 0
    assert values(one)["largest_gap"] == 0


def test_a_vessel_of_noise_has_no_gap():
    specks = np.zeros((11, 11, 2), np.uint8)
    specks[::2, ::2, 0] = 1
    assert np.count_nonzero(specks) == 36
    assert values(specks)["largest_gap"] == pytest.approx(2 * 2.2)
    specks = np.pad(specks, ((0, 2), (0, 0), (0, 0)))
    specks[12, ::2, 0] = 1
    noise = values(specks)
    assert (noise["components"], noise["largest_gap"]) == (42, MissingReason.IN_PIECES)


def test_a_cut_vessel_has_a_diameter_and_no_length():
    labels = np.zeros((20, 20, 60), np.uint8)
    labels[6:13, 6:13, :] = 1
    found = values(labels, uncut=0.97)
    assert found["centreline_length"] is MissingReason.CUT_BY_FIELD_OF_VIEW
    assert found["tortuosity"] is MissingReason.CUT_BY_FIELD_OF_VIEW
    area = (7 * 2.2) ** 2
    assert found["diameter"] == pytest.approx(2 * np.sqrt(area / np.pi), rel=0.03)


@pytest.mark.parametrize("spacing", GRIDS, ids=str)
def test_the_curve_of_a_short_tube_stays_in_it(spacing) -> None:
    """At some places of the grid a slice at an end is cut obliquely, and would throw the curve out."""
    path = line((0, 0, 0), (0, 0, 75))
    for phase in range(60):
        mask = tube(path, 6.0, spacing, phase)
        found = find_centreline(mask, spacing)
        assert found is not None
        assert found.length_mm == pytest.approx(75, abs=5)
        assert found.tortuosity < 1.05
