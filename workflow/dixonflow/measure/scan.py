"""Volumes, fat and quality of one scan, as rows of the tables."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dixonflow.imaging.station import MAP_SCALE
from dixonflow.imaging.types import Affine, Labels
from dixonflow.labelmap.swap_witness import SwappedPatches
from dixonflow.measure.checks.checked_scan import CheckedScan
from dixonflow.measure.checks.scan_checks import quality_rows
from dixonflow.measure.checks.stitch_findings import CheckValue
from dixonflow.measure.definitions import (
    INTRAMUSCULAR_FAT_THRESHOLD,
    MEASURES,
    SIGNAL_STATISTICS,
    MissingReason,
)
from dixonflow.measure.fat import FatFractions
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.histogram import Distribution
from dixonflow.measure.levels import Levels, Position, find_levels
from dixonflow.measure.structures import Structure, structures_of
from dixonflow.measure.tally import Images, Tally, tally
from dixonflow.models.model import Model
from dixonflow.vocabulary import Contrast

MEASUREMENT_COLUMNS = ("structure", "measure", "value", "unit", "definition", "missing_reason", "model")
QUALITY_COLUMNS = ("check", "structure", "model", "value", "threshold", "grade", "place")

_KINDS = {Contrast.CT: "hounsfield", Contrast.FAT_FRACTION: "pdff"}
"""What the signal of an image is called in measures, where not after the image."""

_DIVISORS = {Contrast.FAT_FRACTION: 100 * MAP_SCALE, Contrast.R2STAR: MAP_SCALE}
"""From stored values to the unit of the measure, for images that are physical quantities."""


@dataclass(frozen=True)
class ScanMeasurements:
    """Rows of one scan, without its ids.

    Attributes
    ----------
    measurements
        One row per structure and measure that is made of it, columns `MEASUREMENT_COLUMNS`. `value` is null exactly
        where `missing_reason` is given.
    quality
        One row per check, or per check and structure, columns `QUALITY_COLUMNS`.
    """

    measurements: pd.DataFrame
    quality: pd.DataFrame


def measure(
    labels: Labels,
    images: Images,
    affine: Affine,
    station_boxes: Sequence[StationBox],
    model: Model,
    *,
    of_stitching: Mapping[str, CheckValue] | None = None,
    wrong_side_ml: float | None = None,
    contrast_agreement: Mapping[str, float | None] | None = None,
    model_agreement: Mapping[str, float | None] | None = None,
    swapped_patches: SwappedPatches | None = None,
    intensity_scale: float = 1.0,
    found_elsewhere: Collection[int] = (),
    graded_if_incomplete: bool = False,
) -> ScanMeasurements:
    """Measure every structure of a model in one scan and run the quality checks.

    A composite has values only if all its parts were found. Grades are those of the checks: what they decide on values
    is said when the tables are made, where the checks of the cohort and of the raw data are known too.

    Parameters
    ----------
    labels
        Final label map (x, y, z), uint8 or uint16.
    images
        The four stitched contrasts on the same grid, or the one image of a CT; integers are counted fastest.
    affine
        4x4, voxel index (centre) to RAS mm, diagonal and positive.
    station_boxes
        Outer box of every station; together they are the field of view. Labels outside are not measured.
    model
        The model behind the label map.
    of_stitching
        What the stitch stage found out, by check (`stitch_findings`).
    wrong_side_ml
        Volume of the left-right errors, from the label map's sidecar; None where it is not known.
    contrast_agreement
        Mean Dice of each structure between contrasts, as the label map's sidecar has it; structures without one have
        no value.
    model_agreement
        Mean Dice with other models of each structure or composite that they have too: these are the rows of that check.
    swapped_patches
        Where water and fat contradict the labels of the other contrasts, from the label map's sidecar; None where that
        was not looked at.
    intensity_scale
        What the input's values were multiplied by for storage: values of signal are given in the input's units.
    graded_if_incomplete
        Whether a composite has the values of those parts that were found, and the check `parts_found` objects.
    found_elsewhere
        Labels that were found where these images do not look, in those that the label map was made of.

    Raises
    ------
    ValueError
        If shapes differ, the images are not those that the model takes, the affine is not diagonal and positive, no
        station box meets the grid, an image holds values that are not finite, the label map a label that the model does
        not have, or `contrast_agreement` a structure that it does not have.
    """
    agreement = contrast_agreement or {}
    if foreign := sorted(set(agreement) - set(model.structures)):
        raise ValueError(f"contrasts were compared for structures that the model does not have: {foreign[:5]}")
    if set(model.sequence.contrasts) - set(images) or set(images) - set(model.sequence.images):
        raise ValueError(f"model {model.name} does not take the images {', '.join(images)}")
    counts = tally(labels, images, affine, station_boxes, sorted(model.labels))
    levels = find_levels(labels, affine, station_boxes, model)
    beyond = {1 + sorted(model.labels).index(label) for label in found_elsewhere}
    rows: list[tuple[Any, ...]] = []
    for structure in structures_of(model):
        elsewhere = not beyond.isdisjoint(structure.regions)
        values = dict(
            _values(structure, counts, intensity_scale, elsewhere=elsewhere, graded_if_incomplete=graded_if_incomplete)
        ) | dict(_level_values(structure, levels))
        for definition in structure.measures:
            value = values.get(definition.name, MissingReason.NO_IMAGE)
            missing = isinstance(value, MissingReason)
            number, reason = (None, value) if missing else (value, None)
            rows.append((structure.name, definition.name, number, definition.unit, definition.key, reason, model.name))
    scan = CheckedScan(
        tally=counts,
        labels=labels,
        images=images,
        affine=affine,
        boxes=station_boxes,
        model=model,
        of_stitching=of_stitching or {},
        wrong_side_ml=wrong_side_ml,
        contrast_agreement=agreement,
        model_agreement=model_agreement or {},
        swapped_patches=swapped_patches,
        levels=levels,
        intensity_scale=intensity_scale,
    )
    quality = [
        (row.check, row.structure, model.name, row.value, row.threshold, row.grade.value, row.place)
        for row in quality_rows(scan)
    ]
    return ScanMeasurements(_frame(rows, MEASUREMENT_COLUMNS), _frame(quality, QUALITY_COLUMNS))


def _frame(rows: Sequence[tuple[Any, ...]], columns: Sequence[str]) -> pd.DataFrame:
    """Make a table with types that tell null from NaN."""
    text, number = pd.StringDtype("pyarrow", na_value=pd.NA), pd.Float64Dtype()
    types = {name: number if name in ("value", "threshold") else text for name in columns}
    entries = dict(zip(columns, zip(*rows, strict=True), strict=True))
    return pd.DataFrame({name: pd.Series(entries[name], dtype=types[name]) for name in columns})


def _values(
    structure: Structure, counts: Tally, scale: float, *, elsewhere: bool, graded_if_incomplete: bool
) -> Iterator[tuple[str, float | MissingReason]]:
    """Give every measure of a structure: a finite number, or why there is none."""
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


def _level_values(structure: Structure, levels: Levels) -> Iterator[tuple[str, float | MissingReason]]:
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
