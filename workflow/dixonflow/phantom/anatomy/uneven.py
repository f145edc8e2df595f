"""Structures that are not even inside: fat in gradients, patches, streaks and lobules, so that estimators can differ.

The numbers are chosen, not taken from a publication: a liver is fattier on one side and has patches of focal fat and of
sparing, muscles have streaks of fat along the body, the pancreas has lobules between septa of fat.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from dixonflow.imaging.types import Floats32
from dixonflow.phantom.anatomy.participant import Participant
from dixonflow.phantom.anatomy.render import Anatomy
from dixonflow.phantom.anatomy.structures import Structure

LIVER_GRADIENT = 0.5
"""Relative rise of the fat fraction from the middle of the liver to its right end, and fall to its left one."""

FOCAL_FAT, SPARING = 0.12, 0.6
"""What a patch of focal fat adds to the fat fraction, and what share of it a spared patch keeps."""

STREAK_FRACTION, STREAK_SHARE = 0.65, 0.08
"""Fat fraction inside a streak of a muscle, and the share of a muscle's voxels that are streaks, about."""

SEPTUM_FRACTION, SEPTUM_SHARE = 0.7, 0.12
"""The same of the septa of the pancreas."""

MOST = 0.98


def uneven_fat_fraction(
    anatomy: Anatomy, participant: Participant, even: NDArray[np.float64], muscles: Collection[int]
) -> Floats32:
    """Fat fraction of every voxel of the fine grid, shape (x, y, z).

    Parameters
    ----------
    even
        Fat fraction by label id where structures are even.
    muscles
        Label ids of the muscles.
    """
    rng = np.random.default_rng([participant.seed, 91])
    fraction: Floats32 = np.nan_to_num(even).astype(np.float32)[anatomy.labels]
    windows = find_objects(anatomy.labels)
    for label in (int(Structure.LIVER), int(Structure.PANCREAS), *muscles):
        window = windows[label - 1] if label <= len(windows) else None
        if window is None:
            continue
        inside = anatomy.labels[window] == label
        own = fraction[window]
        if label == Structure.LIVER:
            own[inside] = _liver(own, anatomy.spacing_mm, rng)[inside]
        elif label == Structure.PANCREAS:
            own[inside & _highest(_waves(rng, own.shape, anatomy.spacing_mm, 9, 14), inside, SEPTUM_SHARE)] = (
                SEPTUM_FRACTION
            )
        else:
            # long along the body
            own[inside & _highest(_waves(rng, own.shape, anatomy.spacing_mm, 12, 20, 8), inside, STREAK_SHARE)] = (
                STREAK_FRACTION
            )
    return np.clip(fraction, 0, MOST)


def _liver(fraction: Floats32, spacing_mm: float, rng: np.random.Generator) -> Floats32:
    to_the_right = np.linspace(-1, 1, fraction.shape[0], dtype=np.float32)[:, None, None]
    uneven = fraction * (1 + LIVER_GRADIENT * to_the_right)
    patches = _waves(rng, fraction.shape, spacing_mm, 35, 70)
    everywhere = np.ones(fraction.shape, bool)
    uneven[_highest(patches, everywhere, 0.10)] += FOCAL_FAT
    uneven[_highest(-patches, everywhere, 0.08)] *= SPARING
    return uneven


def _highest(field: Floats32, inside: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """Where a field is as high as in the highest part of a region."""
    return field >= np.quantile(field[inside], 1 - share)


def _waves(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    spacing_mm: float,
    shortest_mm: float,
    longest_mm: float,
    longer_along_z: float = 1.0,
) -> Floats32:
    """Smooth random field of a few wavelengths."""
    x, y, z = (spacing_mm * np.arange(size, dtype=np.float32) for size in shape)
    field = np.zeros(shape, np.float32)
    for _ in range(6):
        direction = rng.normal(size=3)
        direction[2] /= longer_along_z
        kx, ky, kz = (2 * np.pi / rng.uniform(shortest_mm, longest_mm) * direction / np.linalg.norm(direction)).astype(
            np.float32
        )
        field += np.cos(kx * x[:, None, None] + ky * y[None, :, None] + kz * z + rng.uniform(0, 2 * np.pi))
    return field
