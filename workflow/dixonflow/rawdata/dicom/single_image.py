"""Which stacks of slices are the image of a sequence that has one image per station."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.dicom.alike import ORIENTATION_TOLERANCE, check_alike
from dixonflow.rawdata.dicom.series import Stack, stack_of
from dixonflow.rawdata.geometry import is_oblique

TURN_TOLERANCE = 5e-4
"""Difference of direction cosines of stations that are tilted alike: half a millimetre at a distance of a metre."""

THIN_SHARE = 0.75
"""Slices that are no thicker than this part of their distance leave room for those of another series."""


def stacks_of_one_image(stacks: Sequence[Stack]) -> tuple[list[Stack], list[str]]:
    """Choose the stacks that are stations: of several planes that with most slices, of several echoes the first.

    Series that hold every other slice of one volume are put together.

    Returns
    -------
    stacks
        With more than one slice.
    notes
        What was left out or put together.
    """
    notes = [f"{stack.name}: a single slice" for stack in stacks if len(stack.slices) < 2]
    by_axis: dict[int, list[Stack]] = {}
    for stack in (stack for stack in stacks if len(stack.slices) > 1):
        # by the axis of the patient that the slices are stacked along: stations may be tilted against each other
        by_axis.setdefault(int(np.abs(stack.directions[:, 2]).argmax()), []).append(stack)
    planes = sorted(by_axis.values(), key=lambda plane: -sum(len(stack.slices) for stack in plane))
    notes += [f"{stack.name}: in another plane" for plane in planes[1:] for stack in plane]
    kept, said = _first_echo(planes[0] if planes else [])
    whole, put_together = _interleaved(kept)
    return whole, notes + said + put_together


def which_are_resampled(stacks: Sequence[Stack]) -> list[bool]:
    """Which stacks are read by resampling: oblique ones, and tilted ones where not all are tilted alike.

    Stations that are tilted alike are turned upright by one rotation, which keeps their places relative to each other.
    A rotation for each would tear them apart: it turns about the scanner's centre, which may be half a metre away.
    """
    oblique = [is_oblique(stack.directions) for stack in stacks]
    upright = np.eye(3)
    turns = [
        upright if turned else stack.directions @ np.round(stack.directions).T
        for stack, turned in zip(stacks, oblique, strict=True)
    ]
    if all(np.abs(turn - turns[0]).max() <= TURN_TOLERANCE for turn in turns):
        return oblique
    tilted = [bool(np.abs(turn - upright).max() > TURN_TOLERANCE) for turn in turns]
    return [turned or tilt for turned, tilt in zip(oblique, tilted, strict=True)]


def _first_echo(stacks: Sequence[Stack]) -> tuple[list[Stack], list[str]]:
    """Stacks of the first echo of each series: those of two stations need not be equal to the last digit."""
    by_series: dict[str, list[Stack]] = {}
    for stack in stacks:
        by_series.setdefault(stack.slices[0].series_uid, []).append(stack)
    kept, notes = [], []
    for series in by_series.values():
        echoes = sorted({stack.echo_time_ms for stack in series if stack.echo_time_ms is not None})
        if len(echoes) < 2:
            kept += series
            continue
        kept += [stack for stack in series if stack.echo_time_ms == echoes[0]]
        notes.append(f"{series[0].name}: {len(echoes)} echoes, the first, at {echoes[0]:g} ms, is used")
    return kept, notes


def _interleaved(stacks: Sequence[Stack]) -> tuple[list[Stack], list[str]]:
    """Put stacks together that are every other slice, or every third, of one volume."""
    left, whole, notes = list(stacks), [], []
    while left:
        first, *left = left
        alike = [stack for stack in left if _may_interleave(first, stack)] if _is_thin(first) else []
        pooled = _pooled([first, *alike]) if alike else None
        if pooled is None:
            whole.append(first)
            continue
        whole.append(pooled)
        left = [stack for stack in left if not any(stack is other for other in alike)]
        names = " and ".join(stack.name for stack in [first, *alike])
        notes.append(f"{names}: their slices lie between each other and are one volume")
    return whole, notes


def _spacing_mm(stack: Stack) -> float:
    return float(np.linalg.norm(stack.affine[:3, 2]))


def _is_thin(stack: Stack) -> bool:
    thickness = stack.slices[0].thickness_mm
    return bool(thickness) and thickness <= THIN_SHARE * _spacing_mm(stack) and not stack.flaw  # type: ignore[operator]


def _may_interleave(first: Stack, other: Stack) -> bool:
    """Whether two stacks differ in nothing but places, and these are not the same ones or one behind the other."""
    turned = np.abs(first.directions - other.directions).max() > ORIENTATION_TOLERANCE
    if turned or not _is_thin(other) or first.slices[0].image_type != other.slices[0].image_type:
        return False
    spacing = _spacing_mm(first)
    if abs(_spacing_mm(other) - spacing) > 0.01 * spacing or abs(len(first.slices) - len(other.slices)) > 1:
        return False
    shift = abs(float(first.directions[:, 2] @ (other.affine[:3, 3] - first.affine[:3, 3])))
    return 0.1 * spacing < shift < spacing


def _pooled(stacks: Sequence[Stack]) -> Stack | None:
    """One stack of the slices of all; None where they are no even volume."""
    first = stacks[0]
    slices = [header for stack in stacks for header in stack.slices]
    try:
        check_alike(slices, first.name)
        stack = stack_of(first.contrast, first.name, slices)
    except ScanExcluded:
        return None
    return None if stack.flaw else replace(stack, composed=first.composed, scanner=first.scanner)
