"""What a perfect measurement of a phantom scan would give."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, find_objects

from dixonflow.imaging.types import Floats32
from dixonflow.phantom.anatomy.participant import Participant
from dixonflow.phantom.anatomy.render import Anatomy
from dixonflow.phantom.anatomy.structures import Structure
from dixonflow.phantom.anatomy.tissue import tissue_table, water_and_fat
from dixonflow.phantom.scanner.acquisition import axis_weights, box_average, station_affine
from dixonflow.phantom.scanner.protocol import Protocol


def truth_table(participant: Participant, anatomy: Anatomy, protocol: Protocol) -> pd.DataFrame:
    """Volume inside the field of view and fat fraction of every structure.

    Parameters
    ----------
    participant, anatomy
        From `draw_participant` and `render_anatomy`.
    protocol
        Its stations' boxes make up the field of view.

    Returns
    -------
    pandas.DataFrame
        One row per structure: id, name, volume_in_fov_ml (fine-grid voxels whose centre lies in a station's box),
        fat_fraction (sum of fat over sum of fat and water on the fine grid, 0 to 1; the texture scales both alike) and
        fat_fraction_median (of its fine-grid voxels).
    """
    centres = [anatomy.affine[a, 3] + anatomy.spacing_mm * np.arange(n) for a, n in enumerate(anatomy.labels.shape)]
    boxes = []
    for geometry in protocol.stations:
        affine = station_affine(geometry, participant, anatomy.top_mm)
        low = affine[:3, 3] - np.diag(affine)[:3] / 2
        high = low + np.asarray(geometry.matrix) * geometry.spacing_mm
        inside = [(c >= lo) & (c < hi) for c, lo, hi in zip(centres, low, high, strict=True)]
        boxes.append(inside)
    counts = np.zeros(256, np.int64)
    for k in range(anatomy.labels.shape[2]):
        covering = [b for b in boxes if b[2][k]]
        if covering:
            mask = np.any([b[0][:, None] & b[1][None, :] for b in covering], axis=0)
            counts += np.bincount(anatomy.labels[:, :, k][mask], minlength=256)
    means, medians = _fine_fractions(participant, anatomy)
    rows = [
        (int(s), s.published_name, counts[s] * anatomy.spacing_mm**3 / 1000, float(means[s]), float(medians[s]))
        for s in Structure
    ]
    return pd.DataFrame(rows, columns=["id", "name", "volume_in_fov_ml", "fat_fraction", "fat_fraction_median"])


def _fine_fractions(participant: Participant, anatomy: Anatomy) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and median of the fat fraction over the fine-grid voxels of each label; its signal is the same in all."""
    even = tissue_table(participant).fat_fraction
    if not participant.uneven:
        return even, even
    water, fat = water_and_fat(anatomy, participant, with_texture=False)
    means, medians = even.copy(), even.copy()
    for label, window in enumerate(find_objects(anatomy.labels), start=1):
        if window is not None:
            inside = anatomy.labels[window] == label
            w, f = (image[window][inside].astype(np.float64) for image in (water, fat))
            means[label], medians[label] = f.sum() / (w + f).sum(), np.median(f / (w + f))
    return means, medians


def true_fat_fractions(
    participant: Participant,
    anatomy: Anatomy,
    labels: NDArray[np.integer],
    affine: NDArray[np.float64],
    regions: Mapping[str, Sequence[int]],
) -> pd.DataFrame:
    """Fat fractions that a scanner without noise would show in the voxels of the true label map.

    Parameters
    ----------
    labels, affine
        From `truth_on_grid`; the grid of the image.
    regions
        Labels of each structure; those of a union are eroded separately, as in the measures.

    Returns
    -------
    pandas.DataFrame
        Indexed by structure: mean and median of the voxel ratios F / (F + W), `whole_mean`, `whole_median`, and without
        the voxels that have a face towards anything else, `eroded_mean`, `eroded_median`; NaN where there is no voxel.
    """
    shape = (labels.shape[0], labels.shape[1], labels.shape[2])
    matrices = axis_weights(anatomy.labels.shape, anatomy.affine, shape, affine)
    images = water_and_fat(anatomy, participant, with_texture=False)
    water, fat = (box_average(image, matrices).astype(np.float64) for image in images)
    with np.errstate(invalid="ignore"):
        fraction = fat / (water + fat)
    values: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for label, window in enumerate(find_objects(labels.astype(np.int32)), start=1):
        if window is not None:
            inside = labels[window] == label
            inner = binary_erosion(inside, border_value=0)
            values[label] = fraction[window][inside], fraction[window][inner]
    nothing = np.empty(0), np.empty(0)
    rows = {}
    for name, members in regions.items():
        whole, eroded = (np.concatenate([values.get(each, nothing)[place] for each in members]) for place in (0, 1))
        rows[name] = [
            statistic(part) if part.size else np.nan for part in (whole, eroded) for statistic in (np.mean, np.median)
        ]
    columns = ["whole_mean", "whole_median", "eroded_mean", "eroded_median"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


@dataclass(frozen=True)
class LabelShares:
    """The two labels with the largest shares of each voxel, uint8; ties go to the lower id, with background last.

    Attributes
    ----------
    first, second
        Their ids.
    share
        Of `first` in what the two take of the voxel, float32, 0.5 to 1.
    """

    first: NDArray[np.uint8]
    second: NDArray[np.uint8]
    share: Floats32


def truth_on_grid(anatomy: Anatomy, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Label with the largest share of each voxel of another axis-aligned RAS+ grid; ties go to the lower id.

    Parameters
    ----------
    anatomy
        Fine-grid labels.
    shape, affine
        The target grid.

    Returns
    -------
    numpy.ndarray
        uint8 labels of the given shape.
    """
    return shares_on_grid(anatomy, shape, affine).first


def shares_on_grid(anatomy: Anatomy, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> LabelShares:
    """Like `truth_on_grid`, with the runner-up and how the two divide the voxel."""
    shares = np.zeros((2, *shape), np.float32)
    labels = np.zeros((2, *shape), np.uint8)
    background = np.ones(shape, np.float32)

    def enter(label: int, out: tuple[slice, ...], share: Floats32) -> None:
        (best, next_best), (first, second) = shares[:, *out], labels[:, *out]
        better = share > best + _TIE
        for old, new in ((next_best, best), (second, first)):
            old[better] = new[better]
        best[better], first[better] = share[better], label
        between = ~better & (share > next_best + _TIE)
        next_best[between], second[between] = share[between], label

    for label, out, share in _shares(anatomy, shape, affine):
        background[out] -= share
        enter(label, out, share)
    enter(0, (slice(None),) * 3, background)
    return LabelShares(labels[0], labels[1], shares[0] / shares.sum(axis=0))


_TIE = 1e-6
"""Shares that differ by less are equal."""


def _shares(
    anatomy: Anatomy, shape: tuple[int, int, int], affine: NDArray[np.float64]
) -> Iterator[tuple[int, tuple[slice, ...], Floats32]]:
    """Share of every structure in the voxels of a window of another grid, outside which it has none; ids ascending."""
    matrices = axis_weights(anatomy.labels.shape, anatomy.affine, shape, affine)
    windows = find_objects(anatomy.labels)
    for label in sorted(Structure):
        window = windows[label - 1] if label <= len(windows) else None
        if window is None:
            continue
        cut = [m[:, w] for m, w in zip(matrices, window, strict=True)]
        target = [np.flatnonzero(m.any(axis=1)) for m in cut]
        if any(len(t) == 0 for t in target):
            continue
        out = tuple(slice(t[0], t[-1] + 1) for t in target)
        mx, my, mz = (m[o] for m, o in zip(cut, out, strict=True))
        share = np.matmul((anatomy.labels[window] == label).astype(np.float32), mz.T)
        yield int(label), out, np.tensordot(mx, np.matmul(my, share), axes=(1, 0))
