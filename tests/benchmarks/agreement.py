"""Dice, surface distances and components of five predictions, 70 structures each, at the size of a NAKO scan."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.arrays import Arrays, Verdict, both, make_once
from benchmarks.phantom_scan import cut_into, phantom_scan

CASES, SEED = 5, 47
LABELS = 70
SPACING_MM = (1.40625, 1.40625, 3.0)
TOLERANCE_MM = 3.0
COARSE_VOXELS = 12
"""Borders of a prediction wander with this wavelength, by `AMPLITUDE_VOXELS` (standard deviation)."""

AMPLITUDE_VOXELS = 1.2


def prepare(inputs: Path, small: bool) -> Path:
    """Make the reference and predictions whose borders are a voxel or two off, as those of networks are."""
    scan = phantom_scan(inputs, "nako", small)

    def fill(folder: Path) -> None:
        reference = np.ascontiguousarray(cut_into(np.load(scan / "labels.npy"), LABELS))
        np.save(folder / "reference.npy", reference)
        for case in range(CASES):
            np.save(folder / f"predicted-{case}.npy", _warped(reference, np.random.default_rng(SEED + case)))

    return make_once(inputs / f"{scan.name}-agreement", fill)


def _warped(labels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    from scipy.ndimage import zoom

    for axis, size in enumerate(labels.shape):
        plane = [n for other, n in enumerate(labels.shape) if other != axis]
        coarse = rng.normal(0, AMPLITUDE_VOXELS, [n // COARSE_VOXELS + 2 for n in plane])
        shift = np.rint(zoom(coarse, [n / c for n, c in zip(plane, coarse.shape, strict=True)], order=1)).astype(
            np.intp
        )
        along = np.arange(size).reshape([-1 if other == axis else 1 for other in range(3)])
        source = np.clip(along + np.expand_dims(shift, axis), 0, size - 1)
        labels = np.take_along_axis(labels, source, axis)
    return labels


def _cases(prepared: Path) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    reference = np.load(prepared / "reference.npy")
    for case in range(CASES):
        yield np.load(prepared / f"predicted-{case}.npy"), reference


def ours(prepared: Path) -> Callable[[], Arrays]:
    """All metrics."""
    return _ours(prepared, surfaces=True)


def ours_without_surfaces(prepared: Path) -> Callable[[], Arrays]:
    """Dice, volumes and components."""
    return _ours(prepared, surfaces=False)


def _ours(prepared: Path, surfaces: bool) -> Callable[[], Arrays]:
    from dixonflow.evaluation.metrics.compare import compare
    from dixonflow.evaluation.regions import Region

    regions = [Region(str(label), (label,)) for label in range(1, LABELS + 1)]
    cases = list(_cases(prepared))

    def call() -> Arrays:
        tables = [compare(*pair, SPACING_MM, regions, tolerance_mm=TOLERANCE_MM, surfaces=surfaces) for pair in cases]
        return {name: np.stack([table[name] for table in tables]) for name in ("dice", "nsd", "hd95_mm")}

    return call


def panoptica(prepared: Path) -> Callable[[], Arrays]:
    """Its evaluator, a group per structure, with two of the metrics."""
    from panoptica import InputType, Panoptica_Evaluator
    from panoptica.metrics import Metric
    from panoptica.utils.segmentation_class import LabelGroup, SegmentationClassGroups

    metrics = {"dice": Metric.DSC, "hd95_mm": Metric.HD95}  # its NSD counts voxels, not areas
    groups = SegmentationClassGroups({f"s{label}": LabelGroup(label, True) for label in range(1, LABELS + 1)})
    evaluator = Panoptica_Evaluator(
        expected_input=InputType.MATCHED_INSTANCE,
        segmentation_class_groups=groups,
        instance_metrics=[],
        global_metrics=list(metrics.values()),
    )
    cases = list(_cases(prepared))

    def call() -> Arrays:
        found: dict[str, list[list[float]]] = {name: [] for name in metrics}
        for predicted, reference in cases:
            result = evaluator.evaluate(predicted, reference, voxelspacing=SPACING_MM)
            for name, metric in metrics.items():
                key = f"global_bin_{metric.name.lower()}"
                values = [float(getattr(result[f"s{label}"], key)) for label in range(1, LABELS + 1)]
                found[name].append(values)
        return {name: np.array(values) for name, values in found.items()}

    return call


def panoptica_dice(prepared: Path) -> Callable[[], Arrays]:
    """Its function for Dice, structure by structure."""
    from panoptica.metrics.dice import _compute_instance_volumetric_dice

    cases = list(_cases(prepared))

    def call() -> Arrays:
        labels = range(1, LABELS + 1)
        dice = [[_compute_instance_volumetric_dice(one, two, each, each) for each in labels] for two, one in cases]
        return {"dice": np.array(dice, float)}

    return call


def surface_distance(prepared: Path) -> Callable[[], Arrays]:
    """The package's three functions, structure by structure."""
    import surface_distance as package

    cases = list(_cases(prepared))

    def call() -> Arrays:
        found = np.empty((2, CASES, LABELS))
        for case, (predicted, reference) in enumerate(cases):
            for label in range(1, LABELS + 1):
                distances = package.compute_surface_distances(reference == label, predicted == label, SPACING_MM)
                within = package.compute_surface_dice_at_tolerance(distances, TOLERANCE_MM)
                found[:, case, label - 1] = within, package.compute_robust_hausdorff(distances, 95)
        return {"nsd": found[0], "hd95_mm": found[1]}

    return call


def compare(prepared: Path, ours: Arrays, theirs: Arrays | None) -> Verdict:
    """Metrics that are defined alike must be equal; how far the others differ is said."""
    if theirs is None:
        raise ValueError("nothing to compare with")
    return both(*(_verdict(name, ours[name], values, "nsd" in theirs) for name, values in theirs.items()))


def _verdict(name: str, ours: NDArray[np.float64], theirs: NDArray[np.float64], same: bool) -> Verdict:
    differ = np.abs(ours - theirs)
    if not np.isfinite(ours).all() or not ours.any():
        return Verdict(False, f"{name}: values are missing")
    if name == "dice" or same:
        return Verdict(bool((differ <= 1e-6).all()), f"{name}: largest difference {differ.max():.1e}")
    return Verdict(True, f"{name} is defined otherwise: median difference {np.median(differ):.2f}")
