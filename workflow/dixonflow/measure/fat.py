"""Voxel fat fractions F / (F + W), counted per region above the noise floor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.measure.definitions import FAT_FRACTION_STEPS
from dixonflow.measure.histogram import Distribution, cell_counts


@dataclass(frozen=True)
class FatFractions:
    """Counts of voxel fat fractions.

    Attributes
    ----------
    whole
        Voxels above the noise floor, shape (regions, FAT_FRACTION_STEPS + 1): how many have each fraction.
    eroded
        Those of them in the eroded regions.
    eroded_voxels
        Size of the eroded regions, above the noise floor or not, shape (regions,).
    """

    whole: NDArray[np.intp]
    eroded: NDArray[np.intp]
    eroded_voxels: NDArray[np.intp]

    def of(self, regions: list[int]) -> Distribution:
        """Fat fractions over the union of regions."""
        return _distribution(self.whole[regions].sum(axis=0))

    def eroded_of(self, regions: list[int]) -> Distribution:
        """Fat fractions over the union of eroded regions."""
        return _distribution(self.eroded[regions].sum(axis=0))


def _distribution(counts: NDArray[np.intp]) -> Distribution:
    present = np.flatnonzero(counts)
    return Distribution(present / FAT_FRACTION_STEPS, counts[present])


def fat_fractions(
    region: NDArray[np.unsignedinteger],
    interior: NDArray[np.bool_],
    water: NDArray[np.integer | np.floating],
    fat: NDArray[np.integer | np.floating],
    noise_floor: float,
    regions: int,
) -> FatFractions:
    """Count the voxel fat fractions of every region.

    Parameters
    ----------
    region, interior, water, fat
        Region, membership of the eroded region, W and F of each voxel, shape (voxels,).
    noise_floor
        Smallest F + W that counts as signal.
    regions
        Number of regions.
    """
    width = FAT_FRACTION_STEPS + 2  # the last column is that of voxels without signal, dropped below

    def cells(part: slice) -> NDArray[np.intp]:
        signal, fraction = signal_and_fat(water[part], fat[part])
        below = ~((signal >= noise_floor) & (signal > 0))
        signal[below] = 1
        fraction *= FAT_FRACTION_STEPS
        fraction /= signal
        np.clip(np.rint(fraction, out=fraction), 0, FAT_FRACTION_STEPS, out=fraction)
        fraction[below] = FAT_FRACTION_STEPS + 1
        result = (region[part] + np.uint32(regions) * interior[part]).astype(np.intp)
        result *= width
        result += fraction.astype(np.int32)
        return result

    table = cell_counts(cells, len(region), 2 * regions * width).reshape(2, regions, width)
    border, eroded = table
    return FatFractions((border + eroded)[:, :-1], eroded[:, :-1], eroded.sum(axis=1))


def signal_and_fat(
    water: NDArray[np.integer | np.floating], fat: NDArray[np.integer | np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Give F + W and F as real numbers; single precision holds 16-bit integers exactly and is twice as fast."""
    small = all(image.dtype.kind in "iu" and image.dtype.itemsize <= 2 for image in (water, fat))
    real = np.dtype(np.float32 if small else np.float64)
    return np.add(water, fat, dtype=real), fat.astype(real)
