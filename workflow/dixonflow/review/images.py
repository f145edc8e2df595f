"""The images of a case, as they lie in the results; what is missing or damaged is said, and the rest is shown."""

import itertools
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import DixonflowError
from dixonflow.imaging.nifti import read_labels, read_nifti
from dixonflow.imaging.types import Affine
from dixonflow.paths import Results
from dixonflow.report.contact_sheet import shown_slices
from dixonflow.report.views import opacities_of, soft_tissue, white_of
from dixonflow.system.documents import DocumentError, read_json_file
from dixonflow.vocabulary import Contrast, ScanId, ScanSequence

LARGEST_IN_MEMORY = 600_000_000
"""Bytes of images that are kept for the next picture: a few scans of full size."""

_DRAWN = (Contrast.WATER, Contrast.IN_PHASE, Contrast.FAT)


@dataclass(frozen=True, eq=False)
class CaseImages:
    """Images of one case on one grid, RAS+, indices (x, y, z).

    Attributes
    ----------
    images
        Those of the drawn contrasts that can be read.
    labels
        The label map; None where it cannot be read.
    affine
        4x4, voxel index to RAS mm; diagonal.
    seams
        Where stations meet, as indices along z: the middle of each overlap.
    problems
        What is missing or damaged, for a person.
    label_key
        Of `label_map_key`, the label map that was read.
    """

    images: dict[Contrast, NDArray[np.generic]]
    labels: NDArray[np.unsignedinteger] | None
    affine: Affine
    seams: tuple[float, ...]
    problems: tuple[str, ...]
    label_key: str = ""
    whites: dict[Contrast, float] = field(default_factory=dict)

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """Voxel size."""
        return np.asarray(np.diag(self.affine)[:3], dtype=np.float64)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all images."""
        return next(iter(self.images.values())).shape

    @property
    def size(self) -> int:
        """Bytes of all images."""
        parts = [*self.images.values(), *([] if self.labels is None else [self.labels])]
        return sum(part.nbytes for part in parts)

    @cached_property
    def opacity(self) -> NDArray[np.float32]:
        """Opacity of each label id."""
        assert self.labels is not None
        return opacities_of(self.labels, int(self.labels.max()) + 1)

    @cached_property
    def centre(self) -> tuple[int, int, int]:
        """Slices (x, y, z) that show most structures."""
        if self.labels is None:
            x, y, z = (length // 2 for length in self.shape)
            return x, y, z
        x, y, z, _ = shown_slices(self.labels)
        return x, y, z


class ImageCache:
    """Reads the images of cases, and keeps those that were used last.

    Parameters
    ----------
    results
        Where they lie.
    largest
        Bytes that are kept.
    """

    def __init__(self, results: Results, largest: int = LARGEST_IN_MEMORY) -> None:
        self._results, self._largest = results, largest
        self._kept: OrderedDict[object, CaseImages] = OrderedDict()
        self._lock = threading.Lock()
        self._reading: dict[object, threading.Lock] = {}

    def state(self, scan: ScanId, model: str) -> object:
        """State of the files of a scan: what was read or drawn holds until it changes, as in a run meanwhile."""
        results = self._results
        paths = [results.stitched(scan, contrast) for contrast in drawn_contrasts(scan.sequence)]
        found = []
        for path in (*paths, results.labels(scan, model), results.labels_sidecar(scan, model)):
            try:
                state = path.stat()
                found.append((state.st_size, state.st_mtime_ns, state.st_ino))
            except OSError:
                found.append((-1, 0, 0))
        return tuple(found)

    def get(self, scan: ScanId, model: str) -> CaseImages:
        """Give the images of a scan with the label map of a model.

        Raises
        ------
        ReviewImagesError
            If there is no image to show: says why.
        """
        key = (scan, model, self.state(scan, model))
        with self._lock:
            turn = self._reading.setdefault(key, threading.Lock())
        with turn:  # requests for two views of one scan read it once
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    return self._kept[key]
            found = read_case_images(self._results, scan, model)
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > 1 and sum(each.size for each in self._kept.values()) > self._largest:
                    self._kept.popitem(last=False)
                self._reading = {each: lock for each, lock in self._reading.items() if lock.locked()}
            return found


class ReviewImagesError(DixonflowError):
    """A case has no image that can be shown. The message says why."""


def drawn_contrasts(sequence: ScanSequence) -> tuple[Contrast, ...]:
    """Contrasts that the page shows of a scan: water, in-phase and fat of Dixon scans, else the first and fat."""
    wanted = [contrast for contrast in _DRAWN if contrast in sequence.images]
    return tuple(wanted) if wanted else sequence.contrasts[:1]


def read_case_images(results: Results, scan: ScanId, model: str) -> CaseImages:
    """Read what can be read of a case. Raises ReviewImagesError where that is no image."""
    images: dict[Contrast, NDArray[np.generic]] = {}
    affine: Affine | None = None
    problems = []
    for contrast in drawn_contrasts(scan.sequence):
        words = f"the {contrast.value.replace('_', '-')} image"
        try:
            read = read_nifti(results.stitched(scan, contrast))
        except FileNotFoundError:
            problems.append(f"{words} is not there")
            continue
        except (DixonflowError, OSError, ValueError) as error:
            problems.append(f"{words} cannot be read: {_why(error)}")
            continue
        if not _is_straight(read.affine):
            problems.append(f"{words} is oblique and cannot be drawn")
        elif affine is None or _same_grid(read.data.shape, read.affine, next(iter(images.values())).shape, affine):
            images[contrast] = soft_tissue(read.data) if contrast is Contrast.CT else read.data
            affine = read.affine
        else:
            problems.append(f"{words} is not on the grid of the others")
    if affine is None or not images:
        raise ReviewImagesError("; ".join(problems) or "there is no image")
    shape = next(iter(images.values())).shape
    labels: NDArray[np.unsignedinteger] | None = None
    key = label_map_key(results, scan, model)
    try:
        labels, grid = read_labels(results.labels(scan, model))
        if not _same_grid(labels.shape, grid, shape, affine):
            labels = None
            problems.append("the label map is not on the grid of the images")
    except FileNotFoundError:
        problems.append(f"the label map of {model} is not there")
    except (DixonflowError, OSError, ValueError) as error:
        problems.append(f"the label map of {model} cannot be read: {_why(error)}")
    # a label map is without its sidecar while it is replaced: the same key before and after is that of what was read
    if key != label_map_key(results, scan, model):
        labels = None
        problems.append("the label map is being replaced, reload the page")
    if labels is not None and not key:
        problems.append("the sidecar does not say which label map this is: of verdicts only faulty ones will count")
    seams = _seams(results, scan, affine, shape[2])
    whites = {contrast: white_of(image) for contrast, image in images.items()}
    return CaseImages(images, labels, affine, seams, tuple(problems), key, whites)


def label_map_key(results: Results, scan: ScanId, model: str) -> str:
    """Content key in the sidecar of a label map, which identifies it; empty where the sidecar cannot be read."""
    try:
        key = read_json_file(results.labels_sidecar(scan, model))["content_key"]
    except (OSError, DocumentError, KeyError, TypeError):
        return ""
    return key if isinstance(key, str) else ""


def _why(error: Exception) -> str:
    """Reason without the path, in which an id stands."""
    return (error.strerror or "error") if isinstance(error, OSError) else str(error)


def _is_straight(affine: Affine) -> bool:
    spacing = np.diag(affine)[:3]
    return bool(np.allclose(affine[:3, :3], np.diag(spacing), atol=1e-3) and (spacing > 0).all())


def _same_grid(shape: Sequence[int], affine: Affine, others: Sequence[int], other: Affine) -> bool:
    return tuple(shape) == tuple(others) and bool(np.allclose(affine, other, atol=1e-3))


def _seams(results: Results, scan: ScanId, affine: Affine, slices: int) -> tuple[float, ...]:
    """Middle of the overlap of each station with the next, from the sidecar of the stitched images; none without."""
    try:
        stations = read_json_file(results.stitched_sidecar(scan))["stations"]
        ends = sorted((float(each["low_mm"][2]), float(each["high_mm"][2])) for each in stations)
    except (OSError, DocumentError, ValueError, KeyError, TypeError, IndexError):
        return ()
    middles = [(below[1] + above[0]) / 2 for below, above in itertools.pairwise(ends)]
    indices = [(middle - float(affine[2, 3])) / float(affine[2, 2]) for middle in middles]
    return tuple(index for index in indices if 0 <= index < slices)
