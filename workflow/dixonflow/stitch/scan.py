"""Stitch the stations of one scan into one image per contrast.

Each voxel is interpolated once, straight to the target grid; overlaps are blended with smooth weights that sum to 1;
one intensity factor per station is shared by all four contrasts, so that the fat fraction F / (F + W) of a station does
not change. There is no bias field correction. Water and fat of a station, or of one half of it, that are named for each
other are swapped back first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.contrast_sums import ContrastSum, check_contrasts, check_different
from dixonflow.imaging.station import MAP_SCALE, Station
from dixonflow.imaging.types import Floats32
from dixonflow.stitch.grid import Grid, resample, station_axes, target_grid
from dixonflow.stitch.matching import Frame, Pair, compare_all, intensity_factors, reference_of
from dixonflow.stitch.report import StationReport, StitchedImages, StitchOptions, StitchReport, report_of
from dixonflow.stitch.station_checks import check_slices, station_statistics
from dixonflow.stitch.swap_evidence import SwapEvidence, swap_evidence
from dixonflow.stitch.swaps import Swap, find_swaps, half_sign, swapped_back, swaps_in_words
from dixonflow.stitch.validation import Limits, head_to_feet, value_limits
from dixonflow.stitch.values import without_outliers
from dixonflow.stitch.weights import Placement, place, reached_planes, runs
from dixonflow.vocabulary import DIXON, Contrast, Reason, ScanSequence

INT16_MAX = 32767

COARSE_MAXIMUM = 1024
"""Floating-point images whose maximum is below this are scaled up, so that rounding stays under 0.05 % of the range."""


MIN_GREY_LEVELS = 256
"""Fewer for the signal of in phase (its 99th percentile) would round fat fractions to whole per cents and worse."""

HIGHEST_LEAST_HU = -50.0
"""A CT of a body holds fat (about -100 HU) and air (-1000): one without any value as low as this is in other units."""


def _intensity_scale(stations: Sequence[Station], maximum: float) -> float:
    """Power of two that brings `maximum` into the range of int16 and away from coarse rounding."""
    floating = any(np.issubdtype(image.dtype, np.floating) for station in stations for image in station.images.values())
    scale = 1.0
    while round(maximum * scale) > INT16_MAX:
        scale /= 2
    while floating and maximum * scale < COARSE_MAXIMUM:
        scale *= 2
    return scale


def _contrast_sum(station: Station) -> ContrastSum | None:
    name = f"station {station.index + 1}"
    check_different(station.images, name)
    in_phase, water, fat = (station.images[each] for each in (Contrast.IN_PHASE, Contrast.WATER, Contrast.FAT))
    return check_contrasts(in_phase, water, fat, name)


def _check_grey_levels(stations: Sequence[Station], factors: Mapping[int, float], scale: float) -> None:
    """Check that the scale that the brightest voxels ask for leaves the others enough grey levels."""
    signal = max(
        factors[station.index]
        * float(np.percentile(station.images[reference_of(station.images)][::2, ::2, ::2].astype(np.float64), 99))
        for station in stations
    )
    if signal * scale < MIN_GREY_LEVELS:
        raise ScanExcluded(
            Reason.IMPLAUSIBLE_VALUES,
            f"the brightest voxels are {INT16_MAX / (signal * scale):.0f} times as bright as the in-phase signal",
        )


def _blend(
    placements: Sequence[Placement],
    contrast: Contrast,
    grid: Grid,
    gains: Mapping[int, float],
    limits: Mapping[int, Limits],
) -> NDArray[np.int16]:
    """Stitch one contrast; the result has shape (x, y, z)."""
    x, y, z = grid.shape
    stitched = np.zeros((z, y, x), np.int16)

    def signal(placement: Placement, start: int, stop: int) -> Floats32:
        index = placement.station.index
        slab = resample(placement.station.images[contrast], placement.samplings, start, stop, limits[index][contrast])
        return slab * np.float32(gains[index]) if gains[index] != 1 else slab

    for start, stop, members in runs(placements):
        if len(members) == 1:
            placement = placements[members[0]]
            across, along, _ = placement.samplings
            values, inside = np.rint(signal(placement, start, stop)), reached_planes(placement, start, stop)
            stitched[start:stop, along.start : along.stop, across.start : across.stop] = (
                values if inside is None else values * inside
            )
            continue
        total = np.zeros((stop - start, y, x), np.float32)
        weight = np.zeros_like(total)
        for placement in (placements[member] for member in members):
            across, along, through = placement.samplings
            window = np.s_[:, along.start : along.stop, across.start : across.stop]
            z_weights = placement.z_weights[start - through.start : stop - through.start]
            weights = z_weights[:, None, None] * placement.xy_weights
            inside = reached_planes(placement, start, stop)
            if inside is not None:
                weights *= inside
            total[window] += weights * signal(placement, start, stop)
            weight[window] += weights
        np.divide(total, weight, out=total, where=weight > 0)
        stitched[start:stop] = np.rint(total)
    return stitched.transpose(2, 1, 0)


def stitch(
    stations: Sequence[Station], options: StitchOptions | None = None, sequence: ScanSequence = ScanSequence.DIXON
) -> StitchedImages:
    """Stitch the stations of one scan.

    The target grid spans the union of the stations' boxes at their finest spacing, axis by axis, in the phase of the
    stations' own grid: where grids coincide, values are copied.

    Parameters
    ----------
    stations
        In any order; their order is taken from their positions.
    options
        Defaults where None.
    sequence
        Dixon scans have four contrasts, whose sums and swaps are checked; others have those of their stations.

    Returns
    -------
    StitchedImages
        One int16 image per contrast on one grid.

    Raises
    ------
    ScanExcluded
        `missing_contrast`, `missing_slice`, `spacing_mismatch`, `unexpected_geometry`, `empty_image` for a station that
        cannot be used, `station_gap` where neighbours do not overlap by a slice, `fat_water_swap` where water and fat
        are swapped and that is not to be repaired, or cannot, `contrast_mismatch` where in phase is not water + fat,
        `implausible_values` where an image is negative or a few voxels outshine all others.
    ValueError
        If the stations' indices contradict their positions.
    """
    options = options or StitchOptions()
    contrasts = DIXON if sequence is ScanSequence.DIXON or not stations else tuple(stations[0].images)
    for station in stations:
        value_limits(station, contrasts)
    for station in stations:
        check_slices(station)
    checked = [without_outliers(station) for station in stations]
    limits = {station.index: value_limits(station, contrasts) for station, _ in checked}
    ordered = head_to_feet([station for station, _ in checked])
    sums = options.check_contrasts and sequence is ScanSequence.DIXON
    ratios = [_contrast_sum(station) if sums else None for station in ordered]
    indices = [station.index for station in ordered]
    grid = target_grid(ordered, options.max_voxels)
    placements = place(ordered, grid, options.drop_end_slices)

    def read(placement: Placement, contrast: Contrast, start: int, stop: int) -> Floats32:
        range_ = limits[placement.station.index][contrast]
        return resample(placement.station.images[contrast], placement.samplings, start, stop, range_)

    evidence = {station.index: swap_evidence(station.images, station) for station in ordered if contrasts == DIXON}
    x, y, z = (axis.spacing_mm for axis in grid.axes)
    splits = {index: (each.split_mm - grid.axes[0].low_mm) / x for index, each in evidence.items()}
    pairs = compare_all(placements, read, Frame((x, y, z), splits))
    swaps, margin = _settled_swaps(indices, evidence, pairs, options) if evidence else ((), None)
    for swap in swaps:
        limits[swap.station] = _limits_after(limits[swap.station], swap)
    placements = [replace(each, station=swapped_back(each.station, swaps)) for each in placements]
    matched = options.match_intensities and not any(contrast.is_map for contrast in contrasts)
    factors = intensity_factors(indices, pairs) if matched else dict.fromkeys(indices, 1.0)
    brightest = max(
        factors[index] * max(map(abs, limits[index][contrast]))
        for index in indices
        for contrast in contrasts
        if not contrast.is_map
    )
    scale = _intensity_scale(ordered, brightest)
    if scale < 1:
        _check_grey_levels(ordered, factors, scale)
    gains = {index: factors[index] * scale for index in indices}
    maps = dict.fromkeys(indices, MAP_SCALE)
    images = {
        contrast: _blend(placements, contrast, grid, maps if contrast.is_map else gains, limits)
        for contrast in contrasts
    }
    report = replace(
        report_of(placements, pairs, factors, scale),
        swaps=swaps,
        swap_margin=margin,
        in_phase_ratios=tuple(None if each is None else each.ratio for each in ratios),
        deviating_slices=tuple(None if each is None else each.deviating for each in ratios),
        statistics=tuple(station_statistics(station) for station in ordered),
        outlier_voxels=sum(changed for _, changed in checked),
    )
    return StitchedImages(images, grid.affine, report)


def _limits_after(limits: Limits, swap: Swap) -> Limits:
    """Value limits of a station whose water and fat are swapped back: those of both where a half is."""
    water, fat = limits[Contrast.WATER], limits[Contrast.FAT]
    if swap.part == "whole":
        return limits | {Contrast.WATER: fat, Contrast.FAT: water}
    both = min(water[0], fat[0]), max(water[1], fat[1])
    return limits | {Contrast.WATER: both, Contrast.FAT: both}


def _settled_swaps(
    indices: Sequence[int], evidence: Mapping[int, SwapEvidence], pairs: Sequence[Pair], options: StitchOptions
) -> tuple[tuple[Swap, ...], float | None]:
    """Swaps to undo, and how clear it is that all is right then; below zero where unclear ones are left."""
    finding = find_swaps(indices, evidence, pairs)
    if finding.swaps and finding.is_clear and not options.repair_swaps:
        words = swaps_in_words(finding.swaps)
        raise ScanExcluded(Reason.FAT_WATER_SWAP, f"water and fat of {words} are swapped (margin {finding.margin:.1f})")
    swaps = finding.swaps if finding.is_clear else ()
    for pair in pairs:
        for side, agreement in enumerate(pair.half_agreements):
            signs = half_sign(swaps, pair.upper, side) * half_sign(swaps, pair.lower, side)
            if agreement is not None and agreement * signs < -options.swap_limit:
                raise ScanExcluded(
                    Reason.FAT_WATER_SWAP,
                    f"water and fat of stations {pair.upper + 1} and {pair.lower + 1} contradict each other where "
                    f"they overlap (agreement {agreement * signs:.2f}), and which is right is unclear",
                )
    unclear = finding.swaps and not finding.is_clear
    return swaps, -finding.margin if unclear and finding.margin is not None else finding.margin


def upright_ct(station: Station) -> StitchedImages:
    """Take a CT as it is: one image in Hounsfield units, RAS+, nothing to stitch and nothing scaled.

    Returns
    -------
    StitchedImages
        The image rounded to int16.

    Raises
    ------
    ScanExcluded
        `contrast_mismatch` where the values cannot be Hounsfield units: none is that of fat or air, or they exceed
        int16.
    """
    image = station.images[Contrast.CT]
    low, high = float(image.min()), float(image.max())
    limits = np.iinfo(np.int16)
    if low > HIGHEST_LEAST_HU or not (limits.min <= low and high <= limits.max):
        raise ScanExcluded(Reason.CONTRAST_MISMATCH, f"values from {low:g} to {high:g} are not Hounsfield units")
    x, y, z = station_axes(station)
    box = StationReport(station.index, (x.low_mm, y.low_mm, z.low_mm), (x.high_mm, y.high_mm, z.high_mm), 1.0, 0, 0)
    report = StitchReport((box,), (), 1.0)
    return StitchedImages({Contrast.CT: np.rint(image).astype(np.int16)}, station.affine, report)
