"""Dice plus cross-entropy as nnU-Net trains with, without one-hot volumes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

SMOOTH = 1.0
"""Added to both sides of the Dice ratio, voxels."""


class Target(NamedTuple):
    """What voxels should become: two classes and how they divide each voxel.

    Attributes
    ----------
    first, second
        int64 (z, y, x). Where they are equal the voxel is of that class alone.
    share
        float (z, y, x), of the first.
    """

    first: Tensor
    second: Tensor
    share: Tensor

    def every(self, step: int) -> "Target":
        """Every `step`-th voxel along each axis."""
        return Target(*(tensor[::step, ::step, ::step] for tensor in self))


def dice_and_cross_entropy(logits: Tensor, target: Target, dice_weight: float = 1.0) -> Tensor:
    """Mean cross-entropy minus the weighted mean soft Dice over the classes that occur.

    The overlap of a probability p and a share t is min(p, t) and not p t, which for shares is largest at p = 1 or 0
    ("Dice Semimetric Losses", arXiv:2303.16296): p learns to be the share, and the outline between two voxels is known.

    Parameters
    ----------
    logits
        float (1, classes, z, y, x).
    target
        Of the logits' z, y, x.
    dice_weight
        Of the Dice. It is what teaches small structures, and it takes doubtful voxels into a structure sooner than not:
        volumes come out too large (Bertels et al., Med. Image Anal. 2021, doi:10.1016/j.media.2020.101833).

    Returns
    -------
    Tensor
        Scalar. For voxels of one class equal to nnU-Net's DC_and_CE_loss without background, its Dice restricted to
        the classes present and weighted alike; the sums over a class's voxels are scatter additions, so the only
        tensors of full class depth are the logits and their logarithmic softmax.
    """
    classes = logits.shape[1]
    both = torch.stack([target.first.reshape(-1), target.second.reshape(-1)])
    share = target.share.reshape(-1)
    share = torch.where(both[0] == both[1], 1.0, share)
    shares = torch.stack([share, 1 - share])
    log_probability = torch.log_softmax(logits[0].reshape(classes, -1), dim=0)
    true_log = log_probability.gather(0, both)
    predicted = log_probability.exp().sum(dim=1)
    common = torch.minimum(true_log.exp(), shares)
    overlap = torch.zeros(classes, dtype=logits.dtype).index_add(0, both.reshape(-1), common.reshape(-1))
    volume = torch.zeros(classes, dtype=logits.dtype).index_add(0, both.reshape(-1), shares.reshape(-1))
    dice = (2 * overlap + SMOOTH) / (predicted + volume + SMOOTH)
    present = (volume > 0) & (torch.arange(classes) > 0)
    mean_dice = (dice * present).sum() / present.sum().clamp(min=1)
    return -(shares * true_log).sum(dim=0).mean() - dice_weight * mean_dice


def deeply_supervised(outputs: Sequence[Tensor], target: Target, dice_weight: float) -> Tensor:
    """Weighted mean of the loss at every resolution, halved with each, as nnU-Net's deep supervision.

    Parameters
    ----------
    outputs
        Logits (1, classes, z, y, x), the full resolution first, each further one half as fine.
    target
        At full resolution; coarser levels take every second voxel, where strided convolutions are centred.
    dice_weight
        As in `dice_and_cross_entropy`.
    """
    weights = [0.5**level for level in range(len(outputs))]
    losses = [
        weight * dice_and_cross_entropy(logits, target.every(2**level), dice_weight)
        for level, (weight, logits) in enumerate(zip(weights, outputs, strict=True))
    ]
    return torch.stack(losses).sum() / sum(weights)
