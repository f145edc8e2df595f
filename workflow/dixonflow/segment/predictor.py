"""One image to one label map. A predictor loads its networks once and serves any number of images."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.utilities.helpers import empty_cache
from numpy.typing import NDArray

from dixonflow.imaging.types import Spacing
from dixonflow.models.backend_record import installed_version
from dixonflow.segment.backends.device import choose_device, loading_networks, ran_out_of_memory
from dixonflow.segment.backends.openvino import OpenVinoNetwork
from dixonflow.segment.network import load_model_folder
from dixonflow.segment.options import SegmentOptions
from dixonflow.segment.preprocess import PreprocessedImage, preprocess, restore_labels
from dixonflow.segment.scores import ResampledLabels, SameGridLabels
from dixonflow.segment.sliding_window import Network, NonFiniteScoresError, SlidingWindow, run_sliding_window
from dixonflow.segment.transfer import DeviceTransfers, LabelRows
from dixonflow.system.documents import one_line

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageScores:
    """What the device gave for one image.

    Attributes
    ----------
    labels
        uint8 or uint16, on the network's axes: of the crop on its own grid, or on the network's with `nearest`.
    scores_device
        Where the scores were summed: `cuda` or `cpu`.
    out_of_memory
        Whether the device first ran out of memory with them.
    fallback
        Why the labels were computed again, by torch on the CPU; empty where they were not.
    each
        Labels of each image by its own scores, all on the network's grid, of the same type; empty where not asked for.
    """

    labels: NDArray[np.uint8 | np.uint16]
    scores_device: str
    out_of_memory: bool
    fallback: str = ""
    each: tuple[NDArray[np.uint8 | np.uint16], ...] = ()

    def provenance(self) -> dict[str, Any]:
        """What was particular to this image, for the label map's sidecar."""
        found: dict[str, Any] = {"scores_device": self.scores_device, "out_of_memory": self.out_of_memory}
        return found | {"fallback": self.fallback} if self.fallback else found


class Predictor:
    """A model in memory.

    The three steps are separate so that images can be prepared and labels restored in other threads while the device
    computes: `prepare` and `restore` touch neither the device nor anything shared. `infer` is for one thread at a time.

    Memory: the networks, what `run_sliding_window` states, and the label map. To prepare an image takes three times 8
    bytes for each of its voxels, and as much on the network's grid, where that is another one; once prepared it takes
    4 bytes for each voxel on the network's grid (`Prepared.without_image` lets go of them). Scores of all classes for
    a whole image, 4 GB and more for a body, are never in memory.

    Parameters
    ----------
    model_folder
        See `dixonflow.segment.network`.
    options
        How to run it.

    Raises
    ------
    ModelError
        If the model folder is not what it should be.
    ConfigError
        If the device is not there, or has no memory left for the networks.
    """

    def __init__(self, model_folder: Path, options: SegmentOptions | None = None) -> None:
        self.options = options or SegmentOptions()
        self.model = load_model_folder(model_folder, self.options.folds)
        self.device = choose_device("cpu" if self.options.backend != "torch" else self.options.device)
        torch.set_num_threads(self.options.threads)
        if self.device.type == "cuda":
            # The same image must give the same labels, whatever was segmented before it.
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True
        self._copies = DeviceTransfers(self.device)
        self._unable = ""  # why the backend of the options cannot run these networks at all
        self._networks = self._on_backend()
        axes = self.model.metadata.inference_allowed_mirroring_axes
        architecture = self.model.architecture
        self._window = SlidingWindow(
            patch_size=architecture.patch_size,
            classes=architecture.classes,
            tile_step=self.options.tile_step,
            mirror_axes=axes if axes and self.options.mirroring else (),
            device=self.device,
            probabilities=self.options.interpolate == "probabilities",
        )

    def predict(self, image: NDArray[Any], spacing_mm: Spacing) -> NDArray[np.uint8 | np.uint16]:
        """Segment one image.

        Parameters
        ----------
        image
            (x, y, z) or (channel, x, y, z), RAS+, any real type; taken as float32.
        spacing_mm
            Voxel size along x, y, z.

        Returns
        -------
        ndarray
            Labels (x, y, z) on the image's grid; uint8, uint16 above 256 classes.

        Raises
        ------
        ScanExcluded
            If the image is constant or its geometry is implausible.
        NonFiniteScoresError
            If the network's scores are not finite.
        """
        return self.predict_mean([image], spacing_mm)

    def predict_mean(self, images: Sequence[NDArray[Any]], spacing_mm: Spacing) -> NDArray[np.uint8 | np.uint16]:
        """Segment several images of one grid, the contrasts of a scan, by the mean of their scores.

        Parameters and errors are those of `predict`; ValueError if the images differ in shape, or are not as many as
        the weights of the options.
        """
        prepared = self.prepare(images, spacing_mm)
        return self.restore(prepared[0], self.infer(prepared))

    def prepare(self, images: Sequence[NDArray[Any]], spacing_mm: Spacing) -> list[PreprocessedImage]:
        """First step: crop, normalise, resample to the network's grid."""
        prepared = preprocess(images, spacing_mm, self.model.architecture, self.options.orientation)
        # Host memory from which CUDA can copy while it computes; a copy that had better not be made by `infer`.
        return [replace(one, image=self._copies.pinned(torch.from_numpy(one.image)).numpy()) for one in prepared]

    def infer(self, prepared: Sequence[PreprocessedImage], *, each: bool = False) -> ImageScores:
        """Second step, on the device: labels of the crop.

        Where the device runs out of memory, the scores are summed on the host, as nnU-Net does; that is slower and
        gives the same labels. Where that does not help, and where the device or the backend fails, the image is
        computed again by torch on the CPU.

        Parameters
        ----------
        prepared
            Images to be averaged.
        each
            Also give the labels of each image by its own scores, on the network's grid: to compare images, which needs
            no scores of the finer grid. That takes a comparison of all classes for each image, and a byte or two for
            each of its voxels.

        Raises
        ------
        NonFiniteScoresError
            If the network's scores are not finite.
        MemoryError
            If memory does not suffice for that either.
        """
        try:
            return replace(self._inferred_by_backend(prepared, each=each), fallback=self._unable)
        except (RuntimeError, MemoryError, NonFiniteScoresError) as error:
            if self.options.backend == "torch" and self.device.type == "cpu":
                raise
            fallback = self._failure(error)
            log.warning("computing a scan again by torch on the CPU: %s", fallback)
        return replace(self._reference().infer(prepared, each=each), fallback=fallback)

    def _inferred_by_backend(self, prepared: Sequence[PreprocessedImage], *, each: bool) -> ImageScores:
        # Only CUDA sums scores where it computes, as nnU-Net's default does.
        first = self.device if self.device.type == "cuda" else torch.device("cpu")
        try:
            return self._inferred(prepared, first, each=each, out_of_memory=False)
        except RuntimeError as error:
            if not ran_out_of_memory(error):
                raise
            log.warning("out of memory on %s, now summing the scores on the host: %s", self.device, error)
        # Not before the error is gone, which holds on to all that was allocated.
        empty_cache(self.device)
        try:
            return self._inferred(prepared, torch.device("cpu"), each=each, out_of_memory=True)
        except RuntimeError as error:
            if not ran_out_of_memory(error):
                raise
            raise MemoryError(f"out of memory on {self.device}, also with the scores on the host: {error}") from error

    def restore(self, prepared: PreprocessedImage, inferred: ImageScores) -> NDArray[np.uint8 | np.uint16]:
        """Last step: labels of the crop to labels of the image as it was given."""
        return restore_labels(inferred.labels, prepared, self.model.architecture)

    def labels_of_each(self, prepared: PreprocessedImage, inferred: ImageScores) -> list[NDArray[np.uint8 | np.uint16]]:
        """Labels (x, y, z) of each image by its own scores, by nearest neighbour on its voxels as it was given."""
        return [restore_labels(labels, prepared, self.model.architecture) for labels in inferred.each]

    def provenance(self) -> dict[str, Any]:
        """What decides the labels besides the image, for the label map's sidecar."""
        return {
            "weights_sha256": {fold: self.model.metadata.weights_sha256[fold] for fold in self.model.folds},
            "tile_step": self.options.tile_step,
            "mirror_axes": list(self._window.mirror_axes),
            "interpolate": self.options.interpolate,
            "image_weights": list(self.options.image_weights),
            "orientation": self.options.orientation,
            "device": self.device.type,
            "backend": self.options.backend,
            "threads": self.options.threads,
            "torch": torch.__version__,
        } | ({} if self.options.backend == "torch" else {self.options.backend: installed_version(self.options.backend)})

    def _on_backend(self) -> tuple[Network, ...]:
        """The networks of all folds, ready to compute."""
        if self.options.backend == "torch":
            with loading_networks(self.device):
                return tuple(network.to(self.device) for network in self.model.networks)
        architecture, threads = self.model.architecture, self.options.threads
        try:
            networks = tuple(OpenVinoNetwork(each, architecture, threads) for each in self.model.networks)
        except Exception as error:  # of conversion, of a library that does not load: there is no common class
            self._unable = self._failure(error)
            log.warning("computing with torch: %s", self._unable)
            self.options = replace(self.options, backend="torch")
            return self.model.networks
        self.model = replace(self.model, networks=())  # their weights need not be in memory twice
        return networks

    def _failure(self, error: Exception) -> str:
        what = self.device.type if self.options.backend == "torch" else self.options.backend
        return f"{what} failed with {type(error).__name__}: {one_line(str(error))}"

    def _reference(self) -> "Predictor":
        """The same networks by torch on the CPU; they are loaded where they are needed, and leave memory after it."""
        options = replace(self.options, device="cpu", backend="torch", folds=self.model.folds)
        return Predictor(self.model.folder, options)

    def _inferred(
        self, prepared: Sequence[PreprocessedImage], scores_device: torch.device, *, each: bool, out_of_memory: bool
    ) -> ImageScores:
        one, architecture = prepared[0], self.model.architecture
        grid = one.network_shape
        target = grid if self.options.interpolate == "nearest" else one.cropped_shape
        labels = LabelRows(target, architecture.classes, self._copies)
        sink: SameGridLabels | ResampledLabels
        if grid == target:
            sink = SameGridLabels(labels)
        else:
            separate = architecture.separate_axis("probabilities", architecture.spacing_mm, one.spacing_mm)
            sink = ResampledLabels(grid, target, [0 if axis == separate else 1 for axis in range(3)], labels)
        alone = len(prepared) == 1 and grid == target  # its own labels are the labels
        own = [LabelRows(grid, architecture.classes, self._copies) for _ in prepared if each and not alone]
        run_sliding_window(
            self._networks,
            [torch.from_numpy(image.image) for image in prepared],
            self._window,
            sink,
            scores_device,
            self._copies,
            [SameGridLabels(rows) for rows in own],
            self.options.image_weights if len(prepared) > 1 else (),
        )
        found = labels.collected()
        of_each = (found,) if each and alone else tuple(rows.collected() for rows in own)
        return ImageScores(found, scores_device.type, out_of_memory, each=of_each)
