"""Analytic shapes and the grid they are painted on.

A shape knows its bounding box and answers, for broadcastable coordinate arrays in RAS mm, which points lie inside.
Everything is evaluated in bounding boxes only, and axis-aligned shapes as sums of two-dimensional terms, which keeps
a whole body at 2.5 mm to a few seconds.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from dixonflow.imaging.types import Floats32, Mask

Point = Sequence[float] | NDArray[np.float64]
"""x, y, z in mm."""


class Shape(Protocol):
    """A solid in RAS mm."""

    def bounds(self) -> NDArray[np.float64]:
        """Bounding box, shape (2, 3): lowest and highest corner in mm."""
        ...

    def contains(self, x: Floats32, y: Floats32, z: Floats32) -> Mask:
        """Whether points lie inside; x (n,1,1), y (1,n,1) and z (1,1,n) broadcast to the result."""
        ...


@dataclass(frozen=True)
class Ellipsoid:
    """Superellipsoid with axes along x, y, z, or along the columns of `axes` (3, 3) when given."""

    centre: Point
    radii: Sequence[float]
    exponent: float = 2.0
    axes: NDArray[np.float64] | None = None

    def bounds(self) -> NDArray[np.float64]:
        """Bounding box."""
        centre, radii = np.asarray(self.centre, float), np.asarray(self.radii, float)
        half = radii if self.axes is None else np.full(3, radii.max())
        return np.stack([centre - half, centre + half])

    def contains(self, x: Floats32, y: Floats32, z: Floats32) -> Mask:
        """Whether points lie inside."""
        deltas = [c - np.float32(m) for c, m in zip((x, y, z), self.centre, strict=True)]
        if self.axes is not None:
            deltas = [sum(np.float32(a) * d for a, d in zip(column, deltas, strict=True)) for column in self.axes.T]  # type: ignore[misc]
        terms = [
            np.abs(d / np.float32(r)) ** np.float32(self.exponent) for d, r in zip(deltas, self.radii, strict=True)
        ]
        return np.asarray((terms[0] + terms[1]) + terms[2] <= 1)


@dataclass(frozen=True)
class Capsule:
    """Segment from `start` to `end` with a radius that changes linearly along it, with round ends."""

    start: Point
    end: Point
    start_radius: float
    end_radius: float

    def bounds(self) -> NDArray[np.float64]:
        """Bounding box."""
        ends = np.stack([np.asarray(self.start, float), np.asarray(self.end, float)])
        radii = np.array([[self.start_radius], [self.end_radius]])
        return np.stack([(ends - radii).min(axis=0), (ends + radii).max(axis=0)])

    def contains(self, x: Floats32, y: Floats32, z: Floats32) -> Mask:
        """Whether points lie inside."""
        direction = np.asarray(self.end, np.float32) - np.asarray(self.start, np.float32)
        length2 = max(float(direction @ direction), 1e-6)
        dx, dy, dz = (c - np.float32(m) for c, m in zip((x, y, z), self.start, strict=True))
        along = (dx * direction[0] + dy * direction[1]) + dz * direction[2]
        along *= np.float32(1 / length2)
        np.clip(along, 0, 1, out=along)
        radius = np.float32(self.start_radius) + np.float32(self.end_radius - self.start_radius) * along
        distance2 = (dx - along * direction[0]) ** 2
        distance2 += (dy - along * direction[1]) ** 2
        distance2 += (dz - along * direction[2]) ** 2
        return np.asarray(distance2 <= radius * radius)


@dataclass(frozen=True)
class Stack:
    """Superellipses in the transverse plane whose centre and half-axes change smoothly with z.

    `profile` has rows (z, centre x, centre y, half-axis x, half-axis y), z rising, in mm.
    """

    profile: NDArray[np.float64]
    exponent: float = 2.0

    def bounds(self) -> NDArray[np.float64]:
        """Bounding box."""
        z, cx, cy, rx, ry = self.profile.T
        low = [(cx - rx).min() - 5, (cy - ry).min() - 5, z[0]]
        return np.array([low, [(cx + rx).max() + 5, (cy + ry).max() + 5, z[-1]]])

    def at(self, z: NDArray[np.floating]) -> NDArray[np.float64]:
        """Centre x, centre y, half-axis x, half-axis y at heights z, shape (4, n)."""
        clipped = np.clip(z, self.profile[0, 0], self.profile[-1, 0])
        return np.asarray(PchipInterpolator(self.profile[:, 0], self.profile[:, 1:])(clipped)).T

    def contains(self, x: Floats32, y: Floats32, z: Floats32) -> Mask:
        """Whether points lie inside."""
        cx, cy, rx, ry = (v.astype(np.float32)[None, None, :] for v in self.at(z.ravel()))
        power = np.float32(self.exponent)
        inside = np.abs((x - cx) / rx) ** power + np.abs((y - cy) / ry) ** power <= 1
        return np.asarray(inside & (z >= self.profile[0, 0]) & (z <= self.profile[-1, 0]))


@dataclass(frozen=True)
class Region:
    """Any predicate over coordinates inside a bounding box of shape (2, 3)."""

    box: NDArray[np.float64]
    predicate: Callable[[Floats32, Floats32, Floats32], Mask]

    def bounds(self) -> NDArray[np.float64]:
        """Bounding box."""
        return self.box

    def contains(self, x: Floats32, y: Floats32, z: Floats32) -> Mask:
        """Whether points lie inside."""
        return self.predicate(x, y, z)


def tube(points: Sequence[Point] | NDArray[np.float64], radii: Sequence[float], pieces: int = 0) -> list[Capsule]:
    """Swept tube along a smooth path through `points` (n, 3) with a radius at each, as `pieces` capsules (0: 3 per
    interval).
    """
    path, radius = smooth_path(points, radii, pieces or 3 * (len(points) - 1))
    return [Capsule(path[i], path[i + 1], radius[i], radius[i + 1]) for i in range(len(path) - 1)]


def smooth_path(
    points: Sequence[Point] | NDArray[np.float64], radii: Sequence[float], pieces: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sample a shape-preserving spline through `points` at `pieces` + 1 places, evenly by chord length."""
    knots = np.asarray(points, float)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    at = np.linspace(0, length[-1], pieces + 1)
    return np.asarray(PchipInterpolator(length, knots)(at)), np.asarray(
        PchipInterpolator(length, np.asarray(radii, float))(at)
    )


def fan(
    hinges: NDArray[np.float64], rims: NDArray[np.float64], hinge_radius: float, rim_radius: float
) -> list[Capsule]:
    """Plate made of capsules from each hinge point to its rim point, both (n, 3)."""
    return [Capsule(a, b, hinge_radius, rim_radius) for a, b in zip(hinges, rims, strict=True)]


class Canvas:
    """A uint8 label volume on an isotropic RAS+ grid that shapes are painted on.

    Parameters
    ----------
    low, high
        Corners of the volume in mm (outer voxel faces).
    spacing_mm
        Voxel edge length.
    """

    def __init__(self, low: Sequence[float], high: Sequence[float], spacing_mm: float) -> None:
        shape = np.ceil((np.asarray(high, float) - np.asarray(low, float)) / spacing_mm - 1e-6).astype(int)
        self.spacing_mm = spacing_mm
        self.origin = np.asarray(low, float) + spacing_mm / 2
        self.labels = np.zeros(tuple(shape), np.uint8)
        self._axes = [
            (o + spacing_mm * np.arange(n)).astype(np.float32) for o, n in zip(self.origin, shape, strict=True)
        ]

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel index to RAS mm, (4, 4)."""
        affine = np.diag([self.spacing_mm] * 3 + [1.0])
        affine[:3, 3] = self.origin
        return affine

    def paint(
        self,
        label: int,
        shapes: Shape | Iterable[Shape],
        *,
        over: Iterable[int] | None = None,
        within: Shape | None = None,
    ) -> None:
        """Give `label` to the voxels inside the shapes, if given only `over` certain labels and `within` a shape."""
        allowed = None
        if over is not None:
            allowed = np.zeros(256, bool)
            allowed[list(over)] = True
        for shape in shapes if isinstance(shapes, Iterable) else [shapes]:
            low, high = shape.bounds()
            window = []
            for axis in range(3):
                first = int(np.ceil((low[axis] - self.origin[axis]) / self.spacing_mm))
                last = int(np.floor((high[axis] - self.origin[axis]) / self.spacing_mm))
                window.append(slice(max(first, 0), max(last + 1, 0)))
            view = self.labels[tuple(window)]
            if view.size == 0:
                continue
            x, y, z = (a[w] for a, w in zip(self._axes, window, strict=True))
            grid = (x[:, None, None], y[None, :, None], z[None, None, :])
            mask = np.broadcast_to(shape.contains(*grid), view.shape)
            if within is not None:
                mask = mask & within.contains(*grid)
            if allowed is not None:
                mask = mask & allowed[view]
            view[mask] = label
