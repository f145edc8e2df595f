"""Slices to stacks: group by series, sort along the slice normal, find what is missing; by tags, never file order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.types import Affine
from dixonflow.rawdata.dicom.contrast import contrast_of, is_composed
from dixonflow.rawdata.dicom.repeats import without_repeats
from dixonflow.rawdata.dicom.slice_header import SliceHeader
from dixonflow.rawdata.geometry import LPS_TO_RAS, unexpected
from dixonflow.vocabulary import DIXON, Contrast, Reason

DOUBLE_SLICE_MM = 0.01
EVEN_SPACING_SHARE = 0.01
"""Part of the slice spacing by which a gap may differ from the others."""

SPACING_TAGS_TOLERANCE = 0.02

IN_LINE_MM = 0.1
ORIENTATION_TOLERANCE = 1e-3

_COMPONENTS = {"P": "phase", "R": "real", "I": "imaginary"}

_ONE_PER_SERIES: dict[str, Callable[[SliceHeader], object]] = {
    "bits": lambda header: (header.bits_allocated, header.bits_stored, header.signed),
    "echo time": lambda header: None if header.echo_time_ms is None else round(header.echo_time_ms, 2),
    "padding": lambda header: header.padding,
    "whether values are scaled": lambda header: (
        header.slope is None,
        header.intercept is None,
        header.display_slope is None,
    ),
}
"""What all slices of a series have in common. A tag that is there on some of them only has no default: its value where
it is missing is not known."""


@dataclass(frozen=True)
class Stack:
    """Slices that form one volume, as they are stored.

    Attributes
    ----------
    contrast
        None where no tag names it.
    name
        How messages call it.
    slices
        Along the normal of columns and rows.
    shape
        Voxels (columns, rows, slices). With missing slices: those between the first and the last, which is all that is
        needed to tell the station.
    affine
        4x4, index (column, row, slice) to RAS mm.
    flaw
        Message about missing or double slices.
    composed
        Whether the scanner put it together from stations.
    """

    contrast: Contrast | None
    name: str
    slices: tuple[SliceHeader, ...]
    shape: tuple[int, int, int]
    affine: Affine
    flaw: str = ""
    composed: bool = False

    @property
    def directions(self) -> NDArray[np.float64]:
        """Unit vectors along columns, rows and slices, as columns, RAS."""
        return directions_of(self.slices[0])

    @property
    def echo_time_ms(self) -> float | None:
        """None where the tag is missing."""
        return self.slices[0].echo_time_ms

    @property
    def series_number(self) -> int | None:
        """None where the tag is missing or no number."""
        number = self.slices[0].series_number
        return int(number) if number.isdecimal() and len(number) < 10 else None


def stacks_of(
    headers: Sequence[SliceHeader], time_point: int = 1, named: Mapping[int, Contrast] | None = None
) -> tuple[list[Stack], list[str]]:
    """Group slices into stacks.

    Parameters
    ----------
    headers
        All slices of a scan, in any order.
    time_point
        Which one is taken of a series that repeats its slices, from 1.
    named
        Contrast by the name of the zip or folder that holds a slice, by its number; counts where no tag names one.

    Returns
    -------
    stacks
        Those with a contrast first, in an order that depends on tags alone.
    notes
        What was left out, each with the reason.

    Raises
    ------
    ScanExcluded
        `contrast_mismatch` where tags contradict each other, `spacing_mismatch` where slices of a series differ in
        matrix, spacing or orientation, `contradictory_headers`, `unexpected_geometry` where the geometry cannot be
        meant; `unreadable_file` and `truncated_pixels` for slices that had to be compared.
    """
    groups: dict[tuple[str, Contrast | None, bool, int], list[SliceHeader]] = {}
    planes: dict[str, list[SliceHeader]] = {}
    notes: list[str] = []
    parts: dict[tuple[str, str], int] = {}
    for header in headers:
        name = series_name(header)
        if header.component in _COMPONENTS:
            kind = _COMPONENTS[header.component]
            parts[name, kind] = parts.get((name, kind), 0) + 1
            continue
        contrast = _contrast(header, name, (named or {}).get(header.file.container))
        plane = 0 if contrast is not None else _plane(header, planes.setdefault(header.series_uid, []))
        groups.setdefault((header.series_uid, contrast, is_composed(header), plane), []).append(header)
    notes += [f"{name}: {count} slices of {kind} images" for (name, kind), count in sorted(parts.items())]
    stacks = []
    ordered = sorted(groups.items(), key=lambda item: (item[0][1] is None, item[0][0], str(item[0][1:])))
    for (_, contrast, composed, _), slices in ordered:
        name = series_name(slices[0], contrast)
        try:
            single = without_repeats(slices, name, time_point, positions_mm)
            notes += single.notes
            for volume in single.volumes:
                _check_alike(volume, name)
                stacks.append(replace(_stack(contrast, name, volume), composed=composed))
        except ScanExcluded as problem:
            if contrast is not None:
                raise
            # a localizer or another series that is no part of the scan; if it was needed, its contrast will be missing
            notes.append(problem.message)
    return stacks, notes


def _contrast(header: SliceHeader, name: str, named: Contrast | None) -> Contrast | None:
    if named is not None and named not in DIXON:  # tags know no word for it
        return named
    said = contrast_of(header, name)
    if said is not None and named is not None and said is not named:
        message = f"{name}: the name of its zip or folder says {named}, its tags say {said}"
        raise ScanExcluded(Reason.CONTRAST_MISMATCH, message)
    return said or named


def _plane(header: SliceHeader, firsts: list[SliceHeader]) -> int:
    """Number of the plane and matrix of a slice in its series: of a localizer in three planes each is a stack."""
    for number, first in enumerate(firsts):
        turned = max(abs(a - b) for a, b in zip(header.orientation, first.orientation, strict=True))
        if (header.rows, header.columns) == (first.rows, first.columns) and turned <= ORIENTATION_TOLERANCE:
            return number
    firsts.append(header)
    return len(firsts) - 1


def series_name(header: SliceHeader, contrast: Contrast | None = None) -> str:
    """How messages call a series: by its number, since its description is what somebody typed at the scanner."""
    number = header.series_number if header.series_number.isdecimal() else "without number"
    return f"series {number} ({contrast})" if contrast else f"series {number}"


def directions_of(header: SliceHeader) -> NDArray[np.float64]:
    """Unit vectors along columns, rows and slices, as columns, RAS."""
    along_columns, along_rows = np.array(header.orientation[:3]), np.array(header.orientation[3:])
    normal = np.cross(along_columns, along_rows)
    directions: NDArray[np.float64] = LPS_TO_RAS @ np.stack([along_columns, along_rows, normal], axis=1)
    return directions


def positions_mm(slices: Sequence[SliceHeader]) -> NDArray[np.float64]:
    """Positions of slices along the normal of the first."""
    positions = np.array([header.position_mm for header in slices]) @ LPS_TO_RAS
    along: NDArray[np.float64] = positions @ directions_of(slices[0])[:, 2]
    return along


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
        if header.slope == 0 or header.display_slope == 0:
            raise ScanExcluded(Reason.CONTRADICTORY_HEADERS, f"{name}: the rescale slope is 0")


def _stack(contrast: Contrast | None, name: str, slices: Sequence[SliceHeader]) -> Stack:
    directions = directions_of(slices[0])
    positions = np.array([header.position_mm for header in slices]) @ LPS_TO_RAS
    along = positions @ directions[:, 2]
    order = np.argsort(along, kind="stable")
    along, positions = along[order], positions[order]
    in_plane = positions @ directions[:, :2]
    if np.ptp(in_plane, axis=0).max() > IN_LINE_MM:
        raise unexpected(f"{name}: its slices do not form a stack")
    if len(slices) == 1:
        spacing_mm, flaw = slices[0].slice_spacing_mm or slices[0].thickness_mm or 1.0, ""
    else:
        spacing_mm, flaw = _slice_spacing(np.diff(along))
        _check_spacing_tags(slices, spacing_mm, name)
    affine = np.eye(4)
    affine[:3, :3] = directions * [slices[0].column_spacing_mm, slices[0].row_spacing_mm, spacing_mm]
    affine[:3, 3] = positions[0]
    count = round((along[-1] - along[0]) / spacing_mm) + 1 if flaw else len(slices)
    shape = (slices[0].columns, slices[0].rows, count)
    return Stack(contrast, name, tuple(slices[index] for index in order), shape, affine, flaw)


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
