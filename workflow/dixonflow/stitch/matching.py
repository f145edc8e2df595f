"""What overlapping stations say about each other: intensity ratio, and agreement of signal, water and fat.

All of it is computed once per pair of overlapping stations on the target grid, where their kept slices meet.
"""

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Floats32
from dixonflow.stitch.weights import Placement, reached_planes
from dixonflow.vocabulary import Contrast

SIGNAL_FRACTION = 0.15
"""A voxel counts as signal above this fraction of the overlap's 99th percentile (noise is at 2 to 5 % of it)."""

MIN_SIGNAL_VOXELS = 200
"""Fewer signal voxels than this give no ratio and no agreement."""

MIN_SIGNAL_VOXELS_OF_HALF = 50
"""Fewer in one half give no agreement of that half."""

LARGEST_SHIFT_VOXELS = 4
"""Displacements between stations are looked for up to this many voxels."""

SPLIT_MARGIN_VOXELS = 2
"""Voxels this close to the plane between the halves of either station belong to none."""

WEAK_TIE = 1e-6
"""Weight of the rule that neighbours have equal factors, which decides only where no overlap has signal."""

Read = Callable[[Placement, Contrast, int, int], Floats32]
"""Gives planes (start, stop) of a placed station in one contrast, shape (planes, y, x) of its in-plane window."""


@dataclass(frozen=True)
class Pair:
    """Two overlapping stations.

    Attributes
    ----------
    upper, lower
        Station indices, `upper` nearer to the head.
    planes
        Target planes in which their kept slices overlap.
    signal_voxels
        Voxels of that overlap with signal in at least one of them.
    intensity_ratio
        Median of in-phase signal, upper over lower, before matching. None where there is too little signal.
    relative_difference
        Sum of absolute differences over sum of means, in-phase, after this pair's own ratio is applied; 0 is perfect.
    correlation
        Pearson's, in-phase, over the signal voxels.
    water_fat_agreement
        Cosine similarity of water minus fat: near 1 where both say the same, near -1 where one has the two swapped.
    half_agreements
        The same in the left and in the right half of the body; None where there is too little signal.
    shift_mm
        Displacement (x, y, z) of what the lower station shows against the upper one, in-phase: the person moved between
        the two. None along an axis on which they share too little.
    sharpness_ratio
        Mean size of the in-phase gradient across the body, upper over lower; None where it cannot be told.
    """

    upper: int
    lower: int
    planes: int
    signal_voxels: int
    intensity_ratio: float | None
    relative_difference: float | None
    correlation: float | None
    water_fat_agreement: float | None
    half_agreements: tuple[float | None, float | None] = (None, None)
    shift_mm: tuple[float | None, float | None, float | None] = (None, None, None)
    sharpness_ratio: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Frame:
    """What is known of the target grid where stations are compared.

    Attributes
    ----------
    spacing_mm
        Its voxel size (x, y, z).
    splits
        Plane between left and right half by station index, in target voxels along x; none for images without water and
        fat.
    """

    spacing_mm: tuple[float, float, float]
    splits: Mapping[int, float]


def _common(first: Placement, second: Placement) -> tuple[tuple[int, int], ...] | None:
    """Target ranges (x, y, z) where both have kept samples, or None."""
    windows = [(placement.samplings[0], placement.samplings[1]) for placement in (first, second)]
    ranges = tuple((max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(*windows, strict=True))
    ranges += ((max(first.kept_planes[0], second.kept_planes[0]), min(first.kept_planes[1], second.kept_planes[1])),)
    return ranges if all(stop > start for start, stop in ranges) else None


def _cosine(first: Floats32, second: Floats32) -> float | None:
    a, b = first.astype(np.float64), second.astype(np.float64)
    norm = np.sqrt(a @ a) * np.sqrt(b @ b)
    return float(np.clip(a @ b / norm, -1, 1)) if norm > 0 else None


def reference_of(images: Collection[Contrast]) -> Contrast:
    """Contrast by which stations are compared: in phase, or the first image of a scan without it."""
    return Contrast.IN_PHASE if Contrast.IN_PHASE in images else next(iter(images))


def compare(first: Placement, second: Placement, read: Read, frame: Frame) -> Pair | None:
    """Compare two stations where they overlap.

    Parameters
    ----------
    first, second
        The station nearer to the head, and the other one.
    read
        Access to their images on the target grid.
    frame
        The target grid.

    Returns
    -------
    None where they do not overlap.
    """
    common = _common(first, second)
    if common is None:
        return None
    (x0, x1), (y0, y1), (z0, z1) = common

    def window(placement: Placement) -> tuple[slice, slice, slice]:
        across, along, _ = placement.samplings
        return np.s_[:, y0 - along.start : y1 - along.start, x0 - across.start : x1 - across.start]

    def both(contrast: Contrast) -> list[Floats32]:
        return [read(placement, contrast, z0, z1)[window(placement)] for placement in (first, second)]

    upper, lower = both(reference_of(first.station.images))
    for placement in (first, second):
        inside = reached_planes(placement, z0, z1)
        if inside is not None:
            upper, lower = upper * inside[window(placement)], lower * inside[window(placement)]
    # the geometric mean treats both alike, so that choosing voxels by it does not bias their ratio
    joint = np.sqrt(np.maximum(upper, 0) * np.maximum(lower, 0))
    chosen = joint > SIGNAL_FRACTION * np.percentile(joint, 99)
    names = (first.station.index, second.station.index)
    if np.count_nonzero(chosen) < MIN_SIGNAL_VOXELS:
        return Pair(*names, z1 - z0, int(np.count_nonzero(chosen)), None, None, None, None)
    ratio = float(np.exp(np.median(np.log(upper[chosen] / lower[chosen]))))
    gains = np.float32(ratio**-0.5), np.float32(ratio**0.5)
    upper, lower = upper * gains[0], lower * gains[1]
    mean = (upper + lower) / 2
    signal = mean > SIGNAL_FRACTION * np.percentile(mean, 99)
    a, b = upper[signal], lower[signal]
    difference = float(np.abs(a - b).sum(dtype=np.float64) / mean[signal].sum(dtype=np.float64))
    agreement: float | None = None
    halves: tuple[float | None, float | None] = (None, None)
    if frame.splits:
        (water_a, water_b), (fat_a, fat_b) = both(Contrast.WATER), both(Contrast.FAT)
        differences = water_a - fat_a, water_b - fat_b
        agreement = _cosine(*(each[signal] for each in differences))
        halves = _half_agreements(differences, signal, [frame.splits[name] - x0 for name in names])
    return Pair(
        *names,
        planes=z1 - z0,
        signal_voxels=int(np.count_nonzero(signal)),
        intensity_ratio=ratio,
        relative_difference=difference,
        correlation=_cosine(a - a.mean(), b - b.mean()),
        water_fat_agreement=agreement,
        half_agreements=halves,
        shift_mm=_shift_mm(upper, lower, frame.spacing_mm),
        sharpness_ratio=_sharpness_ratio(upper, lower, signal),
    )


def _sharpness_ratio(upper: Floats32, lower: Floats32, signal: NDArray[np.bool_]) -> float | None:
    """Mean size of the steps between neighbouring voxels with signal along x and along y, upper over lower.

    None where too few have such a neighbour, or the lower station is the same everywhere.
    """
    means = []
    for image in (upper, lower):
        steps = []
        for axis in (1, 2):
            both = np.logical_and(*(np.take(signal, places, axis) for places in _neighbours(image.shape[axis])))
            steps.append(np.abs(np.diff(image, axis=axis))[both])
        sizes = np.concatenate(steps)
        means.append(float(sizes.mean()) if sizes.size >= MIN_SIGNAL_VOXELS else 0.0)
    return means[0] / means[1] if min(means) > 0 else None


def _neighbours(size: int) -> tuple[range, range]:
    return range(1, size), range(size - 1)


def _shift_mm(
    upper: Floats32, lower: Floats32, spacing_mm: tuple[float, float, float]
) -> tuple[float | None, float | None, float | None]:
    """Displacement (x, y, z) that makes the squares of the differences smallest, axis by axis; arrays are z, y, x.

    The minimum is that of the parabola through the three best shifts by whole voxels. None for an axis that is too
    short.
    """
    found: list[float | None] = []
    for axis in range(3):
        first, second = np.moveaxis(upper, axis, 0), np.moveaxis(lower, axis, 0)
        largest = min(LARGEST_SHIFT_VOXELS, (len(first) - 2) // 3)
        if largest < 1:
            found.append(None)
            continue
        still = first[largest:-largest]
        shifts = range(2 * largest + 1)
        costs = [float(np.square(still - second[place : place + len(still)]).mean()) for place in shifts]
        best = int(np.argmin(costs))
        offset = 0.0
        if 0 < best < len(costs) - 1:
            before, here, after = costs[best - 1 : best + 2]
            bend = before - 2 * here + after
            offset = (before - after) / (2 * bend) if bend > 0 else 0.0
        found.append((best - largest + offset) * spacing_mm[2 - axis])
    return found[2], found[1], found[0]


def _half_agreements(
    differences: tuple[Floats32, Floats32], signal: NDArray[np.bool_], splits: Sequence[float]
) -> tuple[float | None, float | None]:
    """Agreement left and right of both stations' planes, which are given in voxels of the window."""
    left_end = max(round(min(splits)) - SPLIT_MARGIN_VOXELS, 0)
    right_start = max(round(max(splits)) + SPLIT_MARGIN_VOXELS, 0)
    found: list[float | None] = []
    for half in (np.s_[:, :, :left_end], np.s_[:, :, right_start:]):
        inside = signal[half]
        enough = np.count_nonzero(inside) >= MIN_SIGNAL_VOXELS_OF_HALF
        found.append(_cosine(*(each[half][inside] for each in differences)) if enough else None)
    return found[0], found[1]


def compare_all(placements: Sequence[Placement], read: Read, frame: Frame) -> list[Pair]:
    """Compare every two stations that overlap, from head to feet; parameters as of `compare`."""
    pairs = (compare(first, second, read, frame) for first, second in itertools.combinations(placements, 2))
    return [pair for pair in pairs if pair is not None]


def intensity_factors(indices: Sequence[int], pairs: Sequence[Pair]) -> dict[int, float]:
    """Give the factor of each station that makes overlapping stations equally bright.

    Least squares on the logarithms of the ratios of all overlapping pairs, weighted by their signal voxels. The station
    with the median factor (the lower of two) keeps its values: its factor is exactly 1.

    Parameters
    ----------
    indices
        Station indices from head to feet.
    pairs
        Their comparisons.
    """
    columns = {index: column for column, index in enumerate(indices)}
    measured = [pair for pair in pairs if pair.intensity_ratio is not None]
    total = sum(pair.signal_voxels for pair in measured)
    rows = np.zeros((len(measured) + len(indices) - 1, len(indices)))
    right: NDArray[np.float64] = np.zeros(len(rows))
    for row, pair in enumerate(measured):
        assert pair.intensity_ratio is not None
        weight = np.sqrt(pair.signal_voxels / total)
        rows[row, columns[pair.upper]], rows[row, columns[pair.lower]] = weight, -weight
        right[row] = -weight * np.log(pair.intensity_ratio)
    for row in range(len(indices) - 1):
        rows[len(measured) + row, row : row + 2] = WEAK_TIE, -WEAK_TIE
    logs = np.linalg.lstsq(rows, right)[0]
    logs -= np.sort(logs)[(len(logs) - 1) // 2]
    return {index: float(np.exp(log)) for index, log in zip(indices, logs, strict=True)}
