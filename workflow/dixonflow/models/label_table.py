"""From the classes of a network to the labels of its model, checked against the network's own dataset.json."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ModelError
from dixonflow.models.anatomy import known_structures
from dixonflow.models.model import Model
from dixonflow.models.weights_source import Part

ANY_NAME = "*"
"""Among the published names of a class: its name is in the archive alone, only its number is known. Any name is taken
that says the same laterality and is not that of another structure."""

_SIDE_WORDS = {"left": "left", "links": "left", "l": "left", "right": "right", "rechts": "right", "r": "right"}
"""Words of laterality in published names, in English and, as in MRSegmentator's, in German."""

_NO_STRUCTURE = frozenset({"background", "ignore"})
"""nnU-Net's names for what is no structure. The network has no class for voxels that its training ignored."""


def label_lookup(model: Model, part: Part | None = None) -> NDArray[np.uint16]:
    """Label id of each class of an imported network.

    In a published model every class must have the number and the name that the model file says: left and right swapped
    in new weights would otherwise be swapped silently. In a network that ships with DixonFlow names alone
    tie the two together.

    Parameters
    ----------
    model
        The model.
    part
        One of `model.parts`; the only one where not given.

    Returns
    -------
    Array of shape (classes,): `lookup[class]` is the label id, 0 for background and unused classes.

    Raises
    ------
    ModelError
        If dataset.json is unreadable, or has other classes than the model file.
    """
    if part is None and len(model.parts) > 1:
        raise ModelError(f"model {model.name} has several parts: name one")
    if part is None and model.parts:
        part = model.parts[0]
    folder = model.folders[part.name] if part else model.weights
    classes = _classes(model.name, folder / "dataset.json")
    if part is None:
        ids = _ids_by_name(model, classes, folder)
    else:
        _check_classes(model, part, classes, folder / "dataset.json")
        ids = model.classes_of(part)
    lookup = np.zeros(len(classes) + 1, np.uint16)
    for number, label in ids.items():
        lookup[number] = label
    return lookup


def class_differences(found: Mapping[int, str], published: Mapping[int, tuple[str, ...]]) -> list[str]:
    """Say where the classes of a network differ from those of the model file, in the order of their numbers.

    Parameters
    ----------
    found
        Name of each class.
    published
        Names that each may have; `ANY_NAME` stands for all.
    """
    return [
        f"class {number} is {_names(found.get(number))}, in the model file {_names(*published.get(number, (None,)))}"
        for number in sorted({*found, *published})
        if found.get(number) not in published.get(number, ())
        and not (
            number in found and ANY_NAME in published.get(number, ()) and _may_be(found[number], number, published)
        )
    ]


def _may_be(found: str, number: int, published: Mapping[int, tuple[str, ...]]) -> bool:
    """Whether a name that the model file does not have may be that of a class."""
    words = _words(found)
    others = {name for other, names in published.items() if other != number for name in names}
    own = {_words(name) for name in published[number]}
    taken = {_words(name) for name in (others | known_structures()) - {ANY_NAME}} - own
    return words not in taken and all(_sides(words) == _sides(each) for each in own if each != _words(ANY_NAME))


def _words(name: str) -> tuple[str, ...]:
    """Words of a name in alphabetical order: authors write `kidney_right` and `right_kidney`."""
    return tuple(sorted(re.split(r"[\W_]+", name.lower())))


def _sides(words: tuple[str, ...]) -> set[str]:
    return {_SIDE_WORDS[word] for word in words if word in _SIDE_WORDS}


def _check_classes(model: Model, part: Part, classes: Mapping[str, int], where: Path) -> None:
    """Compare the classes of a network with the model file.

    Parameters
    ----------
    model, part
        The model, and the part that the network is said to be.
    classes
        Number of each class by name, without background.
    where
        The dataset.json that they are from, for the message.

    Raises
    ------
    ModelError
        Naming the classes that differ.
    """
    differences = class_differences({number: name for name, number in classes.items()}, model.published_names_of(part))
    if differences:
        more = f"; and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise ModelError(
            f"model {model.name}: {where} has other classes than the model file: {'; '.join(differences[:5])}{more}"
        )


def _names(*names: str | None) -> str:
    return " or ".join("nothing" if name is None else repr(name) for name in names)


def _classes(name: str, path: Path) -> dict[str, int]:
    """Class numbers by name, without what is no structure; they must be 1, 2, ..."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))["labels"]
        classes = {str(each): int(number) for each, number in content.items() if each not in _NO_STRUCTURE}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"model {name}: cannot read the labels of {path}: {error}") from error
    if sorted(classes.values()) != list(range(1, len(classes) + 1)):
        raise ModelError(f"model {name}: the classes of {path} are not numbered 1, 2, ... {len(classes)}")
    return classes


def _ids_by_name(model: Model, classes: Mapping[str, int], folder: Path) -> dict[int, int]:
    different = sorted(set(classes) ^ set(model.structures))
    if different:
        raise ModelError(
            f"model {model.name}: labels of {folder / 'dataset.json'} and of the model file differ: "
            + ", ".join(different)
        )
    return {number: model.structures[name] for name, number in classes.items()}
