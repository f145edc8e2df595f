"""Dice plus cross-entropy as nnU-Net trains with, without one-hot volumes."""

from collections.abc import Sequence

import torch
from torch import Tensor

SMOOTH = 1.0
"""Added to both sides of the Dice ratio, voxels."""


def dice_and_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy minus mean soft Dice over the classes that occur.

    Parameters
    ----------
    logits
        float (1, classes, z, y, x).
    target
        int64 (z, y, x).

    Returns
    -------
    Tensor
        Scalar. Equal to nnU-Net's DC_and_CE_loss without background, its Dice restricted to the classes present; the
        sums over a class's voxels are scatter additions of the true class's probability, so the only tensors of full
        class depth are the logits and their logarithmic softmax.
    """
    classes = logits.shape[1]
    flat = target.reshape(-1)
    log_probability = torch.log_softmax(logits[0].reshape(classes, -1), dim=0)
    true_log = log_probability.gather(0, flat[None])[0]
    predicted = log_probability.exp().sum(dim=1)
    overlap = torch.zeros(classes, dtype=logits.dtype).index_add(0, flat, true_log.exp())
    volume = torch.bincount(flat, minlength=classes)
    dice = (2 * overlap + SMOOTH) / (predicted + volume + SMOOTH)
    present = (volume > 0) & (torch.arange(classes) > 0)
    return -true_log.mean() - (dice * present).sum() / present.sum().clamp(min=1)


def deeply_supervised(outputs: Sequence[Tensor], target: Tensor) -> Tensor:
    """Weighted mean of the loss at every resolution, halved with each, as nnU-Net's deep supervision.

    Parameters
    ----------
    outputs
        Logits (1, classes, z, y, x), the full resolution first, each further one half as fine.
    target
        int64 (z, y, x) at full resolution; coarser levels take every second voxel, where strided convolutions are
        centred.
    """
    weights = [0.5**level for level in range(len(outputs))]
    losses = [
        weight * dice_and_cross_entropy(logits, target[:: 2**level, :: 2**level, :: 2**level])
        for level, (weight, logits) in enumerate(zip(weights, outputs, strict=True))
    ]
    return torch.stack(losses).sum() / sum(weights)
