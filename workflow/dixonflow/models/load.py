"""Model files read and checked, and the models that a configuration names."""

from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dixonflow.config import Config
from dixonflow.config.read import OWN_MODEL
from dixonflow.errors import ConfigError, ModelError
from dixonflow.models.anatomy import known_structures
from dixonflow.models.model import Model
from dixonflow.models.nnunet_files import trained_orientation, trained_spacing_mm
from dixonflow.models.runnable import check_runnable, check_sequences
from dixonflow.models.weights_source import Crop
from dixonflow.system.documents import DocumentError, one_line, read_yaml_file

MODELS = Path(__file__).resolve().parent / "files"
"""Folder of the model files."""

EARLIER_WEIGHTS = Path("workflow/models")
"""Where version 0.1 kept imported weights: those that lie there are used."""


def model_file(name: str, weights: Path) -> Path:
    """Find the file of a model by its name: one that ships with DixonFlow, else a user's own among the weights.

    A user's own model is a folder `<name>/` in the folder of weights, with its file `model.yaml`.
    """
    shipped, own = MODELS / f"{name}.yaml", weights / name / OWN_MODEL
    return own if own.is_file() and not shipped.is_file() else shipped


def load_model(path: Path, weights: Path | None = None) -> Model:
    """Read and check a model file.

    If the model is imported, orientation and spacing are filled in that only its own files say.

    Parameters
    ----------
    weights
        Folder with the imported weights of published models; the folder of the file by default. Weights that ship with
        DixonFlow are in the folder of their file.

    Raises
    ------
    ModelError
        Naming the file and the first thing that is wrong in it.
    """
    model = _read_model(path, weights)
    if model.crop is not None:
        model._rough = _rough_model(path, weights, model, model.crop)
    try:
        model.check_accepted()
    except ValueError as error:
        raise ModelError(f"model file {path}: {one_line(error)}") from error
    return _with_trained_geometry(model)


def _read_model(path: Path, weights: Path | None) -> Model:
    """Read a model file alone, without the rough model that it may name."""
    try:
        content: Any = read_yaml_file(path)
    except OSError as error:
        raise ModelError(f"model file {path} cannot be read: {error.strerror}") from error
    except DocumentError as error:
        raise ModelError(f"model file {path} cannot be read: {error}") from error
    try:
        model = Model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ModelError(f"model file {path}: {one_line(where)}: {one_line(first['msg'])}") from error
    further = {rule.name for accepted in model.accepts.values() for rule in accepted.labels.values()}
    unknown = sorted({*model.structures, *model.composites, *further} - known_structures())
    if unknown and not model.finds_swaps:
        raise ModelError(
            f"model file {path}: not in the vocabulary models/structures.csv: {one_line(', '.join(unknown))}"
        )
    try:
        folders = [path.parent] if weights is None or model.source is None else [weights, EARLIER_WEIGHTS]
        found = [model.model_copy(update={"weights": (folder / model.weights).resolve()}) for folder in folders]
        model = next((each for each in found if each.is_imported), found[0])
    except (OSError, ValueError, RuntimeError) as error:  # a name that no folder can have, links in a circle
        raise ModelError(f"model file {path}: weights: {one_line(error)}") from error
    return model


def _rough_model(path: Path, weights: Path | None, model: Model, crop: Crop) -> Model:
    rough = _read_model(path.with_name(f"{crop.model}.yaml"), weights)
    if missing := [name for name in (*crop.structures, *crop.keep_within) if name not in rough.regions]:
        raise ModelError(f"model file {path}: crop: {rough.name} does not have {', '.join(missing)}")
    if rough.crop or rough.channels or rough.modality != model.modality:
        raise ModelError(f"model file {path}: crop: {rough.name} must take one image of the same kind, uncropped")
    return _with_trained_geometry(rough)


def _with_trained_geometry(model: Model) -> Model:
    if not model.is_imported:
        return model
    update: dict[str, Any] = {}
    for folder in model.folders.values():
        found: dict[str, Any] = {}
        if model.orientation == "dataset":
            found["orientation"] = trained_orientation(folder)
        if model.spacing_mm == "plans":
            found["spacing_mm"] = trained_spacing_mm(folder)
        if update and update != found:
            raise ModelError(f"model {model.name}: its networks were trained on different orientations or spacings")
        update = found
    return model.model_copy(update=update) if update else model


def named_models(config: Config) -> tuple[Model, ...]:
    """Read the files of the models that a configuration names, whether or not they can be run.

    Raises
    ------
    ConfigError, ModelError
        If a model file is wrong, or a model is named for what it does not do.
    """
    names = dict.fromkeys([*config.segment.models, *chain.from_iterable(config.segment.models_of.values())])
    models = [load_model(model_file(name, config.segment.weights), config.segment.weights) for name in names]
    for name, model in zip(names, models, strict=True):
        if model.name != name:
            raise ModelError(
                f"model file {model_file(name, config.segment.weights)}: name must be {name}, as its folder"
            )
        if model.finds_swaps:
            raise ConfigError(f"config: segment.models: {model.name} names no structures: it is a segment.swap_model")
    if config.segment.swap_model is None:
        return tuple(models)
    witness = load_model(model_file(config.segment.swap_model, config.segment.weights), config.segment.weights)
    try:
        models = [model.with_swaps(witness) for model in models]
    except ValueError as error:
        raise ConfigError(f"config: segment.swap_model: {error}") from error
    if not any(model.swaps for model in models):
        raise ConfigError("config: segment.swap_model: no model of segment.models takes Dixon scans: set it to null")
    return tuple(models)


def load_models(config: Config) -> tuple[Model, ...]:
    """Load the models that a configuration names.

    Raises
    ------
    ConfigError, ModelError
        If a model file is wrong, or the model cannot be run.
    """
    models = named_models(config)
    for model in models:
        check_runnable(model, config)
    check_sequences(models, config)
    return models
