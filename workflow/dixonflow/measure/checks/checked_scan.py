"""What the quality checks look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Affine, Labels
from dixonflow.labelmap.swap_witness import SwappedPatches
from dixonflow.measure.checks.borders import Borders, borders_of
from dixonflow.measure.checks.pieces import Pieces, pieces_of
from dixonflow.measure.checks.signal_fit import SignalFit, signal_fit
from dixonflow.measure.checks.stitch_findings import CheckValue
from dixonflow.measure.field_of_view import StationBox, field_of_view
from dixonflow.measure.levels import Levels
from dixonflow.measure.tally import DixonTally, Images, Tally
from dixonflow.models.model import Model
from dixonflow.vocabulary import Contrast


@dataclass(frozen=True)
class CheckedScan:
    """What the checks look at.

    Attributes
    ----------
    tally
        Counts of the scan.
    labels, images, affine, boxes, model
        As `measure` takes them.
    of_stitching
        What the stitch stage found out, by check.
    wrong_side_ml
        Volume of the left-right errors; None where it is not known.
    contrast_agreement
        Mean Dice between contrasts by structure; a structure without one is None or not there.
    model_agreement
        Mean Dice with other models by structure or composite that they have too; None where none found it.
    swapped_patches
        Where water and fat contradict the labels of the other contrasts; None where that was not looked at.
    levels
        Levels of the vertebrae.
    intensity_scale
        What the input's values were multiplied by for storage.
    """

    tally: Tally
    labels: Labels
    images: Images
    affine: Affine
    boxes: Sequence[StationBox]
    model: Model
    of_stitching: Mapping[str, CheckValue]
    wrong_side_ml: float | None
    contrast_agreement: Mapping[str, float | None]
    model_agreement: Mapping[str, float | None]
    swapped_patches: SwappedPatches | None
    levels: Levels
    intensity_scale: float = 1.0

    @property
    def dixon(self) -> DixonTally:
        """Counts of water and fat, which checks of Dixon scans ask for."""
        assert self.tally.dixon is not None
        return self.tally.dixon

    @cached_property
    def signal_fit(self) -> SignalFit:
        """How water and fat fit the labels."""
        x, y, z = np.diag(self.affine)[:3].tolist()
        water, fat = (self.images[contrast][self.tally.box] for contrast in (Contrast.WATER, Contrast.FAT))
        return signal_fit(self.labels[self.tally.box], water, fat, (x, y, z), self.model)

    @cached_property
    def borders(self) -> Borders:
        """How the borders of structures fit water and fat, and what they touch."""
        water, fat = (self.images[contrast][self.tally.box] for contrast in (Contrast.WATER, Contrast.FAT))
        return borders_of(self.labels[self.tally.box], water, fat, self.model)

    @cached_property
    def pieces(self) -> Pieces:
        """The connected pieces of structures."""
        return pieces_of(self.labels[self.tally.box], self.model)

    @cached_property
    def in_field_of_view(self) -> NDArray[np.bool_] | None:
        """Which voxels lie inside a station; None where all do."""
        return field_of_view(self.labels.shape, self.affine, self.boxes)

    def region(self, structure: str) -> int:
        """Place of a structure in the ascending list of the model's labels, from 1."""
        return 1 + sorted(self.model.labels).index(self.model.structures[structure])

    def voxels(self, structure: str) -> int:
        """Size of a structure inside the field of view."""
        return int(self.tally.voxels[self.region(structure)])

    def mask(self, structure: str) -> NDArray[np.bool_]:
        """Where a structure is inside the bounding box of all labels."""
        mask: NDArray[np.bool_] = self.labels[self.tally.box] == self.model.structures[structure]
        return mask

    def centroid_mm(self, structures: Sequence[str], axis: int) -> float:
        """Position of the centroid of a union of structures along an axis (RAS)."""
        others = tuple(other for other in range(3) if other != axis)
        voxels = sum(self.mask(name).sum(axis=others) for name in structures)
        place = float(np.average(np.arange(len(voxels)), weights=voxels)) + self.tally.box[axis].start
        return float(self.affine[axis, 3] + place * self.affine[axis, axis])
