"""What nnU-Net's own predictor gives for an image: the reference of the tests of segmentation."""

from typing import Any

import numpy as np
import torch
from tiny_model import TinyModel

Image = np.ndarray[Any, np.dtype[np.float32]]


def body(shape: tuple[int, int, int], seed: int = 0, border: int = 2) -> Image:
    """A smooth asymmetric image with noise, zero in a border of unequal width."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    image = 400 + 200 * np.sin(7 * x + 3 * y) + 150 * np.cos(9 * z + 2 * x * x) + rng.normal(0, 60, shape)
    image[:border] = image[:, : border + 1] = image[:, :, -border - 1 :] = 0
    return image.astype(np.float32)


def nnunet_predictor(model: TinyModel, tile_step: float = 0.5, mirroring: bool = False) -> Any:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        tile_step_size=tile_step, use_mirroring=mirroring, device=torch.device("cpu"), allow_tqdm=False
    )
    architecture = model.architecture
    predictor.manual_initialization(
        architecture.build(),
        architecture.plans,
        architecture.configuration,
        model.weights,
        model.dataset,
        "nnUNetTrainer",
        model.axes,
    )
    return predictor


def nnunet_labels(
    model: TinyModel, image: Image, spacing: tuple[float, float, float], tile_step: float = 0.5, mirroring: bool = False
) -> np.ndarray[Any, Any]:
    """What nnU-Net's predictor gives for the same image, brought to (x, y, z)."""
    channels = image[None] if image.ndim == 3 else image
    zyx = np.ascontiguousarray(channels.transpose(0, 3, 2, 1))
    predictor = nnunet_predictor(model, tile_step, mirroring)
    labels = predictor.predict_single_npy_array(zyx, {"spacing": list(spacing[::-1])})
    return labels.transpose(2, 1, 0)
