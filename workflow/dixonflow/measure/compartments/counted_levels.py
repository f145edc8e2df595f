"""Levels of vertebrae that a model labels together: counted upward from the sacrum by the discs between them.

Most models label all vertebral bodies as one structure and all discs as another. The lowest disc lies between S1 and
L5, the next one between L5 and L4, and so on. A spine with four or six lumbar vertebrae is counted as if it had five.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Affine, Labels
from dixonflow.labelmap.components import find_components
from dixonflow.measure.field_of_view import StationBox, field_of_view
from dixonflow.measure.levels import Level, Levels, ends_of_body, is_cut, piece_of
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.models.anatomy import SACRUM
from dixonflow.models.model import Model

FIRST, L5 = 8, 24
"""Vertebra ids of T1 and L5: what can be counted."""

SMALLEST_SHARE = 0.1
"""A piece is a disc, and no stray, from this share of the voxels of the largest one on: discs of the upper thorax have
a sixth of the volume of lumbar ones."""

ONE_DISC_MM = 10.0
"""Pieces whose middles are closer along the body than this are one disc: no vertebral body is as low."""

BELOW_TOP_MM = 15.0
"""A disc whose middle lies deeper below the top of the sacrum than this is a remnant inside it."""

FIRST_DISTANCES = (0.5, 1.5)
"""Where the lowest disc lies above the top of the sacrum, in distances of the next two discs. Nearer than the first:
it is that of L5 and S1. Nearer than the second: that disc, which is tilted, was not found, and L5 ends where its body
does. Further up a vertebra is missing."""

LARGEST_RATIO = 1.5
"""Largest ratio of the distances of three discs that follow each other: at a missing disc it is 2."""

SMALLEST_FILLING = 0.5
"""Smallest share of the slices between two discs that hold a part of a vertebral body."""

TALLEST_DISC_MM = 22.0
"""A piece that is taller than this along a line is more than one disc: the network has joined two."""


@dataclass(frozen=True)
class _Disc:
    """Faces of a disc in mm, its size, whether the field of view cuts it, and its height where it is tallest."""

    lower_mm: float
    upper_mm: float
    voxels: int
    is_cut: bool
    height_mm: float

    @property
    def middle_mm(self) -> float:
        return (self.lower_mm + self.upper_mm) / 2


def counted_levels(labels: Labels, affine: Affine, boxes: Sequence[StationBox], model: Model) -> Levels:
    """Find the levels of T1 to L5 and of the sacrum, as far as they can be counted.

    Counting ends, with `OUT_OF_ORDER`, where a disc does not follow at a like distance, or no vertebral body lies
    between it and the last one: what is above cannot be named.

    Parameters
    ----------
    labels, affine, boxes
        As `dixonflow.measure.levels.find_levels` takes them.
    model
        The model behind the label map, which labels sacrum, vertebra_body and IVD.
    """
    inside = field_of_view(labels.shape, affine, boxes)
    spine = np.zeros(labels.shape, np.uint8)
    for number, name in enumerate(("sacrum", "IVD", "vertebra_body"), 1):
        spine[labels == model.structures[name]] = number
    if inside is not None:
        spine[~inside] = 0
    every = range(FIRST, L5 + 1)
    sacrum = _sacrum(spine, affine)
    if sacrum is None:
        return Levels({}, dict.fromkeys((*every, SACRUM), MissingReason.NOT_FOUND))
    discs = [d for d in _discs(spine, affine, inside) if d.middle_mm >= sacrum.upper_mm - BELOW_TOP_MM]
    bodies = (spine == 3).any(axis=(0, 1))
    found: dict[int, Level] = {}
    reason = MissingReason.NOT_FOUND
    if len(discs) > 1:
        start = (discs[0].middle_mm - sacrum.upper_mm) / (discs[1].middle_mm - discs[0].middle_mm)
        if start > FIRST_DISTANCES[1]:
            reason, discs = MissingReason.OUT_OF_ORDER, []
        elif start > FIRST_DISTANCES[0]:
            face = _lowest_face(spine, affine, sacrum.upper_mm, discs[0].lower_mm)
            discs.insert(0, _Disc(sacrum.upper_mm, face, 0, is_cut=False, height_mm=0.0))
    pitch = None
    for vertebra, lower, upper in zip(reversed(every), discs, discs[1:], strict=False):
        distance = upper.middle_mm - lower.middle_mm
        level = Level(lower.upper_mm, upper.lower_mm)
        if upper.is_cut or lower.is_cut:
            reason = MissingReason.CUT_BY_FIELD_OF_VIEW
            break
        if max(lower.height_mm, upper.height_mm) > TALLEST_DISC_MM:
            reason = MissingReason.OUT_OF_ORDER
            break
        if len(found) == 1 and pitch is not None and distance < pitch / LARGEST_RATIO:
            found.clear()  # a disc is missing below it
        is_like = pitch is None or 1 / LARGEST_RATIO <= distance / pitch <= LARGEST_RATIO
        if not is_like or _filling(bodies, level, affine) < SMALLEST_FILLING:
            reason = MissingReason.OUT_OF_ORDER
            break
        found[vertebra], pitch = level, distance
    missing = {vertebra: reason for vertebra in every if vertebra not in found}
    return Levels(dict(sorted(found.items())) | {SACRUM: sacrum}, missing)


def _sacrum(spine: Labels, affine: Affine) -> Level | None:
    components = find_components(np.asarray(spine == 1, np.uint8), 26)
    pieces = [piece_of(components, number, np.diag(affine)[:3]) for number in components.of(1).tolist()]
    if not pieces:
        return None
    piece = max(pieces, key=lambda each: each.rank)
    low, high = (_mm(piece.corner[2] + end - 0.5, affine) for end in (0.0, ends_of_body(piece)[1]))
    return Level(low, high)


def _discs(spine: Labels, affine: Affine, inside: NDArray[np.bool_] | None) -> list[_Disc]:
    """Discs from foot to head; their faces are the medians over the lines along z through them."""
    components = find_components(np.asarray(spine == 2, np.uint8), 26)
    discs: list[_Disc] = []
    for number in components.of(1).tolist():
        piece = piece_of(components, number, np.diag(affine)[:3])
        lines = piece.mask[piece.mask.any(axis=2)]
        lower = np.median(lines.argmax(axis=1)) - 0.5
        upper = np.median(lines.shape[1] - lines[:, ::-1].argmax(axis=1)) - 0.5
        faces = [_mm(piece.corner[2] + float(face), affine) for face in (lower, upper)]
        heights = lines.shape[1] - lines[:, ::-1].argmax(axis=1) - lines.argmax(axis=1)
        tallest = float(heights.max() * affine[2, 2])
        discs.append(_Disc(faces[0], faces[1], piece.size, is_cut(piece, inside, spine.shape), tallest))
    largest = max((disc.voxels for disc in discs), default=0)
    joined: list[_Disc] = []
    for disc in sorted(discs, key=lambda each: each.middle_mm):
        if disc.voxels < SMALLEST_SHARE * largest:
            continue
        if joined and disc.middle_mm - joined[-1].middle_mm < ONE_DISC_MM:
            if disc.voxels > joined[-1].voxels:
                joined[-1] = disc
            continue
        joined.append(disc)
    return joined


def _lowest_face(spine: Labels, affine: Affine, low_mm: float, high_mm: float) -> float:
    """Inferior face of the body between two heights: the median over the lines along z through most of it."""
    place = float(affine[2, 3]) + float(affine[2, 2]) * np.arange(spine.shape[2])
    planes = np.flatnonzero((place > low_mm - BELOW_TOP_MM) & (place < high_mm))
    body = spine[:, :, planes[0] : planes[-1] + 1] == 3 if len(planes) else np.zeros((1, 1, 0), bool)
    depth = body.sum(axis=2)
    lines = body[(depth > 0) & (2 * depth >= depth.max(initial=0))]
    return _mm(planes[0] + float(np.median(lines.argmax(axis=1))) - 0.5, affine) if len(lines) else low_mm


def _filling(bodies: NDArray[np.bool_], level: Level, affine: Affine) -> float:
    """Share of the slices of a level in which there is a vertebral body."""
    place = float(affine[2, 3]) + float(affine[2, 2]) * np.arange(len(bodies))
    between = (place > level.lower_mm) & (place < level.upper_mm)
    return float(bodies[between].mean()) if between.any() else 0.0


def _mm(index: float, affine: Affine) -> float:
    return float(affine[2, 3] + affine[2, 2] * index)
