"""Levels of the body: where each vertebra begins and ends, in scanner coordinates.

A vertebra is more than its body: articular processes stand above the superior endplate, the spinous process hangs far
below the lower one, in the thorax as low as the next body. A level is meant to be that of the body, so it is read off
the thickest part of the vertebra, which is the body wherever there is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dixonflow.imaging.types import Affine, Labels, Mask
from dixonflow.labelmap.components import Components, find_components
from dixonflow.measure.compartments.landmark import Position
from dixonflow.measure.field_of_view import StationBox, field_of_view
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.measure.surface import surface
from dixonflow.models.anatomy import SACRUM
from dixonflow.models.comparison import vertebrae_of
from dixonflow.models.model import Model

CORE_DEPTH = 0.5
"""The thickest part of a vertebra: what lies at least this share as deep under its surface as its deepest voxel. A
lumbar body is some 27 mm high and its processes under 12 mm thick."""


CUT_SHARE = 0.1
"""A piece at the edge of the field of view is what is left of a vertebra, and no stray, from this share of the voxels
of its thickest piece on."""


@dataclass(frozen=True)
class Level:
    """Where a vertebra lies along the body axis, RAS z in mm, which grows towards the head.

    Attributes
    ----------
    lower_mm, upper_mm
        Inferior and superior endplate of the vertebral body, at the outer faces of its last voxels.
    """

    lower_mm: float
    upper_mm: float

    @property
    def centre_mm(self) -> float:
        """Halfway between the ends."""
        return (self.lower_mm + self.upper_mm) / 2

    def at(self, place: Position) -> float:
        """Height of a place on the vertebra."""
        return {
            Position.SUPERIOR_ENDPLATE: self.upper_mm,
            Position.CENTRE: self.centre_mm,
            Position.INFERIOR_ENDPLATE: self.lower_mm,
        }[place]


@dataclass(frozen=True)
class Levels:
    """The levels of one scan; nothing for a model without single vertebrae.

    Attributes
    ----------
    found
        By vertebra id (`dixonflow.models.anatomy`), from head to foot by name, wherever they lie.
    missing
        Why the other vertebrae of the model have none.
    """

    found: Mapping[int, Level]
    missing: Mapping[int, MissingReason]


def find_levels(labels: Labels, affine: Affine, boxes: Sequence[StationBox], model: Model) -> Levels:
    """Find the level of every vertebra of a model.

    Of each vertebra the component (26 neighbours) inside the field of view is taken that is thickest. Networks leave
    stray voxels of one vertebra's name on others and elsewhere in the body, and one of them would move an end by as
    much. The largest component need not be the body: where thin pedicles are lost, arch and processes may be larger.

    Parameters
    ----------
    labels
        Label map (x, y, z), uint8 or uint16.
    affine
        4x4, voxel index (centre) to RAS mm, diagonal and positive.
    boxes
        The stations; together they are the field of view.
    model
        The model behind the label map.

    Raises
    ------
    ValueError
        If `labels` is no label map, or no station meets the grid.
    """
    wanted = vertebrae_of(model)
    if not wanted:
        return Levels({}, {})
    table = np.zeros(np.iinfo(labels.dtype).max + 1, np.uint8)
    for vertebra, numbers in wanted.items():
        table[numbers] = vertebra
    vertebrae = table[labels]
    inside = field_of_view(labels.shape, affine, boxes)
    unseen: set[int] = set()
    if inside is not None:
        unseen.update(np.unique(vertebrae[~inside]).tolist())
        vertebrae[~inside] = 0
    present = np.unique(labels[vertebrae > 0])
    components = find_components(vertebrae, 26)
    spacing = np.diag(affine)[:3]
    found, missing = {}, {}
    for vertebra in wanted:
        pieces = components.of(vertebra)
        if not len(pieces):
            outside = vertebra in unseen
            missing[vertebra] = MissingReason.OUTSIDE_FIELD_OF_VIEW if outside else MissingReason.NOT_FOUND
            continue
        if len(wanted[vertebra]) > 1 and not np.isin(wanted[vertebra], present).all():
            missing[vertebra] = MissingReason.INCOMPLETE  # one part does not tell where the whole begins and ends
            continue
        all_pieces = [piece_of(components, number, spacing) for number in pieces.tolist()]
        piece = max(all_pieces, key=lambda each: each.rank)
        large = [each for each in all_pieces if each.size >= CUT_SHARE * piece.size]
        if any(is_cut(each, inside, labels.shape) for each in large):
            missing[vertebra] = MissingReason.CUT_BY_FIELD_OF_VIEW
            continue
        lower, upper = ends_of_body(piece)
        if vertebra == SACRUM:
            lower = 0.0  # it narrows towards the coccyx: its end is not that of its thickest part
        low, high = (float(affine[2, 3] + spacing[2] * (piece.corner[2] + end - 0.5)) for end in (lower, upper))
        found[vertebra] = Level(low, high)
    return Levels(found, missing)


@dataclass(frozen=True)
class Piece:
    """A component: number of voxels, the first one (x, y, z) of the box around it, where in the box it is, and how deep
    in mm each of its voxels lies.
    """

    size: int
    corner: NDArray[np.intp]
    mask: Mask
    depth_mm: NDArray[np.float64]

    @property
    def rank(self) -> tuple[float, int, list[int]]:
        """Greater for thicker ones; of equal ones for larger, then for those nearer to the end of the volume."""
        return float(self.depth_mm.max()), self.size, self.corner.tolist()


def piece_of(components: Components, number: int, spacing: NDArray[np.float64]) -> Piece:
    """Cut a component out of its volume; `spacing` in mm."""
    places = np.stack(np.unravel_index(components.positions_of(number), components.shape, order=components.order))
    corner: NDArray[np.intp] = places.min(axis=1)
    mask = np.zeros(places.max(axis=1) - corner + 1, bool)
    mask[tuple(places - corner[:, None])] = True
    depth_mm = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    return Piece(int(components.voxels[number]), corner, mask, depth_mm)


def is_cut(piece: Piece, inside: Mask | None, shape: tuple[int, ...]) -> bool:
    """Whether a component touches the edge of the field of view."""
    # a ring of background around it: only at the edge of the grid does it touch what is not there
    low = np.maximum(piece.corner - 1, 0)
    high = np.minimum(piece.corner + piece.mask.shape + 1, shape)
    region = np.zeros(high - low, np.uint8)
    place = zip(piece.corner - low, piece.mask.shape, strict=True)
    region[tuple(slice(start, start + size) for start, size in place)] = piece.mask
    seen = None if inside is None else inside[tuple(slice(*ends) for ends in zip(low, high, strict=True))]
    return surface(region, seen, 2, (1.0, 1.0, 1.0)).cut_mm2([1]) > 0


def ends_of_body(piece: Piece) -> tuple[float, float]:
    """Inferior and superior end of the thickest part, as indices along z: of its first slice, and after its last.

    Each is the median over the lines along z through the thickest part, each followed until it leaves the vertebra: the
    middle of an end plate, tilted or not, and free of the few lines that run into a process.
    """
    depth = piece.depth_mm
    parts, _ = ndimage.label(depth >= CORE_DEPTH * depth.max())
    core = parts == parts.flat[depth.argmax()]
    lines = core.any(axis=2)
    start = core[lines].argmax(axis=1)[:, None]
    empty = ~piece.mask[lines]
    z = np.arange(empty.shape[1])
    lower = np.where(empty & (z < start), z, -1).max(axis=1) + 1
    upper = np.where(empty & (z > start), z, len(z)).min(axis=1)
    return float(np.median(lower)), float(np.median(upper))
