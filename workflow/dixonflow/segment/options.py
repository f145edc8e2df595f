"""How a model is run."""

import re
from dataclasses import dataclass
from typing import get_args

from dixonflow.errors import ConfigError
from dixonflow.vocabulary import Backend, Interpolate


@dataclass(frozen=True)
class SegmentOptions:
    """How a model is run.

    Attributes
    ----------
    tile_step
        Largest step between patches as a part of the patch. Above nnU-Net's default of 0.5: faster, less accurate.
    folds
        Names of the folds whose scores are averaged; all of the model where not given.
    mirroring
        Also average over mirror images, where the model was trained with mirroring; up to 8 times slower.
    interpolate
        See `Interpolate`. `nearest` is faster and gives coarser outlines.
    orientation
        What the model was trained on; images are RAS+ and are reversed to it, labels come back.
    image_weights
        How much each image counts where several are averaged, in their order; all the same where none are given.
    device
        `cuda`, `cuda:1`, `mps`, `cpu`, or `auto`: the first of cuda, mps and cpu that there is.
    backend
        What computes the networks. Others than torch need the CPU, and take it where the device is `auto`.
    threads
        Threads of torch in this process.
    """

    tile_step: float = 0.5
    folds: tuple[str, ...] | None = None
    mirroring: bool = False
    interpolate: Interpolate = "scores"
    orientation: str = "RAS"
    image_weights: tuple[float, ...] = ()
    device: str = "auto"
    backend: Backend = "torch"
    threads: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.tile_step <= 1:
            raise ConfigError(f"tile_step must be above 0 and at most 1, not {self.tile_step}")
        if self.threads < 1:
            raise ConfigError(f"threads must be at least 1, not {self.threads}")
        if self.interpolate not in get_args(Interpolate):
            raise ConfigError(
                f"interpolate must be one of {', '.join(get_args(Interpolate))}, not {self.interpolate!r}"
            )
        if not re.fullmatch("[RL][AP][SI]", self.orientation):
            raise ConfigError(f"orientation must be like RAS or LPS, not {self.orientation!r}")
        if self.backend != "torch" and self.device not in {"auto", "cpu"}:
            raise ConfigError(f"backend {self.backend} runs on the CPU, not on device {self.device}")
