"""Volumes, fat and quality of one scan, as rows of the tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dixonflow.imaging.station import MAP_SCALE
from dixonflow.imaging.types import Affine, Labels
from dixonflow.measure.definitions import (
    INTRAMUSCULAR_FAT_THRESHOLD,
    MEASURES,
    SIGNAL_STATISTICS,
    MeasureDefinition,
    MissingReason,
)
from dixonflow.measure.fat import FatFractions
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.histogram import Distribution
from dixonflow.measure.level_checks import level_grade
from dixonflow.measure.levels import Levels, Position, find_levels
from dixonflow.measure.quality import CheckedScan, quality_rows
from dixonflow.measure.structures import Structure, structures_of
from dixonflow.measure.tally import Images, Tally, tally
from dixonflow.models.model import Model
from dixonflow.vocabulary import Contrast, Grade

MEASUREMENT_COLUMNS = ("structure", "measure", "value", "unit", "definition", "grade", "missing_reason", "model")
QUALITY_COLUMNS = ("check", "structure", "model", "value", "threshold", "grade")

_KINDS = {Contrast.CT: "hounsfield", Contrast.FAT_FRACTION: "pdff"}
"""What the signal of an image is called in measures, where not after the image."""

_DIVISORS = {Contrast.FAT_FRACTION: 100 * MAP_SCALE, Contrast.R2STAR: MAP_SCALE}
"""From stored values to the unit of the measure, for images that are physical quantities."""

_VOLUMES = ("volume", "lean_volume", "intramuscular_fat_volume")


@dataclass(frozen=True)
class ScanMeasurements:
    """Rows of one scan, without its ids.

    Attributes
    ----------
    measurements
        One row per structure and measure that is made of it, columns `MEASUREMENT_COLUMNS`. `value` is null exactly
        where `missing_reason` is given, and then `grade` is null too.
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
    overlap_residual: float | None = None,
    wrong_side_ml: float | None = None,
    contrast_agreement: Mapping[str, float | None] | None = None,
    model_agreement: Mapping[str, float | None] | None = None,
    intensity_scale: float = 1.0,
) -> ScanMeasurements:
    """Measure every structure of a model in one scan and run the quality checks.

    Grades of measurements: *fail* where the structure is smaller than its published cut-off (all its measures; the
    values are kept, so that the cut-off can be questioned); *review* for volumes of a structure that the field of view
    cuts, unless it is one that leaves every scan by design, for volumes of a composite one of whose parts was not
    found, and for all levels of a scan whose vertebrae do not pass their checks; else *pass*.

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
    overlap_residual
        Largest relative difference between overlapping stations as the stitch report has it; None where no stations
        overlap.
    wrong_side_ml
        Volume of the left-right errors, from the label map's sidecar; None where it is not known.
    contrast_agreement
        Mean Dice of each structure between contrasts, as the label map's sidecar has it; structures without one have
        no value.
    model_agreement
        Mean Dice with other models of each structure or composite that they have too: these are the rows of that check.
    intensity_scale
        What the input's values were multiplied by for storage: values of signal are given in the input's units.

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
    grade_of_levels = level_grade(levels)
    rows: list[tuple[Any, ...]] = []
    for structure in structures_of(model):
        values = dict(_values(structure, counts, intensity_scale)) | dict(_level_values(structure, levels))
        grades = _grades(structure, counts)
        for definition in structure.measures:
            value = values.get(definition.name, MissingReason.NO_IMAGE)
            head = (structure.name, definition.name)
            if isinstance(value, MissingReason):
                rows.append((*head, None, definition.unit, definition.key, None, value.value, model.name))
            else:
                graded = _grade(definition, *grades, grade_of_levels)
                rows.append((*head, value, definition.unit, definition.key, graded.value, None, model.name))
    scan = CheckedScan(
        tally=counts,
        labels=labels,
        images=images,
        affine=affine,
        boxes=station_boxes,
        model=model,
        overlap_residual=overlap_residual,
        wrong_side_ml=wrong_side_ml,
        contrast_agreement=agreement,
        model_agreement=model_agreement or {},
        levels=levels,
        intensity_scale=intensity_scale,
    )
    quality = [
        (row.check, row.structure, model.name, row.value, row.threshold, row.grade.value) for row in quality_rows(scan)
    ]
    return ScanMeasurements(_frame(rows, MEASUREMENT_COLUMNS), _frame(quality, QUALITY_COLUMNS))


def _frame(rows: Sequence[tuple[Any, ...]], columns: Sequence[str]) -> pd.DataFrame:
    """Make a table with types that tell null from NaN."""
    text, number = pd.StringDtype("pyarrow", na_value=pd.NA), pd.Float64Dtype()
    types = {name: number if name in ("value", "threshold") else text for name in columns}
    entries = dict(zip(columns, zip(*rows, strict=True), strict=True))
    return pd.DataFrame({name: pd.Series(entries[name], dtype=types[name]) for name in columns})


def _values(structure: Structure, counts: Tally, scale: float) -> Iterator[tuple[str, float | MissingReason]]:
    """Give every measure of a structure: a finite number, or why there is none."""
    regions = list(structure.regions)
    voxels = int(counts.voxels[regions].sum())
    absent = None
    if not counts.labelled[regions].any():
        absent = MissingReason.NOT_FOUND
    elif not voxels:
        absent = MissingReason.OUTSIDE_FIELD_OF_VIEW
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
    yield "fat_fraction", _ratio_of_sums(signal[Contrast.FAT].total, signal[Contrast.WATER].total)
    whole, eroded = fat.of(regions), fat.eroded_of(regions)
    yield from _centre("fat_fraction", whole, MissingReason.BELOW_NOISE_FLOOR)
    thin = not fat.eroded_voxels[regions].any()
    yield from _centre(
        "fat_fraction_eroded", eroded, MissingReason.TOO_THIN if thin else MissingReason.BELOW_NOISE_FLOOR
    )
    yield "signal_voxel_fraction", whole.size / voxels
    lean = whole.count_below(INTRAMUSCULAR_FAT_THRESHOLD)
    yield "lean_volume", lean * ml if whole.size else MissingReason.BELOW_NOISE_FLOOR
    yield "intramuscular_fat_volume", (whole.size - lean) * ml if whole.size else MissingReason.BELOW_NOISE_FLOOR


def _ratio_of_sums(fat: float, water: float) -> float | MissingReason:
    if min(fat, water) < 0 or fat + water == 0:  # negative sums: not magnitude images
        return MissingReason.NO_SIGNAL
    return fat / (fat + water)


def _centre(name: str, fractions: Distribution, reason: MissingReason) -> Iterator[tuple[str, float | MissingReason]]:
    yield f"{name}_mean", fractions.mean if fractions.size else reason
    yield f"{name}_median", fractions.quantile(0.5) if fractions.size else reason


def _grade(definition: MeasureDefinition, grade: Grade, grade_of_volumes: Grade, grade_of_levels: Grade) -> Grade:
    if definition.name in _VOLUMES:
        return grade_of_volumes
    return grade_of_levels if definition.of_vertebrae and grade is not Grade.FAIL else grade


def _grades(structure: Structure, counts: Tally) -> tuple[Grade, Grade]:
    """Grade of a structure's measures, and of its volumes."""
    regions = list(structure.regions)
    voxels = counts.voxels[regions]
    if structure.lower_cutoff_ml is not None and voxels.sum() * counts.voxel_mm3 / 1000 < structure.lower_cutoff_ml:
        return Grade.FAIL, Grade.FAIL
    cut = counts.surface.cut_mm2(regions) > 0 and not structure.cut_by_design
    return Grade.PASS, Grade.REVIEW if cut or not voxels.all() else Grade.PASS
