"""Volumes, fat and quality of one scan, as rows of the tables."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.api.extensions import ExtensionDtype

from dixonflow.imaging.types import Affine, Labels
from dixonflow.labelmap.swap_witness import SwappedPatches
from dixonflow.measure.checks.checked_scan import CheckedScan
from dixonflow.measure.checks.scan_checks import quality_rows
from dixonflow.measure.checks.stitch_findings import CheckValue
from dixonflow.measure.compartments.body_range import find_landmarks
from dixonflow.measure.compartments.compartment import compartments_of, profiled
from dixonflow.measure.compartments.compartment_values import compartment_values
from dixonflow.measure.compartments.profile import profile
from dixonflow.measure.compartments.slices import slice_counts
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.levels import find_levels
from dixonflow.measure.measure_definition import MeasureDefinition
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.measure.structure_values import level_values, structure_values
from dixonflow.measure.structures import Structure, structures_of
from dixonflow.measure.tally import Images, tally
from dixonflow.measure.vessels.vessel_values import pieces_by_contrast, vessel_values
from dixonflow.models.model import Model

MEASUREMENT_COLUMNS = ("structure", "measure", "value", "unit", "definition", "missing_reason", "model")
PROFILE_COLUMNS = ("structure", "model", "position_cm", "area_cm2", "fat_fraction", "missing_reason")
QUALITY_COLUMNS = ("check", "structure", "model", "value", "threshold", "grade", "place")


_NUMBERS = ("value", "threshold", "area_cm2", "fat_fraction")


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
    profiles
        One row per tissue and centimetre along the body, columns `PROFILE_COLUMNS`; none where nobody asked for them.
    """

    measurements: pd.DataFrame
    quality: pd.DataFrame
    profiles: pd.DataFrame


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
    others: Sequence[tuple[Model, Labels]] = (),
    removed_components: Mapping[str, int] | None = None,
    vessel_pieces: Mapping[str, Mapping[str, int]] | None = None,
    graded_if_incomplete: bool = False,
    with_profiles: bool = False,
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
    others
        Other models of the run with their label maps on the same grid, which may have landmarks that this one lacks.
    removed_components
        Number of pieces of each structure that postprocessing took away, from the label map's sidecar; none where it
        took nothing away.
    with_profiles
        Whether profiles along the body are wanted.
    vessel_pieces
        Pieces of each vessel by contrast, from the label map's sidecar; None where they were not recorded.
    found_elsewhere
        Labels that were found where these images do not look, in those that the label map was made of.

    Raises
    ------
    ValueError
        If shapes differ, also those of other models' label maps, the images are not those that the model takes, the
        affine is not diagonal and positive, no station box meets the grid, an image holds values that are not finite,
        the label map a label that the model does not have, or `contrast_agreement` a structure that it does not have.
    """
    agreement = contrast_agreement or {}
    if foreign := sorted(set(agreement) - set(model.structures)):
        raise ValueError(f"contrasts were compared for structures that the model does not have: {foreign[:5]}")
    if set(model.sequence.contrasts) - set(images) or set(images) - set(model.sequence.images):
        raise ValueError(f"model {model.name} does not take the images {', '.join(images)}")
    if any(each.shape != labels.shape for _, each in others):
        raise ValueError("the label maps of the models are not on one grid")
    counts = tally(labels, images, affine, station_boxes, sorted(model.labels))
    levels = find_levels(labels, affine, station_boxes, model)
    beyond = {1 + sorted(model.labels).index(label) for label in found_elsewhere}
    rows: list[tuple[Any, ...]] = []
    for structure in structures_of(model):
        elsewhere = not beyond.isdisjoint(structure.regions)
        values = dict(
            structure_values(
                structure, counts, intensity_scale, elsewhere=elsewhere, graded_if_incomplete=graded_if_incomplete
            )
        ) | dict(level_values(structure, levels))
        if structure.vessel:
            removed = (removed_components or {}).get(structure.name, 0)
            values |= dict(_vessel_values(structure, values, labels, affine, model, removed))
            values |= dict(pieces_by_contrast(structure.name, model, vessel_pieces))
        for definition in structure.measures:
            value = values.get(definition.name, MissingReason.NO_IMAGE)
            rows.append(_row(structure.name, definition, value, model))
    steps: list[tuple[Any, ...]] = []
    if compartments := compartments_of(model):
        landmarks = find_landmarks([(model, labels), *others], affine, station_boxes)
        slices = slice_counts(labels, images, affine, station_boxes, model, counts)
        for each in compartments:
            values = compartment_values(each, slices, landmarks, affine, graded_if_incomplete=graded_if_incomplete)
            rows += [_row(each.name, definition, values[definition.name], model) for definition in each.measures]
        for each in profiled(compartments) if with_profiles else ():
            steps += [(name, model.name, *step) for name, *step in profile(each, slices, landmarks, affine)]
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
    return ScanMeasurements(
        _frame(rows, MEASUREMENT_COLUMNS), _frame(quality, QUALITY_COLUMNS), _frame(steps, PROFILE_COLUMNS)
    )


def _vessel_values(
    structure: Structure,
    values: Mapping[str, float | MissingReason],
    labels: Labels,
    affine: Affine,
    model: Model,
    removed: int,
) -> Iterator[tuple[str, float | MissingReason]]:
    uncut = values["coverage_fraction"]
    if isinstance(uncut, MissingReason):
        for definition in structure.measures:
            if definition.of_vessels:
                yield definition.name, uncut
        return
    is_tube, label = structure.vessel == "tubes", model.structures[structure.name]
    yield from vessel_values(labels, affine, label, removed, uncut, is_tube=is_tube)


def _row(structure: str, definition: MeasureDefinition, value: float | MissingReason, model: Model) -> tuple[Any, ...]:
    missing = isinstance(value, MissingReason)
    number, reason = (None, value) if missing else (value, None)
    return structure, definition.name, number, definition.unit, definition.key, reason, model.name


def _frame(rows: Sequence[tuple[Any, ...]], columns: Sequence[str]) -> pd.DataFrame:
    """Make a table with types that tell null from NaN."""
    text, number = pd.StringDtype("pyarrow", na_value=pd.NA), pd.Float64Dtype()
    types: dict[str, ExtensionDtype] = {name: number if name in _NUMBERS else text for name in columns}
    types |= {name: pd.Int64Dtype() for name in columns if name == "position_cm"}
    entries = dict(zip(columns, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(columns, ())
    return pd.DataFrame({name: pd.Series(entries[name], dtype=types[name]) for name in columns})
