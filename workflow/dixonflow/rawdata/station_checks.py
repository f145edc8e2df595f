"""Whether the stations of a scan fit together: slices, grids, scaling, echo times, places."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.dicom.contrast import check_echo_times
from dixonflow.rawdata.geometry import Grid, unexpected
from dixonflow.rawdata.volumes import NiftiVolume, Volume
from dixonflow.vocabulary import Contrast, Reason

SPACING_TOLERANCE_MM = 0.005
POSITION_TOLERANCE_MM = 0.05

MAX_DAYS_APART = 1
"""Days between the images of one scan; it may end past midnight."""

ECHO_TIME_SHARE, ECHO_TIME_MS = 0.1, 0.1
"""By how much echo times of one kind of image may differ: by this part of the longer one, or by these milliseconds."""

TOUCHING_MM = 0.05
"""Stations that are no farther apart than this touch: nothing lies between them but rounding."""


def check_volumes(whole: Sequence[Mapping[Contrast, Volume]], contrasts: Sequence[Contrast]) -> None:
    """Check stations that have all contrasts, from head to feet.

    Raises
    ------
    ScanExcluded
        `contradictory_headers` where images were taken at different visits; `missing_slice`, `spacing_mismatch`,
        `contradictory_headers`, `contrast_mismatch`, `station_gap` or `unexpected_geometry`, in this order.
    """
    _check_days(whole)
    for station in whole:
        for contrast in contrasts:
            if station[contrast].flaw:
                raise ScanExcluded(Reason.MISSING_SLICE, f"{station[contrast].name}: {station[contrast].flaw}")
    for number, station in enumerate(whole, 1):
        _check_one_grid(station, contrasts, f"station {number}")
    _check_scaling(whole, contrasts)
    if {Contrast.IN_PHASE, Contrast.OPPOSED_PHASE} <= set(contrasts):
        for number, station in enumerate(whole, 1):
            echoes = station[Contrast.IN_PHASE].echo_time_ms, station[Contrast.OPPOSED_PHASE].echo_time_ms
            check_echo_times(*echoes, f"station {number}")
    if len(contrasts) == 1:
        _check_one_echo_time([station[contrasts[0]] for station in whole])
    for number, (upper, lower) in enumerate(pairwise(whole), 1):
        _check_overlap(upper[contrasts[0]], lower[contrasts[0]], f"stations {number} and {number + 1}")


def _check_days(whole: Sequence[Mapping[Contrast, Volume]]) -> None:
    """Check that all images of a scan are of one visit, as far as they have dates.

    Raises
    ------
    ScanExcluded
        `contradictory_headers`.
    """
    apart = days_apart([volume for station in whole for volume in station.values()])
    if apart > MAX_DAYS_APART:
        message = f"its images were taken at different visits, {apart} days apart"
        raise ScanExcluded(Reason.CONTRADICTORY_HEADERS, message)


def days_apart(volumes: Sequence[Volume]) -> int:
    """Days between the first and the last of volumes; those without a date count as none."""
    days = [volume.day for volume in volumes if volume.day is not None]
    return max(days) - min(days) if days else 0


def echo_times_differ(volumes: Sequence[Volume]) -> tuple[float, float] | None:
    """Shortest and longest echo time of images in ms, where these cannot be images of one kind; else None."""
    times = [volume.echo_time_ms for volume in volumes if volume.echo_time_ms is not None]
    if not times or max(times) - min(times) <= max(ECHO_TIME_SHARE * max(times), ECHO_TIME_MS):
        return None
    return min(times), max(times)


def _check_one_echo_time(volumes: Sequence[Volume]) -> None:
    differ = echo_times_differ(volumes)
    if differ:
        message = f"its stations have echo times from {differ[0]:g} to {differ[1]:g} ms: they are of different images"
        raise ScanExcluded(Reason.CONTRAST_MISMATCH, message)


def _check_scaling(whole: Sequence[Mapping[Contrast, Volume]], contrasts: Sequence[Contrast]) -> None:
    """Check that tags without a default are there on all images of a scan or on none.

    Raises
    ------
    ScanExcluded
        `contradictory_headers` where rescale tags or padding are named on part of the images, or the echo time of a
        contrast in part of the stations.
    """
    says: dict[tuple[str, str], dict[bool, str]] = {}
    for number, station in enumerate(whole, 1):
        for contrast in (contrast for contrast in contrasts if not contrast.is_map):
            files = station[contrast].files
            if isinstance(files, NiftiVolume):
                continue
            named = {
                ("rescale slope", ""): files[0].slope is not None,
                ("rescale intercept", ""): files[0].intercept is not None,
                ("Philips' scale slope", ""): files[0].display_slope is not None,
                ("padding", ""): files[0].padding is not None,
                ("echo time", contrast.value): files[0].echo_time_ms is not None,
            }
            for tag, there in named.items():
                says.setdefault(tag, {}).setdefault(there, f"{contrast} of station {number}")
    for (what, _), places in says.items():
        if len(places) > 1:
            message = f"{what} is missing in part of the scan: {places[True]} has it, {places[False]} does not"
            raise ScanExcluded(Reason.CONTRADICTORY_HEADERS, message)


def difference(grid: Grid, other: Grid) -> str:
    """What differs between two grids, in words; empty where nothing does."""
    if np.abs(grid.spacing_mm - other.spacing_mm).max() > SPACING_TOLERANCE_MM:
        return "spacing"
    if grid.axes != other.axes:
        return "matrix"
    stacked = grid.axes.index(2)  # the axis of the body along which slices were acquired
    across = [axis for axis in range(3) if axis != stacked]
    if any(grid.shape[axis] != other.shape[axis] for axis in across):
        return "matrix"
    apart = np.abs(grid.affine[:3, 3] - other.affine[:3, 3]) > POSITION_TOLERANCE_MM
    if apart[across].any():
        return "position"
    if grid.shape[stacked] != other.shape[stacked]:
        return "slices"
    return "position" if apart[stacked] else ""


def _check_one_grid(station: Mapping[Contrast, Volume], contrasts: Sequence[Contrast], name: str) -> None:
    # the grid that most contrasts have is the station's, so that the message names the one that differs
    first, *others = (station[contrast].grid for contrast in contrasts)
    agree = sum(difference(first, other) == "" for other in others)
    reference = first if agree or not others else others[0]
    for contrast in contrasts:
        match difference(station[contrast].grid, reference):
            case "":
                continue
            case "slices":
                stacked = reference.axes.index(2)
                count, usual = station[contrast].grid.shape[stacked], reference.shape[stacked]
                message = f"{name}: {contrast} has {count} slices, others have {usual}"
                raise ScanExcluded(Reason.MISSING_SLICE, message)
            case what:
                raise ScanExcluded(Reason.SPACING_MISMATCH, f"{name}: {contrast} differs from others in {what}")


def _check_overlap(upper: Volume, lower: Volume, name: str) -> None:
    overlap_mm = lower.high_mm - upper.low_mm
    if overlap_mm < -TOUCHING_MM:
        raise ScanExcluded(Reason.STATION_GAP, f"{name} do not overlap: they are {-overlap_mm:.1f} mm apart")
    low = np.maximum(upper.grid.low_mm, lower.grid.low_mm)[:2]
    high = np.minimum(upper.grid.high_mm, lower.grid.high_mm)[:2]
    if np.any(high <= low):
        raise unexpected(f"{name} are side by side, not one above the other")
