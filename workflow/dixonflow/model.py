"""A segmentation model as `workflow/models/<name>.yaml` describes it.

The file holds what the runtime must know beyond nnU-Net's own plans: which contrasts go in, how the predictions of the
contrasts are merged, how many components a structure may have. Numbers come from the model's authors and carry their
source in the file.
"""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dixonflow.errors import ModelError
from dixonflow.vocabulary import Contrast

PositiveId = Annotated[int, Field(ge=1, le=65535)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelRule(_Record):
    """One structure of the model and the rules of its group.

    Attributes
    ----------
    name
        The structure, in the vocabulary of DixonFlow.
    group
        Merge group; groups are filled in `Model.group_order`.
    min_components, max_components
        Allowed number of connected components after the merge.
    single_piece
        The largest component is kept in each contrast before the merge.
    drop_mm3_per_contrast, drop_mm3
        Surplus components of at most this volume are dropped, before and after the merge (mm3).
    published_dice
        Mean Dice on held-out scans as published by the model's authors; none where they give none.
    """

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    group: str
    min_components: int = Field(default=1, ge=0)
    max_components: int = Field(ge=1)
    single_piece: bool
    drop_mm3_per_contrast: float = Field(ge=0)
    drop_mm3: float = Field(ge=0)
    published_dice: float | None = Field(default=None, ge=0, le=1)


class Model(_Record):
    """A model: its weights folder, its inputs, its labels and their rules."""

    name: str = Field(pattern=r"^[a-z0-9]+$")
    title: str
    description: str
    licence: str
    citation: str
    weights: Path
    input_contrasts: tuple[Contrast, ...] = Field(min_length=1)
    orientation: str = Field(default="RAS", pattern=r"^[RL][AP][SI]$")
    resampling: Literal["nnunet", "first"]
    spacing_mm: tuple[float, float, float] | None = None
    tile_step: float = Field(default=0.5, gt=0, le=1)
    keep_largest: bool = True
    group_order: tuple[str, ...]
    group_contrasts: dict[str, tuple[Contrast, ...]]
    labels: dict[PositiveId, LabelRule]
    composites: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    sources: dict[str, str]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [rule.name for rule in self.labels.values()]
        if len(set(names)) != len(names):
            raise ValueError("two labels have the same structure name")
        groups = {rule.group for rule in self.labels.values()}
        if groups - set(self.group_order) or len(set(self.group_order)) != len(self.group_order):
            raise ValueError("group_order must name every group of the labels once")
        if set(self.group_contrasts) != set(self.group_order):
            raise ValueError("group_contrasts must have an entry for every group in group_order")
        for group, contrasts in self.group_contrasts.items():
            if not contrasts or set(contrasts) - set(self.input_contrasts) or len(set(contrasts)) != len(contrasts):
                raise ValueError(f"group_contrasts of {group!r} must be a choice from input_contrasts, each once")
        for composite, parts in self.composites.items():
            if composite in names or set(parts) - set(names) or not parts:
                raise ValueError(f"composite {composite!r} must combine structures of the model under a new name")
        if (self.resampling == "first") != (self.spacing_mm is not None):
            raise ValueError("spacing_mm goes with resampling 'first', and only with it")
        return self

    def contrasts_of(self, label: int) -> tuple[Contrast, ...]:
        """Contrasts that may fill `label`, in the order in which they are tried."""
        return self.group_contrasts[self.labels[label].group]

    @cached_property
    def structures(self) -> dict[str, int]:
        """Label id of each structure name."""
        return {rule.name: label for label, rule in sorted(self.labels.items())}

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 over plans, label table and the recorded hashes of the weights, which are checked when they load."""
        digest = hashlib.sha256()
        for name in ("plans.json", "dataset.json", "metadata.json"):
            path = self.weights / name
            try:
                digest.update(path.read_bytes())
            except OSError as error:
                raise ModelError(f"model {self.name}: cannot read {path}: {error.strerror}") from error
        return digest.hexdigest()


def load_model(path: Path) -> Model:
    """Read and check a model file.

    A relative `weights` folder is taken from the folder of the file.

    Raises
    ------
    ModelError
        Naming the file and the first thing that is wrong in it.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ModelError(f"model file {path} cannot be read: {error}") from error
    try:
        model = Model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ModelError(f"model file {path}: {where}: {first['msg']}") from error
    return model.model_copy(update={"weights": (path.parent / model.weights).resolve()})


def label_lookup(model: Model) -> NDArray[np.uint16]:
    """Structure id of each class of the network, by name.

    A network's classes are consecutive, the ids of a label table need not be; the names in the network's
    dataset.json and in the model file tie the two together.

    Returns
    -------
    Array of shape (classes,): `lookup[class]` is the label id, 0 for background.

    Raises
    ------
    ModelError
        If dataset.json is unreadable, or names other structures than the model file.
    """
    path = model.weights / "dataset.json"
    try:
        classes: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))["labels"]
        foreground = {name: int(number) for name, number in classes.items() if int(number) != 0}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"model {model.name}: cannot read the labels of {path}: {error}") from error
    different = sorted(set(foreground) ^ set(model.structures))
    if different or sorted(foreground.values()) != list(range(1, len(foreground) + 1)):
        raise ModelError(f"model {model.name}: labels of {path} and of the model file differ: {', '.join(different)}")
    lookup = np.zeros(len(foreground) + 1, np.uint16)
    for name, number in foreground.items():
        lookup[number] = model.structures[name]
    return lookup
