"""How a scan is stitched, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Affine
from dixonflow.stitch.grid import station_axes
from dixonflow.stitch.matching import Pair
from dixonflow.stitch.station_checks import StationStatistics
from dixonflow.stitch.swaps import Swap
from dixonflow.stitch.weights import Placement
from dixonflow.vocabulary import Contrast


@dataclass(frozen=True)
class StitchOptions:
    """Choices of the stitch stage.

    Attributes
    ----------
    drop_end_slices
        Folded slices dropped at each station end that lies inside another station (at most a quarter of the overlap).
    match_intensities
        Whether stations are made equally bright by one factor each.
    repair_swaps
        Whether stations, or halves of them, that clearly have water and fat swapped are swapped back; else their scan
        is excluded.
    swap_limit
        A scan is excluded where, as stitched, water and fat of a half in an overlap agree less than minus this, 0 to 1.
    check_contrasts
        Whether a scan is excluded in which in phase is not water + fat.
    max_voxels
        Largest acceptable stitched matrix; more means that a position or spacing is wrong.
    """

    drop_end_slices: int = 2
    match_intensities: bool = True
    repair_swaps: bool = True
    swap_limit: float = 0.3
    check_contrasts: bool = True
    max_voxels: int = 2**27


@dataclass(frozen=True)
class StationReport:
    """What was done with one station.

    Attributes
    ----------
    index
        0 nearest to the head.
    low_mm, high_mm
        Corners of its outer box (voxel edges, not centres), RAS mm (x, y, z).
    intensity_factor
        Its values were multiplied by this, in all contrasts.
    dropped_feet_end, dropped_head_end
        Slices not used at either end.
    """

    index: int
    low_mm: tuple[float, float, float]
    high_mm: tuple[float, float, float]
    intensity_factor: float
    dropped_feet_end: int
    dropped_head_end: int


@dataclass(frozen=True)
class StitchReport:
    """How a scan was stitched.

    Attributes
    ----------
    stations
        From head to feet.
    pairs
        Every two stations that overlap.
    intensity_scale
        Power of two that all images were multiplied by to fit int16; 1 in nearly all scans.
    swaps
        What was swapped back.
    swap_margin
        How clear it is that what is swapped now is right (`SwapFinding.margin`); None where nothing was to be seen.
    in_phase_ratios
        Median ratio of in phase to water + fat of each station, from head to feet; None where there is too little
        signal, or where that is not checked.
    deviating_slices
        First and last slice of each station, from 0, in which in phase deviates from water + fat; None for none.
    statistics
        Grey levels and slices of each station, from head to feet; None where it has no signal.
    outlier_voxels
        Voxels, in all images, that were brought down to the brightest of the others.
    """

    stations: tuple[StationReport, ...]
    pairs: tuple[Pair, ...]
    intensity_scale: float
    swaps: tuple[Swap, ...] = ()
    swap_margin: float | None = None
    in_phase_ratios: tuple[float | None, ...] = ()
    deviating_slices: tuple[tuple[int, int] | None, ...] = ()
    statistics: tuple[StationStatistics | None, ...] = ()
    outlier_voxels: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class StitchedImages:
    """A stitched scan.

    Attributes
    ----------
    images
        One int16 image of shape (x, y, z), RAS+, per contrast; 0 where no station reaches. Contiguous in x (Fortran
        order), as NIfTI stores it.
    affine
        4x4, voxel index (centre) to RAS mm.
    report
        How it was made.
    """

    images: dict[Contrast, NDArray[np.int16]]
    affine: Affine
    report: StitchReport


def report_of(
    placements: Sequence[Placement],
    pairs: Sequence[Pair],
    factors: Mapping[int, float],
    scale: float,
) -> StitchReport:
    """Put together what was done with each station."""
    reports = []
    for placement in placements:
        x, y, z = station_axes(placement.station)
        reports.append(
            StationReport(
                index=placement.station.index,
                low_mm=(x.low_mm, y.low_mm, z.low_mm),
                high_mm=(x.high_mm, y.high_mm, z.high_mm),
                intensity_factor=factors[placement.station.index],
                dropped_feet_end=placement.dropped[0],
                dropped_head_end=placement.dropped[1],
            )
        )
    return StitchReport(tuple(reports), tuple(pairs), scale)
