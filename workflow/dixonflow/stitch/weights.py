"""Where each station of a scan counts, and how much: kept slices and blending weights.

Along z a station's weight rises as a raised cosine from its end over the overlap with the stations that reach beyond
that end. Inside an overlap it also falls toward in-plane borders that another station reaches beyond. Divided by their
sum the weights are smooth and sum to 1 wherever there is a station, also where three meet.

The outermost slices of a 3D slab are folded and dim. They are dropped where another station has the same place:
`drop_end_slices` at each end that lies inside another station, and never more than a quarter of the overlap there. The
head end of the first and the feet end of the last station are kept, since nothing could take their place. Where only a
dropped slice reaches (a station with a larger field of view in plane than its neighbour), the nearest kept slice stands
in, so that dropping never makes a hole.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.station import Station
from dixonflow.imaging.types import Floats32
from dixonflow.stitch.grid import EDGE_VOXELS, Axis, Grid, Sampling, resample, sampling, station_axes

MAX_DROPPED_OF_OVERLAP = 0.25
"""Largest part of an overlap that dropped slices of one station may take, so that at least half of it remains to
blend."""

IN_PLANE_RAMP_VOXELS = 8
"""Width of the fall of the weight toward an in-plane border inside another station, in target voxels (18 mm for UK
Biobank)."""

FLOOR = 1e-3
"""Smallest weight of a kept voxel relative to the largest, so that it counts where nothing else does."""

STAND_IN = 1e-7
"""Weight of a voxel that only a dropped slice reaches: counts where no other station does, and nowhere else."""


@dataclass(frozen=True)
class Placement:
    """A station on the target grid.

    Attributes
    ----------
    station
        The station.
    samplings
        How its samples reach the target grid along x, y, z.
    dropped
        Slices dropped at the feet end and at the head end.
    kept_planes
        Range of target planes that its kept slices cover; within the range of `samplings[2]`.
    z_weights
        Float32, one per target plane that it covers.
    xy_weights
        Float32 of shape (y, x) over its in-plane window, to be used in overlaps only.
    """

    station: Station
    samplings: tuple[Sampling, Sampling, Sampling]
    dropped: tuple[int, int]
    kept_planes: tuple[int, int]
    z_weights: Floats32
    xy_weights: Floats32

    @property
    def planes(self) -> tuple[int, int]:
        """Range of target planes inside the station's box."""
        return self.samplings[2].start, self.samplings[2].stop


def _raised_cosine(depth: NDArray[np.float64], ramp: float) -> NDArray[np.float64]:
    """Give 0 at depth 0, 1 from depth `ramp` on, smooth in between; 1 everywhere for no ramp."""
    if ramp <= 0:
        return np.ones_like(depth)
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(depth / ramp, 0, 1))


def _end_overlaps_mm(own: tuple[float, float], others: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Longest overlap at the low and at the high end with an interval that reaches beyond that end; 0 for none."""
    low, high = own
    at_low = [min(other[1], high) - low for other in others if other[0] < low]
    at_high = [high - max(other[0], low) for other in others if other[1] > high]
    return max([0.0, *at_low]), max([0.0, *at_high])


def _ramps(
    centres_mm: NDArray[np.float64], ends_mm: tuple[float, float], ramps_mm: tuple[float, float]
) -> NDArray[np.float64]:
    weights = _raised_cosine(centres_mm - ends_mm[0], ramps_mm[0]) * _raised_cosine(
        ends_mm[1] - centres_mm, ramps_mm[1]
    )
    return FLOOR + (1 - FLOOR) * weights


def _in_plane_weights(target: Axis, own: Axis, others: Sequence[Axis], window: Sampling) -> NDArray[np.float64]:
    """Fall toward a border of the station's window that a neighbour's window reaches beyond; 1 elsewhere."""
    ramp = IN_PLANE_RAMP_VOXELS * target.spacing_mm
    margin = EDGE_VOXELS * target.spacing_mm
    low = ramp if any(other.low_mm < own.low_mm - margin for other in others) else 0.0
    high = ramp if any(other.high_mm > own.high_mm + margin for other in others) else 0.0
    return _ramps(target.centres_mm()[window.start : window.stop], (own.low_mm, own.high_mm), (low, high))


def place(stations: Sequence[Station], grid: Grid, drop_end_slices: int) -> list[Placement]:
    """Place all stations on the target grid.

    Parameters
    ----------
    stations
        Axis-aligned stations.
    grid
        The target grid.
    drop_end_slices
        Slices to drop at each end that lies inside another station.

    Returns
    -------
    One placement per station, in the same order.
    """
    axes = [station_axes(station) for station in stations]
    boxes = [(z.low_mm, z.high_mm) for _, _, z in axes]
    dropped: list[tuple[int, int]] = []
    kept_boxes: list[tuple[float, float]] = []
    for number, (box, (_, _, z)) in enumerate(zip(boxes, axes, strict=True)):
        overlaps = _end_overlaps_mm(box, boxes[:number] + boxes[number + 1 :])
        low, high = (
            min(drop_end_slices, int(MAX_DROPPED_OF_OVERLAP * overlap / z.spacing_mm + EDGE_VOXELS))
            for overlap in overlaps
        )
        dropped.append((low, high))
        kept_boxes.append((box[0] + low * z.spacing_mm, box[1] - high * z.spacing_mm))

    placements = []
    for number, (station, (x, y, z)) in enumerate(zip(stations, axes, strict=True)):
        others = [other for other in range(len(stations)) if other != number]
        kept = (dropped[number][0], z.size - dropped[number][1])
        samplings = (
            sampling(grid.axes[0], x, (0, x.size)),
            sampling(grid.axes[1], y, (0, y.size)),
            sampling(grid.axes[2], z, kept),
        )
        start, stop = samplings[2].start, samplings[2].stop
        centres = grid.axes[2].centres_mm()[start:stop]
        low_mm, high_mm = kept_boxes[number]
        ramps = _end_overlaps_mm(kept_boxes[number], [kept_boxes[other] for other in others])
        margin = EDGE_VOXELS * grid.axes[2].spacing_mm
        inside = (centres >= low_mm - margin) & (centres <= high_mm + margin)
        z_weights = np.where(inside, _ramps(centres, (low_mm, high_mm), ramps), STAND_IN)
        covered = np.flatnonzero(inside)
        touching = [
            other for other in others if boxes[other][0] < boxes[number][1] and boxes[other][1] > boxes[number][0]
        ]
        x_weights = _in_plane_weights(grid.axes[0], x, [axes[other][0] for other in touching], samplings[0])
        y_weights = _in_plane_weights(grid.axes[1], y, [axes[other][1] for other in touching], samplings[1])
        placements.append(
            Placement(
                station=station,
                samplings=samplings,
                dropped=dropped[number],
                kept_planes=(start + int(covered[0]), start + int(covered[-1]) + 1) if covered.size else (start, start),
                z_weights=z_weights.astype(np.float32),
                xy_weights=np.outer(y_weights, x_weights).astype(np.float32),
            )
        )
    return placements


def reached_planes(placement: Placement, start: int, stop: int) -> NDArray[np.bool_] | None:
    """Where a station holds data on target planes `start` to `stop`, shape (planes, y, x); None for everywhere."""
    reached = placement.station.reached
    if reached is None:
        return None
    inside: NDArray[np.bool_] = resample(reached, placement.samplings, start, stop, (0.0, 1.0)) > 0.5
    return inside


def runs(placements: Sequence[Placement]) -> list[tuple[int, int, tuple[int, ...]]]:
    """Cut the target planes into ranges that the same stations cover.

    Returns
    -------
    (start, stop, numbers of the placements), in order, without the planes that no station covers.
    """
    cuts = sorted({edge for placement in placements for edge in placement.planes})
    found = []
    for start, stop in itertools.pairwise(cuts):
        members = tuple(
            number
            for number, placement in enumerate(placements)
            if placement.planes[0] <= start and stop <= placement.planes[1]
        )
        if members:
            found.append((start, stop, members))
    return found
