"""One image to one label map. A predictor loads its networks once and serves any number of images."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dixonflow.errors import ConfigError
from dixonflow.segment.architecture import Shape, Spacing
from dixonflow.segment.network import load_model_folder
from dixonflow.segment.preprocess import Prepared, preprocess, restore_labels
from dixonflow.segment.scores import ResampledLabels, SameGridLabels
from dixonflow.segment.sliding_window import SlidingWindow, run_sliding_window


@dataclass(frozen=True)
class SegmentOptions:
    """How a model is run.

    Attributes
    ----------
    tile_step
        Largest step between patches as a part of the patch. Above nnU-Net's default of 0.5: faster, less accurate.
    folds
        Names of the folds whose scores are averaged; all of the model where not given.
    mirroring
        Also average over mirror images, where the model was trained with mirroring; up to 8 times slower.
    orientation
        What the model was trained on; images are RAS+ and are reversed to it, labels come back.
    device
        `cuda`, `cuda:1`, `mps`, `cpu`, or `auto`: the first of cuda, mps and cpu that there is.
    threads
        Threads of torch in this process.
    """

    tile_step: float = 0.5
    folds: tuple[str, ...] | None = None
    mirroring: bool = False
    orientation: str = "RAS"
    device: str = "auto"
    threads: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.tile_step <= 1:
            raise ConfigError(f"tile_step must be above 0 and at most 1, not {self.tile_step}")
        if self.threads < 1:
            raise ConfigError(f"threads must be at least 1, not {self.threads}")
        if not re.fullmatch("[RL][AP][SI]", self.orientation):
            raise ConfigError(f"orientation must be like RAS or LPS, not {self.orientation!r}")


class Predictor:
    """A model in memory.

    The three steps are separate so that images can be prepared and labels restored in other threads while the device
    computes: `prepare` and `restore` touch neither the device nor anything shared.

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
        If the device is not there.
    """

    def __init__(self, model_folder: Path, options: SegmentOptions | None = None) -> None:
        self.options = options or SegmentOptions()
        self.model = load_model_folder(model_folder, self.options.folds)
        self.device = choose_device(self.options.device)
        torch.set_num_threads(self.options.threads)
        if self.device.type == "cuda":
            # The same image must give the same labels, whatever was segmented before it.
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True
        self._networks = tuple(network.to(self.device) for network in self.model.networks)
        axes = self.model.metadata.inference_allowed_mirroring_axes
        architecture = self.model.architecture
        self._window = SlidingWindow(
            patch_size=architecture.patch_size,
            classes=architecture.classes,
            tile_step=self.options.tile_step,
            mirror_axes=axes if axes and self.options.mirroring else (),
            device=self.device,
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

        Parameters and errors are those of `predict`; ValueError if the images differ in shape.
        """
        prepared = self.prepare(images, spacing_mm)
        return self.restore(prepared[0], self.infer(prepared))

    def prepare(self, images: Sequence[NDArray[Any]], spacing_mm: Spacing) -> list[Prepared]:
        """First step: crop, normalise, resample to the network's grid."""
        return preprocess(images, spacing_mm, self.model.architecture, self.options.orientation)

    def infer(self, prepared: Sequence[Prepared]) -> NDArray[np.uint8 | np.uint16]:
        """Second step, on the device: labels of the crop on its own grid and the network's axes."""
        a, b, c = prepared[0].image.shape[1:]
        sink = self._labels_sink((a, b, c), prepared[0])
        run_sliding_window(self._networks, [torch.from_numpy(one.image) for one in prepared], self._window, sink)
        labels = sink.labels().cpu().numpy()
        return labels if labels.dtype == np.uint8 else labels.astype(np.uint16)

    def restore(self, prepared: Prepared, labels: NDArray[np.uint8 | np.uint16]) -> NDArray[np.uint8 | np.uint16]:
        """Last step: labels of the crop to labels of the image as it was given."""
        return restore_labels(labels, prepared, self.model.architecture)

    def provenance(self) -> dict[str, Any]:
        """What decides the labels besides the image, for the label map's sidecar."""
        return {
            "weights_sha256": {fold: self.model.metadata.weights_sha256[fold] for fold in self.model.folds},
            "tile_step": self.options.tile_step,
            "mirror_axes": list(self._window.mirror_axes),
            "orientation": self.options.orientation,
            "device": self.device.type,
            "threads": self.options.threads,
            "torch": torch.__version__,
        }

    def _labels_sink(self, grid: Shape, prepared: Prepared) -> SameGridLabels | ResampledLabels:
        target = prepared.cropped_shape
        if grid == target:
            return SameGridLabels()
        architecture = self.model.architecture
        separate = architecture.separate_axis("probabilities", architecture.spacing_mm, prepared.spacing_mm)
        orders = [0 if axis == separate else 1 for axis in range(3)]
        return ResampledLabels(grid, target, orders, self._window.scores_device)


def choose_device(name: str) -> torch.device:
    """Find the device that a configuration names.

    Raises
    ------
    ConfigError
        If this machine does not have it.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r} is unknown: use auto, cuda, mps or cpu") from error
    if not available.get(device.type, False):
        raise ConfigError(f"device {name!r} is not available on this machine")
    return device
