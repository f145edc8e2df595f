"""Exact work-around for slow 3-D convolutions of single images in torch on CPUs."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

_ONEDNN_MINIMUM = 20480
"""torch hands a convolution of a batch of one to oneDNN only if channels x depth x height exceed this (use_mkldnn in
aten/src/ATen/native/Convolution.cpp); below, it copies the image 27 times and multiplies matrices."""


def use_fast_convolutions(network: nn.Module) -> None:
    """Run 3x3x3 convolutions of stride 1 as a batch of two, the halves along z, where that is faster.

    Results are equal up to rounding. Parameters keep their names.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d) and module.kernel_size == (3, 3, 3) and module.stride == (1, 1, 1):
            module.forward = partial(_in_halves, module)  # type: ignore[method-assign]


def _in_halves(convolution: nn.Conv3d, image: Tensor) -> Tensor:
    depth = image.shape[2]
    if image.shape[0] > 1 or depth % 2 or image.shape[1] * depth * image.shape[3] > _ONEDNN_MINIMUM:
        return functional.conv3d(image, convolution.weight, convolution.bias, 1, 1)
    padded = functional.pad(image, (0, 0, 0, 0, 1, 1))
    halves = torch.cat([padded[:, :, : depth // 2 + 2], padded[:, :, depth // 2 :]])
    result = functional.conv3d(halves, convolution.weight, convolution.bias, 1, (0, 1, 1))
    return torch.cat([result[:1], result[1:]], dim=2)
