"""The part of an image that a model segments: a box around structures that a rough model finds first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dixonflow.config import SegmentConfig
from dixonflow.imaging.nifti import NiftiImage
from dixonflow.imaging.types import Affine, Box
from dixonflow.labelmap.components import bounding_box
from dixonflow.models.model import Model
from dixonflow.models.weights_source import Crop
from dixonflow.segment.networks import HelperNetwork
from dixonflow.vocabulary import Contrast


@dataclass(frozen=True)
class Found:
    """The part of an image to segment, and where in it labels may lie; anywhere where that is None."""

    box: Box
    within: NDArray[np.bool_] | None = None

    def pasted(self, labels: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
        """Labels of the part put back into the whole, without those that lie where none may."""
        return pasted(labels if self.within is None else labels * self.within, self.box, shape)


class RoughModel:
    """A rough model in memory, and what is to be found with it.

    Parameters
    ----------
    crop
        Structures and margin.
    model
        The rough model, of one image.
    segment
        Device and threads.
    """

    def __init__(self, crop: Crop, model: Model, segment: SegmentConfig) -> None:
        self._crop, self.network = crop, HelperNetwork(model, segment)

    @property
    def contrast(self) -> Contrast:
        """The image that it takes."""
        return self.network.model.contrasts_read[0]

    def find(self, image: NiftiImage) -> Found | None:
        """Where the structures lie in an image, with the margin around them; None where none of them is found."""
        labels, crop = self.network.labels([image]), self._crop
        box = box_around(self._mask(labels, crop.structures), image.spacing_mm, crop.margin_mm)
        if box is None or not crop.keep_within:
            return None if box is None else Found(box)
        near = near_mask(self._mask(labels, crop.keep_within), image.spacing_mm, crop.keep_within_mm)
        return Found(box, np.ascontiguousarray(near[box]))

    def _mask(self, labels: NDArray[Any], names: Sequence[str]) -> NDArray[np.bool_]:
        return np.isin(labels, [label for name in names for label in self.network.model.regions[name]])

    def provenance(self) -> dict[str, Any]:
        """What decides the box, for the sidecar of the label map."""
        return {"sha256": self.network.model.weights_hash, **self._crop.model_dump(mode="json")}


def box_around(mask: NDArray[np.bool_], spacing_mm: Sequence[float], margin_mm: float) -> Box | None:
    """Bounding box of a mask, larger by a margin on every side, cut at the edges of the image; None for an empty mask.

    The margin is rounded down to whole voxels, as in TotalSegmentator (wasserth/TotalSegmentator
    totalsegmentator/cropping.py).
    """
    box = bounding_box(mask)
    if not all(part.stop for part in box):
        return None
    margins = [int(margin_mm / spacing) for spacing in spacing_mm]
    x, y, z = (
        slice(max(part.start - margin, 0), min(part.stop + margin, size))
        for part, margin, size in zip(box, margins, mask.shape, strict=True)
    )
    return x, y, z


def near_mask(mask: NDArray[np.bool_], spacing_mm: Sequence[float], distance_mm: float) -> NDArray[np.bool_]:
    """Voxels of a mask and those at most so far from it.

    In steps from voxel to neighbour, as many as voxels of the mean size fit into the distance, as in TotalSegmentator
    (wasserth/TotalSegmentator totalsegmentator/nnunet.py and postprocessing.py, 0e65a448).
    """
    steps = int(distance_mm / np.mean(spacing_mm))
    grown: NDArray[np.bool_] = ndimage.binary_dilation(mask, iterations=steps) if steps else mask
    return grown


def cut(image: NiftiImage, box: Box) -> NiftiImage:
    """Part of an image."""
    affine: Affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    return NiftiImage(np.ascontiguousarray(image.data[box]), affine)


def pasted(labels: NDArray[Any], box: Box, shape: Sequence[int]) -> NDArray[Any]:
    """Labels of a part put back into the whole, 0 around it."""
    whole = np.zeros(tuple(shape), labels.dtype)
    whole[box] = labels
    return whole
