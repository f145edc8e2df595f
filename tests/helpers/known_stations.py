"""Stations cut from images that are known everywhere."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.station import Station
from dixonflow.vocabulary import Contrast

Field = Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def body(phase: float, level: float, in_core: float, in_rim: float) -> Field:
    """A smooth body in air: an elliptic cylinder with a soft edge, a core, a rim, and slow variation inside."""

    def field(x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
        radius = np.hypot(x / 1.6, y)
        inside, core = (1 / (1 + np.exp((radius - edge) / 5)) for edge in (45, 28))
        share = in_rim + (in_core - in_rim) * core
        variation = 2 + np.sin(x / 25 + phase) + np.cos(y / 20 - phase) * np.sin(z / 22 + 2 * phase)
        return inside * share * level * variation

    return field


FIELDS = {Contrast.WATER: body(0.3, 200.0, 0.9, 0.15), Contrast.FAT: body(1.9, 200.0, 0.1, 0.85)}
"""Fat under the skin, water in the core."""


def on_grid(
    shape: Sequence[int], spacing: Sequence[float], origin: Sequence[float], *, gain: float = 1.0
) -> tuple[dict[Contrast, NDArray[np.int16]], NDArray[np.float64]]:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    x, y, z = (origin[i] + spacing[i] * np.arange(shape[i]) for i in range(3))
    points = x[:, None, None], y[None, :, None], z[None, None, :]
    water, fat = FIELDS[Contrast.WATER](*points), FIELDS[Contrast.FAT](*points)
    images = {
        Contrast.WATER: water,
        Contrast.FAT: fat,
        Contrast.IN_PHASE: water + fat,
        Contrast.OPPOSED_PHASE: np.abs(water - fat),
    }
    return {contrast: np.rint(gain * image).astype(np.int16) for contrast, image in images.items()}, affine


def centred(index: int, shape: Sequence[int], spacing: Sequence[float], low_z: float, gain: float = 1.0) -> Station:
    """A station centred in plane, whose box begins at `low_z`."""
    origin = [-(shape[i] - 1) / 2 * spacing[i] for i in range(2)] + [low_z + spacing[2] / 2]
    images, affine = on_grid(shape, spacing, origin, gain=gain)
    return Station(index, images, affine)


def cut(
    images: dict[Contrast, NDArray[np.int16]], affine: NDArray[np.float64], ranges: Sequence[tuple[int, int]]
) -> list[Station]:
    """Cut an image along z into stations, head first."""
    stations = []
    for index, (start, stop) in enumerate(sorted(ranges, key=lambda r: r[1], reverse=True)):
        own = affine.copy()
        own[2, 3] += start * affine[2, 2]
        stations.append(Station(index, {c: image[:, :, start:stop].copy() for c, image in images.items()}, own))
    return stations


# six stations with the proportions of UK Biobank: slice spacings, y matrices and overlaps, at half the size in plane
UKB = [(84, 64, 3.0), (88, 44, 4.5), (88, 44, 4.5), (88, 44, 4.5), (82, 72, 3.5), (78, 64, 4.0)]


def ukb_stations(gains: Sequence[float] = (1, 1, 1, 1, 1, 1)) -> list[Station]:
    stations, top = [], 0.0
    for index, ((y, z, dz), gain) in enumerate(zip(UKB, gains, strict=True)):
        low = top - z * dz
        stations.append(centred(index, (72, y, z), (2.232, 2.232, dz), low, gain))
        top = low + 36.8
    return stations


def summed_stations(count: int, seed: int = 0) -> list[Station]:
    """Small stations that can be stitched, in which in phase is water + fat; each seed has other values."""
    slices, overlap = 14, 4
    height = count * (slices - overlap) + overlap
    images, affine = on_grid((40, 32, height), (4.0, 4.0, 5.0), (-78.0, -62.0, -100.0 - 3 * seed), gain=1 + seed / 10)
    ranges = [(place * (slices - overlap), place * (slices - overlap) + slices) for place in range(count)]
    return cut(images, affine, ranges)
