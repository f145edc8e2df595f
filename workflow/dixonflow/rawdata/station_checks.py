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

TOUCHING_MM = 0.05
"""Stations that are no farther apart than this touch: nothing lies between them but rounding."""


def check_volumes(whole: Sequence[Mapping[Contrast, Volume]], contrasts: Sequence[Contrast]) -> None:
    """Check stations that have all contrasts, from head to feet.

    Raises
    ------
    ScanExcluded
        `missing_slice`, `spacing_mismatch`, `contradictory_headers`, `contrast_mismatch`, `station_gap` or
        `unexpected_geometry`, in this order.
    """
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
    for number, (upper, lower) in enumerate(pairwise(whole), 1):
        _check_overlap(upper[contrasts[0]], lower[contrasts[0]], f"stations {number} and {number + 1}")


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
    if grid.shape[:2] != other.shape[:2] or grid.axes != other.axes:
        return "matrix"
    if np.abs(grid.affine[:2, 3] - other.affine[:2, 3]).max() > POSITION_TOLERANCE_MM:
        return "position"
    if grid.shape[2] != other.shape[2]:
        return "slices"
    return "position" if abs(grid.affine[2, 3] - other.affine[2, 3]) > POSITION_TOLERANCE_MM else ""


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
                count, usual = station[contrast].grid.shape[2], reference.shape[2]
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
