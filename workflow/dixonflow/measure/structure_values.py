"""Values of a structure: volume, coverage, signal and fat, read off the counts of a scan; levels of vertebrae."""

from collections.abc import Iterator, Mapping

from dixonflow.imaging.station import MAP_SCALE
from dixonflow.measure.compartments.landmark import Position
from dixonflow.measure.definitions import INTRAMUSCULAR_FAT_THRESHOLD, MEASURES, SIGNAL_STATISTICS
from dixonflow.measure.fat import FatFractions
from dixonflow.measure.histogram import Distribution
from dixonflow.measure.levels import Levels
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.measure.structures import Structure
from dixonflow.measure.tally import Tally
from dixonflow.vocabulary import Contrast

_KINDS = {Contrast.CT: "hounsfield", Contrast.FAT_FRACTION: "pdff"}
"""What the signal of an image is called in measures, where not after the image."""

_DIVISORS = {Contrast.FAT_FRACTION: 100 * MAP_SCALE, Contrast.R2STAR: MAP_SCALE}
"""From stored values to the unit of the measure, for images that are physical quantities."""


def structure_values(
    structure: Structure, counts: Tally, scale: float, *, elsewhere: bool, graded_if_incomplete: bool
) -> Iterator[tuple[str, float | MissingReason]]:
    """Give every measure of a structure: a finite number, or why there is none.

    Parameters
    ----------
    structure
        The structure.
    counts
        Of the scan.
    scale
        What the input's values were multiplied by for storage.
    elsewhere
        Whether it was found where these images do not look.
    graded_if_incomplete
        Whether a composite has the values of those parts that were found.
    """
    regions = list(structure.regions)
    voxels = int(counts.voxels[regions].sum())
    absent = None
    if not counts.labelled[regions].any() and not elsewhere:
        absent = MissingReason.NOT_FOUND
    elif not voxels:
        absent = MissingReason.OUTSIDE_FIELD_OF_VIEW
    elif not graded_if_incomplete and not counts.voxels[regions].all():
        absent = MissingReason.INCOMPLETE
    values = (
        _present_values(regions, voxels, counts, scale) if absent is None else ((name, absent) for name in MEASURES)
    )
    for name, value in values:
        if name in ("lean_volume", "intramuscular_fat_volume") and not structure.is_muscle:
            yield name, MissingReason.NOT_APPLICABLE
        else:
            yield name, value


def level_values(structure: Structure, levels: Levels) -> Iterator[tuple[str, float | MissingReason]]:
    """Give the levels of a vertebra; nothing for other structures."""
    if structure.vertebra is None:
        return
    level = levels.found.get(structure.vertebra)
    for place in Position:
        yield f"level_{place}", levels.missing[structure.vertebra] if level is None else level.at(place)


def _present_values(
    regions: list[int], voxels: int, counts: Tally, scale: float
) -> Iterator[tuple[str, float | MissingReason]]:
    ml = counts.voxel_mm3 / 1000
    yield "volume", voxels * counts.voxel_mm3 / 1000
    yield "coverage_fraction", counts.surface.uncut_share(regions)
    signal = {contrast: histogram.of(regions) for contrast, histogram in counts.signal.items()}
    for contrast, eroded in counts.eroded_signal.items():
        yield from _eroded_map_values(_KINDS[contrast], eroded.of(regions), _DIVISORS[contrast])
    for contrast, distribution in signal.items():
        kind = _KINDS.get(contrast, contrast.value)
        divisor = _DIVISORS.get(contrast, scale)
        for statistic in SIGNAL_STATISTICS:
            if statistic.quantile is not None:
                value = distribution.quantile(statistic.quantile)
            else:
                value = distribution.mean if statistic.name == "mean" else distribution.sd
            value /= divisor
            yield f"{kind}_{statistic.name}", min(max(value, 0.0), 1.0) if kind == "pdff" else value
    if counts.dixon is not None:
        yield from _fat_values(regions, voxels, signal, counts.dixon.fat, ml)


def _fat_values(
    regions: list[int], voxels: int, signal: Mapping[Contrast, Distribution], fat: FatFractions, ml: float
) -> Iterator[tuple[str, float | MissingReason]]:
    whole, eroded = fat.of(regions), fat.eroded_of(regions)
    thin = not fat.eroded_voxels[regions].any()
    reason = MissingReason.TOO_THIN if thin else MissingReason.BELOW_NOISE_FLOOR
    yield "fat_fraction", eroded.quantile(0.5) if eroded.size else reason
    yield "fat_fraction_eroded_mean", eroded.mean if eroded.size else reason
    yield "fat_fraction_mean", whole.mean if whole.size else MissingReason.BELOW_NOISE_FLOOR
    yield "fat_fraction_median", whole.quantile(0.5) if whole.size else MissingReason.BELOW_NOISE_FLOOR
    yield "fat_fraction_of_sums", _ratio_of_sums(signal[Contrast.FAT].total, signal[Contrast.WATER].total)
    yield "signal_voxel_fraction", whole.size / voxels
    yield "fat_volume", whole.total * ml if whole.size else MissingReason.BELOW_NOISE_FLOOR
    lean = whole.count_below(INTRAMUSCULAR_FAT_THRESHOLD)
    yield "lean_volume", lean * ml if whole.size else MissingReason.BELOW_NOISE_FLOOR
    yield "intramuscular_fat_volume", (whole.size - lean) * ml if whole.size else MissingReason.BELOW_NOISE_FLOOR


def _ratio_of_sums(fat: float, water: float) -> float | MissingReason:
    if min(fat, water) < 0 or fat + water == 0:  # negative sums: not magnitude images
        return MissingReason.NO_SIGNAL
    return fat / (fat + water)


def _eroded_map_values(kind: str, eroded: Distribution, divisor: float) -> Iterator[tuple[str, float | MissingReason]]:
    if not eroded.size:
        yield kind, MissingReason.TOO_THIN
        yield f"{kind}_eroded_mean", MissingReason.TOO_THIN
        return
    yield kind, min(max(eroded.quantile(0.5) / divisor, 0.0), 1.0)
    yield f"{kind}_eroded_mean", min(max(eroded.mean / divisor, 0.0), 1.0)
