"""Phantom scans as input: drawn from a seed, at the true size of a NAKO or UK Biobank scan, or tiny.

A scan is a folder:
`anatomy.npz`         the body on its fine grid
`stitched/`           contrasts of a scanner that adds noise, shading, gains and folding, stitched: `<contrast>.npy`
                      and `affine.npy`
`stitched.json`       how they were stitched
`labels.npy`          true label of each voxel of the stitched grid, uint8
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.arrays import make_once, read_arrays, write_arrays

if TYPE_CHECKING:  # the peers' environment has no dixonflow
    from dixonflow.imaging.station import Station
    from dixonflow.phantom.anatomy.render import Anatomy
    from dixonflow.phantom.scanner.acquisition import ScannerOptions

SEED = 31
SMALL_SCALE = {"nako": 0.15, "ukb": 0.2}


def phantom_scan(inputs: Path, cohort: str, small: bool) -> Path:
    """Make the scan of a cohort, `nako` or `ukb`, below `inputs` once."""
    name = f"{cohort}-small" if small else cohort
    return make_once(inputs / name, lambda folder: _scan(folder, cohort, SMALL_SCALE[cohort] if small else 1.0))


def _scan(folder: Path, cohort: str, scale: float) -> None:
    from dixonflow.phantom.anatomy.participant import draw_participant
    from dixonflow.phantom.anatomy.render import render_anatomy
    from dixonflow.phantom.truth import truth_on_grid
    from dixonflow.stitch.scan import stitch
    from dixonflow.vocabulary import DIXON, Contrast

    anatomy = render_anatomy(draw_participant(SEED), 2.0 if scale == 1 else 5.0)
    np.savez(
        folder / "anatomy.npz",
        labels=anatomy.labels,
        affine=anatomy.affine,
        spacing_mm=anatomy.spacing_mm,
        top_mm=anatomy.top_mm,
    )
    stitched = stitch(_acquired(anatomy, cohort, scale))
    (folder / "stitched").mkdir()
    write_arrays(folder / "stitched", {c.value: stitched.images[c] for c in DIXON} | {"affine": stitched.affine})
    (folder / "stitched.json").write_text(json.dumps(stitched.report.as_dict()), encoding="utf-8")
    x, y, z = stitched.images[Contrast.WATER].shape
    # Fortran order, as label maps come from NIfTI files
    np.save(folder / "labels.npy", np.asfortranarray(truth_on_grid(anatomy, (x, y, z), stitched.affine)))


def anatomy_of(scan: Path) -> "Anatomy":
    """The body of a scan on its fine grid."""
    from dixonflow.phantom.anatomy.render import Anatomy

    with np.load(scan / "anatomy.npz") as file:
        return Anatomy(file["labels"], file["affine"], float(file["spacing_mm"]), float(file["top_mm"]))


def acquired(scan: Path, cohort: str, small: bool, options: "ScannerOptions | None" = None) -> "list[Station]":
    """Stations of a scan, as a scanner gives them."""
    return _acquired(anatomy_of(scan), cohort, SMALL_SCALE[cohort] if small else 1.0, options)


def _acquired(
    anatomy: "Anatomy", cohort: str, scale: float, options: "ScannerOptions | None" = None
) -> "list[Station]":
    from dixonflow.phantom.anatomy.participant import draw_participant
    from dixonflow.phantom.scanner.acquisition import acquire
    from dixonflow.phantom.scanner.protocol import nako_protocol, ukb_protocol

    protocol = {"nako": nako_protocol, "ukb": ukb_protocol}[cohort](scale)
    return acquire(draw_participant(SEED), anatomy, protocol, options)


def stitched_contrasts(scan: Path) -> tuple[dict[str, NDArray[np.int16]], NDArray[np.float64]]:
    """The four stitched contrasts by name and their affine."""
    arrays = read_arrays(scan / "stitched")
    affine = arrays.pop("affine").astype(np.float64)
    return {name: image.astype(np.int16, copy=False) for name, image in arrays.items()}, affine


def many_labels(labels: NDArray[np.uint8], number: int, seed: int = SEED) -> NDArray[np.uint8]:
    """Label map of `number` structures, each with surplus pieces, from the phantom's 46.

    The largest structures are cut into bands along z until there are enough; then small blocks of each label are
    strewn about, as a network leaves them. Where voxels of one label touch over an edge or a corner only, the smaller
    piece is removed, so that components are the same with 6 and with 26 neighbours.
    """
    result = cut_into(labels, number)
    rng = np.random.default_rng(seed)
    _strew(result, number, rng)
    return _same_with_26_neighbours(result)


def cut_into(labels: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Label map of `number` structures: those of the phantom, the largest cut into bands along z."""
    present = [int(label) for label in np.unique(labels) if label]
    table = np.zeros(256, np.uint8)
    table[present] = np.arange(1, len(present) + 1)
    result = np.asfortranarray(table[labels])
    _cut(result, len(present), number)
    return result


def _cut(labels: NDArray[np.uint8], present: int, number: int) -> None:
    for new in range(present + 1, number + 1):
        largest = int(np.bincount(labels.ravel(order="K"), minlength=number + 1)[1:].argmax()) + 1
        inside = labels == largest
        planes = np.cumsum(inside.sum(axis=(0, 1)))
        inside[:, :, : int(np.searchsorted(planes, planes[-1] / 2))] = False
        labels[inside] = new


def _strew(labels: NDArray[np.uint8], number: int, rng: np.random.Generator, pieces: int = 6) -> None:
    for label in range(1, number + 1):
        for _ in range(pieces):
            size = rng.integers(1, 5, 3)
            low = [int(rng.integers(0, n - s)) for n, s in zip(labels.shape, size, strict=True)]
            labels[tuple(slice(start, start + int(length)) for start, length in zip(low, size, strict=True))] = label


def _same_with_26_neighbours(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cc3d

    by_faces, count = cc3d.connected_components(labels, connectivity=6, return_N=True)
    joined = cc3d.connected_components(labels, connectivity=26)
    voxels = np.bincount(by_faces.ravel(order="K"), minlength=count + 1)
    group = np.zeros(count + 1, np.intp)
    group[by_faces.ravel(order="K")] = joined.ravel(order="K")
    keep = np.zeros(count + 1, bool)
    order = np.lexsort((voxels, group))
    keep[order[np.append(group[order][1:] != group[order][:-1], True)]] = True  # the largest of each group
    keep[0] = False
    result = labels.copy(order="K")
    result[~keep[by_faces]] = 0
    return result


def label_names(number: int) -> Sequence[str]:
    """The first names of TotalSegmentator's label table, which its functions ask for."""
    from totalsegmentator.map_to_binary import class_map

    return [class_map["total"][label] for label in range(1, number + 1)]
