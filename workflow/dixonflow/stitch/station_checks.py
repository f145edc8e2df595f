"""Slices and grey levels of one station: slices that are missing from the middle of it, values that were cut off."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.contrast_sums import SIGNAL_FRACTION
from dixonflow.imaging.station import Station
from dixonflow.stitch.matching import reference_of
from dixonflow.vocabulary import Reason

MIN_SIGNAL_VOXELS = 50
"""A slice with fewer shows no body."""

FOLDED_SLICES = 2
"""Outermost slices, which are often folded, are not compared with their neighbours."""

SPARSE = 8
"""Slices are compared in one voxel of so many along x and y first."""

LOOK_AHEAD = 20
"""So many slices may be the one that would follow best."""

CEILING = 0.995
"""Values above this fraction of the largest one lie at the ceiling."""


@dataclass(frozen=True)
class StationStatistics:
    """What the in-phase image of a station looks like.

    Attributes
    ----------
    grey_levels
        Number of different values of its signal.
    ceiling_share
        Share of its signal that lies at the largest value: it may have been cut off there.
    slice_order
        Largest ratio of the difference between a slice and the next one to that between it and the most similar one
        of those behind the next; above 1 where a later slice would follow better. None for too few slices.
    order_slice
        The slice of that, from 0.
    """

    grey_levels: int
    ceiling_share: float
    slice_order: float | None
    order_slice: int | None


def _bright(image: NDArray[Any]) -> float:
    """Value above which a voxel counts as signal."""
    return SIGNAL_FRACTION * float(np.percentile(image[::2, ::2, ::2].astype(np.float64), 99))


def check_slices(station: Station) -> None:
    """Check that no slice is empty between slices with signal, and none the same image as the one before.

    Raises
    ------
    ScanExcluded
        `missing_slice`.
    """
    name = f"station {station.index + 1}"
    image: NDArray[Any] = station.images[reference_of(station.images)]
    bright = _bright(image)
    if bright <= 0:
        return
    signal = np.count_nonzero(image > bright, axis=(0, 1))
    shows = signal >= MIN_SIGNAL_VOXELS
    places = np.flatnonzero(shows)
    if not places.size:
        return
    inner = slice(places[0], places[-1] + 1)
    filled: NDArray[np.bool_] = np.any([each.any(axis=(0, 1)) for each in station.images.values()], axis=0)
    empty = [k for k in range(inner.start, inner.stop) if not filled[k]]
    if empty:
        raise ScanExcluded(
            Reason.MISSING_SLICE, f"{name}: slice {empty[0] + 1} is empty, between slices that show the body"
        )
    # most differ in the first voxels that are looked at
    sparse = np.ascontiguousarray(image[::SPARSE, ::SPARSE].transpose(2, 0, 1))
    for k in range(inner.start + 1, inner.stop):
        if not np.array_equal(sparse[k], sparse[k - 1]) or np.ptp(image[:, :, k]) == 0:
            continue
        if all(np.array_equal(each[:, :, k], each[:, :, k - 1]) for each in station.images.values()):
            raise ScanExcluded(Reason.MISSING_SLICE, f"{name}: slices {k} and {k + 1} are the same image")


def station_statistics(station: Station) -> StationStatistics | None:
    """Look at a station; None where it has no signal."""
    image: NDArray[Any] = station.images[reference_of(station.images)]
    bright = _bright(image)
    thinned = image[::2, ::2]
    values = thinned[thinned > max(bright, 0.0)]
    if not values.size:
        return None
    ceiling = np.count_nonzero(values >= CEILING * float(image.max())) / values.size
    return StationStatistics(len(np.unique(values)), float(ceiling), *_slice_order(image))


def _slice_order(image: NDArray[Any]) -> tuple[float | None, int | None]:
    inner = image[::2, ::2, FOLDED_SLICES : image.shape[2] - FOLDED_SLICES].astype(np.float32)
    if inner.shape[2] < 3:
        return None, None
    slices = np.ascontiguousarray(inner.reshape(-1, inner.shape[2]).T)
    worst, place = 0.0, 0
    for k in range(len(slices) - 2):
        steps = np.abs(slices[k + 1 : k + 1 + LOOK_AHEAD] - slices[k]).sum(axis=1)
        nearest = float(steps[1:].min())
        ratio = float(steps[0]) / nearest if nearest > 0 else 1.0
        if ratio > worst:
            worst, place = ratio, k
    return worst, place + FOLDED_SLICES
