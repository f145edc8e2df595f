"""Class scores, slab by slab, to labels: on the same grid, or resampled to another one on the way.

Scores are never held at full class depth for the whole image. Labels are those of nnU-Net's export, which rounds
resampled scores to half precision and of equal scores takes the lower label.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dixonflow.segment.architecture import Shape

# Two scores can change their order, or become equal, by nnU-Net's rounding to half precision (11 bits) only if they
# are nearer than one unit in the last place, 2**-10 of the larger; single precision adds far less than the second
# number, as a part of the largest score around.
_HALF_ULP = 2.0**-10
_SINGLE_ERROR = 2.0**-20
_CHUNK = 2**16


def labels_dtype(classes: int) -> torch.dtype:
    """Type of label maps in torch (which lacks arithmetic for uint16)."""
    return torch.uint8 if classes <= 256 else torch.int32


class SameGridLabels:
    """Labels where the network's grid is the image's."""

    def __init__(self) -> None:
        self._parts: list[torch.Tensor] = []

    def add(self, scores: torch.Tensor) -> None:
        """Take the scores (class, rows, b, c) of the next rows."""
        best = scores[0]
        labels = torch.zeros(best.shape, dtype=labels_dtype(len(scores)), device=scores.device)
        for label in range(1, len(scores)):
            labels.masked_fill_(scores[label] > best, label)
            best = torch.maximum(best, scores[label])
        self._parts.append(labels)

    def labels(self) -> torch.Tensor:
        """Labels (a, b, c) of all rows so far."""
        return torch.cat(self._parts)


class ResampledLabels:
    """Labels on another grid than the network's: scores are interpolated class by class, then compared.

    The running comparison is in single precision. Where the two best scores of a voxel are too near to each other for
    it, the voxel's scores are computed again as nnU-Net does: in double precision, summed in scipy's order, rounded to
    half precision.

    Parameters
    ----------
    source, target
        Matrix of the network's grid and of the wanted one, over the same field of view.
    orders
        Interpolation along each axis: 1 linear, 0 nearest (the thick axis of anisotropic images in nnU-Net).
    device
        Where the scores are.
    """

    def __init__(self, source: Shape, target: Shape, orders: Sequence[int], device: torch.device) -> None:
        self._taps = [axis_taps(n, m, order) for n, m, order in zip(source, target, orders, strict=True)]
        self._last_needed = self._taps[0].last_needed()
        matrices = [taps.matrix(n) for taps, n in zip(self._taps, source, strict=True)]
        self._matrices = [torch.from_numpy(matrix).to(device, torch.float32) for matrix in matrices]
        self._rows_first = target[0] < source[0]
        self._halo: torch.Tensor | None = None  # last row of the slab before, (class, 1, b, c)
        self._seen = 0
        self._parts: list[torch.Tensor] = []
        self._done = 0

    def add(self, scores: torch.Tensor) -> None:
        """Take the scores (class, rows, b, c) of the next rows."""
        slab = _Slab(self._halo, scores, self._seen)
        self._seen += scores.shape[1]
        ready = self._done
        while ready < len(self._last_needed) and self._last_needed[ready] < self._seen:
            ready += 1
        if ready > self._done:
            self._parts.append(self._resampled_labels(slab, slice(self._done, ready)))
            self._done = ready
        # A target row lies between two neighbouring source rows, so the next one needs at most this row again.
        self._halo = scores[:, -1:].clone()

    def labels(self) -> torch.Tensor:
        """Labels (a, b, c) of all target rows whose source rows have been taken."""
        return torch.cat(self._parts)

    def _resampled_labels(self, slab: "_Slab", rows: slice) -> torch.Tensor:
        along_rows = self._matrices[0][rows, slab.first : self._seen]
        best = self._resample(slab, 0, along_rows)
        second = torch.full_like(best, -torch.inf)
        labels = torch.zeros(best.shape, dtype=labels_dtype(slab.classes), device=best.device)
        for label in range(1, slab.classes):
            scores = self._resample(slab, label, along_rows)
            labels.masked_fill_(scores > best, label)
            second = torch.maximum(second, torch.minimum(best, scores))
            best = torch.maximum(best, scores)
        margin = torch.maximum(best.abs(), second.abs()) * _HALF_ULP + slab.largest() * _SINGLE_ERROR
        for voxels in torch.split(torch.nonzero(best - second <= margin), _CHUNK):
            a, b, c = voxels.unbind(1)
            labels[a, b, c] = self._exact_labels(slab, (a + rows.start, b, c)).to(labels)
        return labels

    def _resample(self, slab: "_Slab", label: int, along_rows: torch.Tensor) -> torch.Tensor:
        scores = slab.of_class(label)
        if self._rows_first:  # fewer rows go through the two other axes
            scores = torch.tensordot(along_rows, scores, dims=1)
        scores = self._matrices[1] @ (scores @ self._matrices[2].T)
        return scores if self._rows_first else torch.tensordot(along_rows, scores, dims=1)

    def _exact_labels(self, slab: "_Slab", voxels: tuple[torch.Tensor, ...]) -> torch.Tensor:
        taps = [axis.at(index) for axis, index in zip(self._taps, voxels, strict=True)]
        total = torch.zeros(slab.classes, len(voxels[0]), dtype=torch.float64, device=voxels[0].device)
        for (a, weight_a), (b, weight_b), (c, weight_c) in itertools.product(*taps):
            total += slab.at(a, b, c).double() * weight_a * weight_b * weight_c
        # numpy rounds doubles to half precision in one step, torch by way of single precision.
        half = total.cpu().numpy().astype(np.float16)
        return torch.from_numpy(half.argmax(0)).to(total.device)


class _Slab:
    """Scores of some rows and of the one before them, without a copy that joins them."""

    def __init__(self, halo: torch.Tensor | None, scores: torch.Tensor, seen: int) -> None:
        self._halo, self._scores, self._start = halo, scores, seen
        self.first = seen if halo is None else seen - 1
        self.classes = len(scores)

    def of_class(self, label: int) -> torch.Tensor:
        """Scores (rows, b, c) of one class, float32, rows from `first` on."""
        scores = self._scores[label].float()
        return scores if self._halo is None else torch.cat([self._halo[label].float(), scores])

    def at(self, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Scores (class, n) of n voxels; `a` counts from the first row of the image."""
        values = self._scores[:, (a - self._start).clamp(min=0), b, c]
        return values if self._halo is None else torch.where(a < self._start, self._halo[:, 0, b, c], values)

    def largest(self) -> torch.Tensor:
        """Largest absolute score."""
        parts = [self._scores] if self._halo is None else [self._scores, self._halo]
        bounds = [torch.stack(torch.aminmax(part)) for tensor in parts for part in tensor]
        return torch.stack(bounds).abs().max().float()


class AxisTaps:
    """Interpolation along one axis: each target voxel is a mean of two neighbouring source voxels.

    Attributes
    ----------
    rows
        Lower and upper source voxel of each target voxel.
    part
        Weight of the upper one.
    """

    def __init__(self, lower: NDArray[np.int64], upper: NDArray[np.int64], part: NDArray[np.float64]) -> None:
        self.rows, self.part = (lower, upper), part

    def last_needed(self) -> list[int]:
        """Last source voxel that each target voxel hangs on."""
        return [int(row) for row in self.rows[1]]

    def matrix(self, source: int) -> NDArray[np.float64]:
        """The same as a matrix (target, source)."""
        result = np.zeros((len(self.part), source))
        for rows, weights in zip(self.rows, (1 - self.part, self.part), strict=True):
            result[np.arange(len(self.part)), rows] += weights
        return result

    def at(self, index: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Source voxel and weight of the taps of some target voxels."""
        device = index.device
        weights = (1 - self.part, self.part) if self.part.any() else (1 - self.part,)
        return [
            (torch.from_numpy(rows).to(device)[index], torch.from_numpy(weight).to(device)[index])
            for rows, weight in zip(self.rows, weights, strict=False)
        ]


def axis_taps(source: int, target: int, order: int) -> AxisTaps:
    """Interpolation from `source` to `target` voxels, as skimage's resize and scipy's map_coordinates do.

    Both grids cover the same field of view; outside the outermost voxel centres the edge value holds.

    Parameters
    ----------
    source, target
        Number of voxels.
    order
        1 linear, 0 nearest.
    """
    centre = np.clip(source / target * (np.arange(target) + 0.5) - 0.5, 0, source - 1)
    lower = np.floor(centre + 0.5 if order == 0 else centre).astype(np.int64)
    part = np.zeros(target) if order == 0 else centre - lower
    # A target voxel on a source voxel hangs on that one alone: the next may lie in a slab that is not there yet.
    return AxisTaps(lower, np.where(part > 0, np.minimum(lower + 1, source - 1), lower), part)
