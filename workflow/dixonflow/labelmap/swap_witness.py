"""Swapped water and fat, by labels that a swap does not alter.

In phase and opposed phase are made before water and fat are separated. Where the label maps that a network gives for
them name lean tissue and the fat fraction is that of fat, or the other way round, water and fat are swapped: also where
the final label map, which saw the water image, is wrong in the same way and contradicts nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Labels
from dixonflow.labelmap.tissue_fit import SIGNAL_FRACTION, contradicting, patches, tissue_kinds, touching
from dixonflow.models.model import Model
from dixonflow.vocabulary import Contrast

UNSWAPPED = (Contrast.IN_PHASE, Contrast.OPPOSED_PHASE)
"""Contrasts that a swap of water and fat does not alter."""


@dataclass(frozen=True)
class SwappedPatches:
    """Patches in which water and fat are swapped.

    Attributes
    ----------
    ml
        Volume of each structure in them; structures without are left out.
    touching
        Structures that touch them.
    """

    ml: dict[str, float]
    touching: list[str]


def swapped_patches(
    labels: Labels,
    witnesses: Sequence[Labels],
    water: NDArray[np.integer | np.floating],
    fat: NDArray[np.integer | np.floating],
    spacing_mm: Sequence[float],
    model: Model,
    further: NDArray[np.bool_] | None = None,
) -> SwappedPatches:
    """Find patches of 5 mL and more in which water and fat contradict all of some label maps.

    Parameters
    ----------
    labels
        Label map that names the structures, shape (x, y, z).
    witnesses
        Label maps of contrasts that a swap does not alter; none where there are none.
    water, fat
        On the same grid.
    spacing_mm
        Voxel size.
    further
        Voxels that are swapped by another witness.
    """
    kinds_of = tissue_kinds(model)
    kinds = kinds_of[witnesses[0]] if witnesses else np.zeros(labels.shape, np.int8)
    for other in witnesses[1:]:
        kinds[kinds_of[other] != kinds] = 0
    total = np.add(water, fat, dtype=np.float32)
    swapped = np.zeros(total.shape, bool) if further is None else further
    if kinds.any():
        considered = (kinds != 0) & (total > SIGNAL_FRACTION * float(np.percentile(total[kinds != 0], 99)))
        swapped = swapped | contradicting(kinds, fat, total, considered)
    found = patches(swapped, spacing_mm)
    voxels = np.bincount(labels[found], minlength=len(kinds_of))
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    ml = {name: float(voxels[label]) * voxel_ml for name, label in model.structures.items() if voxels[label]}
    return SwappedPatches(ml, touching(labels, found, model.structures))
