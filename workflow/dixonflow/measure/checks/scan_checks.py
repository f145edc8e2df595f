"""The quality checks of one scan."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.labelmap.laterality import landmarks_of
from dixonflow.measure.checks.checked_scan import CheckedScan
from dixonflow.measure.checks.definition import CheckDefinition
from dixonflow.measure.checks.label_checks import (
    contradicted_shares,
    cut_shares,
    cut_sides,
    logarithms,
    parts_found,
    scan_ends_early,
    side_ratios,
    swapped_ml,
    volumes_ml,
)
from dixonflow.measure.checks.level_checks import LEVEL_CHECKS
from dixonflow.measure.checks.of_model import checked_structures, checks_of, cutoff_ml
from dixonflow.measure.checks.stitch_findings import CheckValue
from dixonflow.vocabulary import Contrast, Grade


@dataclass(frozen=True)
class QualityRow:
    """Outcome of one check; columns of the table `quality` without the ids."""

    check: str
    structure: str
    value: float | None
    threshold: float | None
    grade: Grade
    place: str = ""


def quality_rows(scan: CheckedScan) -> list[QualityRow]:
    """Run all checks of the model, in the order of `CHECKS`, those of single structures in the order of the labels.

    A check has no value, and passes, where it does not apply: the model does not have its structures, no stations
    overlap, there is no noise. It has no value, and asks for a review, where its structures were not found or there is
    too little to look at. One whose threshold follows from the cohort has none here, and passes.
    """
    rows = []
    for check in checks_of(scan.model):
        if check.each_structure:
            rows += _of_structures(check, scan)
            continue
        if check.of_stitching:
            rows.append(_of_stitching(check, scan.of_stitching.get(check.name)))
            continue
        result: float | Grade
        if not set(check.needs) <= set(scan.model.structures):
            result = Grade.PASS
        elif not all(scan.voxels(structure) for structure in check.needs):
            result = check.if_lacking
        else:
            result = LEVEL_CHECKS[check.name](scan.levels) if check.of_vertebrae else _RUN[check.name](scan)
        if isinstance(result, Grade):
            rows.append(QualityRow(check.name, "", None, check.threshold, result))
        else:
            rows.append(QualityRow(check.name, "", result, check.threshold, check.grade(result)))
    return rows


def _of_stitching(check: CheckDefinition, found: CheckValue | None) -> QualityRow:
    if found is None:
        return QualityRow(check.name, "", None, check.threshold, Grade.PASS)
    return QualityRow(check.name, "", found.value, check.threshold, check.grade(found.value), found.place)


def _of_structures(check: CheckDefinition, scan: CheckedScan) -> list[QualityRow]:
    of = list(scan.model_agreement) if check.of == "shared" else checked_structures(check, scan.model, ())
    applies = set(check.needs) <= set(scan.model.structures)
    lacking = applies and not all(scan.voxels(name) for name in check.needs)
    values = _RUN_EACH[check.name](scan) if applies and not lacking else {}
    rows = []
    for structure in of:
        value = values.get(structure)
        threshold = cutoff_ml(scan.model, structure) if check.of == "cutoffs" else check.threshold
        if value is None:
            rows.append(QualityRow(check.name, structure, None, threshold, Grade.REVIEW if lacking else Grade.PASS))
        else:
            objects = check.may_object(value, threshold)
            places: Sequence[str] = ()
            if objects and check.with_touched:
                places = _TOUCHED[check.name](scan).get(structure, ())
            elif objects and check.name == "cut_by_field_of_view":
                places = cut_sides(scan, structure)
            grade = check.grade(value, threshold)
            rows.append(QualityRow(check.name, structure, value, threshold, grade, ", ".join(places)))
    return rows


def _kidney_volume_ratio(scan: CheckedScan) -> float:
    sizes = sorted(scan.voxels(kidney) for kidney in ("kidney_right", "kidney_left"))
    return sizes[0] / sizes[1]


def _subcutaneous_fat_fraction(scan: CheckedScan) -> dict[str, float]:
    mask, box = scan.mask("subcutaneous_fat"), scan.tally.box
    sums = np.zeros((2, scan.labels.shape[2]))
    for row, contrast in enumerate((Contrast.FAT, Contrast.WATER)):
        image = scan.images[contrast][box]
        for plane in range(mask.shape[2]):
            # turned, because images mostly lie in Fortran order
            values = image[:, :, plane].T[mask[:, :, plane].T]
            sums[row, box[2].start + plane] = values.sum(dtype=np.float64)
    lowest: dict[str, float] = {}
    reached = _planes(scan)
    for station in scan.boxes:
        planes = station.slices(scan.labels.shape, scan.affine)[2]
        fat, water = (float(values[planes].sum()) for values in sums)
        if fat + water <= 0:
            continue
        for structure, label in scan.model.structures.items():
            if reached[label, planes].any():
                lowest[structure] = min(lowest.get(structure, 1.0), fat / (fat + water))
    return lowest


def _planes(scan: CheckedScan) -> NDArray[np.bool_]:
    """Which planes across the body each label reaches, shape (labels, z)."""
    reached = np.zeros((max(scan.model.labels) + 1, scan.labels.shape[2]), bool)
    x, y, z = scan.tally.box
    for plane in range(z.start, z.stop):
        reached[:, plane] = np.bincount(scan.labels[x, y, plane].ravel(order="K"), minlength=len(reached)) > 0
    return reached


def _side_brightness(scan: CheckedScan) -> float | Grade:
    mask, box = scan.mask("subcutaneous_fat"), scan.tally.box
    image = scan.images[Contrast.IN_PHASE][box]
    middle = len(mask) // 2
    halves = [image[half][mask[half]] for half in (slice(None, middle), slice(middle, None))]
    if not all(half.size for half in halves):
        return Grade.REVIEW
    medians = sorted(float(np.median(half)) for half in halves)
    return medians[0] / medians[1] if medians[1] > 0 else Grade.REVIEW


def _structures_found(scan: CheckedScan) -> float:
    return float(np.count_nonzero(scan.tally.voxels[1:]) / len(scan.model.labels))


def _labelled_signal(scan: CheckedScan) -> float | Grade:
    dixon = scan.dixon
    return dixon.labelled_signal_voxels / dixon.signal_voxels if dixon.signal_voxels else Grade.REVIEW


def _labels_outside(scan: CheckedScan) -> float | Grade:
    labelled = int(scan.tally.labelled.sum())
    return 1 - float(scan.tally.voxels.sum()) / labelled if labelled else Grade.REVIEW


def _noise_level(scan: CheckedScan) -> float | Grade:
    level = scan.dixon.noise_level
    return Grade.REVIEW if level is None else level / scan.intensity_scale


def _fat_noise(scan: CheckedScan) -> dict[str, float]:
    """Noise level over the median signal of each structure; nothing where the noise is not known."""
    noise = scan.dixon.noise_level
    shares = {}
    for structure in scan.model.structures if noise else ():
        signal = scan.tally.signal[Contrast.IN_PHASE].of([scan.region(structure)])
        median = signal.quantile(0.5) if signal.size else 0.0
        if median > 0:
            shares[structure] = (noise or 0.0) / median
    return shares


def _signal_to_noise(scan: CheckedScan) -> float | Grade:
    noise = scan.dixon.noise_level
    signal = scan.tally.signal[Contrast.IN_PHASE].of(range(1, len(scan.model.labels) + 1))
    if noise is None or not signal.size:
        return Grade.REVIEW
    return signal.quantile(0.5) / noise if noise else Grade.PASS


def _wrong_side(scan: CheckedScan) -> float | Grade:
    if scan.wrong_side_ml is not None:
        return scan.wrong_side_ml
    return Grade.REVIEW if landmarks_of(scan.model).midline else Grade.PASS


def _rightward_mm(scan: CheckedScan, first: str, second: str) -> float:
    # the x axis of RAS+ grows to the right, y to the front, z to the head
    return scan.centroid_mm([first], 0) - scan.centroid_mm([second], 0)


def _extent_above(scan: CheckedScan) -> float:
    return max(box.high_mm[2] for box in scan.boxes) - scan.centroid_mm(["heart"], 2)


def _extent_below(scan: CheckedScan) -> float:
    return scan.centroid_mm(_HIPS, 2) - min(box.low_mm[2] for box in scan.boxes)


def _extent_left(scan: CheckedScan) -> float:
    return scan.centroid_mm(["spinal_cord"], 0) - min(box.low_mm[0] for box in scan.boxes)


def _extent_right(scan: CheckedScan) -> float:
    return max(box.high_mm[0] for box in scan.boxes) - scan.centroid_mm(["spinal_cord"], 0)


_HIPS = ("hip_left", "hip_right")

_RUN: dict[str, Callable[[CheckedScan], float | Grade]] = {
    "liver_right_of_spleen": lambda scan: _rightward_mm(scan, "liver", "spleen"),
    "kidney_sides": lambda scan: _rightward_mm(scan, "kidney_right", "kidney_left"),
    "heart_left": lambda scan: _rightward_mm(scan, "spinal_cord", "heart"),
    "head_up": lambda scan: scan.centroid_mm(["heart"], 2) - scan.centroid_mm(_HIPS, 2),
    "front_ahead": lambda scan: scan.centroid_mm(["heart"], 1) - scan.centroid_mm(["spinal_cord"], 1),
    "wrong_side": _wrong_side,
    "kidney_volume_ratio": _kidney_volume_ratio,
    "scan_ends_early": scan_ends_early,
    "scan_length": lambda scan: max(box.high_mm[2] for box in scan.boxes) - min(box.low_mm[2] for box in scan.boxes),
    "extent_above": _extent_above,
    "extent_below": _extent_below,
    "extent_left": _extent_left,
    "extent_right": _extent_right,
    "structures_found": _structures_found,
    "labelled_signal": _labelled_signal,
    "labels_outside_field_of_view": _labels_outside,
    "labels_fit": lambda scan: Grade.REVIEW if scan.signal_fit.fitting is None else scan.signal_fit.fitting,
    "swapped_volume": swapped_ml,
    "swapped_share": lambda scan: max(
        [0.0, *scan.signal_fit.swapped_shares.values(), *contradicted_shares(scan).values()]
    ),
    "signal_holes": lambda scan: scan.signal_fit.holes_ml,
    "side_brightness": _side_brightness,
    "noise_level": _noise_level,
    "signal_to_noise": _signal_to_noise,
}

_RUN_EACH: dict[str, Callable[[CheckedScan], Mapping[str, float | None]]] = {
    "subcutaneous_fat_fraction": _subcutaneous_fat_fraction,
    "swapped_signal": lambda scan: scan.signal_fit.swapped_shares,
    "swapped_patches": contradicted_shares,
    "seen_borders": lambda scan: scan.borders.seen,
    "seen_top": lambda scan: scan.borders.seen_top,
    "seen_bottom": lambda scan: scan.borders.seen_bottom,
    "fat_noise": _fat_noise,
    "side_ratio": side_ratios,
    "in_one_piece": lambda scan: scan.pieces.largest,
    "unusually_small": logarithms,
    "unusually_large": logarithms,
    "lower_cutoff": volumes_ml,
    "parts_found": parts_found,
    "cut_by_field_of_view": cut_shares,
    "contrast_agreement": lambda scan: scan.contrast_agreement,
    "model_agreement": lambda scan: scan.model_agreement,
}

_TOUCHED: dict[str, Callable[[CheckedScan], Mapping[str, Sequence[str]]]] = {
    "swapped_signal": lambda scan: dict.fromkeys(scan.model.structures, scan.signal_fit.touching_swapped),
    "swapped_patches": lambda scan: dict.fromkeys(
        scan.model.structures, scan.swapped_patches.touching if scan.swapped_patches else []
    ),
    "in_one_piece": lambda scan: scan.pieces.touched,
    **dict.fromkeys(("seen_borders", "seen_top", "seen_bottom"), lambda scan: scan.borders.touched),
}
"""Of checks that also decide on structures that touch the checked one: these."""
