"""Slices to volumes: group by series, sort along the slice normal, find what is missing; by tags, never file order."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.contrast import contrast_of, is_composed
from dixonflow.rawdata.geometry import LPS_TO_RAS, unexpected, upright_grid, upright_rotation
from dixonflow.rawdata.slice_header import SliceHeader
from dixonflow.rawdata.stations import Volume
from dixonflow.vocabulary import Contrast, Reason

DOUBLE_SLICE_MM = 0.01
EVEN_SPACING_SHARE = 0.01
"""Part of the slice spacing by which a gap may differ from the others."""

SPACING_TAGS_TOLERANCE = 0.02

IN_LINE_MM = 0.1
ORIENTATION_TOLERANCE = 1e-3


_ONE_PER_SERIES: dict[str, Callable[[SliceHeader], object]] = {
    "bits": lambda header: (header.bits_allocated, header.bits_stored, header.signed),
    "echo time": lambda header: None if header.echo_time_ms is None else round(header.echo_time_ms, 2),
    "padding": lambda header: header.padding,
    "whether values are scaled": lambda header: (header.slope is None, header.intercept is None),
}
"""What all slices of a series have in common. A tag that is there on some of them only has no default: its value where
it is missing is not known."""


def volumes_of(headers: Sequence[SliceHeader]) -> tuple[list[Volume], list[str]]:
    """Group the slices of a scan into volumes.

    Parameters
    ----------
    headers
        All slices of the scan, in any order.

    Returns
    -------
    volumes
        One for each series and contrast.
    notes
        Series that were left out, each with the reason.

    Raises
    ------
    ScanExcluded
        `contrast_mismatch` where tags contradict each other, `spacing_mismatch` where slices of a series differ in
        matrix, spacing or orientation, `unexpected_geometry` where the geometry cannot be meant.
    """
    groups, notes = _series(headers)
    rotation: NDArray[np.float64] | None = None
    volumes = []
    for contrast, name, slices in groups:
        try:
            _check_alike(slices, name)
            directions = _directions(slices[0])
            if rotation is None or contrast is None:
                own = upright_rotation(directions, name)
            if rotation is None and contrast is not None:
                rotation = own
            volumes.append(_volume(contrast, name, slices, own if rotation is None else rotation))
        except ScanExcluded as problem:
            if contrast is not None:
                raise
            # a localizer or another series that is no part of the scan; if it was needed, its contrast will be missing
            notes.append(problem.message)
    return volumes, notes


def _series(headers: Sequence[SliceHeader]) -> tuple[list[tuple[Contrast | None, str, list[SliceHeader]]], list[str]]:
    """Slices by series and contrast, known contrasts first, in an order that depends on tags alone."""
    groups: dict[tuple[str, Contrast | None], list[SliceHeader]] = {}
    composed: Counter[str] = Counter()
    for header in headers:
        name = _name(header)
        if is_composed(header):
            composed[name] += 1
        else:
            groups.setdefault((header.series_uid, contrast_of(header, name)), []).append(header)
    notes = [f"{name}: composed on the scanner, {count} slices" for name, count in sorted(composed.items())]
    ordered = sorted(groups.items(), key=lambda item: (item[0][1] is None, item[0][0], str(item[0][1])))
    return [(contrast, _name(slices[0], contrast), slices) for (_, contrast), slices in ordered], notes


def _name(header: SliceHeader, contrast: Contrast | None = None) -> str:
    # by its number: the description is what somebody typed at the scanner
    number = header.series_number if header.series_number.isdecimal() else "without number"
    return f"series {number} ({contrast})" if contrast else f"series {number}"


def _check_alike(slices: Sequence[SliceHeader], name: str) -> None:
    first = slices[0]
    for header in slices:
        same_matrix = (header.rows, header.columns) == (first.rows, first.columns)
        lengths = (header.row_spacing_mm, header.column_spacing_mm, *header.orientation)
        wanted = (first.row_spacing_mm, first.column_spacing_mm, *first.orientation)
        if not same_matrix or max(abs(a - b) for a, b in zip(lengths, wanted, strict=True)) > ORIENTATION_TOLERANCE:
            raise ScanExcluded(
                Reason.SPACING_MISMATCH, f"{name}: its slices differ in matrix, pixel spacing or orientation"
            )
    for what, value_of in _ONE_PER_SERIES.items():
        if len({value_of(header) for header in slices}) > 1:
            raise ScanExcluded(Reason.CONTRADICTORY_HEADERS, f"{name}: its slices differ in {what}")
    for header in slices:
        if not 0 < header.bits_stored <= header.bits_allocated or header.high_bit != header.bits_stored - 1:
            raise ScanExcluded(  # PS3.5 8.1.1
                Reason.CONTRADICTORY_HEADERS,
                f"{name}: {header.bits_stored} bits of {header.bits_allocated} with high bit "
                f"{header.high_bit} are inconsistent",
            )
        if header.slope == 0:
            raise ScanExcluded(Reason.CONTRADICTORY_HEADERS, f"{name}: the rescale slope is 0")


def _directions(header: SliceHeader) -> NDArray[np.float64]:
    """Unit vectors along columns, rows and slices, as columns, RAS."""
    along_columns, along_rows = np.array(header.orientation[:3]), np.array(header.orientation[3:])
    normal = np.cross(along_columns, along_rows)
    directions: NDArray[np.float64] = LPS_TO_RAS @ np.stack([along_columns, along_rows, normal], axis=1)
    return directions


def _volume(contrast: Contrast | None, name: str, slices: list[SliceHeader], rotation: NDArray[np.float64]) -> Volume:
    if len(slices) < 2:
        raise unexpected(f"{name}: a single slice is not a volume")
    directions = _directions(slices[0])
    positions = np.array([header.position_mm for header in slices]) @ LPS_TO_RAS
    along = positions @ directions[:, 2]
    order = np.argsort(along, kind="stable")
    along, positions = along[order], positions[order]
    in_plane = positions @ directions[:, :2]
    if np.ptp(in_plane, axis=0).max() > IN_LINE_MM:
        raise unexpected(f"{name}: its slices do not form a stack")
    gaps = np.diff(along)
    spacing_mm, flaw = _slice_spacing(gaps)
    _check_spacing_tags(slices, spacing_mm, name)
    affine = np.eye(4)
    affine[:3, :3] = directions * [slices[0].column_spacing_mm, slices[0].row_spacing_mm, spacing_mm]
    affine[:3, 3] = positions[0]
    # with missing slices: the box from the first to the last, which is all that is needed to tell the station
    count = round((along[-1] - along[0]) / spacing_mm) + 1 if flaw else len(slices)
    shape = (slices[0].columns, slices[0].rows, count)
    files = tuple(slices[index] for index in order)
    grid = upright_grid(shape, affine, rotation, name)
    return Volume(contrast, grid, name, files, slices[0].echo_time_ms, flaw)


def _check_spacing_tags(slices: Sequence[SliceHeader], spacing_mm: float, name: str) -> None:
    """Check that positions do not contradict thickness and spacing where these two agree with each other."""
    for header in slices:
        thickness, spacing = header.thickness_mm, header.slice_spacing_mm
        if not thickness or not spacing or abs(thickness - spacing) > SPACING_TAGS_TOLERANCE * spacing:
            continue
        if abs(spacing - spacing_mm) > SPACING_TAGS_TOLERANCE * spacing:
            raise ScanExcluded(
                Reason.CONTRADICTORY_HEADERS,
                f"{name}: slices are {spacing_mm:.4g} mm apart, but their thickness and spacing are {spacing:.4g} mm",
            )


def _slice_spacing(gaps: NDArray[np.float64]) -> tuple[float, str]:
    """Spacing of the slices in mm, and in words what is wrong with their positions."""
    apart = gaps[gaps > DOUBLE_SLICE_MM]
    double = len(gaps) - len(apart)
    if not len(apart):
        return 1.0, f"all {len(gaps) + 1} slices have the same position"
    typical = float(np.median(apart))
    uneven = int(np.sum(np.abs(apart - typical) > max(EVEN_SPACING_SHARE * typical, DOUBLE_SLICE_MM)))
    if double:
        return typical, f"{double} of {len(gaps) + 1} slices have the position of another slice"
    if uneven:
        return typical, f"uneven slice positions, {uneven} gaps differ from the usual {typical:.3g} mm"
    return float(gaps.mean()), ""
