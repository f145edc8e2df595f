"""What a perfect measurement of a phantom scan would give."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from dixonflow.imaging.types import Floats32
from dixonflow.phantom.anatomy.participant import Participant
from dixonflow.phantom.anatomy.render import Anatomy
from dixonflow.phantom.anatomy.structures import Structure
from dixonflow.phantom.anatomy.tissue import tissue_table
from dixonflow.phantom.scanner.acquisition import axis_weights, station_affine
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
        fat_fraction (sum of fat over sum of fat and water on the fine grid, 0 to 1; the texture scales both alike).
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
    fractions = tissue_table(participant).fat_fraction
    rows = [
        (int(s), s.published_name, counts[s] * anatomy.spacing_mm**3 / 1000, float(fractions[s])) for s in Structure
    ]
    return pd.DataFrame(rows, columns=["id", "name", "volume_in_fov_ml", "fat_fraction"])


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
