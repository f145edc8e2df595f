"""What one station by itself says about its water and fat, by signs that swapping them turns around.

Under the skin lies fat, and deeper than it muscle and organs: the rim of the body has a high fat fraction, and a higher
one than its core. Legs, and the two sides of the trunk, can be swapped one by one, so that each half is judged by
itself; where the halves touch, they are compared across the plane between them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dixonflow.imaging.contrast_sums import SIGNAL_FRACTION
from dixonflow.imaging.station import Station
from dixonflow.imaging.types import Floats32
from dixonflow.vocabulary import Contrast

RIM_MM = 8.0
"""Depth of the rim under the surface of the body."""

CORE_DEPTH = 0.6
"""The core is what lies deeper than this part of the greatest depth of its slice and half."""

SLICE_STEP_MM = 9.0
"""Rim and core are looked at in one slice per this distance."""

IN_PLANE_STEP_MM = 3.5
"""And in one voxel per this distance across the body."""

MIN_SIGNAL_VOXELS = 50
"""Fewer voxels of rim, core or plane say nothing."""

GAP = 0.25
"""Planes with less in common than this part of the usual signal of a plane lie between two legs."""

MIDLINE_WINDOW_MM = 40.0
"""The plane between the halves lies at most this far from the middle of the body's signal."""


@dataclass(frozen=True)
class SwapEvidence:
    """Signs of one station; each turns into its negative where water and fat are swapped.

    Attributes
    ----------
    split_mm
        Position (RAS x) of the plane between the halves.
    halves
        Left and right half: (2 rim - 1) + (rim - core), where rim and core are median fat fractions; positive in a body
        whose water and fat are named rightly, -2 to 2. None for too little signal.
    seam
        Cosine similarity of water minus fat on both sides of the plane: near 1 where both halves say the same, near -1
        where one is swapped. None where they do not touch.
    """

    split_mm: float
    halves: tuple[float | None, float | None]
    seam: float | None


def swap_evidence(images: Mapping[Contrast, NDArray[np.generic]], station: Station) -> SwapEvidence:
    """Look for signs in the water and fat images of a station.

    Parameters
    ----------
    images
        Water and fat, shape (x, y, z), RAS+.
    station
        Whose they are: its grid.
    """
    step = max(round(SLICE_STEP_MM / station.spacing_mm[2]), 1)
    chosen = np.s_[:, :, step // 2 :: step]
    water, fat = (images[each][chosen].astype(np.float32) for each in (Contrast.WATER, Contrast.FAT))
    total: Floats32 = water + fat
    signal = total > max(SIGNAL_FRACTION * float(np.percentile(total[::2, ::2], 99)), 0.0)
    split, seam = _split(np.where(signal, water - fat, np.float32(0)), signal, station.spacing_mm[0])
    halves = _halves(fat, total, signal, split, station.spacing_mm[:2])
    position = float(station.affine[0, 3] + (split - 0.5) * station.affine[0, 0])
    return SwapEvidence(position, halves, seam)


def _split(difference: Floats32, signal: NDArray[np.bool_], spacing_mm: float) -> tuple[int, float | None]:
    """First plane of the right half, and the similarity across the border before it.

    It is where neighbouring planes contradict each other most, if any do; else where they have least in common, if that
    is little, as between legs; else in the middle.
    """
    per_plane = signal.sum(axis=(1, 2))
    if not per_plane.any():
        return len(signal) // 2, None
    middle = int(np.searchsorted(np.cumsum(per_plane), per_plane.sum() / 2))
    reach = max(int(MIDLINE_WINDOW_MM / spacing_mm), 1)
    places = range(max(middle - reach, 1), min(middle + reach, len(signal) - 1) + 1)
    cosines: dict[int, float] = {}
    common: dict[int, int] = {}
    for place in places:
        both = signal[place - 1] & signal[place]
        common[place] = int(np.count_nonzero(both))
        if common[place] >= MIN_SIGNAL_VOXELS:
            a, b = (difference[each][both].astype(np.float64) for each in (place - 1, place))
            norm = np.sqrt(a @ a) * np.sqrt(b @ b)
            cosines[place] = float(a @ b / norm) if norm > 0 else 0.0
    if cosines and min(cosines.values()) < 0:
        place = min(cosines, key=lambda each: cosines[each])
    else:
        place = min(places, key=lambda each: (common[each], abs(each - middle)))
        if common[place] > GAP * np.median(per_plane[per_plane > 0]):
            place = min(max(middle, places.start), places.stop - 1)
    return place, cosines.get(place)


def _halves(
    fat: Floats32, total: Floats32, signal: NDArray[np.bool_], split: int, spacing_mm: tuple[float, float]
) -> tuple[float | None, float | None]:
    thin = tuple(max(round(IN_PLANE_STEP_MM / spacing), 1) for spacing in spacing_mm)
    chosen = np.s_[:: thin[0], :: thin[1]]
    fat, total, signal = fat[chosen], total[chosen], signal[chosen]
    split = -(-split // thin[0])
    sampling = [step * spacing for step, spacing in zip(thin, spacing_mm, strict=True)]
    rims: tuple[list[Floats32], list[Floats32]] = ([], [])
    cores: tuple[list[Floats32], list[Floats32]] = ([], [])
    for k in range(signal.shape[2]):
        body = ndimage.binary_fill_holes(ndimage.binary_opening(signal[:, :, k]))
        if np.count_nonzero(body) < MIN_SIGNAL_VOXELS or body.all():
            continue
        # the body continues beyond the edge of the picture: there is no surface there
        beyond = np.pad(body, 1, mode="edge")
        depth = ndimage.distance_transform_edt(beyond, sampling=sampling)[1:-1, 1:-1]
        inside = body & signal[:, :, k]
        fraction = np.divide(fat[:, :, k], total[:, :, k], out=np.zeros(inside.shape, np.float32), where=inside)
        for side, half in enumerate((slice(None, split), slice(split, None))):
            deep, there = depth[half], inside[half]
            if not there.any():
                continue
            rims[side].append(fraction[half][there & (deep <= RIM_MM)])
            cores[side].append(fraction[half][there & (deep >= max(CORE_DEPTH * float(deep.max()), RIM_MM))])
    first, second = (_contrast(rims[side], cores[side]) for side in (0, 1))
    return first, second


def _contrast(rims: list[Floats32], cores: list[Floats32]) -> float | None:
    rim, core = (np.concatenate([*parts, np.empty(0, np.float32)]) for parts in (rims, cores))
    if min(rim.size, core.size) < MIN_SIGNAL_VOXELS:
        return None
    outer, inner = float(np.median(rim)), float(np.median(core))
    return (2 * outer - 1) + (outer - inner)
