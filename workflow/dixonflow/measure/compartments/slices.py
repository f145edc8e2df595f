"""Counts of each region in each axial slice of the body without arms, for measures of a part of the body."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Affine, Labels, Mask
from dixonflow.measure.compartments.without_arms import without_arms
from dixonflow.measure.definitions import INTRAMUSCULAR_FAT_THRESHOLD
from dixonflow.measure.fat import signal_and_fat
from dixonflow.measure.field_of_view import StationBox, field_of_view
from dixonflow.measure.tally import Images, Tally
from dixonflow.models.model import Model
from dixonflow.vocabulary import Contrast

_HUMERI = ("humerus_left", "humerus_right")
_LEGS = ("femur_left", "femur_right", "hip_left", "hip_right")
_WHOLE_BODY = ("subcutaneous_fat", "inner_fat", "muscle")
"""A model with these labels everything inside the skin."""


@dataclass(frozen=True)
class SliceCounts:
    """Counts of voxels, or sums over them, each of shape (regions, z) on the grid of the label map.

    Attributes
    ----------
    voxels
        Voxels inside the field of view.
    edge
        Those of them with a neighbour across x or y that lies outside the field of view.
    joined
        Slices in which an arm grows out of the trunk, shape (z,).
    seen
        Slices that lie in a station, shape (z,).
    signal, fat, lean
        Voxels above the noise floor; the sum of their fat fractions; those below `INTRAMUSCULAR_FAT_THRESHOLD`. None
        for a scan that is not Dixon.
    eroded_signal, eroded_fat
        Likewise, of the eroded regions.
    """

    voxels: NDArray[np.float64]
    edge: NDArray[np.float64]
    joined: NDArray[np.bool_]
    seen: NDArray[np.bool_]
    signal: NDArray[np.float64] | None = None
    fat: NDArray[np.float64] | None = None
    lean: NDArray[np.float64] | None = None
    eroded_signal: NDArray[np.float64] | None = None
    eroded_fat: NDArray[np.float64] | None = None


def slice_counts(
    labels: Labels, images: Images, affine: Affine, boxes: Sequence[StationBox], model: Model, tally: Tally
) -> SliceCounts:
    """Count every region of a scan in every slice.

    Parameters
    ----------
    labels, images, affine, boxes, model
        As `dixonflow.measure.scan.measure` takes them.
    tally
        Counts of the whole scan.
    """
    inside = field_of_view(labels.shape, affine, boxes)
    humeri, legs = (
        [model.structures[name] for name in names if name in model.structures] for names in (_HUMERI, _LEGS)
    )
    tissue = None
    if tally.noise_floor > 0 and not set(_WHOLE_BODY) <= set(model.structures):
        tissue = np.add(images[Contrast.WATER], images[Contrast.FAT], dtype=np.float32) >= tally.noise_floor
    body = without_arms(labels, affine, humeri, legs, tissue)
    interior = tally.interior(labels.shape)
    known = sorted(model.labels)
    regions, depth = len(known) + 1, labels.shape[2]
    table = np.zeros(np.iinfo(labels.dtype).max + 1, np.uint16)
    table[list(known)] = np.arange(1, regions)
    counts = {name: np.zeros((regions, depth)) for name in ("voxels", "edge")}
    fats = {name: np.zeros((regions, depth)) for name in ("signal", "fat", "lean", "eroded_signal", "eroded_fat")}
    for plane in range(depth):
        seen = None if inside is None else inside[:, :, plane]
        here = body.mask[:, :, plane] & (labels[:, :, plane] > 0)
        if seen is not None:
            here &= seen
        if not here.any():
            continue
        names = table[labels[:, :, plane][here]]
        counts["voxels"][:, plane] = np.bincount(names, minlength=regions)
        rim = _rim(here.shape, seen)[here]
        counts["edge"][:, plane] = np.bincount(names[rim], minlength=regions)
        if tally.dixon is None:
            continue
        water, fat = (images[contrast][:, :, plane][here] for contrast in (Contrast.WATER, Contrast.FAT))
        signal, fat = signal_and_fat(water, fat)
        above = (signal >= tally.noise_floor) & (signal > 0)
        bright, fraction = names[above], np.clip(fat[above] / signal[above], 0, 1)
        eroded = interior[:, :, plane][here][above]
        fats["signal"][:, plane] = np.bincount(bright, minlength=regions)
        fats["fat"][:, plane] = np.bincount(bright, fraction, minlength=regions)
        fats["lean"][:, plane] = np.bincount(bright[fraction < INTRAMUSCULAR_FAT_THRESHOLD], minlength=regions)
        fats["eroded_signal"][:, plane] = np.bincount(bright[eroded], minlength=regions)
        fats["eroded_fat"][:, plane] = np.bincount(bright[eroded], fraction[eroded], minlength=regions)
    looked_at = np.ones(depth, bool) if inside is None else np.asarray(inside.any(axis=(0, 1)))
    return SliceCounts(**counts, joined=body.joined, seen=looked_at, **(fats if tally.dixon is not None else {}))


def _rim(shape: tuple[int, ...], inside: Mask | None) -> Mask:
    """Voxels of a slice that have a neighbour outside the field of view."""
    seen = np.pad(np.ones(shape, bool) if inside is None else inside, 1)
    rim: Mask = ~(seen[:-2, 1:-1] & seen[2:, 1:-1] & seen[1:-1, :-2] & seen[1:-1, 2:])
    return rim
