"""A network of torch as one of OpenVINO, for patches of one size on the CPU."""

import ctypes
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from dixonflow.segment.architecture import Architecture

_MANY_VOXELS = 20_000
"""From so many voxels on, sums of one channel are taken in two steps."""

_POOL = 8
"""Longest edge of the blocks whose means are taken first."""


class OpenVinoNetwork:
    """A network, compiled for the patches of its plans. For one thread at a time.

    Memory: its weights once more while it is made; then the layers' values of one patch, as torch.

    Parameters
    ----------
    network
        On the CPU, in float32 and evaluation mode; it is not needed afterwards.
    architecture
        Its plans.
    threads
        Of OpenVINO in this process. They are not bound to processors: several jobs may share a machine.

    Raises
    ------
    RuntimeError
        If OpenVINO cannot run the network.
    """

    def __init__(self, network: nn.Module, architecture: Architecture, threads: int) -> None:
        from openvino import PartialShape, convert_model  # noqa: PLC0415

        self._scores_shape = (1, architecture.classes, *architecture.patch_size)
        shape = (1, architecture.channels, *architecture.patch_size)
        with warnings.catch_warnings(), torch.inference_mode(), _in_two_steps(network):
            warnings.simplefilter("ignore")  # torch calls its traces outdated, OpenVINO reads no other form as fast
            traced = torch.jit.trace(network, torch.zeros(shape), check_trace=False)  # type: ignore[no-untyped-call]
            model = convert_model(traced, input=[PartialShape(shape)])
        properties = {
            "INFERENCE_PRECISION_HINT": "f32",  # else half precision where the processor has it
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        self._request = _core().compile_model(model, "CPU", properties).create_infer_request()
        del traced, model
        _return_free_memory()

    def __call__(self, tile: torch.Tensor) -> torch.Tensor:
        """Scores (1, class, a, b, c) of a patch (1, channel, a, b, c), in memory of their own."""
        from openvino import Tensor  # noqa: PLC0415

        scores = torch.empty(self._scores_shape)
        self._request.set_input_tensor(Tensor(tile.contiguous().numpy(), shared_memory=True))
        self._request.set_output_tensor(Tensor(scores.numpy(), shared_memory=True))
        self._request.infer()
        return scores


def _core() -> Any:
    """OpenVINO itself. It takes a second and starts threads: not before a network is run.

    Raises
    ------
    RuntimeError
        If the process was forked from one that has used it: its threads are not there, and it would wait for them.
    """
    core, process = _made_core()
    if process != os.getpid():
        raise RuntimeError("OpenVINO was used before this process was forked")
    return core


@cache
def _made_core() -> tuple[Any, int]:
    from openvino import Core  # noqa: PLC0415

    return Core(), os.getpid()


def _return_free_memory() -> None:
    """Give memory of the trace back to the system, of which the C library keeps as much as the largest layers took."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library
        if trim is not None:
            trim(0)


class _TwoStepNorm(nn.Module):
    """Instance normalisation by means of blocks, then of the block means.

    OpenVINO's own sums up the voxels of a channel one after the other, in single precision: scores are a hundred times
    less exact than torch's, and one label in 100,000 is another one. This is as exact as torch, and faster.
    """

    def __init__(self, norm: nn.InstanceNorm3d) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Normalise (1, channel, a, b, c) of one size, which the trace is made of."""
        if values[0, 0].numel() < _MANY_VOXELS:
            normalised: torch.Tensor = self.norm(values)
            return normalised
        weight, bias = (each.reshape(1, -1, 1, 1, 1) for each in (self.norm.weight, self.norm.bias))
        centred = values - _mean(values)
        return centred * ((_mean(centred * centred) + self.norm.eps).rsqrt() * weight) + bias


def _mean(values: torch.Tensor) -> torch.Tensor:
    """Mean of each channel (1, channel, 1, 1, 1)."""
    block = [max(edge for edge in range(1, _POOL + 1) if size % edge == 0) for size in values.shape[2:]]
    return functional.avg_pool3d(values, block).mean((2, 3, 4), keepdim=True)


@contextmanager
def _in_two_steps(network: nn.Module) -> Iterator[None]:
    """Have a network normalise large channels so, as long as the context lasts."""
    replaced = []
    for parent in list(network.modules()):
        for name, norm in parent.named_children():
            if type(norm) is nn.InstanceNorm3d and norm.affine and not norm.track_running_stats:
                replaced.append((parent, name, norm))
    for parent, name, norm in replaced:
        setattr(parent, name, _TwoStepNorm(norm))
    try:
        yield
    finally:
        for parent, name, norm in replaced:
            setattr(parent, name, norm)
