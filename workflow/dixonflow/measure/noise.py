"""The noise level of a scan, from the air around the body."""

import math

import numpy as np
from numpy.typing import NDArray

CORNER_SHARE = 8
"""The air is looked for in the four edges of the volume along z: the outer 1 / this of the voxels in x and in y."""

MIN_AIR_VOXELS = 500
"""With fewer voxels of air there is no noise level."""


def noise_level(
    in_phase: NDArray[np.integer | np.floating], unlabelled: NDArray[np.bool_], inside: NDArray[np.bool_] | None
) -> float | None:
    """Estimate the standard deviation of the noise in each of the two channels of the in-phase image.

    In air a magnitude image is Rayleigh distributed (Gudbjartsson and Patz 1995, Magn Reson Med 34:910), with median
    sigma * sqrt(2 ln 2). The median, interpolated between whole numbers, is taken over unlabelled voxels in the four
    corners of all axial planes, so that up to half of them may be artefact.

    Parameters
    ----------
    in_phase
        Image (x, y, z).
    unlabelled
        Voxels without a label, same shape.
    inside
        Voxels inside the field of view, same shape, or None where all are.

    Returns
    -------
    float or None
        Sigma in units of the image; 0 where the scanner has set the background to zero, None where there is too little
        air.
    """
    nx, ny = (max(size // CORNER_SHARE, 1) for size in in_phase.shape[:2])
    samples = []
    for x in (slice(None, nx), slice(-nx, None)):
        for y in (slice(None, ny), slice(-ny, None)):
            air = unlabelled[x, y] if inside is None else unlabelled[x, y] & inside[x, y]
            samples.append(in_phase[x, y].T[air.T])  # turned, because images mostly lie in Fortran order
    values = np.concatenate(samples)
    if len(values) < MIN_AIR_VOXELS:
        return None
    return max(_median(values), 0.0) / math.sqrt(2 * math.log(2))


def _median(values: NDArray[np.integer | np.floating]) -> float:
    """Median of values that were rounded to whole numbers, interpolated inside the number that it falls on.

    The noise of a scan is a few grey levels: their plain median is one of a few whole numbers. Where the middle is 0,
    the background was set to that.
    """
    middle = float(np.median(values))
    if values.dtype.kind not in "iu" or middle <= 0:
        return middle
    level = math.ceil(middle)
    below, here = int(np.count_nonzero(values < level)), int(np.count_nonzero(values == level))
    if not here:  # as many values below it as above
        return middle
    return level - 0.5 + (len(values) / 2 - below) / here
