"""Grids of volumes in patient space: turned to RAS+, checked for what a body scan can have."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.types import Affine
from dixonflow.vocabulary import Reason

# Bounds are wide on purpose: they are to catch headers that cannot be meant, not unusual protocols. The cohorts have
# 156 to 320 pixels of 1.2 to 2.3 mm, shrunken test images a fraction of the pixels.
MIN_PIXELS, MAX_PIXELS = 16, 1024
MIN_SLICES, MAX_SLICES = 2, 2000
MIN_SPACING_MM, MAX_SPACING_MM = 0.2, 20.0
MAX_EXTENT_MM = 2500.0
MAX_POSITION_MM = 20_000.0
MAX_TILT_DEG = 1.0
DIRECTION_TOLERANCE = 1e-3

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def unexpected(message: str) -> ScanExcluded:
    """Exclusion of a scan whose matrix, spacing or orientation cannot be meant."""
    return ScanExcluded(Reason.UNEXPECTED_GEOMETRY, message)


@dataclass(frozen=True)
class Grid:
    """Grid of a volume after its axes were reordered and flipped to RAS+.

    Attributes
    ----------
    shape
        Voxels (x, y, z).
    affine
        4x4, voxel index (centre) to RAS mm; upper 3x3 diagonal and positive.
    axes
        For each of x, y, z the axis of the array as stored.
    flips
        For each of x, y, z whether the stored axis runs the other way.
    rotation
        3x3, by which the patient's space was turned to make the axes exact; None for not at all.
    """

    shape: tuple[int, int, int]
    affine: Affine
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    rotation: NDArray[np.float64] | None = None

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """Voxel size (x, y, z)."""
        return np.diag(self.affine)[:3].copy()

    @property
    def low_mm(self) -> NDArray[np.float64]:
        """Outer corner of the box, right-posterior-inferior side (x, y, z)."""
        corner: NDArray[np.float64] = self.affine[:3, 3] - self.spacing_mm / 2
        return corner

    @property
    def high_mm(self) -> NDArray[np.float64]:
        """Outer corner of the box on the other side (x, y, z)."""
        corner: NDArray[np.float64] = self.low_mm + self.spacing_mm * np.array(self.shape)
        return corner


def upright_rotation(directions: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Rotation that puts array axes that are tilted by up to 1 degree exactly along the patient's axes.

    One rotation serves all stations of a scan: together they keep their places relative to each other, which snapping
    each by itself would not.

    Parameters
    ----------
    directions
        3x3, one unit vector per array axis as columns, RAS.
    name
        How messages call the volume.

    Returns
    -------
    3x3; exactly the identity where the axes are exact.

    Raises
    ------
    ScanExcluded
        `unexpected_geometry` where axes are not at right angles, or tilted by more than 1 degree.
    """
    if not np.all(np.isfinite(directions)) or np.abs(directions.T @ directions - np.eye(3)).max() > DIRECTION_TOLERANCE:
        raise unexpected(f"{name}: its axes are not at right angles")
    upright = np.round(directions)
    if np.abs(upright).sum() != 3 or np.abs(np.linalg.det(upright)) != 1:
        raise unexpected(f"{name}: oblique, its axes are not along those of the patient")
    tilt_deg = np.degrees(np.arccos(np.clip((directions * upright).sum(axis=0), -1, 1))).max()
    if tilt_deg > MAX_TILT_DEG:
        raise unexpected(f"{name}: oblique by {tilt_deg:.1f} degrees, more than {MAX_TILT_DEG:g}")
    if np.abs(directions - upright).max() < 1e-6:
        return np.eye(3)
    left, _, right = np.linalg.svd(upright @ directions.T)
    rotation: NDArray[np.float64] = left @ right
    return rotation


def upright_grid(
    shape: tuple[int, int, int],
    affine: Affine,
    rotation: NDArray[np.float64],
    name: str,
) -> Grid:
    """Grid in RAS+ of an array whose axes run along the patient's axes, in any order and direction.

    Parameters
    ----------
    shape
        Of the array as stored.
    affine
        4x4, index of the array as stored to RAS mm.
    rotation
        As `upright_rotation` gives it for this scan.
    name
        How messages call the volume.

    Raises
    ------
    ScanExcluded
        `unexpected_geometry` where matrix or spacing cannot be meant; `spacing_mismatch` where `rotation` does not fit,
        which is that of another volume of the scan.
    """
    matrix = rotation @ affine[:3, :3]
    spacing = np.linalg.norm(matrix, axis=0)
    _check_plausible(shape, spacing, name)
    upright = np.round(matrix / spacing)
    if np.abs(matrix / spacing - upright).max() > DIRECTION_TOLERANCE or np.abs(upright).sum() != 3:
        raise ScanExcluded(Reason.SPACING_MISMATCH, f"{name}: its orientation differs from the first volume's")
    _check_position(affine, name)
    first = rotation @ affine[:3, 3]
    axes = tuple(int(axis) for axis in np.abs(upright).argmax(axis=1))
    ras = np.eye(4)
    flips = []
    for world, axis in enumerate(axes):
        flip = bool(upright[world, axis] < 0)
        ras[world, world] = spacing[axis]
        ras[world, 3] = first[world] - (shape[axis] - 1) * spacing[axis] if flip else first[world]
        flips.append(flip)
    x, y, z = axes
    turned = None if np.array_equal(rotation, np.eye(3)) else rotation
    return Grid((shape[x], shape[y], shape[z]), ras, (x, y, z), (flips[0], flips[1], flips[2]), turned)


def is_oblique(directions: NDArray[np.float64]) -> bool:
    """Whether axes at right angles are tilted by more than an upright scan's may be."""
    if not np.all(np.isfinite(directions)) or np.abs(directions.T @ directions - np.eye(3)).max() > DIRECTION_TOLERANCE:
        return False
    nearest = np.abs(directions).max(axis=0)
    return bool(np.degrees(np.arccos(np.clip(nearest, -1, 1))).max() > MAX_TILT_DEG)


def upright_box(shape: tuple[int, int, int], affine: Affine, name: str) -> Grid:
    """Grid along the patient's axes that holds an oblique volume whole.

    Its spacing along each axis is that of the volume's axis that runs most along it.

    Parameters
    ----------
    shape, affine
        Of the array as stored; index to RAS mm.
    name
        How messages call the volume.

    Raises
    ------
    ScanExcluded
        `unexpected_geometry` where matrix or spacing cannot be meant.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    _check_plausible(shape, spacing, name)
    _check_position(affine, name)
    x, y, z = _nearest_axes(affine[:3, :3] / spacing)
    own = spacing[[x, y, z]]
    ends = np.array(list(itertools.product(*((-0.5, size - 0.5) for size in shape)))) @ affine[:3, :3].T + affine[:3, 3]
    low, high = ends.min(axis=0), ends.max(axis=0)
    count = np.ceil((high - low) / own - 1e-6).astype(int)
    ras = np.diag([*own, 1.0])
    ras[:3, 3] = (low + high) / 2 - own * (count - 1) / 2
    box = (int(count[0]), int(count[1]), int(count[2]))
    _check_plausible(box, own, name)
    return Grid(box, ras, (x, y, z), (False, False, False))


def _nearest_axes(directions: NDArray[np.float64]) -> tuple[int, int, int]:
    """For each of x, y, z the stored axis that runs most along it, each used once."""
    best = max(itertools.permutations(range(3)), key=lambda axes: sum(abs(directions[i, axes[i]]) for i in range(3)))
    return best[0], best[1], best[2]


def _check_position(affine: Affine, name: str) -> None:
    furthest = float(np.abs(affine[:3, 3]).max())
    if not furthest <= MAX_POSITION_MM:  # nor where it is no number
        raise unexpected(f"{name}: a position {furthest / 1000:.3g} m from the scanner's centre is implausible")


def _check_plausible(shape: tuple[int, int, int], spacing: NDArray[np.float64], name: str) -> None:
    *pixels, slices = sorted(shape, reverse=True)
    if max(shape) > MAX_SLICES or sorted(shape)[1] > MAX_PIXELS or min(pixels) < MIN_PIXELS or slices < MIN_SLICES:
        raise unexpected(f"{name}: a matrix of {'x'.join(map(str, shape))} is implausible for a body scan")
    mm = "x".join(f"{value:.4g}" for value in spacing)
    if not np.all((spacing >= MIN_SPACING_MM) & (spacing <= MAX_SPACING_MM)):
        raise unexpected(f"{name}: a voxel of {mm} mm is implausible for a body scan")
    if np.max(spacing * np.array(shape)) > MAX_EXTENT_MM:
        raise unexpected(f"{name}: {'x'.join(map(str, shape))} voxels of {mm} mm are larger than a body")
