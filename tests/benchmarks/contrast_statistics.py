"""Volume of all labels and their mean in the four contrasts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.arrays import Arrays, Verdict
from benchmarks.components import LABELS
from benchmarks.components import prepare as prepare_labels
from benchmarks.phantom_scan import label_names, phantom_scan, stitched_contrasts

MEAN_TOLERANCE = 1e-5
"""TotalSegmentator rounds means to so many places."""


def prepare(inputs: Path, small: bool) -> Path:
    """Make the label map beside the scan that it belongs to."""
    phantom_scan(inputs, "nako", small)
    return prepare_labels(inputs, small)


def _scan(prepared: Path) -> Path:
    return prepared.with_name(prepared.name.removesuffix(f"-{LABELS}-labels"))


def ours(prepared: Path) -> Callable[[], Arrays]:
    """One joint histogram a contrast."""
    from dixonflow.measure.histogram import joint_histogram

    labels = np.load(prepared / "labels.npy")
    images, affine = stitched_contrasts(_scan(prepared))
    voxel_mm3 = float(np.prod(np.diag(affine)[:3]))

    def call() -> Arrays:
        flat = labels.ravel(order="K")  # both lie in Fortran order
        found = {
            name: joint_histogram(flat, image.ravel(order="K"), LABELS + 1) for name, image in sorted(images.items())
        }
        means = [[histogram.of([label]).mean for label in range(1, LABELS + 1)] for histogram in found.values()]
        voxels = np.bincount(flat, minlength=LABELS + 1)[1:]
        return {"volumes_mm3": voxels * voxel_mm3, "means": np.array(means)}

    return call


def totalsegmentator(prepared: Path) -> Callable[[], Arrays]:
    """`get_basic_statistics`, once for each contrast, on images in memory."""
    import nibabel as nib
    from totalsegmentator.statistics import get_basic_statistics

    labels, names = np.load(prepared / "labels.npy"), label_names(LABELS)
    images, affine = stitched_contrasts(_scan(prepared))

    def call() -> Arrays:
        volumes, means = np.zeros(LABELS), []
        for _, image in sorted(images.items()):
            found = get_basic_statistics(
                labels, nib.Nifti1Image(image, affine), quiet=True, exclude_masks_at_border=False, roi_subset=names
            )
            volumes = np.array([found[name]["volume"] for name in names], float)
            means.append([found[name]["intensity"] for name in names])
        return {"volumes_mm3": volumes, "means": np.array(means, float)}

    return call


def compare(prepared: Path, ours: Arrays, theirs: Arrays | None) -> Verdict:
    """Volumes as numbers of voxels (the peer's voxel volume is of single precision), means to `MEAN_TOLERANCE`."""
    if theirs is None:
        raise ValueError("nothing to compare with")
    _, affine = stitched_contrasts(_scan(prepared))
    voxels, their_voxels = (
        np.rint(side["volumes_mm3"] / np.prod(np.diag(affine)[:3])).astype(int) for side in (ours, theirs)
    )
    different = int(np.count_nonzero(voxels != their_voxels))
    means = float(np.max(np.abs(ours["means"] - theirs["means"])))
    equal = not different and means <= MEAN_TOLERANCE
    return Verdict(equal, f"volumes of {different} labels differ, means by at most {means:.1g}")
