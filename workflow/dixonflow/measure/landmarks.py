"""Stretches of the body between vertebral landmarks, for measures that are taken at a level or between two."""

from dataclasses import dataclass
from math import ceil, floor

from dixonflow.imaging.types import Affine
from dixonflow.measure.checks.level_checks import level_grade
from dixonflow.measure.definitions import MissingReason
from dixonflow.measure.field_of_view import EDGE_VOXELS
from dixonflow.measure.levels import Levels, Position
from dixonflow.models.anatomy import vertebra_of
from dixonflow.vocabulary import Grade


@dataclass(frozen=True)
class Landmark:
    """A place on a vertebra, as the measure `level_<place>` has it.

    Attributes
    ----------
    structure
        The vertebra, in the vocabulary: `vertebrae_L3`.
    place
        Where on it.
    """

    structure: str
    place: Position


@dataclass(frozen=True)
class BodyRange:
    """A part of the body along its axis.

    Attributes
    ----------
    low_mm, high_mm
        Its ends, RAS z.
    grade
        Verdict on the vertebrae that it is measured by: a measure in the stretch must not have a better one.
    """

    low_mm: float
    high_mm: float
    grade: Grade

    def slices(self, depth: int, affine: Affine) -> slice | MissingReason:
        """Index range along z of the slices whose centres lie inside, the last index excluded.

        A stretch that holds no centre, one without length for example, has the one slice that its middle lies in. All
        others share no slice with those that follow them.

        Parameters
        ----------
        depth
            Number of slices of the grid.
        affine
            4x4, voxel index (centre) to RAS mm, diagonal and positive.

        Returns
        -------
        slice or MissingReason
            Why there is none: a part of the stretch lies beyond the grid. It is never just shorter.
        """
        origin, spacing = float(affine[2, 3]), float(affine[2, 2])
        low, high = ((end - origin) / spacing for end in (self.low_mm, self.high_mm))
        if low < -0.5 - EDGE_VOXELS or high > depth - 0.5 + EDGE_VOXELS:
            return MissingReason.OUTSIDE_FIELD_OF_VIEW
        start, stop = ceil(low - EDGE_VOXELS), ceil(high - EDGE_VOXELS)
        if start < stop:
            return slice(start, stop)
        middle = min(max(floor((low + high) / 2 + 0.5), 0), depth - 1)
        return slice(middle, middle + 1)


def body_range(levels: Levels, upper: Landmark, lower: Landmark) -> BodyRange | MissingReason:
    """Find the stretch between two landmarks; one landmark twice is a stretch without length.

    Parameters
    ----------
    levels
        Those of the scan.
    upper, lower
        The landmarks, the one nearer to the head first.

    Returns
    -------
    Stretch or MissingReason
        Why there is none: that of the first landmark which is missing, or `OUT_OF_ORDER` where the upper landmark does
        not lie above the lower one.

    Raises
    ------
    ValueError
        If the landmarks are named in the wrong order, or one is no single vertebra of the model.
    """
    order = [(_vertebra(landmark), list(Position).index(landmark.place)) for landmark in (upper, lower)]
    if order[0] > order[1]:
        raise ValueError(f"{upper.structure} {upper.place} is not above {lower.structure} {lower.place}")
    ends = []
    for landmark, (vertebra, _) in zip((upper, lower), order, strict=True):
        if vertebra in levels.missing:
            return levels.missing[vertebra]
        if vertebra not in levels.found:
            raise ValueError(f"the model has no {landmark.structure}")
        ends.append(levels.found[vertebra].at(landmark.place))
    high, low = ends
    # vertebrae without a disc between them meet at one height
    meet = order[0] == order[1] or (upper.place, lower.place) == (
        Position.INFERIOR_ENDPLATE,
        Position.SUPERIOR_ENDPLATE,
    )
    if low > high or (low == high and not meet):
        return MissingReason.OUT_OF_ORDER
    return BodyRange(low, high, level_grade(levels))


def _vertebra(landmark: Landmark) -> int:
    vertebra = vertebra_of(landmark.structure)
    if vertebra is None:
        raise ValueError(f"{landmark.structure} is not a single vertebra")
    return vertebra
