"""A CT of the phantom: one image in Hounsfield units on the grid that the anatomy was rendered on.

The numbers are those of textbooks, rounded: air -1000, lung -800, fat -100, soft tissue 40, bone 300. A tissue that is
part fat lies between. What a scanner adds, except noise (beam hardening, partial volume, the table) is left out.
"""

import numpy as np
from numpy.typing import NDArray

from dixonflow.phantom.anatomy.participant import Participant
from dixonflow.phantom.anatomy.render import Anatomy
from dixonflow.phantom.anatomy.tissue import tissue_names, tissue_table

AIR_HU, LUNG_HU, FAT_HU, SOFT_HU, BONE_HU = -1000.0, -800.0, -100.0, 40.0, 300.0
NOISE_HU = 10.0
"""Standard deviation of the noise."""


def ct_image(participant: Participant, anatomy: Anatomy) -> NDArray[np.int16]:
    """Draw a CT of a participant.

    Returns
    -------
    Hounsfield units, shape and affine of `anatomy`; the same for the same participant.
    """
    rng = np.random.default_rng([participant.seed, 91])
    image = _hounsfield(participant)[anatomy.labels]
    image += np.float32(NOISE_HU) * rng.standard_normal(image.shape, np.float32)
    return np.rint(image).astype(np.int16)


def _hounsfield(participant: Participant) -> NDArray[np.float32]:
    """HU by label id, shape (256,)."""
    fraction = np.nan_to_num(tissue_table(participant).fat_fraction)
    numbers = SOFT_HU + fraction * (FAT_HU - SOFT_HU)
    numbers[0] = AIR_HU
    for label, tissue in tissue_names().items():
        if tissue.startswith("lung"):
            numbers[label] = LUNG_HU
        elif tissue.endswith(("bone", "marrow")):
            numbers[label] = BONE_HU
    return numbers.astype(np.float32)
