"""Label maps of other images than those to be labelled, brought onto their grids by nearest neighbour."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from dixonflow.imaging.types import Affine, Labels
from dixonflow.resample.axes import positions_on

_EDGE_VOXELS = 1e-3
"""Rounding allowance where a voxel centre falls on the edge of a station."""


@dataclass(frozen=True)
class StationLabels:
    """The label map of a station.

    Attributes
    ----------
    labels
        Shape (x, y, z), RAS+.
    affine
        4x4, axis-aligned, voxel index (centre) to RAS mm.
    reached
        Voxels that hold data; None for all.
    """

    labels: Labels
    affine: Affine
    reached: NDArray[np.uint8] | None = None


def labels_by_headers(labels: Labels, to_labels: Affine, shape: Sequence[int]) -> Labels:
    """Bring a label map onto the grid of another image by what the headers of both say.

    Parameters
    ----------
    labels
        Shape (x, y, z).
    to_labels
        4x4, voxel index of the other image to voxel index of the label map; may turn.
    shape
        Of the other image.

    Returns
    -------
    Labels, 0 outside the label map.
    """
    found: Labels = affine_transform(labels, to_labels, output_shape=tuple(shape), order=0, mode="grid-constant")
    return found


def join_stations(stations: Sequence[StationLabels], shape: Sequence[int], affine: Affine) -> Labels:
    """Bring the label maps of a scan's stations onto the grid of its stitched image, by nearest neighbour.

    Where stations overlap, each plane across the body is the one's that it lies deeper in: the slices at the ends of a
    station are the folded and shaded ones. Another one fills what that one does not reach.

    Parameters
    ----------
    stations
        In any order, at least one.
    shape, affine
        Of the stitched image, axis-aligned.
    """
    joined = np.zeros(shape, np.result_type(*(station.labels for station in stations)))
    samples = [_nearest(station, shape, affine) for station in stations]
    planes = affine[2, 3] + affine[2, 2] * np.arange(shape[2])
    depths = np.stack([_depth_mm(station, planes) for station in stations])
    order = np.argsort(depths, axis=0, kind="stable")
    for rank in range(len(stations)):  # the deepest comes last and overwrites
        for number, station in enumerate(stations):
            x, y, z = (inside for _, inside in samples[number])
            here = np.flatnonzero((order[rank] == number) & z)
            if not here.size or not x.any() or not y.any():
                continue
            target = np.s_[x.argmax() : x.nonzero()[0][-1] + 1, y.argmax() : y.nonzero()[0][-1] + 1]
            at_x, at_y, at_z = (index for index, _ in samples[number])
            voxels = np.ix_(at_x[x], at_y[y], at_z[here])
            found = station.labels[voxels]
            if station.reached is not None:
                found = np.where(station.reached[voxels] > 0, found, joined[target][..., here])
            joined[(*target, here)] = found
    return joined


def _nearest(
    station: StationLabels, shape: Sequence[int], affine: Affine
) -> list[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """Nearest voxel of a station for each position along each axis of the target, and whether it lies inside."""
    found = []
    for axis, size in enumerate(shape):
        positions = positions_on(affine, size, station.affine, axis)
        last = station.labels.shape[axis] - 1
        inside = (positions >= -0.5 - _EDGE_VOXELS) & (positions <= last + 0.5 + _EDGE_VOXELS)
        found.append((np.clip(np.floor(positions + 0.5).astype(np.intp), 0, last), inside))
    return found


def _depth_mm(station: StationLabels, planes: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each plane lies from the nearer end of a station; negative outside."""
    spacing = station.affine[2, 2]
    low = station.affine[2, 3] - spacing / 2
    depth: NDArray[np.float64] = np.minimum(planes - low, low + station.labels.shape[2] * spacing - planes)
    return depth
