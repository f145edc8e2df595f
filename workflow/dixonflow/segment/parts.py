"""One image to one label map by several networks, each for a part of the labels. One network is a model of one part."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dixonflow.imaging.types import Labels, Spacing
from dixonflow.segment.backends.device import device_works
from dixonflow.segment.options import SegmentOptions
from dixonflow.segment.predictor import ImageScores, Predictor
from dixonflow.segment.preprocess import PreprocessedImage


class PartsPredictor:
    """The networks of a model in memory. They run one after the other, and their labels go into one map.

    Every network has plans of its own: images are prepared for each. The three steps and what they may share between
    threads are those of `Predictor`; so is the memory, for each network.

    Parameters
    ----------
    folders
        Model folder of each network by the name of its part, in the order in which the label map is filled: a later
        one overwrites, its background does not. So TotalSegmentator joins its parts (wasserth/TotalSegmentator
        totalsegmentator/nnunet.py, 00064a1a).
    lookups
        Label id of each class of each network, by the same names; 0 is background.
    options
        How to run them.
    pad_voxels
        Voxels added on every side, by reflection, and taken off the labels: TPTBox does so after it has resampled
        (Hendrik-code/TPTBox TPTBox/segmentation/VibeSeg/inference_nnunet.py, 11e4e8a6).

    Raises
    ------
    ModelError
        If a model folder is not what it should be.
    ConfigError
        If the device is not there.
    """

    def __init__(
        self,
        folders: Mapping[str, Path],
        lookups: Mapping[str, NDArray[np.unsignedinteger]],
        options: SegmentOptions,
        pad_voxels: int = 0,
    ) -> None:
        self._predictors = {name: Predictor(folder, options) for name, folder in folders.items()}
        largest = max(int(lookups[name].max()) for name in folders)
        self._lookups = [lookups[name].astype(np.min_scalar_type(largest)) for name in folders]
        self._pad = pad_voxels

    @property
    def device(self) -> torch.device:
        """Where the networks compute."""
        return next(iter(self._predictors.values())).device

    def usable(self) -> bool:
        """Whether the device still computes in this process: after some errors of CUDA every later call fails."""
        return device_works(self.device)

    def prepare(self, images: Sequence[NDArray[Any]], spacing_mm: Spacing) -> list[list[PreprocessedImage]]:
        """First step: images to be averaged, brought onto the grid of each network; for each network one of each image.

        Parameters and errors are those of `Predictor.prepare`.
        """
        if self._pad:  # not along the axis of channels, which is there or not
            widths = [(self._pad, self._pad)] * 3
            images = [np.pad(image, [(0, 0)] * (image.ndim - 3) + widths, "reflect") for image in images]
        return [predictor.prepare(images, spacing_mm) for predictor in self._predictors.values()]

    def infer(self, prepared: Sequence[Sequence[PreprocessedImage]], *, each: bool = False) -> list[ImageScores]:
        """Second step, on the device: what each network gives.

        Parameters and errors are those of `Predictor.infer`.
        """
        return [
            predictor.infer(images, each=each)
            for predictor, images in zip(self._predictors.values(), prepared, strict=True)
        ]

    def restore(self, prepared: Sequence[Sequence[PreprocessedImage]], inferred: Sequence[ImageScores]) -> Labels:
        """Last step: label ids (x, y, z) on the grid of the images as they were given; uint8, uint16 above 255."""
        return self._in_one_map(
            predictor.restore(images[0], found)
            for predictor, images, found in zip(self._predictors.values(), prepared, inferred, strict=True)
        )

    def labels_of_each(
        self, prepared: Sequence[Sequence[PreprocessedImage]], inferred: Sequence[ImageScores]
    ) -> list[Labels]:
        """Label ids of each image by its own scores, as `Predictor.labels_of_each` gives classes."""
        of_networks = [
            predictor.labels_of_each(images[0], found)
            for predictor, images, found in zip(self._predictors.values(), prepared, inferred, strict=True)
        ]
        return [self._in_one_map(of_image) for of_image in zip(*of_networks, strict=True)]

    def provenance(self) -> dict[str, Any]:
        """What decides the labels besides the image, for the label map's sidecar; what networks differ in by part."""
        of_parts = {name: predictor.provenance() for name, predictor in self._predictors.items()}
        by_part = {key: {name: one[key] for name, one in of_parts.items()} for key in ("weights_sha256", "mirror_axes")}
        return next(iter(of_parts.values())) | by_part

    def image_provenance(self, inferred: Sequence[ImageScores]) -> dict[str, Any]:
        """What was particular to an image, by part."""
        return {name: found.provenance() for name, found in zip(self._predictors, inferred, strict=True)}

    def _in_one_map(self, of_networks: Iterable[NDArray[np.unsignedinteger]]) -> Labels:
        first, *later = (lookup[classes] for lookup, classes in zip(self._lookups, of_networks, strict=True))
        for labels in later:
            np.copyto(first, labels, where=labels != 0)
        a, b, c = (slice(self._pad, size - self._pad) for size in first.shape)
        return np.ascontiguousarray(first[a, b, c])
