"""The networks of a model in memory, as a configuration runs them."""

from dixonflow.config import SegmentConfig
from dixonflow.models.comparison import interpolate_of
from dixonflow.models.label_table import label_lookup
from dixonflow.models.model import Model
from dixonflow.segment import PartsPredictor, SegmentOptions


def segment_options(model: Model, segment: SegmentConfig) -> SegmentOptions:
    """How a configuration runs a model; what it leaves open is the model file's to say."""
    return SegmentOptions(
        tile_step=model.tile_step,
        folds=segment.folds,
        interpolate=interpolate_of(model, segment),
        device=segment.device,
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
