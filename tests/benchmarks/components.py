"""Surplus components, and the largest component of what is left, of 72 labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.arrays import Arrays, Verdict, both, equal_labels, make_once
from benchmarks.phantom_scan import label_names, many_labels, phantom_scan

LABELS = 72
SURPLUS_VOXELS = 40
"""Components of at most so many voxels are removed."""


def prepare(inputs: Path, small: bool) -> Path:
    """Make the label map."""
    scan = phantom_scan(inputs, "nako", small)

    def fill(folder: Path) -> None:
        np.save(folder / "labels.npy", many_labels(np.load(scan / "labels.npy"), LABELS))

    return make_once(inputs / f"{scan.name}-{LABELS}-labels", fill)


def ours(prepared: Path) -> Callable[[], Arrays]:
    """One pass over the label map for all labels."""
    from dixonflow.labelmap.component_rules import (
        COUNTING,
        ComponentLimit,
        drop_surplus,
        drop_surplus_then_keep_largest,
    )
    from dixonflow.labelmap.components import find_components

    labels, every = np.load(prepared / "labels.npy"), range(1, LABELS + 1)
    always = dict.fromkeys(every, ComponentLimit(minimum=labels.size, maximum=labels.size, drop_mm3=SURPLUS_VOXELS))

    def call() -> Arrays:
        surplus, _ = drop_surplus(labels, find_components(labels, COUNTING), always, 1.0, spare_largest=False)
        return {
            "surplus": surplus,
            "largest": drop_surplus_then_keep_largest(labels, always, 1.0, every, spare_largest=False),
        }

    return call


def ours_largest(prepared: Path) -> Callable[[], Arrays]:
    """The largest components alone."""
    from dixonflow.labelmap.component_rules import ComponentLimit, drop_surplus_then_keep_largest

    labels, every = np.load(prepared / "labels.npy"), range(1, LABELS + 1)
    never = dict.fromkeys(every, ComponentLimit(minimum=0, maximum=labels.size, drop_mm3=0.0))
    return lambda: {"largest": drop_surplus_then_keep_largest(labels, never, 1.0, every, spare_largest=True)}


def totalsegmentator(prepared: Path) -> Callable[[], Arrays]:
    """TotalSegmentator's functions, which work on the label map in place."""
    from totalsegmentator.map_to_binary import class_map
    from totalsegmentator.postprocessing import keep_largest_blob_multilabel, remove_small_blobs_multilabel

    labels, names, table = np.load(prepared / "labels.npy"), label_names(LABELS), class_map["total"]

    def call() -> Arrays:
        interval = [SURPLUS_VOXELS, 1e10]
        surplus = remove_small_blobs_multilabel(labels.copy(order="K"), table, names, interval, quiet=True)
        largest = keep_largest_blob_multilabel(surplus.copy(order="K"), table, names, quiet=True)
        return {"surplus": surplus, "largest": largest}

    return call


def simpleitk(prepared: Path) -> Callable[[], Arrays]:
    """SimpleITK's filters, label by label: components, sorted by size."""
    import SimpleITK

    labels = np.load(prepared / "labels.npy")

    def call() -> Arrays:
        image = SimpleITK.GetImageFromArray(labels.T)  # x fastest, as the label map lies in memory
        result = np.zeros_like(labels)
        for label in range(1, LABELS + 1):
            ordered = SimpleITK.RelabelComponent(SimpleITK.ConnectedComponent(image == label), sortByObjectSize=True)
            result[SimpleITK.GetArrayViewFromImage(ordered).T == 1] = label
        return {"largest": result}

    return call


def compare(prepared: Path, ours: Arrays, theirs: Arrays | None) -> Verdict:
    """Voxel by voxel; and something must have been removed."""
    if theirs is None:
        raise ValueError("nothing to compare with")
    labels = np.load(prepared / "labels.npy")
    verdicts = [equal_labels(ours[name], theirs[name]) for name in ours]
    if any(np.array_equal(result, labels) for result in ours.values()):
        return Verdict(False, "nothing was removed")
    return both(*verdicts)
