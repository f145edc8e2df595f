"""Put the volumes of a scan in order: stations from head to feet, four contrasts each, everything checked.

Where several things are wrong the most fundamental is reported, in this order: files that cannot be read, truncated
pixels, patient ids, geometry that cannot be meant, unidentified contrasts (all before the volumes come here);
a contrast missing altogether, stations missing, stations too many, a series twice, a contrast missing in a station,
missing slices, grids that differ, scaling of values, echo times, gaps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.contrast import by_echo_time, check_echo_times
from dixonflow.rawdata.geometry import Grid, unexpected
from dixonflow.rawdata.slice_header import SliceHeader
from dixonflow.vocabulary import DIXON, Contrast, Reason

SAME_STATION_OVERLAP = 0.5
"""Volumes that share more of their length than this are of one station; neighbouring stations share far less."""

SPACING_TOLERANCE_MM = 0.005
POSITION_TOLERANCE_MM = 0.05


@dataclass(frozen=True)
class Volume:
    """One station in one contrast, not read yet.

    Attributes
    ----------
    contrast
        None where no tag names it.
    grid
        In RAS+; where `flaw` tells of missing slices it spans from the first to the last.
    name
        How messages call it.
    files
        Slices in the order of the stored axis, or one NIfTI file.
    echo_time_ms
        None where unknown.
    flaw
        Message about missing or double slices.
    """

    contrast: Contrast | None
    grid: Grid
    name: str
    files: tuple[SliceHeader, ...] | Path
    echo_time_ms: float | None = None
    flaw: str = ""

    @property
    def low_mm(self) -> float:
        """Lowest position of the volume along the body (RAS mm)."""
        return float(self.grid.low_mm[2])

    @property
    def high_mm(self) -> float:
        """Highest position of the volume along the body (RAS mm)."""
        return float(self.grid.high_mm[2])


def arrange(
    volumes: Sequence[Volume], expected: int | None, notes: Sequence[str] = ()
) -> list[Mapping[Contrast, Volume]]:
    """Sort volumes into stations and check that the scan is whole.

    Parameters
    ----------
    volumes
        In any order. Volumes without a contrast are used where the echo times of a station tell it, else left out.
    expected
        Number of stations of a complete scan; None takes as many as there are.
    notes
        What was left out before, for messages about what is missing.

    Returns
    -------
    Stations from head to feet, each with all four contrasts on one grid.

    Raises
    ------
    ScanExcluded
        With the most fundamental reason, see the module's description.
    """
    known = sorted((volume for volume in volumes if volume.contrast), key=_place)
    stations = _same_place(known)
    _name_by_echo_time(stations, [volume for volume in volumes if not volume.contrast])
    left_out = f" (left out: {'; '.join(notes)})" if notes else ""
    present = {volume.contrast for station in stations for volume in station}
    for contrast in DIXON:
        if contrast not in present:
            raise ScanExcluded(Reason.MISSING_CONTRAST, f"no {contrast} image in the scan{left_out}")
    if expected is not None and len(stations) < expected:
        raise ScanExcluded(Reason.MISSING_STATION, f"{len(stations)} of {expected} stations{_gaps(stations)}{left_out}")
    if expected is not None and len(stations) > expected:
        raise unexpected(f"{len(stations)} stations, expected {expected}")
    whole: list[Mapping[Contrast, Volume]] = [
        _one_of_each(station, number) for number, station in enumerate(stations, 1)
    ]
    for number, station in enumerate(whole, 1):
        for contrast in DIXON:
            if contrast not in station:
                raise ScanExcluded(Reason.MISSING_CONTRAST, f"station {number} has no {contrast} image{left_out}")
    _check_volumes(whole)
    return whole


def _check_volumes(whole: Sequence[Mapping[Contrast, Volume]]) -> None:
    for station in whole:
        for contrast in DIXON:
            if station[contrast].flaw:
                raise ScanExcluded(Reason.MISSING_SLICE, f"{station[contrast].name}: {station[contrast].flaw}")
    for number, station in enumerate(whole, 1):
        _check_one_grid(station, f"station {number}")
    _check_scaling(whole)
    for number, station in enumerate(whole, 1):
        echoes = station[Contrast.IN_PHASE].echo_time_ms, station[Contrast.OPPOSED_PHASE].echo_time_ms
        check_echo_times(*echoes, f"station {number}")
    for number, (upper, lower) in enumerate(pairwise(whole), 1):
        _check_overlap(upper[Contrast.WATER], lower[Contrast.WATER], f"stations {number} and {number + 1}")


def _check_scaling(whole: Sequence[Mapping[Contrast, Volume]]) -> None:
    """Check that tags without a default are there on all images of a scan or on none.

    Raises
    ------
    ScanExcluded
        `contradictory_headers` where rescale tags or padding are named on part of the images, or the echo time of a
        contrast in part of the stations.
    """
    says: dict[tuple[str, str], dict[bool, str]] = {}
    for number, station in enumerate(whole, 1):
        for contrast in DIXON:
            files = station[contrast].files
            if isinstance(files, Path):
                continue
            named = {
                ("rescale slope", ""): files[0].slope is not None,
                ("rescale intercept", ""): files[0].intercept is not None,
                ("padding", ""): files[0].padding is not None,
                ("echo time", contrast.value): files[0].echo_time_ms is not None,
            }
            for tag, there in named.items():
                says.setdefault(tag, {}).setdefault(there, f"{contrast} of station {number}")
    for (what, _), places in says.items():
        if len(places) > 1:
            message = f"{what} is missing in part of the scan: {places[True]} has it, {places[False]} does not"
            raise ScanExcluded(Reason.CONTRADICTORY_HEADERS, message)


def _place(volume: Volume) -> tuple[float, float, str, str]:
    return -(volume.low_mm + volume.high_mm), -volume.high_mm, str(volume.contrast), volume.name


def _share(volume: Volume, other: Volume) -> float:
    overlap = min(volume.high_mm, other.high_mm) - max(volume.low_mm, other.low_mm)
    return overlap / min(volume.high_mm - volume.low_mm, other.high_mm - other.low_mm)


def _same_place(volumes: Sequence[Volume]) -> list[list[Volume]]:
    stations: list[list[Volume]] = []
    for volume in volumes:
        if stations and _share(volume, stations[-1][0]) > SAME_STATION_OVERLAP:
            stations[-1].append(volume)
        else:
            stations.append([volume])
    return stations


def _name_by_echo_time(stations: list[list[Volume]], nameless: Sequence[Volume]) -> None:
    """Add the two echoes to stations where no tag names them and nothing but the echo time can."""
    for station in stations:
        if {volume.contrast for volume in station} & {Contrast.IN_PHASE, Contrast.OPPOSED_PHASE}:
            continue
        fitting = [volume for volume in nameless if _difference(volume.grid, station[0].grid) == ""]
        if len(fitting) != 2:
            continue
        contrasts = by_echo_time((fitting[0].echo_time_ms, fitting[1].echo_time_ms))
        for volume, contrast in zip(fitting, contrasts or (), strict=False):
            station.append(replace(volume, contrast=contrast))


def _one_of_each(station: Sequence[Volume], number: int) -> dict[Contrast, Volume]:
    volumes: dict[Contrast, Volume] = {}
    for volume in station:
        assert volume.contrast is not None
        if volume.contrast in volumes:
            raise ScanExcluded(
                Reason.DUPLICATE_SCAN,
                f"station {number} has more than one {volume.contrast} image: {volumes[volume.contrast].name} and "
                f"{volume.name}",
            )
        volumes[volume.contrast] = volume
    return volumes


def _difference(grid: Grid, other: Grid) -> str:
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


def _check_one_grid(station: Mapping[Contrast, Volume], name: str) -> None:
    # the grid that most contrasts have is the station's, so that the message names the one that differs
    first, *others = (station[contrast].grid for contrast in DIXON)
    agree = sum(_difference(first, other) == "" for other in others)
    reference = first if agree else others[0]
    for contrast in DIXON:
        match _difference(station[contrast].grid, reference):
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
    if overlap_mm <= 0:
        raise ScanExcluded(Reason.STATION_GAP, f"{name} do not overlap: they are {-overlap_mm:.1f} mm apart")
    low = np.maximum(upper.grid.low_mm, lower.grid.low_mm)[:2]
    high = np.minimum(upper.grid.high_mm, lower.grid.high_mm)[:2]
    if np.any(high <= low):
        raise unexpected(f"{name} are side by side, not one above the other")


def _gaps(stations: Sequence[Sequence[Volume]]) -> str:
    pairs = pairwise(stations)
    gaps = [number for number, (upper, lower) in enumerate(pairs, 1) if lower[0].high_mm <= upper[0].low_mm]
    return f", gap after number {gaps[0]} of those found" if gaps else ""
