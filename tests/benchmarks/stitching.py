"""Stitching the four contrasts of a scan, and how far the result is from the truth."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.arrays import Arrays, Verdict, make_once, read_arrays, write_arrays
from benchmarks.phantom_scan import SEED, acquired, anatomy_of, phantom_scan

if TYPE_CHECKING:  # the peers' environment has no dixonflow
    from dixonflow.imaging.station import Station

CONTRASTS = ("water", "fat", "in_phase", "opposed_phase")

MARGIN_MM = 15.0
"""So far inside the field of view is compared, where every stitcher has all it needs."""


def prepare_nako(inputs: Path, small: bool) -> Path:
    """Make the stations of the NAKO scan."""
    return _prepare(inputs, "nako", small)


def prepare_ukb(inputs: Path, small: bool) -> Path:
    """Make the stations of the UK Biobank scan."""
    return _prepare(inputs, "ukb", small)


def _prepare(inputs: Path, cohort: str, small: bool) -> Path:
    scan = phantom_scan(inputs, cohort, small)

    return make_once(
        inputs / f"{scan.name}-stations", lambda folder: write_stations(folder, acquired(scan, cohort, small))
    )


def write_stations(folder: Path, stations: "Sequence[Station]") -> None:
    """Leave stations in a folder, as both sides read them."""
    for station in stations:
        write_arrays(folder, {f"{station.index}_{c}": image for c, image in station.images.items()})
        write_arrays(folder, {f"{station.index}_affine": station.affine})


def _stations(prepared: Path) -> list[tuple[Arrays, NDArray[np.float64]]]:
    """Contrasts and affine of each station, head to feet."""
    arrays = read_arrays(prepared)
    count = sum(name.endswith("_affine") for name in arrays)
    return [
        ({c: arrays[f"{index}_{c}"] for c in CONTRASTS}, arrays[f"{index}_affine"].astype(np.float64))
        for index in range(count)
    ]


def ours(prepared: Path) -> Callable[[], Arrays]:
    """All contrasts in one call, intensities matched between stations, swaps looked for."""
    from dixonflow.imaging.station import Station
    from dixonflow.stitch.scan import stitch
    from dixonflow.vocabulary import Contrast

    stations = [
        Station(index, {Contrast(c): image for c, image in images.items()}, affine)
        for index, (images, affine) in enumerate(_stations(prepared))
    ]

    def call() -> Arrays:
        stitched = stitch(stations)
        return {contrast.value: image for contrast, image in stitched.images.items()} | {"affine": stitched.affine}

    return call


def tptbox(prepared: Path) -> Callable[[], Arrays]:
    """TPTBox contrast by contrast, in memory, without its bias correction and histogram matching: its fastest."""
    from TPTBox import NII
    from TPTBox.stitching import stitching_raw

    stations = _stations(prepared)

    def call() -> Arrays:
        result: Arrays = {}
        for contrast in CONTRASTS:
            images = [NII((images[contrast].copy(), affine, None)) for images, affine in stations]
            stitched, _ = stitching_raw(images, None, bias_field=False, save=False, dtype="auto", min_value=0)
            result |= {contrast: stitched.get_array(), "affine": stitched.affine}
        return result

    return call


def compare(prepared: Path, ours: Arrays, theirs: Arrays | None) -> Verdict:
    """Mean distance to the truth on each one's own grid; ours must be smaller."""
    if theirs is None:
        raise ValueError("nothing to compare with")
    ours_off, theirs_off = distance_to_truth(prepared, ours), distance_to_truth(prepared, theirs)
    note = f"mean distance to the truth {ours_off:.4g}, {theirs_off:.4g} of the peer, in % of the body's mean signal"
    return Verdict(ours_off < theirs_off, note)


def distance_to_truth(prepared: Path, stitched: Arrays) -> float:
    """Mean absolute difference to the partial-volumed truth, over all contrasts and voxels that hold tissue, in percent
    of the mean true signal. Signal has no unit: all contrasts are first multiplied by the one number that fits best.
    """
    from dixonflow.phantom.anatomy.participant import draw_participant
    from dixonflow.phantom.anatomy.tissue import water_and_fat
    from dixonflow.phantom.scanner.acquisition import axis_weights, box_average

    anatomy = anatomy_of(prepared.with_name(prepared.name.removesuffix("-stations")))
    affine = stitched["affine"].astype(np.float64)
    shape = stitched["water"].shape
    weights = axis_weights(anatomy.labels.shape, anatomy.affine, shape, affine)
    fine = water_and_fat(anatomy, draw_participant(SEED), with_texture=False)
    water, fat = (box_average(volume, weights) for volume in fine)
    inside = _well_inside(prepared, shape, affine) & (water + fat > 0)
    contrasts = {"water": water, "fat": fat, "in_phase": water + fat, "opposed_phase": np.abs(water - fat)}
    truth = np.concatenate([contrasts[c][inside] for c in CONTRASTS]).astype(np.float64)
    found = np.concatenate([stitched[c][inside] for c in CONTRASTS]).astype(np.float64)
    factor = (found @ truth) / (found @ found)
    return float(100 * np.abs(factor * found - truth).mean() / truth.mean())


def _well_inside(prepared: Path, shape: tuple[int, ...], affine: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Voxels whose centre lies in what all stations share in the plane, and between the outermost ends along z."""
    low, high = [], []
    for images, station in _stations(prepared):
        size = np.array(images["water"].shape)
        spacing = np.diag(station)[:3]
        low.append(station[:3, 3] - spacing / 2)
        high.append(station[:3, 3] + (size - 0.5) * spacing)
    bottom, top = np.max(low, axis=0), np.min(high, axis=0)
    bottom[2], top[2] = np.min(low, axis=0)[2], np.max(high, axis=0)[2]
    axes = []
    for axis in range(3):
        centre = affine[axis, 3] + affine[axis, axis] * np.arange(shape[axis])
        axes.append((centre > bottom[axis] + MARGIN_MM) & (centre < top[axis] - MARGIN_MM))
    inside: NDArray[np.bool_] = axes[0][:, None, None] & axes[1][None, :, None] & axes[2][None, None, :]
    return inside
