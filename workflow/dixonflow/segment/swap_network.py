"""Where a network says that water and fat are swapped."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.config import SegmentConfig
from dixonflow.imaging.nifti import NiftiImage
from dixonflow.imaging.types import Labels
from dixonflow.models.model import Model
from dixonflow.segment.networks import HelperNetwork
from dixonflow.vocabulary import Contrast

SHOWS_WATER, SHOWS_FAT = 1, 2
"""Labels of `Model.finds_swaps`."""


class SwapNetwork:
    """A network in memory that says of an image whether it shows water or fat.

    Parameters
    ----------
    model
        With `finds_swaps`. Its first channel takes the image, water or fat.
    segment
        Device and threads.
    """

    def __init__(self, model: Model, segment: SegmentConfig) -> None:
        self.network = HelperNetwork(model, segment)

    def swapped(self, images: Mapping[Contrast, NiftiImage]) -> NDArray[np.bool_]:
        """Voxels (x, y, z) that show fat in the water image and water in the fat image, by two runs of the network.

        So its authors count swapped voxels; what the two runs contradict each other about is not swapped
        (robert-graf/MAGO-SP papers/vibe_inversion/pipeline.py).

        Parameters
        ----------
        images
            The four contrasts of a Dixon scan, on one grid.
        """
        swapped: NDArray[np.bool_] = self._shown(images, Contrast.WATER) == SHOWS_FAT
        swapped &= self._shown(images, Contrast.FAT) == SHOWS_WATER
        return swapped

    def _shown(self, images: Mapping[Contrast, NiftiImage], first: Contrast) -> Labels:
        return self.network.labels([images[each] for each in (first, *self.network.model.channels[1:])])

    def provenance(self) -> dict[str, Any]:
        """What decides the voxels, for the sidecar of the label map."""
        return {"model": self.network.model.name, "sha256": self.network.model.weights_hash}
