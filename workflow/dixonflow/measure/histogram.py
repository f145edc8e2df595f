"""How often each value occurs in each region, counted once; every statistic is exact and comes from the counts.

Integer images of a moderate range, as stitched images are, are counted directly in a joint (region, value) table.
Images of a wide range or of real numbers are sorted instead, which is slower and gives the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

MAX_TABLE_CELLS = 1 << 24
"""Largest joint table (128 MiB); beyond it values are sorted."""

VOXELS_AT_ONCE = 1 << 17
"""Voxels are counted this many at a time: their 64-bit table cells (1 MiB) then stay in the cache."""


@dataclass(frozen=True)
class Distribution:
    """Distinct values, ascending, and how often each occurs; shape (values,) both."""

    values: NDArray[np.float64]
    counts: NDArray[np.intp]

    @cached_property
    def size(self) -> int:
        """Number of voxels."""
        return int(self.counts.sum())

    @cached_property
    def total(self) -> float:
        """Sum over the voxels."""
        return float(self.values @ self.counts)

    @property
    def mean(self) -> float:
        """Mean. Raises ZeroDivisionError where there are no voxels."""
        return self.total / self.size

    @property
    def sd(self) -> float:
        """Standard deviation, divided by n. Raises ZeroDivisionError where there are no voxels."""
        return float(np.sqrt((self.values - self.mean) ** 2 @ self.counts / self.size))

    @cached_property
    def _ends(self) -> NDArray[np.intp]:
        """Number of voxels up to and including each value."""
        return np.cumsum(self.counts)

    def quantile(self, fraction: float) -> float:
        """Quantile with linear interpolation between the two nearest voxels, as `numpy.quantile` has it.

        Raises
        ------
        IndexError
            Where there are no voxels.
        """
        position = fraction * (self.size - 1)
        below = int(position)
        low, high = self.values[self._ends.searchsorted([below, min(below + 1, self.size - 1)], side="right")].tolist()
        return float(low + (high - low) * (position - below))

    def count_below(self, limit: float) -> int:
        """Number of voxels with a value below `limit`."""
        return int(self.counts[self.values < limit].sum())


@dataclass(frozen=True)
class JointHistogram:
    """Distinct values of every region, region after region.

    Attributes
    ----------
    start
        Where each region's entries begin, shape (regions + 1,).
    values, counts
        The entries, shape (entries,); ascending by value inside a region.
    """

    start: NDArray[np.intp]
    values: NDArray[np.float64]
    counts: NDArray[np.intp]

    @property
    def voxels(self) -> NDArray[np.intp]:
        """Number of voxels of each region, shape (regions,)."""
        before: NDArray[np.intp] = np.append(0, np.cumsum(self.counts))
        return np.diff(before[self.start])

    def of(self, regions: Sequence[int]) -> Distribution:
        """Distribution over the union of regions."""
        parts = [slice(self.start[region], self.start[region + 1]) for region in regions]
        if len(parts) == 1:
            return Distribution(self.values[parts[0]], self.counts[parts[0]])
        values, place = np.unique(np.concatenate([self.values[part] for part in parts]), return_inverse=True)
        counts = np.zeros(len(values), np.intp)
        np.add.at(counts, place, np.concatenate([self.counts[part] for part in parts]))
        return Distribution(values, counts)


def cell_counts(cells: Callable[[slice], NDArray[np.intp]], voxels: int, table_cells: int) -> NDArray[np.intp]:
    """Count table cells, a stretch of voxels after the other, so that no array of all voxels' cells is made.

    Parameters
    ----------
    cells
        Gives the cell, 0 to `table_cells` - 1, of each voxel of a stretch.
    voxels
        Number of voxels.
    table_cells
        Size of the table.
    """
    table = np.zeros(table_cells, np.intp)
    for start in range(0, voxels, VOXELS_AT_ONCE):
        np.add.at(table, cells(slice(start, start + VOXELS_AT_ONCE)), 1)
    return table


def joint_histogram(
    region: NDArray[np.unsignedinteger], values: NDArray[np.integer | np.floating], regions: int
) -> JointHistogram:
    """Count the values of every region.

    Parameters
    ----------
    region
        Region of each voxel, 0 to `regions` - 1, shape (voxels,).
    values
        Value of each voxel, shape (voxels,), integer or real.
    regions
        Number of regions.

    Raises
    ------
    ValueError
        If a value is not finite.
    """
    if not values.size:
        return JointHistogram(np.zeros(regions + 1, np.intp), np.empty(0), np.empty(0, np.intp))
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("an image holds values that are not finite")
    if np.issubdtype(values.dtype, np.integer) and (int(high) - int(low) + 1) * regions <= MAX_TABLE_CELLS:
        return _counted(region, values, regions, int(low), int(high) - int(low) + 1)
    distinct, place = np.unique(values, return_inverse=True)
    keys, counts = np.unique(region.astype(np.intp) * len(distinct) + place, return_counts=True)
    start = np.searchsorted(keys, np.arange(regions + 1, dtype=np.int64) * len(distinct))
    return JointHistogram(start, distinct[keys % len(distinct)].astype(np.float64), counts)


def _counted(
    region: NDArray[np.unsignedinteger],
    values: NDArray[np.integer | np.floating],
    regions: int,
    low: int,
    width: int,
) -> JointHistogram:
    def cells(part: slice) -> NDArray[np.intp]:
        result = region[part].astype(np.intp)
        result *= width
        np.add(result, values[part], out=result, casting="unsafe")  # integers that fit
        if low:
            result -= low
        return result

    table = cell_counts(cells, len(values), regions * width)
    filled = np.flatnonzero(table)
    start = np.searchsorted(filled, np.arange(regions + 1) * width)
    return JointHistogram(start, (filled % width + low).astype(np.float64), table[filled])
