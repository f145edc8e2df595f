"""TotalSegmentator's own steps, written straight, to compare with."""

import numpy as np
from imported_system import Array, ImportedSystem, nnunet_labels_of
from scipy import ndimage

ONE_IN = 10_000
"""One voxel in so many may differ: images are resampled in single precision, and random weights make much of that."""


def of_the_authors(system: ImportedSystem, image: Array, spacing_mm: tuple[float, ...]) -> Array:
    """Labels (x, y, z) by the steps of totalsegmentator/nnunet.py and resampling.py (00064a1a, 01c1a833).

    The resampled image is cut to whole numbers there; here only what becomes 0 by that is. Where the task has no
    spacing, nnU-Net alone resamples.
    """
    wanted = np.array(system.model.spacing_mm or spacing_mm)
    resampled = ndimage.zoom(image.astype(float), np.float32(spacing_mm) / wanted, order=3, mode="nearest")
    resampled[resampled.astype(np.int32) == 0] = 0
    joined = np.zeros(resampled.shape, np.uint8)
    for part in system.model.parts:
        channels = resampled.transpose(2, 1, 0)[None]
        training, step = system.trainings[part.name], system.model.tile_step
        classes = nnunet_labels_of(training, channels, tuple(wanted[::-1]), step)
        for number, label in system.model.classes_of(part).items():
            if label:
                joined[classes.transpose(2, 1, 0) == number] = label
    return ndimage.zoom(joined, np.array(image.shape) / np.array(joined.shape), order=0, mode="nearest")
