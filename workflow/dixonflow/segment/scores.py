"""Class scores, slab by slab, to labels: on the same grid, or resampled to another one on the way.

Scores are never held at full class depth for the whole image. Labels are those of nnU-Net's export, which rounds
resampled scores to half precision and of equal scores takes the lower label.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from dixonflow.segment.architecture import Shape
from dixonflow.segment.score_blocks import Block, Classes, Slab, Tile, Tiles
from dixonflow.segment.taps import axis_taps
from dixonflow.segment.transfer import LabelRows

# Two scores can change their order, or become equal, by nnU-Net's rounding to half precision (11 bits) only if they
# are nearer than one unit in the last place, 2**-10 of the larger; single precision adds far less than the second
# number, as a part of the largest score around.
_HALF_ULP = 2.0**-10
_SINGLE_ERROR = 2.0**-20

CPU_BLOCK: Shape = (16, 64, 128)
"""Rows, lines and voxels of a line that are compared at a time: their numbers stay in a processor's cache."""
CPU_TARGET_BLOCK: Shape = (8, 16, 64)
"""The same where scores are interpolated: so few source voxels are in reach that most classes can be left out, and that
little is multiplied with 0."""
GPU_BLOCK: Shape = (64, 512, 512)
"""Both for a GPU, which wants few large operations."""
EXACT_VOXELS = 2**12
"""Voxels whose scores are computed again at a time."""


def block_of(device: torch.device) -> Shape:
    """How much of an image is worked on at a time."""
    return CPU_BLOCK if device.type == "cpu" else GPU_BLOCK


def _blocks(start: int, stop: int, size: int) -> Iterator[slice]:
    return (slice(first, min(first + size, stop)) for first in range(start, stop, size))


def _surely(least: float, largest: float) -> float:
    """What the smallest of a block's best scores is at least, after rounding to half precision."""
    return least - abs(least) * _HALF_ULP - largest * _SINGLE_ERROR


class _Best:
    """Running comparison of the scores of a block of voxels, one class after the other.

    Winners are kept as floating-point numbers, which on a CPU are much faster to choose than by masks.
    """

    def __init__(self, scores: torch.Tensor) -> None:
        self.scores = scores.clone()
        self.winners = torch.zeros_like(scores)
        self._scratch = torch.empty_like(scores)

    def add(self, number: int, scores: torch.Tensor) -> None:
        """Compare with the next class, which has a larger number; it must have a larger score to win."""
        torch.gt(scores, self.scores, out=self._scratch)
        torch.maximum(self.winners, self._scratch.mul_(number), out=self.winners)
        torch.maximum(self.scores, scores, out=self.scores)


class _BestTwo(_Best):
    """The same, with the second best score."""

    def __init__(self, scores: torch.Tensor) -> None:
        super().__init__(scores)
        self.second = torch.full_like(scores, -torch.inf)

    def add(self, number: int, scores: torch.Tensor) -> None:
        """Compare with the next class."""
        torch.minimum(scores, self.scores, out=self._scratch)
        torch.maximum(self.second, self._scratch, out=self.second)
        super().add(number, scores)


class SameGridLabels:
    """Labels where the network's grid is the image's.

    Parameters
    ----------
    labels
        Takes the labels.
    """

    def __init__(self, labels: LabelRows) -> None:
        self._labels = labels

    def add(self, scores: torch.Tensor) -> None:
        """Take the scores (class, rows, b, c) of the next rows."""
        _, rows, lines, length = scores.shape
        size_a, size_b, _ = block_of(scores.device)
        labels = self._labels.empty((rows, lines, length), scores.device)
        for a, b in itertools.product(_blocks(0, rows, size_a), _blocks(0, lines, size_b)):
            best = _Best(scores[0, a, b].float())
            for label in range(1, len(scores)):
                best.add(label, scores[label, a, b].float())
            labels[a, b] = best.winners.to(labels.dtype)
        self._labels.append(labels)


class ResampledLabels:
    """Labels on another grid than the network's: scores are interpolated class by class, then compared.

    The running comparison is in single precision. Where the two best scores of a voxel are too near to each other for
    it, the voxel's scores are computed again as nnU-Net does: in double precision, summed in scipy's order, rounded to
    half precision. Labels therefore do not depend on how the image is cut into blocks.

    On a CPU most classes are left out of a block: an interpolated score lies between the smallest and the largest
    source score around, and what cannot win by these bounds is not interpolated. Where one class is left, nothing is.

    Parameters
    ----------
    source, target
        Matrix of the network's grid and of the wanted one, over the same field of view.
    orders
        Interpolation along each axis: 1 linear, 0 nearest (the thick axis of anisotropic images in nnU-Net).
    labels
        Takes the labels.
    """

    def __init__(self, source: Shape, target: Shape, orders: Sequence[int], labels: LabelRows) -> None:
        self._taps = [axis_taps(n, m, order) for n, m, order in zip(source, target, orders, strict=True)]
        self._target = target
        self._labels = labels
        self._halo: torch.Tensor | None = None  # last row of the slab before, (class, 1, b, c)
        self._seen = 0
        self._done = 0

    def add(self, scores: torch.Tensor) -> None:
        """Take the scores (class, rows, b, c) of the next rows."""
        slab = Slab(self._halo, scores, self._seen)
        self._seen += scores.shape[1]
        ready = self._taps[0].ready(self._seen)
        if ready > self._done:
            self._labels.append(self._resampled(slab, slice(self._done, ready)))
            self._done = ready
        # A target row lies between two neighbouring source rows, so the next one needs at most this row again.
        self._halo = scores[:, -1:].clone()

    def _resampled(self, slab: "Slab", rows: slice) -> torch.Tensor:
        labels = self._labels.empty((rows.stop - rows.start, *self._target[1:]), slab.device)
        on_cpu = slab.device.type == "cpu"
        size_a, size_b, size_c = CPU_TARGET_BLOCK if on_cpu else GPU_BLOCK
        lines, columns = (
            [Tile.of(taps, part, slab.device) for part in _blocks(0, target, size)]
            for taps, target, size in zip(self._taps[1:], self._target[1:], (size_b, size_c), strict=True)
        )
        for a in _blocks(rows.start, rows.stop, size_a):
            along_rows = Tile.of(self._taps[0], a, slab.device)
            # To look at numbers is a small cost on a CPU; a GPU would wait for it, and its blocks hold most classes.
            bounds = slab.largest_scores(along_rows, lines, columns) if on_cpu else None
            for (i, b), (j, c) in itertools.product(enumerate(lines), enumerate(columns)):
                tiles = along_rows, b, c
                in_reach = slab.all_classes() if bounds is None else slab.in_reach(tiles, bounds[:, i, j])
                block = self._block_labels(slab, tiles, in_reach)
                labels[a.start - rows.start : a.stop - rows.start, b.target, c.target] = block.to(labels.dtype)
        return labels

    def _block_labels(self, slab: "Slab", tiles: "Tiles", in_reach: "Classes") -> torch.Tensor:
        classes = torch.tensor(in_reach.labels, device=slab.device)
        if len(classes) == 1:
            return classes.view(1, 1, 1)
        block, on_cpu = Block(slab, tiles), slab.device.type == "cpu"
        best = _BestTwo(block.scores(in_reach.labels[0]))
        compared = 1
        for label, bound in zip(in_reach.labels[1:], in_reach.bounds[1:], strict=True):
            if compared % 2 == 0 and on_cpu and bound < _surely(best.scores.min().item(), block.largest().item()):
                break
            best.add(compared, block.scores(label))
            compared += 1
        labels = classes[best.winners.long()]
        margin = torch.maximum(best.scores.abs(), best.second.abs()) * _HALF_ULP + block.largest() * _SINGLE_ERROR
        candidates = classes[:compared].sort().values
        corner = [tile.target.start for tile in tiles]
        for near in torch.split(torch.nonzero(best.scores - best.second <= margin), EXACT_VOXELS):
            voxels = [index + start for index, start in zip(near.unbind(1), corner, strict=True)]
            labels[near.unbind(1)] = self._exact_labels(slab, voxels, candidates)
        return labels

    def _exact_labels(self, slab: "Slab", voxels: Sequence[torch.Tensor], candidates: torch.Tensor) -> torch.Tensor:
        taps = [axis.at(index) for axis, index in zip(self._taps, voxels, strict=True)]
        corners = list(itertools.product(*taps))
        places = [torch.stack([corner[axis][0] for corner in corners]) for axis in range(3)]
        weights = [torch.stack([corner[axis][1] for corner in corners]) for axis in range(3)]
        values = slab.at(candidates, *places).double() * weights[0] * weights[1] * weights[2]
        total = torch.zeros_like(values[:, 0])
        for corner in range(len(corners)):  # one after the other: the order decides the last bit
            total += values[:, corner]
        # numpy rounds doubles to half precision in one step, torch by way of single precision.
        half = total.cpu().numpy().astype(np.float16)
        return candidates[torch.from_numpy(half.argmax(0)).to(slab.device)]
