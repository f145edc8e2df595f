"""Whether the stations of a scan can be stitched: contrasts, geometry, order, overlap and plausible values."""

import itertools
from collections.abc import Sequence

import numpy as np

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.station import Station
from dixonflow.stitch.grid import station_axes
from dixonflow.vocabulary import DIXON, Contrast, Reason

MIN_IN_PLANE_OVERLAP = 0.5
"""Neighbouring stations share at least this part of the smaller one's in-plane box, or a position is wrong."""

TOUCHING_VOXELS = 0.02
"""Stations that are no farther apart than this part of the finest slice touch: rounding, and no gap."""

PLAUSIBLE_SPACING_MM = (0.1, 30.0)
"""Voxel sizes outside this are errors of a header (body Dixon images have 1 to 6 mm)."""

Limits = dict[Contrast, tuple[float, float]]


def value_limits(station: Station, contrasts: Sequence[Contrast] = DIXON) -> Limits:
    """Check one station and give the smallest and largest value of each contrast.

    Parameters
    ----------
    contrasts
        Those that it must have.

    Raises
    ------
    ScanExcluded
        `missing_contrast`, `missing_slice`, `spacing_mismatch`, `unexpected_geometry` or `empty_image`.
    """
    where = f"station {station.index + 1}"
    missing = [contrast.value for contrast in contrasts if contrast not in station.images]
    if missing:
        raise ScanExcluded(Reason.MISSING_CONTRAST, f"{where} has no {', '.join(missing)}")
    shapes = {station.images[contrast].shape for contrast in contrasts}
    if len(shapes) > 1 or {len(shape) for shape in shapes} != {3}:
        raise ScanExcluded(Reason.SPACING_MISMATCH, f"the contrasts of {where} have matrices {sorted(shapes)}")
    if not all(station.shape):
        raise ScanExcluded(Reason.MISSING_SLICE, f"{where} has matrix {station.shape}")
    spacing = np.diag(station.affine)[:3]
    low_mm, high_mm = PLAUSIBLE_SPACING_MM
    if not np.all(np.isfinite(station.affine)) or np.any(spacing < low_mm) or np.any(spacing > high_mm):
        raise ScanExcluded(Reason.UNEXPECTED_GEOMETRY, f"{where} has spacing {spacing.tolist()} mm")
    # how far, in mm, the far corner is from where an axis-aligned grid would have it
    skew = np.abs(station.affine[:3, :3] - np.diag(spacing)) @ np.array(station.shape)
    if np.any(skew > 0.1 * spacing):
        raise ScanExcluded(Reason.SPACING_MISMATCH, f"{where} is not aligned with the axes of the scanner")
    limits: Limits = {}
    for contrast in contrasts:
        low, high = float(station.images[contrast].min()), float(station.images[contrast].max())
        if not np.isfinite(low) or not np.isfinite(high) or low == high:
            raise ScanExcluded(
                Reason.EMPTY_IMAGE, f"{where}: {contrast.value} is constant or holds values that are not finite"
            )
        limits[contrast] = low, high
    return limits


def head_to_feet(stations: Sequence[Station]) -> list[Station]:
    """Sort the stations from head to feet by position and check that neighbours overlap or touch.

    Raises
    ------
    ScanExcluded
        `missing_station` for none, `station_gap` where neighbours do not touch,
        `unexpected_geometry` where two stations are at one position or hardly overlap in plane.
    ValueError
        If the stations' indices contradict their positions.
    """
    if not stations:
        raise ScanExcluded(Reason.MISSING_STATION, "no station")
    ordered = sorted(stations, key=lambda station: _z_box(station)[::-1], reverse=True)  # by upper edge
    indices = [station.index for station in ordered]
    if sorted(set(indices)) != indices:
        raise ValueError(f"stations from head to feet are numbered {indices}")
    finest = min(station.spacing_mm[2] for station in ordered)
    reach = _z_box(ordered[0])[0]
    for upper, lower in itertools.pairwise(ordered):
        pair = f"stations {upper.index + 1} and {lower.index + 1}"
        if np.allclose(_z_box(upper), _z_box(lower), atol=finest / 2):
            raise ScanExcluded(Reason.UNEXPECTED_GEOMETRY, f"{pair} are at the same table position")
        overlap = _z_box(lower)[1] - reach
        if overlap < -TOUCHING_VOXELS * finest:
            raise ScanExcluded(Reason.STATION_GAP, f"{pair} are {-overlap:.1f} mm apart")
        for own, other in zip(station_axes(upper)[:2], station_axes(lower)[:2], strict=True):
            shared = min(own.high_mm, other.high_mm) - max(own.low_mm, other.low_mm)
            if shared < MIN_IN_PLANE_OVERLAP * min(own.high_mm - own.low_mm, other.high_mm - other.low_mm):
                raise ScanExcluded(Reason.UNEXPECTED_GEOMETRY, f"{pair} hardly overlap in plane")
        reach = min(reach, _z_box(lower)[0])
    return ordered


def _z_box(station: Station) -> tuple[float, float]:
    axis = station_axes(station)[2]
    return axis.low_mm, axis.high_mm
