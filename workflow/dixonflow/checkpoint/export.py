"""Import of a trained nnU-Net checkpoint as a model folder: its tensors and a few plain values."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors.torch import save as save_tensors

from dixonflow.checkpoint.torch_archive import StoredTensor, TorchArchive
from dixonflow.errors import ModelError
from dixonflow.models.nnunet_files import read_json
from dixonflow.segment.architecture import Architecture, one_tensor_per_parameter, read_architecture
from dixonflow.segment.network import ModelMetadata, read_metadata, weights_path
from dixonflow.system.atomic import write_bytes, write_json
from dixonflow.system.documents import one_line


def export_checkpoint(
    checkpoint: Path,
    plans: Path,
    dataset: Path,
    target: Path,
    *,
    fold: str | None = None,
    half_precision: bool = False,
) -> Path:
    """Add a checkpoint of nnU-Net's trainer as one fold to a model folder.

    Optimizer state and logs are left out, and each parameter is kept
    once, whatever number of names the network has for it. Files appear atomically, metadata.json last: a folder
    without it, or whose metadata.json lacks the fold, is not finished.

    Parameters
    ----------
    checkpoint
        `checkpoint_final.pth` of nnU-Net.
    plans, dataset
        `plans.json` and `dataset.json` of the same training; copied as they are.
    target
        The model folder, new, or with other folds of the same training.
    fold
        Name of the fold; the one that the checkpoint says where none is given. nnU-Net's inference goes by the folder.
    half_precision
        Store float16, half the size; the network computes with the rounded weights.

    Returns
    -------
    Path
        The file of weights that was written.

    Raises
    ------
    ModelError
        If the checkpoint holds other than tensors and plain values, does not fit the plans, is of another training
        than the folder's other folds, or (half precision) a weight does not fit in float16.
    """
    trained = _read(checkpoint)
    fold = trained.fold if fold is None else fold
    architecture = read_architecture(read_json(plans), read_json(dataset), trained.configuration)
    tensors = _match(architecture, trained.weights, checkpoint)
    if half_precision:
        tensors = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            raise ModelError(f"{checkpoint}: a weight is too large for float16")
    data = save_tensors({name: tensor.contiguous() for name, tensor in tensors.items()})
    try:
        metadata = ModelMetadata(
            trainer_name=trained.trainer,
            configuration=trained.configuration,
            inference_allowed_mirroring_axes=trained.axes or None,
            weights_sha256={fold: hashlib.sha256(data).hexdigest()},
        )
    except ValidationError as error:
        raise ModelError(f"{checkpoint}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from error
    if (target / "metadata.json").exists():
        metadata = _join_folds(target, metadata, (plans, dataset))
    for name, source in (("plans.json", plans), ("dataset.json", dataset)):
        write_bytes(target / name, source.read_bytes())
    write_bytes(weights_path(target, fold), data)
    write_json(target / "metadata.json", metadata.model_dump(mode="json"))
    return weights_path(target, fold)


@dataclass(frozen=True)
class _Trained:
    """What is taken from a checkpoint."""

    trainer: str
    configuration: str
    fold: str
    axes: Any
    weights: dict[str, torch.Tensor]


def _read(checkpoint: Path) -> _Trained:
    try:
        with TorchArchive(checkpoint) as archive:
            return _trained(archive, checkpoint)
    except OSError as error:
        raise ModelError(f"{checkpoint} cannot be read as a checkpoint: {error.strerror or error}") from error


def _trained(archive: TorchArchive, checkpoint: Path) -> _Trained:
    content = archive.values()
    try:
        arguments = content["init_args"]
        trainer, configuration, fold = content["trainer_name"], arguments["configuration"], arguments["fold"]
        weights, axes = content["network_weights"], content.get("inference_allowed_mirroring_axes")
    except (LookupError, TypeError, AttributeError) as error:
        entry = f": no entry {error}" if isinstance(error, KeyError) else ""
        raise ModelError(f"{checkpoint} is not an nnU-Net checkpoint{entry}") from error
    names = isinstance(trainer, str) and isinstance(configuration, str) and isinstance(fold, str | int)
    if not names or not re.fullmatch("[0-9]{1,9}|all", str(fold)):
        raise ModelError(f"{checkpoint} is not an nnU-Net checkpoint: trainer, configuration and fold must be names")
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(item, StoredTensor) for name, item in weights.items()
    ):
        raise ModelError(f"{checkpoint} is not an nnU-Net checkpoint: network_weights must hold only tensors")
    tensors = {name: archive.tensor(item) for name, item in weights.items()}
    return _Trained(trainer, configuration, str(fold), axes, tensors)


def _match(architecture: Architecture, weights: dict[str, torch.Tensor], checkpoint: Path) -> dict[str, torch.Tensor]:
    try:
        # plans can ask for any size: a network without memory has the shapes to compare with
        with torch.device("meta"):
            network = architecture.build()
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError) as error:
        raise ModelError(f"plans.json does not describe a valid network: {one_line(error)}") from error
    return one_tensor_per_parameter(network, weights, str(checkpoint))


def _join_folds(target: Path, metadata: ModelMetadata, sources: tuple[Path, Path]) -> ModelMetadata:
    earlier = read_metadata(target)
    same = {"trainer_name", "configuration", "inference_allowed_mirroring_axes"}
    if earlier.model_dump(include=same) != metadata.model_dump(include=same):
        raise ModelError(f"{target} holds folds of another training (trainer, configuration or mirroring differ)")
    for name, source in zip(("plans.json", "dataset.json"), sources, strict=True):
        if read_json(target / name) != read_json(source):
            raise ModelError(f"{target / name} and {source} differ: folds of one model share them")
    return metadata.model_copy(update={"weights_sha256": earlier.weights_sha256 | metadata.weights_sha256})
