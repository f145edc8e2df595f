"""The device that networks run on: which one it is, and what its errors mean.

On a node with several GPUs, CUDA_VISIBLE_DEVICES says which of them a job may use: Slurm sets it, nothing here changes
it. CUDA numbers the GPUs that it names from 0, and a job takes the first of them.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from dixonflow.errors import ConfigError

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"


def ran_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether torch raised this because memory ran out: it has one error for CUDA and texts for all else."""
    texts = ("out of memory", "ALLOC_FAILED", "can't allocate memory")  # MPS and CUDA's libraries, cuDNN, the CPU
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in texts)


def choose_device(name: str) -> torch.device:
    """Find the device that a configuration names, and log it.

    Raises
    ------
    ConfigError
        If this process does not have it.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kind = next(kind for kind, there in available.items() if there)
    try:
        device = torch.device(kind if name == "auto" else name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r} is unknown: use auto, cuda, mps or cpu") from error
    visible = os.environ.get(VISIBLE)
    limited = "" if visible is None else f" ({VISIBLE}={visible})"
    if not available.get(device.type, False):
        raise ConfigError(f"device {name!r} is not available here{limited}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device {name!r}: GPUs here are numbered from 0 to {torch.cuda.device_count() - 1}{limited}")
    if name == "auto" and device.type != "cuda" and _names_gpu(visible):
        log.warning("%s=%s names a GPU, but torch finds none: networks run on %s", VISIBLE, visible, device)
    _say(f"networks run on {device}{limited}")
    return device


@cache
def _say(message: str) -> None:
    """Log something once in a process."""
    log.info(message)


def _names_gpu(visible: str | None) -> bool:
    """Whether a value of CUDA_VISIBLE_DEVICES leaves a GPU: CUDA stops reading it at the first -1."""
    return not (visible or "-1").strip().startswith(("-1", "NoDevFiles"))


@contextmanager
def loading_networks(device: torch.device) -> Iterator[None]:
    """Have networks that do not fit on the device end in one line: other programs may use it too.

    Raises
    ------
    ConfigError
        If memory ran out.
    """
    try:
        yield
    except RuntimeError as error:
        if not ran_out_of_memory(error):
            raise
        raise ConfigError(f"no memory is left for the networks on {device}: {str(error).splitlines()[0]}") from error


def device_works(device: torch.device) -> bool:
    """Tell whether the device still computes. An error that stays with a CUDA context makes every later call fail."""
    if device.type == "cpu":
        return True
    try:
        return float(torch.ones(2, device=device).sum()) == 2
    except RuntimeError as error:
        return ran_out_of_memory(error)
