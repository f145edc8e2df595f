"""Scores of 73 classes on the network's grid to labels on the image's, a quarter of the depth of a NAKO scan.

Every voxel has one class in the lead on the network's grid, that of the phantom's label map, and noise on all.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.arrays import Arrays, Verdict, equal_labels, make_once
from benchmarks.phantom_scan import many_labels, phantom_scan, stitched_contrasts

CLASSES = 73
NETWORK_SPACING_MM = 1.5
SLAB_ROWS = 32
"""Rows that the sliding window hands on at a time: half a patch of 64."""
ONE_IN = 100_000


def prepare(inputs: Path, small: bool) -> Path:
    """Make the scores (class, z, y, x) in half precision, spacings and the image's matrix."""
    scan = phantom_scan(inputs, "nako", small)

    def fill(folder: Path) -> None:
        _, affine = stitched_contrasts(scan)
        spacing = np.diag(affine)[2::-1]
        labels = many_labels(np.load(scan / "labels.npy"), CLASSES - 1).transpose(2, 1, 0)
        quarter = labels[: max(labels.shape[0] // 4, 4)]
        network_spacing = spacing * 1.3 if small else np.full(3, NETWORK_SPACING_MM)
        shape = np.round(np.array(quarter.shape) * spacing / network_spacing).astype(int)
        nearest = [
            np.clip(np.round((np.arange(n) + 0.5) * m / n - 0.5).astype(int), 0, m - 1)
            for n, m in zip(shape, quarter.shape, strict=True)
        ]
        rng = np.random.default_rng(CLASSES)
        true = quarter[np.ix_(*nearest)]
        noise = rng.standard_normal(shape.tolist(), np.float32)
        scores = np.lib.format.open_memmap(folder / "scores.npy", "w+", np.float16, (CLASSES, *shape.tolist()))
        for label in range(CLASSES):
            # another stretch of the same noise for each class: as good, and much faster than new noise
            scores[label] = np.roll(noise, 7919 * label) - 4 + 8 * (true == label)
        scores.flush()
        np.save(folder / "target.npy", quarter.shape)
        np.save(folder / "spacing.npy", spacing)
        np.save(folder / "network_spacing.npy", network_spacing)

    return make_once(inputs / f"{scan.name}-scores", fill)


def _slabs(path: Path, shape: tuple[int, ...]) -> Iterator[NDArray[np.float16]]:
    """Read slab after slab, as they come out of the sliding window."""
    scores = np.load(path, mmap_mode="r")
    for start in range(0, shape[1], SLAB_ROWS):
        yield np.array(scores[:, start : start + SLAB_ROWS])


def ours(prepared: Path) -> Callable[[], Arrays]:
    """Slab by slab; reading them counts."""
    import torch

    from dixonflow.segment.scores import ResampledLabels
    from dixonflow.segment.transfer import Copies, LabelRows

    path = prepared / "scores.npy"
    shape = np.load(path, mmap_mode="r").shape
    a, b, c = np.load(prepared / "target.npy").tolist()

    def call() -> Arrays:
        labels = LabelRows((a, b, c), CLASSES, Copies(torch.device("cpu")))
        sink = ResampledLabels((shape[1], shape[2], shape[3]), (a, b, c), [1, 1, 1], labels)
        with torch.inference_mode():
            for slab in _slabs(path, shape):
                sink.add(torch.from_numpy(slab))
        return {"labels": labels.collected()}

    return call


def nnunet(prepared: Path) -> Callable[[], Arrays]:
    """nnU-Net's default export: all scores resampled in double precision, then the argmax."""
    from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

    scores = np.load(prepared / "scores.npy")
    target = np.load(prepared / "target.npy")
    spacing, network_spacing = np.load(prepared / "spacing.npy"), np.load(prepared / "network_spacing.npy")

    def call() -> Arrays:
        resampled = resample_data_or_seg_to_shape(
            scores, target, network_spacing, spacing, is_seg=False, order=1, order_z=0, force_separate_z=None
        )
        return {"labels": resampled.argmax(0).astype(np.uint8)}

    return call


def compare(prepared: Path, ours: Arrays, theirs: Arrays | None) -> Verdict:
    """At most one voxel in `ONE_IN` differs."""
    if theirs is None:
        raise ValueError("nothing to compare with")
    return equal_labels(ours["labels"], theirs["labels"], ONE_IN)
