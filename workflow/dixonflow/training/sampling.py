"""Patches for training, and sliding-window prediction along the body for validation."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dixonflow.training.cases import Case, load_case
from dixonflow.training.loss import Target

BALANCED_SHARE = 0.75
"""Share of patches centred on a slice of a randomly chosen structure; the rest lie anywhere along the body."""


class CasePool:
    """Cases of a folder in memory; cases that appear during training are picked up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cases: dict[str, Case] = {}

    def refresh(self) -> int:
        """Load new cases and give their total number."""
        for path in sorted(self.folder.glob("[0-9]*.npz")):
            if path.name not in self.cases:
                self.cases[path.name] = load_case(path)
        return len(self.cases)

    def draw(self, rng: np.random.Generator, patch_zyx: tuple[int, int, int]) -> tuple[Tensor, Target]:
        """One patch, float32 (1, 1, z, y, x), and what it should become."""
        names = list(self.cases)
        case = self.cases[names[rng.integers(len(names))]]
        contrast = rng.integers(len(case.images))
        depth = case.share.shape[0]
        if rng.random() < BALANCED_SHARE:
            choices = list(case.slices)
            centre = int(rng.choice(case.slices[choices[rng.integers(len(choices))]])) + int(rng.integers(-8, 9))
        else:
            centre = int(rng.integers(depth))
        start = int(np.clip(centre - patch_zyx[0] // 2, 0, max(depth - patch_zyx[0], 0)))
        end = start + patch_zyx[0]
        image = case.images[contrast][start:end]
        offsets = [
            int(rng.integers(min(0, p - n), max(0, p - n) + 1)) for p, n in zip(patch_zyx, image.shape, strict=True)
        ]
        image = _change_intensity(rng, place(image.astype(np.float32), patch_zyx, offsets))
        first, second, share = (
            torch.from_numpy(place(volume[start:end], patch_zyx, offsets)) for volume in (*case.classes, case.share)
        )
        return torch.from_numpy(image)[None, None], Target(first.long(), second.long(), share / 255)


def place(volume: NDArray[Any], shape: tuple[int, ...], offsets: list[int]) -> NDArray[Any]:
    """Shift a volume by `offsets` into an array of another shape, cut or padded with 0."""
    result = np.zeros(shape, volume.dtype)
    source, target = [], []
    for n, p, o in zip(volume.shape, shape, offsets, strict=True):
        source.append(slice(max(0, -o), min(n, p - o)))
        target.append(slice(max(0, o), min(p, n + o)))
    result[tuple(target)] = volume[tuple(source)]
    return result


def _change_intensity(rng: np.random.Generator, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Change scale, level, gamma, shading and noise: an outline lies where two tissues meet, however bright they are.

    A whole-body image is normalised by its own mean and deviation, which hang on how lean the body is.
    """
    image = image * np.float32(rng.uniform(0.8, 1.25)) + np.float32(rng.uniform(-0.15, 0.15))
    if rng.random() < 0.3:
        low, high = image.min(), image.max()
        image = ((image - low) / (high - low)) ** np.float32(rng.uniform(0.8, 1.25)) * (high - low) + low
    if rng.random() < 0.3:
        level = image.min()
        waves = [
            np.cos(2 * np.pi * (rng.uniform(0.2, 1.2) * np.linspace(0, 1, n) + rng.uniform())) for n in image.shape
        ]
        field = 1 + rng.uniform(0.05, 0.2) * waves[0][:, None, None] * waves[1][:, None] * waves[2]
        image = (image - level) * field.astype(np.float32) + level
    if rng.random() < 0.3:
        image = image + np.float32(rng.uniform(0, 0.06)) * rng.standard_normal(image.shape, np.float32)
    return image


def predict_classes(
    network: nn.Module, image: NDArray[np.float16], patch_zyx: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Classes of one case by windows along z with half overlap and a Gaussian weight, as nnU-Net predicts; (z, y,
    x).
    """
    depth = max(image.shape[0], patch_zyx[0])
    padded_shape = (depth, max(image.shape[1], patch_zyx[1]), max(image.shape[2], patch_zyx[2]))
    offsets = [(p - n) // 2 for p, n in zip(padded_shape, image.shape, strict=True)]
    padded = torch.from_numpy(place(image.astype(np.float32), padded_shape, offsets))
    steps = int(np.ceil((depth - patch_zyx[0]) / (patch_zyx[0] / 2))) + 1
    starts = np.rint(np.linspace(0, depth - patch_zyx[0], steps)).astype(int)
    weight = torch.exp(-0.5 * ((torch.arange(patch_zyx[0]) - (patch_zyx[0] - 1) / 2) / (patch_zyx[0] / 8)) ** 2).clamp(
        min=1e-3
    )
    total: Tensor | None = None
    with torch.inference_mode():
        for start in starts:
            logits = network(padded[None, None, start : start + patch_zyx[0], : patch_zyx[1], : patch_zyx[2]])[0]
            if total is None:
                total = torch.zeros((logits.shape[0], depth, patch_zyx[1], patch_zyx[2]))
            total[:, start : start + patch_zyx[0]] += logits * weight[:, None, None]
    if total is None:
        raise ValueError("an empty image cannot be predicted")
    classes = total.argmax(dim=0).numpy().astype(np.uint8)
    return place(classes, image.shape, [-o for o in offsets])
