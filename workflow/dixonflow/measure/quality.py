"""The quality checks of one scan."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Affine, Labels
from dixonflow.labelmap.laterality import landmarks_of
from dixonflow.measure.checks import CheckDefinition, checks_of
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.level_checks import LEVEL_CHECKS
from dixonflow.measure.levels import Levels
from dixonflow.measure.tally import DixonTally, Images, Tally
from dixonflow.models.model import Model
from dixonflow.vocabulary import Contrast, Grade


@dataclass(frozen=True)
class CheckedScan:
    """What the checks look at.

    Attributes
    ----------
    tally
        Counts of the scan.
    labels, images, affine, boxes, model
        As `measure` takes them.
    overlap_residual
        Largest relative difference between overlapping stations; None where none overlap.
    wrong_side_ml
        Volume of the left-right errors; None where it is not known.
    contrast_agreement
        Mean Dice between contrasts by structure; a structure without one is None or not there.
    model_agreement
        Mean Dice with other models by structure or composite that they have too; None where none found it.
    levels
        Levels of the vertebrae.
    intensity_scale
        What the input's values were multiplied by for storage.
    """

    tally: Tally
    labels: Labels
    images: Images
    affine: Affine
    boxes: Sequence[StationBox]
    model: Model
    overlap_residual: float | None
    wrong_side_ml: float | None
    contrast_agreement: Mapping[str, float | None]
    model_agreement: Mapping[str, float | None]
    levels: Levels
    intensity_scale: float = 1.0


@dataclass(frozen=True)
class QualityRow:
    """Outcome of one check; columns of the table `quality` without the ids."""

    check: str
    structure: str
    value: float | None
    threshold: float | None
    grade: Grade


def quality_rows(scan: CheckedScan) -> list[QualityRow]:
    """Run all checks of the model, in the order of `CHECKS`, those of single structures in the order of the labels.

    A check has no value, and passes, where it does not apply: the model does not have its structures, no stations
    overlap, there is no noise. It has no value, and asks for a review, where its structures were not found or there is
    too little to look at. One whose threshold follows from the cohort has none here, and passes.
    """
    rows = []
    for check in checks_of(scan.model):
        if check.each_structure:
            of = scan.model_agreement if check.between_models else scan.model.structures
            rows += [_of_structure(check, structure, scan) for structure in of]
            continue
        result: float | Grade
        if not set(check.needs) <= set(scan.model.structures):
            result = Grade.PASS
        elif not all(_voxels(scan, structure) for structure in check.needs):
            result = Grade.REVIEW
        else:
            result = LEVEL_CHECKS[check.name](scan.levels) if check.of_vertebrae else _RUN[check.name](scan)
        if isinstance(result, Grade):
            rows.append(QualityRow(check.name, "", None, check.threshold, result))
        else:
            rows.append(QualityRow(check.name, "", result, check.threshold, check.grade(result)))
    return rows


def _of_structure(check: CheckDefinition, structure: str, scan: CheckedScan) -> QualityRow:
    value = _RUN_EACH[check.name](scan).get(structure)
    grade = Grade.PASS if value is None else check.grade(value)
    return QualityRow(check.name, structure, value, check.threshold, grade)


def _dixon(scan: CheckedScan) -> DixonTally:
    """Counts of water and fat, which checks of Dixon scans ask for."""
    assert scan.tally.dixon is not None
    return scan.tally.dixon


def _region(scan: CheckedScan, structure: str) -> int:
    return 1 + sorted(scan.model.labels).index(scan.model.structures[structure])


def _voxels(scan: CheckedScan, structure: str) -> int:
    return int(scan.tally.voxels[_region(scan, structure)])


def _mask(scan: CheckedScan, structure: str) -> NDArray[np.bool_]:
    """Where a structure is inside the bounding box of all labels."""
    mask: NDArray[np.bool_] = scan.labels[scan.tally.box] == scan.model.structures[structure]
    return mask


def _rightward_mm(scan: CheckedScan, first: str, second: str) -> float:
    # the x axis of RAS+ grows to the right
    centroids = []
    for structure in (first, second):
        mask = _mask(scan, structure)
        order: Literal["C", "F"] = "F" if mask.flags.f_contiguous else "C"
        x = np.unravel_index(np.flatnonzero(mask.ravel(order=order)), mask.shape, order=order)[0]
        centroids.append(float(x.sum() + len(x) * scan.tally.box[0].start) / len(x))
    return (centroids[0] - centroids[1]) * float(scan.affine[0, 0])


def _kidney_volume_ratio(scan: CheckedScan) -> float:
    sizes = sorted(_voxels(scan, kidney) for kidney in ("kidney_right", "kidney_left"))
    return sizes[0] / sizes[1]


def _subcutaneous_fat_fraction(scan: CheckedScan) -> float | Grade:
    mask, box = _mask(scan, "subcutaneous_fat"), scan.tally.box
    sums = np.zeros((2, scan.labels.shape[2]))
    for row, contrast in enumerate((Contrast.FAT, Contrast.WATER)):
        image = scan.images[contrast][box]
        for plane in range(mask.shape[2]):
            # turned, because images mostly lie in Fortran order
            values = image[:, :, plane].T[mask[:, :, plane].T]
            sums[row, box[2].start + plane] = values.sum(dtype=np.float64)
    fractions = []
    for station in scan.boxes:
        planes = station.slices(scan.labels.shape, scan.affine)[2]
        fat, water = (float(values[planes].sum()) for values in sums)
        if fat + water > 0:
            fractions.append(fat / (fat + water))
    return min(fractions) if fractions else Grade.REVIEW


def _structures_found(scan: CheckedScan) -> float:
    return float(np.count_nonzero(scan.tally.voxels[1:]) / len(scan.model.labels))


def _labelled_signal(scan: CheckedScan) -> float | Grade:
    dixon = _dixon(scan)
    return dixon.labelled_signal_voxels / dixon.signal_voxels if dixon.signal_voxels else Grade.REVIEW


def _labels_outside(scan: CheckedScan) -> float | Grade:
    labelled = int(scan.tally.labelled.sum())
    return 1 - float(scan.tally.voxels.sum()) / labelled if labelled else Grade.REVIEW


def _noise_level(scan: CheckedScan) -> float | Grade:
    level = _dixon(scan).noise_level
    return Grade.REVIEW if level is None else level / scan.intensity_scale


def _signal_to_noise(scan: CheckedScan) -> float | Grade:
    noise = _dixon(scan).noise_level
    signal = scan.tally.signal[Contrast.IN_PHASE].of(range(1, len(scan.model.labels) + 1))
    if noise is None or not signal.size:
        return Grade.REVIEW
    return signal.quantile(0.5) / noise if noise else Grade.PASS


def _wrong_side(scan: CheckedScan) -> float | Grade:
    if scan.wrong_side_ml is not None:
        return scan.wrong_side_ml
    return Grade.REVIEW if landmarks_of(scan.model).midline else Grade.PASS


def _overlap_residual(scan: CheckedScan) -> float | Grade:
    return Grade.PASS if scan.overlap_residual is None else scan.overlap_residual


_RUN: dict[str, Callable[[CheckedScan], float | Grade]] = {
    "liver_right_of_spleen": lambda scan: _rightward_mm(scan, "liver", "spleen"),
    "kidney_sides": lambda scan: _rightward_mm(scan, "kidney_right", "kidney_left"),
    "wrong_side": _wrong_side,
    "kidney_volume_ratio": _kidney_volume_ratio,
    "subcutaneous_fat_fraction": _subcutaneous_fat_fraction,
    "structures_found": _structures_found,
    "labelled_signal": _labelled_signal,
    "labels_outside_field_of_view": _labels_outside,
    "noise_level": _noise_level,
    "signal_to_noise": _signal_to_noise,
    "overlap_residual": _overlap_residual,
}

_RUN_EACH: dict[str, Callable[[CheckedScan], Mapping[str, float | None]]] = {
    "contrast_agreement": lambda scan: scan.contrast_agreement,
    "model_agreement": lambda scan: scan.model_agreement,
}
