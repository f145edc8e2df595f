"""Dice plus cross-entropy as nnU-Net trains with, and the error of the volumes, without one-hot volumes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

SMOOTH = 1.0
"""Added to both sides of the Dice ratio, voxels."""

VOLUME_WEIGHT = 0.2
"""Weight of the error of the volumes, in addition to a cross-entropy of weight 1."""
VOLUME_SMOOTH = 50.0
"""Added to the true volume that its error is divided by, voxels: a few voxels of a structure at the end of a patch do
not weigh like a whole one."""


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


def segmentation_loss(logits: Tensor, target: Target, dice_weight: float) -> Tensor:
    """Mean cross-entropy, minus the mean soft Dice and plus the mean error of the volumes over the classes that occur,
    each with its weight.

    The overlap of a probability p and a share t is min(p, t) and not p t, which for shares is largest at p = 1 or 0
    ("Dice Semimetric Losses", arXiv:2303.16296): p learns to be the share, and the outline between two voxels is known.

    A volume is here the sum of a class's probabilities. An outline that lies a tenth of a voxel too far out everywhere
    costs little voxel by voxel and is 5 % of a kidney; without this term such errors were left, of one sign in all
    scans of a participant and of either sign between participants.

    Parameters
    ----------
    logits
        float (1, classes, z, y, x).
    target
        Of the logits' z, y, x.
    dice_weight
        Of the Dice. It is what teaches small structures, and where voxels are doubtful it biases volumes (Bertels et
        al., Med. Image Anal. 2021, doi:10.1016/j.media.2020.101833).

    Returns
    -------
    Tensor
        Scalar. For voxels of one class, and without the error of the volumes, equal to nnU-Net's DC_and_CE_loss without
        background, its Dice restricted to the classes present and weighted alike; the sums over a class's voxels are
        scatter additions, so the only tensors of full class depth are the logits and their logarithmic softmax.
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
    error = (predicted - volume).abs() / (volume + VOLUME_SMOOTH)
    mean_error = (error * present).sum() / present.sum().clamp(min=1)
    return -(shares * true_log).sum(dim=0).mean() - dice_weight * mean_dice + VOLUME_WEIGHT * mean_error


def deeply_supervised(outputs: Sequence[Tensor], target: Target, dice_weight: float) -> Tensor:
    """Weighted mean of the loss at every resolution, halved with each, as nnU-Net's deep supervision.

    Parameters
    ----------
    outputs
        Logits (1, classes, z, y, x), the full resolution first, each further one half as fine.
    target
        At full resolution; coarser levels take every second voxel, where strided convolutions are centred.
    dice_weight
        As in `segmentation_loss`.
    """
    weights = [0.5**level for level in range(len(outputs))]
    losses = [
        weight * segmentation_loss(logits, target.every(2**level), dice_weight)
        for level, (weight, logits) in enumerate(zip(weights, outputs, strict=True))
    ]
    return torch.stack(losses).sum() / sum(weights)
