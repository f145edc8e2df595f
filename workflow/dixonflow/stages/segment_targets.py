"""A scan on its way through the segment stage, and the label maps that are made of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Affine
from dixonflow.segment import ImageScores
from dixonflow.segment.preprocess import PreprocessedImage
from dixonflow.segment.rough import Found
from dixonflow.vocabulary import ScanId


@dataclass(frozen=True)
class Target:
    """A label map to be made, or the part of it that a station shows.

    Attributes
    ----------
    path
        Its file.
    prepared
        What goes into each network for it.
    image_affine, shape, affine
        Of the image as the networks take it, and the grid of the image that its labels come back to.
    station
        Number of the station, from 1; None for the stitched image.
    reached
        Voxels of the station that hold data; None for all.
    """

    path: Path
    prepared: Sequence[Sequence[PreprocessedImage]]
    image_affine: Affine
    shape: tuple[int, ...]
    affine: Affine
    station: int | None = None
    reached: NDArray[np.uint8] | None = None

    @property
    def name(self) -> str:
        """How the sidecar of the label map calls it."""
        return self.path.name if self.station is None else f"{self.path.name} station {self.station}"


@dataclass(frozen=True)
class ScanInWork:
    """A scan on its way through the stage, with what each network gave for each target.

    `swapped` are the voxels that a network says are swapped, where one looks for them. Where it is cropped, `part` is
    the one that targets are of, None if there is nothing to segment. Where it is cropped or its stations are
    segmented, `shape` and `affine` are those of the stitched image. `of_helpers` says why the rough model or the
    network that looks for swaps was run again by torch on the CPU.
    """

    scan: ScanId
    targets: Sequence[Target]
    inferred: Sequence[Sequence[ImageScores]] = ()
    gpu_seconds: float = 0.0
    of_helpers: tuple[str, ...] = ()
    swapped: NDArray[np.bool_] | None = None
    part: Found | None = None
    shape: tuple[int, ...] = ()
    affine: Affine = field(default_factory=lambda: np.eye(4))
