"""Linear and nearest interpolation along one axis, as the two source voxels that each target voxel hangs on."""

import numpy as np
import torch
from numpy.typing import NDArray


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

    def ready(self, seen: int) -> int:
        """How many target voxels hang on nothing but the first `seen` source voxels."""
        return int(np.searchsorted(self.rows[1], seen))

    def tile(self, target: slice) -> tuple[slice, NDArray[np.float64]]:
        """Give the source voxels that some neighbouring target voxels hang on, and the matrix (target, source)."""
        lower, upper = (rows[target] for rows in self.rows)
        source = slice(int(lower[0]), int(upper[-1]) + 1)
        matrix = np.zeros((len(lower), source.stop - source.start))
        for rows, weights in zip((lower, upper), (1 - self.part[target], self.part[target]), strict=True):
            matrix[np.arange(len(rows)), rows - source.start] += weights
        return source, matrix

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
