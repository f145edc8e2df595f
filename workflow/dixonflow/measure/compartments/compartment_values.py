"""Values of the compartments of a scan."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Affine
from dixonflow.measure.compartments.body_range import Landmarks, body_range
from dixonflow.measure.compartments.compartment import Compartment
from dixonflow.measure.compartments.slices import SliceCounts
from dixonflow.measure.missing_reason import MissingReason

LARGEST_JOINED = 1 / 3
"""Largest share of the slices of a range in which arms grow out of the trunk and are parted by their bones: there, on
the phantom, a third of the muscle of a cross-section goes with them, and the border of fat is off by a twentieth."""

LARGEST_CUT = 0.05
"""Largest share of the slices of a range in which a compartment reaches the edge of the field of view at the side, the
front or the back; at a level, none may."""


def compartment_values(
    compartment: Compartment,
    counts: SliceCounts,
    landmarks: Landmarks,
    affine: Affine,
    *,
    graded_if_incomplete: bool,
) -> dict[str, float | MissingReason]:
    """Give every measure of a compartment: a finite number, or why there is none.

    Parameters
    ----------
    counts
        Of the scan, by region and slice.
    landmarks
        Of the scan.
    affine
        4x4, voxel index (centre) to RAS mm, diagonal and positive.
    graded_if_incomplete
        Whether a composite of which a part was not found in the range's scan has values.
    """
    weights = _weights(compartment, counts, landmarks, affine, graded_if_incomplete=graded_if_incomplete)
    if isinstance(weights, MissingReason):
        return {measure.name: weights for measure in compartment.measures}
    values = dict(_values(compartment, counts, weights, affine))
    return {measure.name: values[measure.name] for measure in compartment.measures}


def _weights(
    compartment: Compartment,
    counts: SliceCounts,
    landmarks: Landmarks,
    affine: Affine,
    *,
    graded_if_incomplete: bool,
) -> NDArray[np.float64] | MissingReason:
    where = body_range(landmarks, compartment.where.upper, compartment.where.lower)
    if isinstance(where, MissingReason):
        return where
    weights = where.weights(counts.voxels.shape[1], affine)
    if isinstance(weights, MissingReason):
        return weights
    return _objection(compartment, counts, weights, graded_if_incomplete=graded_if_incomplete) or weights


def _objection(
    compartment: Compartment, counts: SliceCounts, weights: NDArray[np.float64], *, graded_if_incomplete: bool
) -> MissingReason | None:
    """Why a compartment has no value although its range lies in the scan."""
    if (weights > 0)[~counts.seen].any():
        return MissingReason.OUTSIDE_FIELD_OF_VIEW
    found = counts.voxels[list(compartment.regions)].sum(axis=1) > 0
    if not found.any():
        return MissingReason.NOT_FOUND
    if not graded_if_incomplete and not found.all():
        return MissingReason.INCOMPLETE
    cut = counts.edge[list(compartment.regions)].sum(axis=0) > 0
    if weights @ cut > (0 if compartment.where.is_level else LARGEST_CUT) * weights.sum():
        return MissingReason.CUT_BY_FIELD_OF_VIEW
    if compartment.tissue != "visceral_fat" and weights @ counts.joined > LARGEST_JOINED * weights.sum():
        return MissingReason.ARMS_JOINED
    return None


def _values(
    compartment: Compartment, counts: SliceCounts, weights: NDArray[np.float64], affine: Affine
) -> Iterator[tuple[str, float | MissingReason]]:
    regions = list(compartment.regions)

    def total(of: NDArray[np.float64]) -> float:
        return float(of[regions].sum(axis=0) @ weights)

    x, y, z = np.diag(affine)[:3].tolist()
    ml = x * y * z / 1000
    yield "volume", total(counts.voxels) * ml
    yield "area", total(counts.voxels) * x * y / 100
    uncut = counts.edge[regions].sum(axis=0) == 0
    yield "uncut_slices", min(float(weights @ uncut) / float(weights.sum()), 1.0)
    if counts.signal is None or counts.fat is None or counts.lean is None:
        return
    assert counts.eroded_signal is not None and counts.eroded_fat is not None
    signal, eroded = total(counts.signal), total(counts.eroded_signal)
    dark = MissingReason.BELOW_NOISE_FLOOR
    yield "fat_volume", total(counts.fat) * ml if signal else dark
    yield "lean_volume", total(counts.lean) * ml if signal else dark
    yield "intramuscular_fat_volume", (signal - total(counts.lean)) * ml if signal else dark
    yield "fat_fraction_mean", total(counts.fat) / signal if signal else dark
    yield "fat_fraction_eroded_mean", total(counts.eroded_fat) / eroded if eroded else MissingReason.TOO_THIN
