"""Protocols: where a scanner puts its stations."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StationGeometry:
    """Voxel grid of one station: matrix (x, y, z), spacing in mm, and height in mm of its upper edge below the scan's
    top.
    """

    matrix: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    depth_mm: float


@dataclass(frozen=True)
class Protocol:
    """Stations of a cohort's sequence, ordered head to feet."""

    name: str
    stations: tuple[StationGeometry, ...]


# in-plane matrix and slices: facts of stored UK Biobank scans; slice thickness 3/4.5/4.5/4.5/3.5/4 mm and 2.232 mm in
# plane
_UKB = ((168, 64, 3.0), (174, 44, 4.5), (174, 44, 4.5), (174, 44, 4.5), (162, 72, 3.5), (156, 64, 4.0))
_UKB_SPACING_MM, _UKB_COLUMNS, _UKB_LENGTH_MM = 2.232, 224, 1110.0
_NAKO_SPACING_MM, _NAKO_MATRIX, _NAKO_SLICES, _NAKO_OVERLAP, _NAKO_STATIONS = 1.40625, (320, 260), 88, 12, 4


def ukb_protocol(scale: float = 1.0, slice_scale: float | None = None) -> Protocol:
    """UK Biobank: 6 stations of different matrices and slice thickness over 1110 mm.

    Parameters
    ----------
    scale
        Factor on the in-plane matrix; the field of view stays, the spacing grows. The demonstration uses 0.5: 112 x
        84 voxels of 4.46 mm.
    slice_scale
        Factor on the number of slices, the slab stays. By default the square root of `scale`: slices are thicker than
        the in-plane voxels of the true protocols, so shrinking them less keeps voxels nearly cubic (4 to 6 mm at 0.5)
        and the overlaps several slices deep.

    Returns
    -------
    Protocol
        The overlaps share what the slabs exceed 1110 mm by.

    Raises
    ------
    ValueError
        If a factor is not in (0, 1].
    """
    slice_scale = _checked(scale, slice_scale)
    slabs = np.array([slices * thickness for _, slices, thickness in _UKB])
    overlap = (slabs.sum() - _UKB_LENGTH_MM) / (len(_UKB) - 1)
    depths = np.concatenate([[0], np.cumsum(slabs - overlap)[:-1]])
    stations = []
    for (rows, slices, thickness), depth in zip(_UKB, depths, strict=True):
        matrix = (round(_UKB_COLUMNS * scale), round(rows * scale), round(slices * slice_scale))
        spacing = (_UKB_SPACING_MM / scale, _UKB_SPACING_MM / scale, thickness * slices / matrix[2])
        stations.append(StationGeometry(matrix, spacing, float(depth)))
    return Protocol("ukb", tuple(stations))


def nako_protocol(scale: float = 1.0, slice_scale: float | None = None) -> Protocol:
    """NAKO: 4 equal stations of 88 slices of 3 mm that overlap by 12 slices, 316 slices in all.

    Slice count and overlap per station are an assumption that gives the published composed matrix of 320 x 260 x 316.

    Parameters
    ----------
    scale
        Factor on the in-plane matrix. The demonstration uses 0.3125: 100 x 81 voxels of 4.5 mm.
    slice_scale
        Factor on the number of slices; by default the square root of `scale`, as in `ukb_protocol`. Slices and
        overlap are rounded to whole slices of the same thickness.

    Raises
    ------
    ValueError
        If a factor is not in (0, 1].
    """
    slice_scale = _checked(scale, slice_scale)
    slices, overlap = round(_NAKO_SLICES * slice_scale), round(_NAKO_OVERLAP * slice_scale)
    thickness = 3.0 * _NAKO_SLICES / slices
    matrix = (round(_NAKO_MATRIX[0] * scale), round(_NAKO_MATRIX[1] * scale), slices)
    spacing = (_NAKO_SPACING_MM / scale, _NAKO_SPACING_MM / scale, thickness)
    return Protocol(
        "nako",
        tuple(StationGeometry(matrix, spacing, i * (slices - overlap) * thickness) for i in range(_NAKO_STATIONS)),
    )


def _checked(scale: float, slice_scale: float | None) -> float:
    slice_scale = float(np.sqrt(scale)) if slice_scale is None else slice_scale
    if not (0 < scale <= 1 and 0 < slice_scale <= 1):
        raise ValueError(f"scale and slice_scale must lie in (0, 1], got {scale} and {slice_scale}")
    return slice_scale
