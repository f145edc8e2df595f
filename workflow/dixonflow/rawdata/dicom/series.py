"""Slices to stacks: group by series, sort along the slice normal, find what is missing; by tags, never file order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.types import Affine
from dixonflow.rawdata.acquisition import NO_SCANNER, Scanner
from dixonflow.rawdata.dicom.alike import ORIENTATION_TOLERANCE, check_alike, check_one_plane, plane_of, scattered
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

FIRST_YEAR = 1980
"""Before it there were no scanners: earlier dates stand for one that was removed."""

_COMPONENTS = {"P": "phase", "R": "real", "I": "imaginary"}


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
    scanner
        What may be told of the machine.
    """

    contrast: Contrast | None
    name: str
    slices: tuple[SliceHeader, ...]
    shape: tuple[int, int, int]
    affine: Affine
    flaw: str = ""
    composed: bool = False
    scanner: Scanner = NO_SCANNER

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

    @property
    def day(self) -> int | None:
        """Number of the day of the scan; None where the header says none that can be meant."""
        try:
            day = date.fromisoformat(self.slices[0].scanner.date)
        except ValueError:
            return None
        return day.toordinal() if day.year >= FIRST_YEAR else None


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
        plane = 0 if contrast is not None else plane_of(header, planes.setdefault(header.series_uid, []))
        groups.setdefault((header.series_uid, contrast, is_composed(header), plane), []).append(header)
    notes += [f"{name}: {count} slices of {kind} images" for (name, kind), count in sorted(parts.items())]
    stacks: list[Stack] = []
    strays: list[tuple[Contrast, Sequence[SliceHeader], ScanExcluded]] = []
    ordered = sorted(groups.items(), key=lambda item: (item[0][1] is None, item[0][0], str(item[0][1:])))
    for (_, contrast, composed, _), slices in ordered:
        name = series_name(slices[0], contrast)
        try:
            if contrast is not None:
                check_one_plane(slices, name)
            single = without_repeats(slices, name, time_point, positions_mm)
            notes += single.notes
            for volume in single.volumes:
                check_alike(volume, name)
                stacks.append(replace(stack_of(contrast, name, volume), composed=composed))
        except ScanExcluded as problem:
            if contrast is not None:
                strays.append((contrast, slices, problem))
                continue
            # a localizer or another series that is no part of the scan; if it was needed, its contrast will be missing
            notes.append(problem.message)
    for wanted, stray, excluded in strays:
        if not is_needless(stray, [stack for stack in stacks if stack.contrast is wanted]):
            raise excluded
        notes.append(excluded.message)
    return stacks, notes


def is_needless(slices: Sequence[SliceHeader], stacks: Sequence[Stack]) -> bool:
    """Whether slices that form no volume are no part of a scan, since larger volumes show what they show.

    Images in many planes, and a slice in another plane than the volumes, never were a station. Others are needless
    where a larger volume holds their centre: elsewhere they may be what is left of a station.

    Parameters
    ----------
    slices
        Of one series.
    stacks
        The volumes of their contrast.
    """
    whole = [stack for stack in stacks if not stack.flaw and len(stack.slices) > 1]
    directions, first = directions_of(slices[0]), slices[0]
    turned = all(abs(stack.directions[:, 2] @ directions[:, 2]) < 1 - ORIENTATION_TOLERANCE for stack in whole)
    if scattered(slices) or (len(slices) == 1 and turned):
        return bool(whole)
    middle = np.array([first.columns - 1, first.rows - 1]) / 2 * [first.column_spacing_mm, first.row_spacing_mm]
    centre = (np.array([each.position_mm for each in slices]) @ LPS_TO_RAS).mean(axis=0) + directions[:, :2] @ middle
    for stack in whole:
        index = (np.linalg.inv(stack.affine) @ [*centre, 1.0])[:3]
        inside = np.all((index >= -0.5) & (index <= np.array(stack.shape) - 0.5))
        if inside and len(stack.slices) > len(slices):
            return True
    return False


def _contrast(header: SliceHeader, name: str, named: Contrast | None) -> Contrast | None:
    if named is not None and named not in DIXON:  # tags know no word for it
        return named
    said = contrast_of(header, name)
    if said is not None and named is not None and said is not named:
        message = f"{name}: the name of its zip or folder says {named}, its tags say {said}"
        raise ScanExcluded(Reason.CONTRAST_MISMATCH, message)
    return said or named


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


def stack_of(contrast: Contrast | None, name: str, slices: Sequence[SliceHeader]) -> Stack:
    """Sort slices that differ in nothing but their places into a stack. Raises as `stacks_of`."""
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
