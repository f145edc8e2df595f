"""The centreline of a tube on the grid of its label map: length, chord and diameter.

The voxels are put in order along the tube by their distance from one end inside it, then by the nearest point of a
curve through the middles of the cross-sections, which is improved a few times. In a bend the outer half of a slice of
the tube holds more voxels than the inner one, so that each voxel counts by the inverse of that share; else the curve
would run outside the middle by r^2 / (4 R) (r radius of the tube, R of the bend).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import UnivariateSpline
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from dixonflow.imaging.types import Mask

FEWEST_VOXELS = 40
"""Fewer voxels have no direction."""

_ROUNDS = 4
_STEP_MM = 0.5
"""Distance of the points of the curve."""

_WHOLE_SHARE = 0.8
"""A slice at an end is whole from this share of the usual number of voxels in its neighbourhood on."""

_NEAR = 9
"""So many slices from it inwards are its neighbourhood: vessels taper."""

_SMALLEST_SHARE = 0.2
"""A voxel counts at most five times as much as in a straight tube."""


@dataclass(frozen=True)
class Centreline:
    """A tube along its middle.

    Attributes
    ----------
    points_mm
        From one end to the other, shape (n, 3), of the grid's own axes.
    length_mm
        Along the curve, from end to end.
    chord_mm
        Straight from end to end.
    diameter_mm
        Of a round tube of the same length and volume.
    """

    points_mm: NDArray[np.float64]
    length_mm: float
    chord_mm: float
    diameter_mm: float

    @property
    def tortuosity(self) -> float:
        """Length over chord, 1 for a straight tube."""
        return max(self.length_mm / self.chord_mm, 1.0)


def find_centreline(mask: Mask, spacing_mm: tuple[float, float, float]) -> Centreline | None:
    """Find the centreline of a tube.

    Parameters
    ----------
    mask
        One connected piece (26 neighbours), three-dimensional.
    spacing_mm
        Of its voxels.

    Returns
    -------
    Centreline or None
        None where there are too few voxels, or the piece is no longer than it is thick.
    """
    places = np.argwhere(mask)
    if len(places) < FEWEST_VOXELS:
        return None
    points = places * np.asarray(spacing_mm)
    volume = len(points) * float(np.prod(spacing_mm))
    order = _along(places, spacing_mm)
    # the first curve: middles of shells of equal distance; slices as thick as half the tube keep its ends upright
    radius = float(np.sqrt(volume / np.pi / max(float(order.max()), 1e-6)))
    width = max(1.5 * max(spacing_mm), radius / 2)
    curve = _smooth(points, order, np.ones(len(points)), width)
    if curve is None:
        return None
    voxels, reach = cKDTree(points), float(np.linalg.norm(spacing_mm))
    for _ in range(_ROUNDS):
        place, weight = _projected(points, curve)
        better = _smooth(points, place, weight, width)
        if better is None:
            return None
        # a slice that is cut obliquely can throw a curve out of a short tube
        if not better.stays_within(reach, voxels):
            break
        curve = better
    place, weight = _projected(points, curve)
    length, first, last = _ends(place, weight, curve, width)
    if length <= 0 or not curve.stays_within(reach, voxels):
        return None
    diameter = 2 * float(np.sqrt(volume / np.pi / length))
    chord = float(np.linalg.norm(last - first))
    if length < diameter or chord <= 0:
        return None
    return Centreline(np.vstack([first, curve.points, last]), length, chord, diameter)


@dataclass(frozen=True)
class _Curve:
    """Points at equal distances of `_STEP_MM`, and at each the direction and the vector of curvature (1/mm)."""

    points: NDArray[np.float64]
    tangents: NDArray[np.float64]
    bends: NDArray[np.float64]

    def stays_within(self, distance_mm: float, voxels: cKDTree) -> bool:
        """Whether no point of it is further from a voxel."""
        return bool(np.max(voxels.query(self.points)[0]) <= distance_mm)


def _along(places: NDArray[np.intp], spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Distance of each voxel, inside the piece, from an end of it."""
    graph = _graph(places, spacing_mm)
    middle = int(np.argmin(np.linalg.norm(places - places.mean(axis=0), axis=1)))
    one_end = int(np.argmax(_distances(graph, [middle])))
    other_end = int(np.argmax(_distances(graph, [one_end])))
    back = _distances(graph, [other_end])
    # a rim of an end would tilt the shells: start from all that lies as far out as it
    return _distances(graph, np.flatnonzero(back >= back.max() - max(spacing_mm)).tolist())


def _distances(graph: csr_matrix, start: list[int]) -> NDArray[np.float64]:
    """Distance of each voxel from the nearest of some; the piece is connected."""
    return np.asarray(dijkstra(graph, directed=False, indices=start, min_only=True), float)


def _graph(places: NDArray[np.intp], spacing_mm: tuple[float, float, float]) -> csr_matrix:
    low = places.min(axis=0)
    shape = places.max(axis=0) - low + 3
    number = np.full(tuple(shape), -1)
    inner = tuple((places - low + 1).T)
    number[inner] = np.arange(len(places))
    rows, columns, costs = [], [], []
    steps = [step for step in np.ndindex(3, 3, 3) if step > (1, 1, 1)]
    for step in steps:
        offset = np.array(step) - 1
        neighbour = number[tuple((places - low + 1 + offset).T)]
        there = np.flatnonzero(neighbour >= 0)
        rows.append(there)
        columns.append(neighbour[there])
        costs.append(np.full(len(there), float(np.linalg.norm(offset * np.asarray(spacing_mm)))))
    size = (len(places), len(places))
    return csr_matrix((np.concatenate(costs), (np.concatenate(rows), np.concatenate(columns))), shape=size)


def _smooth(
    points: NDArray[np.float64], place: NDArray[np.float64], weight: NDArray[np.float64], width: float
) -> _Curve | None:
    """A smooth curve through the weighted middles of slices of a width; None where there are too few."""
    bins = np.floor((place - place.min()) / width).astype(int)
    size = np.asarray(np.bincount(bins, weight), float)
    filled = size > 0
    middles = np.stack([np.bincount(bins, weight * points[:, axis]) for axis in range(3)], axis=1)
    middles, size = middles[filled] / size[filled, None], size[filled]
    at = np.bincount(bins, weight * place)[filled] / size
    # the outermost slices are cut: their middles are not those of the tube
    inner = _whole(size)
    middles, size, at = middles[inner], size[inner], at[inner]
    if len(middles) < 4:
        return None
    steps = np.linalg.norm(np.diff(middles, axis=0), axis=1)
    at = np.concatenate([[0.0], np.cumsum(np.maximum(steps, 1e-6))])
    # middles of slices are as sure as they have voxels: allow a twentieth of a voxel of roughness each
    splines = [UnivariateSpline(at, middles[:, axis], k=3, s=len(at) * (0.05 * width) ** 2) for axis in range(3)]
    fine = np.arange(0, at[-1] + _STEP_MM / 2, _STEP_MM)
    path = np.stack([spline(fine) for spline in splines], axis=1)
    # direction and curvature without the waves that the voxels leave in the curve
    calm = ndimage.gaussian_filter1d(_extended(path), 2 * width / _STEP_MM, axis=0)[len(path) : 2 * len(path)]
    first = np.gradient(calm, _STEP_MM, axis=0)
    tangents = first / np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-9)
    bends = np.gradient(tangents, _STEP_MM, axis=0)
    return _Curve(path, tangents, bends)


def _whole(size: NDArray[np.float64]) -> slice:
    """Slices from the first whole one to the last: each compared with those that follow it inwards."""
    ends = []
    for sizes in (size, size[::-1]):
        near = [float(np.median(sizes[place : place + _NEAR])) for place in range(len(sizes))]
        ends.append(int(np.argmax(sizes >= _WHOLE_SHARE * np.array(near))))
    return slice(ends[0], max(len(size) - ends[1], ends[0]))


def _extended(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """A curve with its point reflections at both ends: smoothed, it keeps them and its direction there."""
    before, after = 2 * path[0] - path[::-1], 2 * path[-1] - path[::-1]
    return np.concatenate([before, path, after])


def _projected(points: NDArray[np.float64], curve: _Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place of each voxel along the curve, in mm, beyond its ends too, and how much the voxel counts in its slice."""
    _, nearest = cKDTree(curve.points).query(points)
    offset = points - curve.points[nearest]
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve.points, axis=0), axis=1))])
    place = lengths[nearest] + (offset * curve.tangents[nearest]).sum(axis=1)
    crowding = 1 - (offset * curve.bends[nearest]).sum(axis=1)
    return place, 1 / np.maximum(crowding, _SMALLEST_SHARE)


def _ends(
    place: NDArray[np.float64], weight: NDArray[np.float64], curve: _Curve, width: float
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Length from end to end, and both ends: what lies beyond the curve counts by its volume over the cross-section."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve.points, axis=0), axis=1))])
    total = float(lengths[-1])
    reach = min(3 * width, total / 3)
    beyond = []
    for inside, outside in ((place < reach, place < 0), (place > total - reach, place > total)):
        near = inside & ~outside
        area = float(weight[near].sum()) / reach
        beyond.append(float(weight[outside].sum()) / area if area > 0 else 0.0)
    first = curve.points[0] - beyond[0] * curve.tangents[0]
    last = curve.points[-1] + beyond[1] * curve.tangents[-1]
    return total + sum(beyond), first, last
