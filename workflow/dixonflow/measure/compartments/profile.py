"""Profiles of fat and muscle along the body: cross-sections of each centimetre, counted from the end of the spine."""

from collections.abc import Iterator

import numpy as np

from dixonflow.imaging.types import Affine
from dixonflow.measure.compartments.body_range import BodyRange, Landmarks
from dixonflow.measure.compartments.compartment import PROFILED, Compartment
from dixonflow.measure.compartments.slices import SliceCounts
from dixonflow.measure.missing_reason import MissingReason

STEP_MM = 10.0
"""Length of a step of a profile."""

Step = tuple[str, int, float | None, float | None, MissingReason | None]
"""Compartment that grades the values, position in cm, area in cm2, fat fraction, and why there are none."""


def profile(compartment: Compartment, counts: SliceCounts, landmarks: Landmarks, affine: Affine) -> Iterator[Step]:
    """Cross-section of a tissue without arms in every whole centimetre of a scan.

    Parameters
    ----------
    compartment
        The tissue between landmarks, whose lower one is position 0; steps above count up, those below are negative.
    counts, landmarks, affine
        As `compartment_values` takes them.

    Yields
    ------
    Step
        None at all where the landmark was not found: the compartment's own values say why.
    """
    zero = landmarks.height(compartment.where.lower)
    if isinstance(zero, MissingReason):
        return
    depth, spacing = counts.voxels.shape[1], float(affine[2, 2])
    low, high = float(affine[2, 3]) - spacing / 2, float(affine[2, 3]) + (depth - 0.5) * spacing
    first, last = int(np.ceil((low - zero) / STEP_MM)), int(np.floor((high - zero) / STEP_MM))
    for position in range(first, last):
        weights = BodyRange(zero + position * STEP_MM, zero + (position + 1) * STEP_MM).weights(depth, affine)
        if isinstance(weights, MissingReason):  # rounding, at the edge of the grid
            continue
        yield compartment.name, position, *_cross_section(compartment, counts, weights, affine)


def _cross_section(
    compartment: Compartment, counts: SliceCounts, weights: np.ndarray, affine: Affine
) -> tuple[float | None, float | None, MissingReason | None]:
    regions, inside = list(compartment.regions), weights > 0
    if inside[~counts.seen].any():
        return None, None, MissingReason.OUTSIDE_FIELD_OF_VIEW
    if counts.edge[regions][:, inside].any():
        return None, None, MissingReason.CUT_BY_FIELD_OF_VIEW
    if PROFILED[compartment.tissue] and counts.joined[inside].any():
        return None, None, MissingReason.ARMS_JOINED
    x, y = np.diag(affine)[:2].tolist()
    voxels = counts.voxels[regions].sum(axis=0) @ weights
    area = float(voxels / weights.sum()) * x * y / 100
    if counts.signal is None or counts.fat is None:
        return area, None, None
    signal = float(counts.signal[regions].sum(axis=0) @ weights)
    return area, float(counts.fat[regions].sum(axis=0) @ weights) / signal if signal else None, None
