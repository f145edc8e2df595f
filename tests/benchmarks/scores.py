"""Scores of 73 classes on the network's grid to labels on the image's, a quarter of the depth of a NAKO scan.

Scores are like those of a network: a class's score falls with the distance to it, and noise is on all. Over the
voxels of two scans the demo network gives its 1st, 2nd, 3rd, 6th, 11th, 21st and 41st best class 7.5, -1.2, -4.4, -6.6,
-8.7, -11.6 and -19 on average, at a third of the resolution; here these are 6.6, -3.9, -5.0, -6.6, -7.9, -9.2 and
-10.8. In the harder variant all classes but one are equally bad everywhere and differ by noise.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    import torch
    from scipy.ndimage import distance_transform_edt

    def score(field: _Field, label: int) -> NDArray[np.float32]:
        step = (1, 1, 1) if small else (2, 3, 3)  # fine enough, and much faster
        inside = field.labels[:: step[0], :: step[1], :: step[2]] == label
        spacing_mm = field.spacing_mm * step
        outside_mm = distance_transform_edt(~inside, spacing_mm) if inside.any() else np.full(inside.shape, 1000.0)
        scores = np.where(
            inside,
            np.minimum(1 + 0.7 * distance_transform_edt(inside, spacing_mm), 8),
            -1 - 2.6 * np.log2(1 + outside_mm / 12),
        )
        there = scores[field.rows.start // step[0] : -(-field.rows.stop // step[0])].astype(np.float32)
        on_grid = torch.nn.functional.interpolate(torch.from_numpy(there)[None, None], field.shape, mode="trilinear")
        fine: NDArray[np.float32] = on_grid[0, 0].numpy()
        return fine

    return _prepare(inputs, small, "scores", score)


def prepare_noise(inputs: Path, small: bool) -> Path:
    """Make the scores of the harder variant."""

    def score(field: _Field, label: int) -> NDArray[np.float32]:
        quarter = field.labels[field.rows]
        nearest = [
            np.clip(np.round((np.arange(n) + 0.5) * m / n - 0.5).astype(int), 0, m - 1)
            for n, m in zip(field.shape, quarter.shape, strict=True)
        ]
        return 8 * np.float32(quarter[np.ix_(*nearest)] == label) - 4

    return _prepare(inputs, small, "scores-noise", score)


@dataclass(frozen=True)
class _Field:
    """Label map (z, y, x) of the whole scan, its spacing, the rows asked for, and the network's grid of these."""

    labels: NDArray[np.uint8]
    spacing_mm: NDArray[np.float64]
    rows: slice
    shape: tuple[int, int, int]


def _prepare(inputs: Path, small: bool, name: str, score: Callable[[_Field, int], NDArray[np.float32]]) -> Path:
    scan = phantom_scan(inputs, "nako", small)

    def fill(folder: Path) -> None:
        _, affine = stitched_contrasts(scan)
        spacing = np.diag(affine)[2::-1]
        labels = many_labels(np.load(scan / "labels.npy"), CLASSES - 1).transpose(2, 1, 0)
        depth = max(labels.shape[0] // 4, 4)
        first = (labels.shape[0] - depth) // 2  # the trunk, where most structures are
        target = np.array([depth, *labels.shape[1:]])
        network_spacing = spacing * 1.3 if small else np.full(3, NETWORK_SPACING_MM)
        a, b, c = np.round(target * spacing / network_spacing).astype(int).tolist()
        field = _Field(labels, spacing, slice(first, first + depth), (a, b, c))
        noise = np.random.default_rng(CLASSES).standard_normal((a, b, c), np.float32)
        scores = np.lib.format.open_memmap(folder / "scores.npy", "w+", np.float16, (CLASSES, a, b, c))
        for label in range(CLASSES):
            # another stretch of the same noise for each class: as good, and much faster than new noise
            scores[label] = np.roll(noise, 7919 * label) + score(field, label)
        scores.flush()
        np.save(folder / "target.npy", target)
        np.save(folder / "spacing.npy", spacing)
        np.save(folder / "network_spacing.npy", network_spacing)

    return make_once(inputs / f"{scan.name}-{name}", fill)


def _slabs(path: Path, shape: tuple[int, ...]) -> Iterator[NDArray[np.float16]]:
    """Read slab after slab into the same memory, as they come out of the sliding window."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        begin, row = file.tell(), 2 * shape[2] * shape[3]
        memory = np.empty((shape[0], SLAB_ROWS, *shape[2:]), np.float16)
        for start in range(0, shape[1], SLAB_ROWS):
            slab = memory[:, : shape[1] - start]
            for label, part in enumerate(slab):
                file.seek(begin + (label * shape[1] + start) * row)
                file.readinto(part)
            yield slab


def ours(prepared: Path) -> Callable[[], Arrays]:
    """Slab by slab; reading them counts."""
    import torch

    from dixonflow.segment.scores import ResampledLabels
    from dixonflow.segment.transfer import DeviceTransfers, LabelRows

    path = prepared / "scores.npy"
    shape = np.load(path, mmap_mode="r").shape
    a, b, c = np.load(prepared / "target.npy").tolist()

    def call() -> Arrays:
        labels = LabelRows((a, b, c), CLASSES, DeviceTransfers(torch.device("cpu")))
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
