"""Whether the contrasts of a station are what they are named: in phase is water + fat, slice by slice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.vocabulary import DIXON, Contrast, Reason

SIGNAL_FRACTION = 0.15
"""A voxel counts as signal above this fraction of the brightest of its station (its 99th percentile)."""

MIN_SIGNAL_VOXELS = 50
"""A slice with fewer says nothing."""

MAX_DEVIATION = 0.15
MIN_DEVIATING_SHARE = 0.15
"""A station is refused where the ratios of this share of its slices deviate from 1 by more than that."""

NOTEWORTHY_DEVIATION = 0.075
"""A smaller deviation of a slice is not named: noise and rounding."""

MAX_DEVIATION_OF_ONE = 0.25
FULL_SLICE_SHARE = 0.5
"""Or where one slice alone, of at least this share of the usual number of voxels with signal, deviates by more
than this, and movement by a slice does not explain it. docs/contrasts.md has what phantoms say to these numbers."""


@dataclass(frozen=True)
class SliceSum:
    """A slice with signal.

    Attributes
    ----------
    in_phase, water_and_fat
        Sums over its voxels with signal.
    voxels
        Number of these.
    place
        Which slice, from 0.
    """

    in_phase: float
    water_and_fat: float
    voxels: int
    place: int


@dataclass(frozen=True)
class ContrastSum:
    """What in phase is of water + fat in a station that passed.

    Attributes
    ----------
    ratio
        Median over its slices.
    deviating
        First and last slice, from 0, whose ratio deviates from 1 by more than `NOTEWORTHY_DEVIATION`; None for none.
    """

    ratio: float
    deviating: tuple[int, int] | None


def slice_sums(in_phase: NDArray[Any], water: NDArray[Any], fat: NDArray[Any]) -> list[SliceSum]:
    """Sums of each slice with signal.

    Parameters
    ----------
    in_phase, water, fat
        Magnitude images of one station, or of a stitched scan, (x, y, z).

    Returns
    -------
    In the order of the last axis; slices with fewer than `MIN_SIGNAL_VOXELS` voxels with signal are left out.
    """
    brightness = np.add(water, fat, dtype=np.float32)
    both = brightness + in_phase
    floor = SIGNAL_FRACTION * float(np.percentile(both[::2, ::2, ::2], 99))
    sums = []
    for place in range(both.shape[2]):
        signal = both[:, :, place] > max(floor, 0.0)
        voxels = int(np.count_nonzero(signal))
        if voxels < MIN_SIGNAL_VOXELS:
            continue
        total = float(brightness[:, :, place][signal].sum(dtype=np.float64))
        whole = float(in_phase[:, :, place][signal].sum(dtype=np.float64))
        sums.append(SliceSum(whole, total, voxels, place))
    return sums


def _deviation(one: SliceSum, other: SliceSum) -> float:
    """How far in phase of one slice over water + fat of another is from 1."""
    return abs(one.in_phase / other.water_and_fat - 1) if other.water_and_fat > 0 else float("inf")


def _own_deviation(sums: Sequence[SliceSum], place: int) -> float:
    """Deviation of a slice, the part left out that movement by a slice, up or down, explains."""
    own = sums[place]
    return min(max(_deviation(sums[place + move], own), _deviation(own, sums[place - move])) for move in (-1, 0, 1))


def check_contrasts(in_phase: NDArray[Any], water: NDArray[Any], fat: NDArray[Any], name: str) -> ContrastSum | None:
    """Check that in phase is water + fat.

    Parameters
    ----------
    in_phase, water, fat
        As `slice_sums` takes them.
    name
        How the message calls what they show.

    Returns
    -------
    None where no slice has enough signal.

    Raises
    ------
    ScanExcluded
        `contrast_mismatch`.
    """
    sums = slice_sums(in_phase, water, fat)
    if not sums:
        return None
    usual = float(np.median([each.voxels for each in sums]))
    deviating = sum(not _deviation(each, each) <= MAX_DEVIATION for each in sums)
    alone = any(
        sums[place].voxels >= FULL_SLICE_SHARE * usual and not _own_deviation(sums, place) <= MAX_DEVIATION_OF_ONE
        for place in range(1, len(sums) - 1)
    )
    ratios = [each.in_phase / each.water_and_fat if each.water_and_fat > 0 else float("inf") for each in sums]
    if alone or deviating >= MIN_DEVIATING_SHARE * len(sums):
        raise ScanExcluded(
            Reason.CONTRAST_MISMATCH,
            f"{name}: in phase is not water + fat in {deviating} of {len(sums)} slices (ratio {min(ratios):.2f} to "
            f"{max(ratios):.2f}): contrasts are mixed up or scaled differently",
        )
    named = [each.place for each in sums if not _deviation(each, each) <= NOTEWORTHY_DEVIATION]
    return ContrastSum(float(np.median(ratios)), (named[0], named[-1]) if named else None)


def check_different(images: Mapping[Contrast, NDArray[Any]], name: str) -> None:
    """Check that no two contrasts are one image. Raises ScanExcluded(CONTRAST_MISMATCH)."""
    for one, other in combinations(DIXON, 2):
        if np.array_equal(images[one], images[other]):
            raise ScanExcluded(Reason.CONTRAST_MISMATCH, f"{name}: {one} and {other} are the same image")
