"""Label maps of any program, read as numbers of structures: one file for all structures, or one for each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.evaluation.masks.mapping import IGNORED, MAX_LABEL, LabelMapping, structure_ids
from dixonflow.evaluation.masks.problem import CaseProblem
from dixonflow.imaging.nifti import NiftiImage, read_foreign_labels
from dixonflow.imaging.types import Affine, Spacing
from dixonflow.labelmap.components import bounding_box
from dixonflow.models.anatomy import is_within

SAME_GRID_VOXELS = 0.02
"""Two grids are the same where no corner of one lies further than this from that of the other, in voxels."""

PLAUSIBLE_MM = 0.1, 100.0
"""Voxel sizes of images of people: others are metres or micrometres in a header that names no unit."""

MAX_SHEAR = 0.01
"""Largest cosine between two axes of a grid whose voxels count as boxes: volumes are off by 0.005 % at most."""


@dataclass(frozen=True)
class LabelFiles:
    """Where the labels of a case are.

    Attributes
    ----------
    mapping
        What its labels mean.
    label_map
        The file with all structures; None where each has its own.
    masks
        File of each structure.
    """

    mapping: LabelMapping
    label_map: Path | None = None
    masks: Mapping[str, Path] = field(default_factory=dict)

    @property
    def structures(self) -> frozenset[str]:
        """Structures that the labels name. A structure without a file is unknown in this case, and not missed."""
        return self.mapping.structures if self.label_map is not None else frozenset(self.masks) - {IGNORED}

    def shares_file(self, other: "LabelFiles") -> bool:
        """Whether a file is one of both, such as by a link: what it has agrees with itself."""
        own, others = (
            {path.resolve() for path in (each.label_map, *each.masks.values()) if path} for each in (self, other)
        )
        return not own.isdisjoint(others)


@dataclass(frozen=True)
class StructureMap:
    """Labels of a case.

    Attributes
    ----------
    ids
        Number of the structure of each voxel (`structure_ids`), 0 for none; shape (x, y, z), RAS+.
    affine
        4x4, voxel index (centre) to RAS mm.
    """

    ids: NDArray[np.uint8]
    affine: Affine


def read_structures(files: LabelFiles) -> StructureMap:
    """Read the labels of a case.

    Raises
    ------
    CaseProblem
        If a file cannot be read, holds values that are no labels or that the mapping does not name, or if masks overlap
        or are on different grids.
    """
    if files.label_map is not None:
        image = _read(files.label_map)
        return StructureMap(files.mapping.recode(_as_labels(image)), image.affine)
    found: StructureMap | None = None
    # the whole before its parts, whose voxels are theirs
    names = [name for name in structure_ids() if name in files.masks]
    for name in sorted(names, key=lambda each: sum(is_within(each, other) for other in names)):
        image = _read(files.masks[name])
        mask = _as_mask(_as_labels(image), name)
        if found is None:
            found = StructureMap(np.zeros(mask.shape, np.uint8), image.affine)
        elif not same_grid(found.affine, found.ids.shape, image.affine, mask.shape):
            raise CaseProblem(f"the mask of {name} is on another grid than the others")
        box = bounding_box(mask)
        part, taken = mask[box], found.ids[box]
        _check_overlap(taken[part], name)
        taken[part] = structure_ids()[name]
    if found is None:
        raise CaseProblem("there is no mask")
    return found


def same_grid(one: Affine, shape: tuple[int, ...], other: Affine, other_shape: tuple[int, ...]) -> bool:
    """Whether two grids have the same voxels."""
    if shape != other_shape:
        return False
    corners = np.array([[x, y, z, 1] for x in (0, shape[0]) for y in (0, shape[1]) for z in (0, shape[2])], float)
    apart_mm = np.linalg.norm(corners @ (one - other)[:3].T, axis=1).max()
    return bool(apart_mm <= SAME_GRID_VOXELS * np.linalg.norm(one[:3, :3], axis=0).min())


def box_sizes(affine: Affine) -> Spacing:
    """Voxel size (x, y, z) in mm. Raises CaseProblem if the axes are not perpendicular: no box has a size then."""
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    axes = affine[:3, :3] / (x, y, z)
    if np.abs(axes.T @ axes - np.eye(3)).max() > MAX_SHEAR:
        raise CaseProblem("its grid is sheared, so that voxels are no boxes: resample it to a straight one")
    return x, y, z


def _read(path: Path) -> NiftiImage:
    try:
        image = read_foreign_labels(path)
    except ScanExcluded as error:
        raise CaseProblem(f"{error.reason.value}: {error.message}") from error
    except OSError as error:
        raise CaseProblem(f"a label map cannot be read: {error.strerror}") from error
    if not PLAUSIBLE_MM[0] <= min(image.spacing_mm) <= max(image.spacing_mm) <= PLAUSIBLE_MM[1]:
        sizes = " x ".join(f"{size:.3g}" for size in image.spacing_mm)
        raise CaseProblem(f"voxels of {sizes} mm are of no image of a person: is its header in another unit?")
    return image


def _as_labels(image: NiftiImage) -> NDArray[np.uint16]:
    """Labels of an image that may store them in any type; they are never rounded."""
    data: NDArray[Any] = image.data
    if data.dtype.kind == "f" and not all(np.isfinite(plane).all() for plane in data):
        raise CaseProblem("a label map holds values that are not finite")
    low, high = (data.min(), data.max()) if data.size else (0, 0)
    if low < 0 or high > MAX_LABEL:
        raise CaseProblem(f"a label map holds values from {low:g} to {high:g}: labels are 0 to {MAX_LABEL}")
    labels = data.astype(np.uint16)
    if data.dtype.kind == "f" and not all(np.array_equal(*planes) for planes in zip(labels, data, strict=True)):
        raise CaseProblem("a label map holds values that are no whole numbers: probabilities, or interpolated labels")
    return labels


def _as_mask(labels: NDArray[np.uint16], name: str) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = labels > 0
    if mask.any() and labels.max() != labels[mask].min():
        raise CaseProblem(f"the mask of {name} holds several labels, where one is meant")
    return mask


def _check_overlap(taken: NDArray[np.uint8], name: str) -> None:
    """Check that voxels of a mask are of no other structure, but of one that it is a part of."""
    names = {number: each for each, number in structure_ids().items()}
    counts = np.bincount(taken)
    for number in np.flatnonzero(counts):
        if number and not is_within(name, names[int(number)]):
            raise CaseProblem(f"the masks of {names[int(number)]} and {name} overlap in {counts[number]} voxels")
