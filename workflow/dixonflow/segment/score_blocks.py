"""Blocks of class scores: what is interpolated together, and which classes can win there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dixonflow.segment.taps import AxisTaps


@dataclass(frozen=True)
class Classes:
    """Classes in the order in which they are compared, and the largest source score of each."""

    labels: Sequence[int]
    bounds: Sequence[float]


@dataclass(frozen=True)
class Tile:
    """Interpolation of some target voxels of one axis, from the source voxels that they hang on."""

    target: slice
    source: slice
    matrix: torch.Tensor  # (target, source), float32

    @classmethod
    def of(cls, taps: AxisTaps, target: slice, device: torch.device) -> "Tile":
        """Tile of some target voxels."""
        source, matrix = taps.tile(target)
        return cls(target, source, torch.from_numpy(matrix).to(device, torch.float32))


Tiles = tuple[Tile, Tile, Tile]


class Block:
    """A block of target voxels. Every class is interpolated in the same memory."""

    def __init__(self, slab: "Slab", tiles: Tiles) -> None:
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


class Slab:
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

    def all_classes(self) -> "Classes":
        """Every class, whatever its scores."""
        return Classes(list(range(len(self._scores))), [torch.inf] * len(self._scores))

    def in_reach(self, tiles: "Tiles", bounds: NDArray[np.float16]) -> "Classes":
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
        return Classes(order.tolist(), bounds[order].tolist())

    def largest_scores(self, rows: "Tile", lines: Sequence["Tile"], columns: Sequence["Tile"]) -> NDArray[np.float16]:
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


def _over_tiles(values: torch.Tensor, tiles: Sequence[Tile], axis: int, reduce: _Reduce) -> torch.Tensor:
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
