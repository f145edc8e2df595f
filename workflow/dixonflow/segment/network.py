"""A model folder: plans.json, dataset.json, metadata.json and fold_<k>/weights.safetensors for each fold."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import nn

from dixonflow.errors import ModelError
from dixonflow.models.nnunet_files import read_json
from dixonflow.segment.architecture import Architecture, read_architecture, set_weights
from dixonflow.system.regular_file import open_regular

FoldName = Annotated[str, StringConstraints(pattern=r"^([0-9]+|all)$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
MirrorAxes = Annotated[tuple[Annotated[int, Field(ge=0, le=2)], ...], Field(min_length=1, max_length=3)]


class ModelMetadata(BaseModel):
    """Content of metadata.json: what a checkpoint says beyond its tensors.

    Attributes
    ----------
    trainer_name, configuration
        As trained with nnU-Net.
    inference_allowed_mirroring_axes
        Axes (of the network) along which the training mirrored; none where it did not.
    weights_sha256
        SHA-256 of fold_<k>/weights.safetensors, for each k.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trainer_name: str
    configuration: str
    inference_allowed_mirroring_axes: MirrorAxes | None
    weights_sha256: dict[FoldName, Sha256] = Field(min_length=1)


@dataclass(frozen=True)
class LoadedModel:
    """Networks in memory, one for each fold, on the CPU in float32, ready for inference.

    Attributes
    ----------
    folder
        Where they came from.
    architecture
        Plans, channels and classes.
    metadata
        Content of metadata.json.
    folds
        Names of the loaded folds.
    networks
        In the order of `folds`.
    """

    folder: Path
    architecture: Architecture
    metadata: ModelMetadata
    folds: tuple[str, ...]
    networks: tuple[nn.Module, ...]


def weights_path(folder: Path, fold: str) -> Path:
    """Where a model folder keeps the weights of a fold."""
    return folder / f"fold_{fold}" / "weights.safetensors"


def read_metadata(folder: Path) -> ModelMetadata:
    """Read and check metadata.json.

    Raises
    ------
    ModelError
        If it is missing or an entry is missing, unknown or wrong.
    """
    path = folder / "metadata.json"
    try:
        return ModelMetadata.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(f"{path}: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def load_model_folder(folder: Path, folds: Sequence[str] | None = None) -> LoadedModel:
    """Read a model folder and build its networks.

    The weights are compared with their recorded SHA-256 before they are opened; nothing in them is run.

    Parameters
    ----------
    folder
        The model folder.
    folds
        Which folds to load; all that metadata.json names where not given.

    Raises
    ------
    ModelError
        Naming the file and what is missing, changed or not supported.
    """
    if not folder.is_dir():
        raise ModelError(f"model folder {folder} does not exist")
    metadata = read_metadata(folder)
    chosen = tuple(sorted(metadata.weights_sha256, key=_fold_order)) if folds is None else tuple(folds)
    if not chosen or len(set(chosen)) != len(chosen):
        raise ModelError("folds must name at least one fold, each once")
    missing = [fold for fold in chosen if fold not in metadata.weights_sha256]
    if missing:
        raise ModelError(f"{folder} has no fold {missing[0]!r}, only {', '.join(metadata.weights_sha256)}")
    architecture = read_architecture(
        read_json(folder / "plans.json"), read_json(folder / "dataset.json"), metadata.configuration
    )
    networks = tuple(_load_fold(architecture, folder, fold, metadata.weights_sha256[fold]) for fold in chosen)
    return LoadedModel(folder, architecture, metadata, chosen, networks)


def _fold_order(fold: str) -> tuple[bool, int, str]:
    # Scores of folds are summed in this order, so it must not depend on how a file happens to list them.
    return fold == "all", len(fold), fold


def _load_fold(architecture: Architecture, folder: Path, fold: str, sha256: str) -> nn.Module:
    path = weights_path(folder, fold)
    try:
        with open_regular(path) as file:
            content = file.read()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModelError(f"{path} has SHA-256 {found}, metadata.json says {sha256}: damaged or replaced")
    try:
        tensors = load_tensors(content)
    except SafetensorError as error:
        raise ModelError(f"{path} is not a safetensors file: {error}") from error
    network = architecture.build()
    set_weights(network, tensors, str(path))
    return network
