"""Compares what lies in a training's folder with what the model file says of it. Any difference stops the import."""

from collections.abc import Mapping
from typing import Any

from dixonflow.errors import ModelError
from dixonflow.importing.training import Training, builds_upon
from dixonflow.models.label_table import class_differences
from dixonflow.models.model import Model
from dixonflow.models.weights_source import Part
from dixonflow.system.documents import one_line

_BACKGROUND, _IGNORE = "background", "ignore"
_SHOWN = 3
_REMEDY = (
    "These are not the weights that the model file describes: use the published ones or, if the authors have changed "
    "them, a model file made for the new ones"
)


def check_training(training: Training, model: Model, part: Part) -> None:
    """Compare label table, channels and orientation of a training with the model file.

    Raises
    ------
    ModelError
        Naming the file and the first differences.
    """
    dataset = training.read_json("dataset.json")
    where = f"{training.origin}: dataset.json"
    _check_labels(_classes(dataset, where), model.published_names_of(part), where)
    channels = dataset.get("channel_names", dataset.get("modality"))
    expected = max(1, len(model.channels))
    if not isinstance(channels, Mapping) or len(channels) != expected:
        raise ModelError(f"{where} has the channels {one_line(channels)}, the model file says {expected}. {_REMEDY}")
    inference = training.read_json("inference_config.json") if training.has("inference_config.json") else {}
    renumbered = inference.get("labels", dataset.get("labels_mapping"))
    if renumbered:
        raise ModelError(
            f"{where}: the authors' program renumbers its labels afterwards ({one_line(renumbered)}): not supported"
        )
    _check_orientation(inference.get("model_expected_orientation", dataset.get("orientation")), model, where)


def check_configuration(plans: Mapping[str, Any], trained: str, part: Part, where: str) -> None:
    """Compare the configuration that a checkpoint was trained with, or what that builds upon, with the model file.

    Raises
    ------
    ModelError
        If it is another one.
    """
    if not builds_upon(plans, trained, part):
        raise ModelError(f"{where} was trained with {trained!r}, the model file says {part.configuration!r}. {_REMEDY}")


def _classes(dataset: Mapping[str, Any], where: str) -> dict[int, str]:
    """Name of each class of a dataset.json; without the background, and without voxels that training left out."""
    labels = dataset.get("labels")
    if not isinstance(labels, Mapping):
        raise ModelError(f"{where} has no labels. {_REMEDY}")
    classes: dict[int, str] = {}
    for name, number in labels.items():
        try:
            value = int(number)
        except (TypeError, ValueError, OverflowError) as error:
            shown = f"label {one_line(name)!r} is {one_line(number)!r}"
            raise ModelError(f"{where}: {shown}, not one number: not supported") from error
        if name in {_BACKGROUND, _IGNORE}:
            continue
        if value in classes:
            raise ModelError(
                f"{where}: {one_line(classes[value])!r} and {one_line(name)!r} are both {one_line(value)}. {_REMEDY}"
            )
        classes[value] = str(name)
    return classes


def _check_labels(found: Mapping[int, str], expected: Mapping[int, tuple[str, ...]], where: str) -> None:
    differences = class_differences(found, expected)
    if differences:
        more = f", and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        raise ModelError(f"{where}: {one_line('; '.join(differences[:_SHOWN]), 1000)}{more}. {_REMEDY}")


def _check_orientation(found: Any, model: Model, where: str) -> None:
    stated = "".join(str(letter) for letter in found) if isinstance(found, list | tuple) else found
    # a wrong one swaps left and right without any other sign
    if stated is not None and model.orientation not in ("dataset", stated):
        raise ModelError(f"{where} says orientation {one_line(stated)}, the model file {model.orientation}. {_REMEDY}")
