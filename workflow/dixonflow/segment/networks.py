"""The networks of a model in memory, as a configuration runs them."""

from collections.abc import Sequence

import numpy as np

from dixonflow.config import SegmentConfig
from dixonflow.imaging.nifti import NiftiImage
from dixonflow.imaging.types import Labels
from dixonflow.models.comparison import interpolate_of
from dixonflow.models.label_table import label_lookup
from dixonflow.models.model import Model
from dixonflow.resample.model_grid import to_image_grid, to_model_grid
from dixonflow.segment import PartsPredictor, SegmentOptions
from dixonflow.segment.backends.choice import backend_of


def segment_options(model: Model, segment: SegmentConfig) -> SegmentOptions:
    """How a configuration runs a model; what it leaves open is the model file's to say."""
    return SegmentOptions(
        tile_step=model.tile_step,
        folds=segment.folds,
        interpolate=interpolate_of(model, segment),
        device=segment.device,
        backend=backend_of(model, segment),
        threads=segment.threads,
        orientation=model.orientation,
        mirroring=model.mirroring,
        image_weights=tuple(model.weights_of(model.input_contrasts)),
    )


def options_of_file(model: Model, segment: SegmentConfig) -> SegmentOptions:
    """How a model is run that only helps another one: as its own file says, with all folds."""
    return segment_options(model, segment.model_copy(update={"folds": None, "interpolate": None}))


def load_networks(model: Model, options: SegmentOptions) -> PartsPredictor:
    """Load all networks of a model.

    Raises
    ------
    ModelError
        If they are not what the model file says.
    ConfigError
        If the device is not there.
    """
    parts = {part.name: part for part in model.parts}
    lookups = {name: label_lookup(model, parts.get(name)) for name in model.folders}
    return PartsPredictor(model.folders, lookups, options, model.pad_voxels)


class HelperNetwork:
    """The networks of a model in memory that finds something in the images of a scan for another model.

    Parameters
    ----------
    model
        What is run, as its own file says, with all folds.
    segment
        Device and threads.

    Attributes
    ----------
    fallbacks
        Why label maps were computed again by torch on the CPU; the caller empties it.
    """

    def __init__(self, model: Model, segment: SegmentConfig) -> None:
        self.model = model
        self.fallbacks: list[str] = []
        self._predictor: PartsPredictor = load_networks(model, options_of_file(model, segment))

    def labels(self, channels: Sequence[NiftiImage]) -> Labels:
        """Label map (x, y, z) on the grid of the images.

        Parameters
        ----------
        channels
            Images on one grid that go into the network together, in its order.
        """
        image = channels[0]
        on_grid = [to_model_grid(each, self.model) for each in channels]
        prepared = self._predictor.prepare(
            [np.stack([each.data for each in on_grid])] if self.model.channels else [on_grid[0].data],
            on_grid[0].spacing_mm,
        )
        inferred = self._predictor.infer(prepared)
        self.fallbacks += [each.fallback for each in inferred if each.fallback]
        labels = self._predictor.restore(prepared, inferred)
        found: Labels = to_image_grid(labels, self.model, on_grid[0].affine, image.data.shape, image.affine)
        return found
