"""Pictures of a case: one slice as it is, under the label map, and in the fat image, cropped to what is judged."""

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dixonflow.report.close_up import surroundings
from dixonflow.report.palette import lookup_table
from dixonflow.report.views import Box, grey_view, overlaid, write_sides
from dixonflow.review.images import CaseImages
from dixonflow.vocabulary import Contrast

LARGEST_IN_MEMORY = 200_000_000
"""Bytes of pictures that are kept."""

_LONGEST_PX, _WIDEST_PX, _LARGEST_SCALE = 640, 440, 3.0  # of a panel, and pixels per mm
_GAP_PX = 6
_SEAM, _DASH_PX = (255, 214, 64), 7


class Plane(StrEnum):
    """Which way a slice runs."""

    SAGITTAL = "sagittal"
    CORONAL = "coronal"
    AXIAL = "axial"

    @property
    def axis(self) -> int:
        """Axis that a slice is one index of."""
        return list(Plane).index(self)

    @property
    def sides(self) -> str:
        """What is left and what is right in the picture, radiological convention."""
        return "AP" if self is Plane.SAGITTAL else "RL"


@dataclass(frozen=True)
class Picture:
    """A slice, drawn.

    Attributes
    ----------
    png
        The picture.
    index, slices
        Which slice it is, from 0, and how many there are: those through what is shown.
    panels
        What the panels show, left to right.
    notes
        What is missing, for a person.
    label_key
        Of the label map that is drawn.
    """

    png: bytes
    index: int
    slices: int
    panels: tuple[str, ...]
    notes: tuple[str, ...]
    label_key: str


def draw_slice(images: CaseImages, wanted: Sequence[int], plane: Plane, index: int | None = None) -> Picture:
    """Draw one slice.

    Parameters
    ----------
    images
        Of the case.
    wanted
        Label ids to crop to; the whole image where there are none, or none of them is in the label map.
    plane
        Which way the slice runs.
    index
        Slice within what is shown, from 0; numbers outside are taken to the nearest. None: the one that shows most.
    """
    around = tuple(slice(0, size) for size in images.shape)
    centre, notes = images.centre, list(images.problems)
    if wanted and images.labels is not None:
        found = surroundings(images.labels, wanted, images.spacing_mm)
        if found is None:
            notes.append("the label map does not have this structure")
        else:
            around, centre = found
    axis = plane.axis
    part = around[axis]
    slices = part.stop - part.start
    chosen = centre[axis] - part.start if index is None else min(max(index, 0), slices - 1)
    reverse = slice(None, None, -1)
    view = tuple(chosen if each == axis else reverse for each in range(3))
    across, down = (each for each in range(3) if each != axis)
    spacing = images.spacing_mm
    size_mm = [(around[each].stop - around[each].start) * spacing[each] for each in (across, down)]
    scale = min(_LONGEST_PX / size_mm[1], _WIDEST_PX / size_mm[0], _LARGEST_SCALE)
    width, height = (max(1, round(length * scale)) for length in size_mm)
    drawn = _panels(images, around, view, (width, height))
    sheet = Image.new("RGB", (len(drawn) * (width + _GAP_PX) - _GAP_PX, height))
    draw = ImageDraw.Draw(sheet)
    for place, (_, panel) in enumerate(drawn):
        box: Box = (place * (width + _GAP_PX), 0, width, height)
        sheet.paste(Image.fromarray(panel), box[:2])
        if plane is not Plane.AXIAL:
            rows = [
                (around[2].stop - 0.5 - seam) / (around[2].stop - around[2].start) * height for seam in images.seams
            ]
            _draw_seams(draw, box, [row for row in rows if 0 <= row < height])
        write_sides(draw, box, plane.sides)
    encoded = io.BytesIO()
    sheet.save(encoded, "PNG", compress_level=1)  # for this machine: quick, not small
    names = tuple(name for name, _ in drawn)
    return Picture(encoded.getvalue(), chosen, slices, names, tuple(notes), images.label_key)


def _panels(
    images: CaseImages,
    around: tuple[slice, ...],
    view: tuple[slice | int, ...],
    size: tuple[int, int],
) -> list[tuple[str, NDArray[np.uint8]]]:
    """Name and picture of each panel."""
    box = (0, 0, *size)
    kinds: list[Contrast] = [contrast for contrast in images.images if contrast is not Contrast.FAT]
    kinds = kinds or [Contrast.FAT]
    plain, under = kinds[0], kinds[-1]  # water, and in-phase where it is there
    grey = {kind: grey_view(images.images[kind][around][view], images.whites[kind], box) for kind in {plain, under}}
    panels = [(_name(plain), grey[plain])]
    if images.labels is not None:
        colours = lookup_table(len(images.opacity) - 1)
        drawn = overlaid(grey[under], images.labels[around][view], colours, images.opacity)
        panels.append((f"label map on {_name(under)}", drawn))
    if Contrast.FAT in images.images and plain is not Contrast.FAT:
        fat = images.images[Contrast.FAT][around][view]
        panels.append((_name(Contrast.FAT), grey_view(fat, images.whites[Contrast.FAT], box)))
    return panels


def _name(contrast: Contrast) -> str:
    return contrast.value.replace("_", "-")


def _draw_seams(draw: ImageDraw.ImageDraw, box: Box, rows: Sequence[float]) -> None:
    """Dashed lines where stations meet."""
    left, top, width, _ = box
    for row in rows:
        for start in range(left, left + width, 2 * _DASH_PX):
            draw.line((start, top + row, min(start + _DASH_PX, left + width) - 1, top + row), _SEAM, 1)


class PictureCache:
    """Keeps the pictures that were drawn last.

    Parameters
    ----------
    largest
        Bytes that are kept.
    """

    def __init__(self, largest: int = LARGEST_IN_MEMORY) -> None:
        self._largest = largest
        self._kept: OrderedDict[object, Picture] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: object, draw: Callable[[], Picture]) -> Picture:
        """Give the picture of a key, drawn if it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        picture = draw()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = picture
                self._bytes += len(picture.png)
            while self._bytes > self._largest and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= len(dropped.png)
        return picture
