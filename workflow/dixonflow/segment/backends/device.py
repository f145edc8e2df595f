"""The device that networks run on: which one it is, and what its errors mean."""

import torch

from dixonflow.errors import ConfigError


def ran_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether torch raised this because memory ran out: it has one error for CUDA and texts for all else."""
    texts = ("out of memory", "ALLOC_FAILED", "can't allocate memory")  # MPS and CUDA's libraries, cuDNN, the CPU
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in texts)


def choose_device(name: str) -> torch.device:
    """Find the device that a configuration names.

    Raises
    ------
    ConfigError
        If this machine does not have it.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r} is unknown: use auto, cuda, mps or cpu") from error
    if not available.get(device.type, False):
        raise ConfigError(f"device {name!r} is not available on this machine")
    return device


def device_works(device: torch.device) -> bool:
    """Tell whether the device still computes. An error that stays with a CUDA context makes every later call fail."""
    if device.type == "cpu":
        return True
    try:
        return float(torch.ones(2, device=device).sum()) == 2
    except RuntimeError as error:
        return ran_out_of_memory(error)
