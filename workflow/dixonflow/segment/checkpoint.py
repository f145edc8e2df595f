"""Import of a trained nnU-Net checkpoint as a model folder. The only place where anything is unpickled, once."""

import hashlib
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from pydantic import ValidationError
from safetensors.torch import save as save_tensors

from dixonflow.atomic import write_bytes, write_json
from dixonflow.errors import ModelError
from dixonflow.imported import read_json
from dixonflow.segment.architecture import one_tensor_per_parameter, read_architecture
from dixonflow.segment.network import ModelMetadata, read_metadata, weights_path

# nnU-Net's trainer keeps its best score and its log as numpy scalars. numpy 2 renamed the module that older
# checkpoints name.
_ALLOWED: list[Any] = [
    multiarray.scalar,
    (multiarray.scalar, "numpy.core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(name)) for name in ("float16", "float32", "float64", "int32", "int64", "bool")),
]


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
    content = _unpickle(checkpoint)
    try:
        arguments, trainer = content["init_args"], content["trainer_name"]
        configuration, weights = arguments["configuration"], content["network_weights"]
        fold = str(arguments["fold"]) if fold is None else fold
        axes = content.get("inference_allowed_mirroring_axes")
    except (KeyError, TypeError) as error:
        raise ModelError(f"{checkpoint} is no nnU-Net checkpoint: no entry {error}") from error
    architecture = read_architecture(read_json(plans), read_json(dataset), configuration)
    tensors = one_tensor_per_parameter(architecture.build(), weights, str(checkpoint))
    if half_precision:
        tensors = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            raise ModelError(f"{checkpoint}: a weight is too large for float16")
    data = save_tensors({name: tensor.contiguous() for name, tensor in tensors.items()})
    try:
        metadata = ModelMetadata(
            trainer_name=trainer,
            configuration=configuration,
            inference_allowed_mirroring_axes=axes or None,
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


def _unpickle(checkpoint: Path) -> dict[str, Any]:
    try:
        with torch.serialization.safe_globals(_ALLOWED):
            content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Of torch's message only the name: the rest advises to switch the protection off.
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"the Python object {named[1]}" if named else "something else than tensors and plain values"
        raise ModelError(f"{checkpoint} holds {what}, which is not allowed in a checkpoint") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelError(f"{checkpoint} cannot be read as a checkpoint: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{checkpoint} is no nnU-Net checkpoint")
    return content


def _join_folds(target: Path, metadata: ModelMetadata, sources: tuple[Path, Path]) -> ModelMetadata:
    earlier = read_metadata(target)
    same = {"trainer_name", "configuration", "inference_allowed_mirroring_axes"}
    if earlier.model_dump(include=same) != metadata.model_dump(include=same):
        raise ModelError(f"{target} holds folds of another training (trainer, configuration or mirroring differ)")
    for name, source in zip(("plans.json", "dataset.json"), sources, strict=True):
        if read_json(target / name) != read_json(source):
            raise ModelError(f"{target / name} and {source} differ: folds of one model share them")
    return metadata.model_copy(update={"weights_sha256": earlier.weights_sha256 | metadata.weights_sha256})
