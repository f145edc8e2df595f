"""Class scores, slab by slab, to labels: on the same grid, or resampled to another one on the way.

Scores are never held at full class depth for the whole image. Labels are those of nnU-Net's export, which rounds
resampled scores to half precision and of equal scores takes the lower label.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dixonflow.segment.architecture import Shape
from dixonflow.segment.taps import AxisTaps, axis_taps
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


@dataclass(frozen=True)
class _Classes:
    """Classes in the order in which they are compared, and the largest source score of each."""

    labels: Sequence[int]
    bounds: Sequence[float]


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
        slab = _Slab(self._halo, scores, self._seen)
        self._seen += scores.shape[1]
        ready = self._taps[0].ready(self._seen)
        if ready > self._done:
            self._labels.append(self._resampled(slab, slice(self._done, ready)))
            self._done = ready
        # A target row lies between two neighbouring source rows, so the next one needs at most this row again.
        self._halo = scores[:, -1:].clone()

    def _resampled(self, slab: "_Slab", rows: slice) -> torch.Tensor:
        labels = self._labels.empty((rows.stop - rows.start, *self._target[1:]), slab.device)
        on_cpu = slab.device.type == "cpu"
        size_a, size_b, size_c = CPU_TARGET_BLOCK if on_cpu else GPU_BLOCK
        lines, columns = (
            [_Tile.of(taps, part, slab.device) for part in _blocks(0, target, size)]
            for taps, target, size in zip(self._taps[1:], self._target[1:], (size_b, size_c), strict=True)
        )
        for a in _blocks(rows.start, rows.stop, size_a):
            along_rows = _Tile.of(self._taps[0], a, slab.device)
            # To look at numbers is a small cost on a CPU; a GPU would wait for it, and its blocks hold most classes.
            bounds = slab.largest_scores(along_rows, lines, columns) if on_cpu else None
            for (i, b), (j, c) in itertools.product(enumerate(lines), enumerate(columns)):
                tiles = along_rows, b, c
                in_reach = slab.all_classes() if bounds is None else slab.in_reach(tiles, bounds[:, i, j])
                block = self._block_labels(slab, tiles, in_reach)
                labels[a.start - rows.start : a.stop - rows.start, b.target, c.target] = block.to(labels.dtype)
        return labels

    def _block_labels(self, slab: "_Slab", tiles: "_Tiles", in_reach: "_Classes") -> torch.Tensor:
        classes = torch.tensor(in_reach.labels, device=slab.device)
        if len(classes) == 1:
            return classes.view(1, 1, 1)
        block, on_cpu = _Block(slab, tiles), slab.device.type == "cpu"
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

    def _exact_labels(self, slab: "_Slab", voxels: Sequence[torch.Tensor], candidates: torch.Tensor) -> torch.Tensor:
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


@dataclass(frozen=True)
class _Tile:
    """Interpolation of some target voxels of one axis, from the source voxels that they hang on."""

    target: slice
    source: slice
    matrix: torch.Tensor  # (target, source), float32

    @classmethod
    def of(cls, taps: AxisTaps, target: slice, device: torch.device) -> "_Tile":
        source, matrix = taps.tile(target)
        return cls(target, source, torch.from_numpy(matrix).to(device, torch.float32))


_Tiles = tuple[_Tile, _Tile, _Tile]


class _Block:
    """A block of target voxels. Every class is interpolated in the same memory."""

    def __init__(self, slab: "_Slab", tiles: _Tiles) -> None:
        along_a, along_b, along_c = (tile.matrix for tile in tiles)
        (a, source_a), (b, source_b), (c, source_c) = along_a.shape, along_b.shape, along_c.shape

        def memory(*shape: int) -> torch.Tensor:
            return torch.empty(shape, device=slab.device)

        source, in_rows = memory(source_a, source_b, source_c), memory(a, source_b, source_c)
        stretched, self._target = memory(a, source_b, c), memory(a, b, c)
        self._parts = slab.parts([tile.source for tile in tiles])
        self._whole, self._extremes = source, [torch.zeros((), device=slab.device)]
        self._source = torch.split(source, [part.shape[1] for part in self._parts])
        # Views are made once: for some thousand voxels, making them takes as long as the arithmetic.
        self._products = (
            (along_a, source.flatten(1), in_rows.flatten(1)),
            (in_rows.flatten(0, 1), along_c.T, stretched.flatten(0, 1)),
        )
        self._last = along_b.expand(a, -1, -1), stretched

    def scores(self, label: int) -> torch.Tensor:
        """Scores (a, b, c) of a class, float32, valid until the next call."""
        for part, source in zip(self._parts, self._source, strict=True):
            source.copy_(part[label])
        self._extremes += torch.aminmax(self._whole)
        for first, second, product in self._products:
            torch.mm(first, second, out=product)
        return torch.bmm(*self._last, out=self._target)

    def largest(self) -> torch.Tensor:
        """Largest absolute source score of the classes so far; a scalar."""
        self._extremes = [torch.stack(self._extremes).abs().max()]
        return self._extremes[0]


class _Slab:
    """Scores of some rows and of the one before them, without a copy that joins them.

    Rows count from the first of the image.
    """

    def __init__(self, halo: torch.Tensor | None, scores: torch.Tensor, start: int) -> None:
        self._halo, self._scores, self._start = halo, scores, start
        self.device = scores.device

    def parts(self, place: Sequence[slice]) -> list[torch.Tensor]:
        """Scores (class, rows, b, c) of some source voxels, in one or two parts."""
        rows, b, c = place
        first, last = rows.start - self._start, rows.stop - self._start
        parts = [self._scores[:, max(first, 0) : last, b, c]]
        return parts if first >= 0 or self._halo is None else [self._halo[:, :, b, c], *parts]

    def at(self, classes: torch.Tensor, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Scores (class, ...) of voxels whose places are given by three arrays of one shape."""
        before = a < self._start
        values = _gather(self._scores, classes, (a - self._start).clamp(min=0), b, c)
        if self._halo is None or not bool(before.any()):
            return values
        return torch.where(before, _gather(self._halo, classes, torch.zeros_like(a), b, c), values)

    def all_classes(self) -> "_Classes":
        """Every class, whatever its scores."""
        return _Classes(list(range(len(self._scores))), [torch.inf] * len(self._scores))

    def in_reach(self, tiles: "_Tiles", bounds: NDArray[np.float16]) -> "_Classes":
        """Classes that a voxel of a block may get.

        An interpolated score is between its source scores, and so it is after rounding to half precision, which theirs
        are. So no class wins whose largest one is below the smallest one of another.

        Parameters
        ----------
        bounds
            Largest source score of each class in the block.
        """
        leading = int(bounds.argmax())
        least = min(part[leading].float().min().item() for part in self.parts([tile.source for tile in tiles]))
        order = np.argsort(bounds)[::-1]
        order = order[bounds[order] >= least]
        return _Classes(order.tolist(), bounds[order].tolist())

    def largest_scores(
        self, rows: "_Tile", lines: Sequence["_Tile"], columns: Sequence["_Tile"]
    ) -> NDArray[np.float16]:
        """Largest source score of each class in each block of some rows: (class, lines, columns)."""
        whole = slice(None)
        parts = [part.view(torch.int16) for part in self.parts([rows.source, whole, whole])]
        # Half-precision numbers as integers: those from 0 up keep their order, those below 0 are less and reversed.
        most, least = (
            _over_tiles(_over_tiles(_over_rows(parts, reduce), lines, 1, reduce), columns, 2, reduce)
            for reduce in (torch.amax, torch.amin)
        )
        return torch.where(most >= 0, most, least).view(torch.half).numpy()


_Reduce = Callable[[torch.Tensor, int], torch.Tensor]


def _over_rows(parts: Sequence[torch.Tensor], reduce: _Reduce) -> torch.Tensor:
    return reduce(torch.stack([reduce(part, 1) for part in parts]), 0)


def _over_tiles(values: torch.Tensor, tiles: Sequence[_Tile], axis: int, reduce: _Reduce) -> torch.Tensor:
    """Each tile's source voxels along an axis to one."""
    parts = [values.narrow(axis, tile.source.start, tile.source.stop - tile.source.start) for tile in tiles]
    return torch.stack([reduce(part, axis) for part in parts], axis)


def _gather(scores: torch.Tensor, classes: torch.Tensor, *voxel: torch.Tensor) -> torch.Tensor:
    """Scores (class, n) of n voxels, by way of their place in memory: one index is much faster than three."""
    strides = scores.stride()
    place = torch.stack([index * stride for index, stride in zip(voxel, strides[1:], strict=True)]).sum(0)
    span = 1 + sum((size - 1) * stride for size, stride in zip(scores.shape[1:], strides[1:], strict=True))
    lines = scores.as_strided((len(scores), span), (strides[0], 1), scores.storage_offset())
    return lines[classes.view(-1, *[1] * place.ndim), place]
