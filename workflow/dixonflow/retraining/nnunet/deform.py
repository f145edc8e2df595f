"""Copies of a case that stand for further participants and scanners: deformed, or with less contrast.

Both work on arrays of shape (x, y, z); what they draw comes from the generator that is passed in.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, zoom

from dixonflow.imaging.types import Labels

_CONTROL_MM = 60.0
"""Distance of the control points of a deformation: about half of a liver, so that organs change their shape and not
their outline alone."""
_LEAST_CONTRAST, _MOST_CONTRAST = 0.3, 0.7
"""Range of the factor on contrast. nnU-Net's own augmentation draws it from 0.75 to 1.25."""
_ENDS = (0.5, 99.5)
"""Percentiles that the contrast is measured between."""


def elastic_field(
    shape: Sequence[int], spacing_mm: Sequence[float], sigma_mm: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw a smooth displacement: normal at control points 60 mm apart, cubic between them, 0 at the outermost ones.

    Parameters
    ----------
    shape, spacing_mm
        Of the image (x, y, z).
    sigma_mm
        Standard deviation at a control point, along each axis.

    Returns
    -------
    float32 (3, x, y, z), in voxels.
    """
    points = [max(5, round(size * length / _CONTROL_MM) + 1) for size, length in zip(shape, spacing_mm, strict=True)]
    field = np.empty((3, *shape), np.float32)
    for axis in range(3):
        coarse = rng.normal(0.0, sigma_mm / spacing_mm[axis], points)
        inner = np.zeros(points)
        inner[1:-1, 1:-1, 1:-1] = coarse[1:-1, 1:-1, 1:-1]
        steps = [size / count for size, count in zip(shape, points, strict=True)]
        field[axis] = zoom(inner, steps, order=3, mode="nearest", grid_mode=False)
    return field


def deformed(image: NDArray[np.float32], field: NDArray[np.float32]) -> NDArray[np.float32]:
    """Deform an image by linear interpolation; what comes from outside repeats the outermost voxels."""
    found: NDArray[np.float32] = map_coordinates(image, _positions(field), order=1, mode="nearest", output=np.float32)
    return found


def deformed_labels(labels: Labels, field: NDArray[np.float32]) -> Labels:
    """Deform a label map by nearest neighbour."""
    found: Labels = map_coordinates(labels, _positions(field), order=0, mode="nearest", output=labels.dtype)
    return found


def low_contrast(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a factor of 0.3 to 0.7 on the contrast around the mean of the body, and a gamma of 0.7 to 1.5.

    The noise is as strong as it was: it shrinks with the contrast, and as much is added. Voxels of 0, where there is
    no data, stay 0.
    """
    inside = image != 0
    if not inside.any():
        return image.copy()
    low, high = np.percentile(image[inside], _ENDS)
    if high <= low:
        return image.copy()
    factor = rng.uniform(_LEAST_CONTRAST, _MOST_CONTRAST)
    gamma = rng.uniform(0.7, 1.5)
    scaled = np.clip((image - low) / (high - low), 0, None) ** gamma
    mean = float(scaled[inside].mean())
    noise = _noise(scaled) * np.sqrt(1 - factor**2)
    changed = mean + factor * (scaled - mean) + rng.normal(0.0, noise, image.shape)
    found: NDArray[np.float32] = np.where(inside, low + (high - low) * changed, 0).astype(np.float32)
    return found


def _positions(field: NDArray[np.float32]) -> NDArray[np.float32]:
    grid = np.meshgrid(*(np.arange(size, dtype=np.float32) for size in field.shape[1:]), indexing="ij")
    positions: NDArray[np.float32] = np.stack(grid) + field
    return positions


def _noise(image: NDArray[np.floating]) -> float:
    """Standard deviation of the noise, by the median absolute difference of neighbours: outlines do not move it."""
    differences = np.abs(np.diff(image, axis=0))
    differences = differences[differences > 0]
    return float(np.median(differences)) / (0.6745 * np.sqrt(2)) if differences.size else 0.0
