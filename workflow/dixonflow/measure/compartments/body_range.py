"""Ranges of the body between landmarks, and the heights of these in a scan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dixonflow.imaging.types import Affine, Labels
from dixonflow.measure.compartments.counted_levels import counted_levels
from dixonflow.measure.compartments.landmark import BONES, Landmark, Position, level_model, with_bone
from dixonflow.measure.field_of_view import EDGE_VOXELS, StationBox
from dixonflow.measure.levels import Levels, find_levels
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.models.anatomy import have_single_vertebrae, vertebra_of
from dixonflow.models.model import Model

LARGEST_DIFFERENCE_MM = 30.0
"""The two sides of a bone that lie further apart in height are no landmark: one is not whole, or a stray."""


@dataclass(frozen=True)
class Landmarks:
    """Heights of the landmarks of one scan, RAS z in mm.

    Attributes
    ----------
    levels
        Those of the vertebrae; none where no model of the run has them.
    bones
        Of each of `BONES`: its height, or why it has none.
    """

    levels: Levels | None
    bones: Mapping[str, float | MissingReason]

    def height(self, landmark: Landmark) -> float | MissingReason:
        """Height of a landmark, or why there is none. Raises ValueError for what is no landmark."""
        vertebra = vertebra_of(landmark.structure)
        if vertebra is None:
            bone = BONES.get(landmark.structure)
            if bone is None or bone[1] is not landmark.place:
                raise ValueError(f"{landmark.structure} {landmark.place} is no landmark")
            height = self.bones[landmark.structure]
            return height if isinstance(height, MissingReason) else height + landmark.offset_mm
        if self.levels is None:
            return MissingReason.NO_LANDMARK
        level = self.levels.found.get(vertebra)
        if level is None:
            return self.levels.missing.get(vertebra, MissingReason.NO_LANDMARK)
        return level.at(landmark.place) + landmark.offset_mm


@dataclass(frozen=True)
class BodyRange:
    """A part of the body along its axis: its ends, RAS z in mm."""

    low_mm: float
    high_mm: float

    def weights(self, depth: int, affine: Affine) -> NDArray[np.float64] | MissingReason:
        """How much of each slice lies inside.

        Parameters
        ----------
        depth
            Number of slices of the grid.
        affine
            4x4, voxel index (centre) to RAS mm, diagonal and positive.

        Returns
        -------
        numpy.ndarray or MissingReason
            Shape (depth,): the share of each slice's thickness; of a range without length, weights of the two nearest
            slices that sum to 1. Or why there is none: a part of the range lies beyond the grid. It is never just
            shorter.
        """
        origin, spacing = float(affine[2, 3]), float(affine[2, 2])
        low, high = ((end - origin) / spacing for end in (self.low_mm, self.high_mm))
        if low < -0.5 - EDGE_VOXELS or high > depth - 0.5 + EDGE_VOXELS:
            return MissingReason.OUTSIDE_FIELD_OF_VIEW
        place = np.arange(depth)
        if high > low:
            shares: NDArray[np.float64] = np.clip(np.minimum(place + 0.5, high) - np.maximum(place - 0.5, low), 0, 1)
            return shares
        middle = min(max(low, 0), depth - 1)
        nearest: NDArray[np.float64] = np.maximum(1 - np.abs(place - middle), 0)
        return nearest


def body_range(landmarks: Landmarks, upper: Landmark, lower: Landmark) -> BodyRange | MissingReason:
    """Find the range between two landmarks; one landmark twice is a range without length.

    Parameters
    ----------
    upper, lower
        The landmarks, the one nearer to the head first.

    Returns
    -------
    BodyRange or MissingReason
        Why there is none: that of the first landmark which is missing, or `OUT_OF_ORDER` where the upper landmark does
        not lie above the lower one.

    Raises
    ------
    ValueError
        If vertebrae are named in the wrong order, or a structure is no landmark.
    """
    order = [(vertebra_of(each.structure), list(Position).index(each.place)) for each in (upper, lower)]
    (first, place), (second, other_place) = order
    if first is not None and second is not None and (first, place) > (second, other_place):
        raise ValueError(f"{upper.structure} {upper.place} is not above {lower.structure} {lower.place}")
    ends = []
    for landmark in (upper, lower):
        height = landmarks.height(landmark)
        if isinstance(height, MissingReason):
            return height
        ends.append(height)
    high, low = ends
    # vertebrae without a disc between them meet at one height
    meet = upper == lower or (upper.place, lower.place) == (Position.INFERIOR_ENDPLATE, Position.SUPERIOR_ENDPLATE)
    if low > high or (low == high and not meet):
        return MissingReason.OUT_OF_ORDER
    return BodyRange(low, high)


def find_landmarks(
    label_maps: Sequence[tuple[Model, Labels]], affine: Affine, boxes: Sequence[StationBox]
) -> Landmarks:
    """Find the landmarks of a scan.

    Vertebrae are those of the model that `level_model` chooses; of bones the first model counts that labels both sides.

    Parameters
    ----------
    label_maps
        Models with their label maps (x, y, z), the measured one first.
    affine
        4x4, voxel index (centre) to RAS mm, diagonal and positive.
    boxes
        The stations; together they are the field of view.
    """
    models = [model for model, _ in label_maps]
    labels_of = {model.name: labels for model, labels in label_maps}
    chosen, levels = level_model(models), None
    if chosen is not None:
        find = find_levels if have_single_vertebrae(chosen.structures) else counted_levels
        levels = find(labels_of[chosen.name], affine, boxes, chosen)
    bones: dict[str, float | MissingReason] = {}
    for name in BONES:
        model = with_bone(name, models)
        found = MissingReason.NO_LANDMARK
        bones[name] = found if model is None else _bone_mm(name, model, labels_of[model.name], affine, boxes)
    return Landmarks(levels, bones)


def _bone_mm(
    name: str, model: Model, labels: Labels, affine: Affine, boxes: Sequence[StationBox]
) -> float | MissingReason:
    structures, place = BONES[name]
    ends = []
    for structure in structures:
        end = _end(labels, model.structures[structure], place)
        if end is None:
            return MissingReason.NOT_FOUND
        ends.append(float(affine[2, 3] + end * affine[2, 2]))
    if max(ends) - min(ends) > LARGEST_DIFFERENCE_MM:
        return MissingReason.SIDES_DIFFER
    height = sum(ends) / len(ends)
    low, high = min(box.low_mm[2] for box in boxes), max(box.high_mm[2] for box in boxes)
    voxel = float(affine[2, 2])
    if min(ends) < low + voxel / 2 or max(ends) > high - voxel / 2:
        return MissingReason.CUT_BY_FIELD_OF_VIEW
    return height


def _end(labels: Labels, label: int, place: Position) -> float | None:
    """Outer face, as an index along z, of the last slice of the largest piece of a label; None where there is none."""
    mask = labels == label
    planes = np.flatnonzero(mask.any(axis=(0, 1)))
    if not len(planes):
        return None
    pieces, number = ndimage.label(mask[:, :, planes[0] : planes[-1] + 1])
    if number > 1:
        largest = 1 + int(np.bincount(pieces.ravel())[1:].argmax())
        planes = planes[0] + np.flatnonzero((pieces == largest).any(axis=(0, 1)))
    return float(planes[0]) - 0.5 if place is Position.INFERIOR_ENDPLATE else float(planes[-1]) + 0.5
