"""Pictures of single structures that a check objects to: cropped, plain and labelled next to each other."""

import hashlib
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dixonflow.imaging.types import Affine
from dixonflow.report.palette import lookup_table
from dixonflow.report.views import (
    Box,
    as_png,
    grey_view,
    opacities_of,
    overlaid,
    shown_images,
    white_of,
    write_sides,
)
from dixonflow.vocabulary import Contrast, ScanId

MARGIN_MM = 30.0
"""What is shown around the structures."""

_SIDE_PX = 300  # longest side of a view
_LARGEST_SCALE = 3.0  # pixels a mm: a vessel is not blown up to a few blocks
_GAP_PX = 6


def close_up_name(scan: ScanId, raw_key: str, content_key: str, structures: Collection[str]) -> str:
    """File name of a close-up, `<20 hex digits>.png`, which does not tell whose it is (`sheet_name`).

    Parameters
    ----------
    raw_key
        Fingerprint of the raw data.
    content_key
        Of the measured scan: another label map has another picture.
    structures
        What it shows.
    """
    words = "\n".join(("close-up", scan.name, raw_key, content_key, *structures))
    return f"{hashlib.sha256(words.encode()).hexdigest()[:20]}.png"


def surroundings(
    labels: NDArray[np.integer], wanted: Collection[int], spacing_mm: NDArray[np.float64]
) -> tuple[tuple[slice, slice, slice], tuple[int, int, int]] | None:
    """Where structures are: their box with a margin, and the slices (x, y, z) that show most of them.

    None where the label map, of shape (x, y, z) with voxels of `spacing_mm`, has none of the label ids `wanted`.
    """
    mask = np.isin(labels, list(wanted), kind="table")
    counts = [mask.sum(axis=tuple(other for other in range(3) if other != axis)) for axis in range(3)]
    if not counts[0].any():
        return None
    margins = np.ceil(MARGIN_MM / spacing_mm).astype(int)
    low, high = zip(*((count.nonzero()[0][0], count.nonzero()[0][-1]) for count in counts), strict=True)
    x, y, z = (
        slice(max(int(first) - int(margin), 0), min(int(last) + 1 + int(margin), size))
        for first, last, margin, size in zip(low, high, margins, labels.shape, strict=True)
    )
    i, j, k = (int(count.argmax()) for count in counts)
    return (x, y, z), (i, j, k)


def close_up(
    images: Mapping[Contrast, NDArray[np.generic]],
    labels: NDArray[np.integer],
    affine: Affine,
    wanted: Collection[int],
) -> bytes | None:
    """Draw structures of a scan: coronal view, the same with labels, axial view, the same with labels.

    The views run through the slices that show most of the structures. Radiological convention, as in the contact sheet.

    Parameters
    ----------
    images, labels, affine
        As of `contact_sheet`.
    wanted
        Label ids of the structures.

    Returns
    -------
    A PNG, or None where the label map has none of them.

    Raises
    ------
    ValueError
        As `contact_sheet`.
    """
    plain, under, spacing = shown_images(images, labels, affine)
    found = surroundings(labels, wanted, spacing)
    if found is None:
        return None
    around, centre = found
    y, z = (centre[axis] - around[axis].start for axis in (1, 2))
    reverse = slice(None, None, -1)
    views = ((reverse, y, reverse), (reverse, reverse, z))
    size_mm = np.array([part.stop - part.start for part in around]) * spacing
    scale = min(_SIDE_PX / float(size_mm.max()), _LARGEST_SCALE)
    width, depth, height = (max(1, round(length * scale)) for length in size_mm.tolist())
    boxes: list[Box] = [
        (_GAP_PX + place * (width + _GAP_PX), _GAP_PX, width, tall)
        for place, tall in enumerate((height, height, depth, depth))
    ]
    colours = lookup_table(int(labels.max()))
    opacity = opacities_of(labels, len(colours))
    sheet = Image.new("RGB", (boxes[-1][0] + width + _GAP_PX, max(height, depth) + 2 * _GAP_PX))
    for pair, view in zip((boxes[:2], boxes[2:]), views, strict=True):
        bare = grey_view(plain[around][view], white_of(plain), pair[0])
        drawn = overlaid(
            grey_view(under[around][view], white_of(under), pair[1]), labels[around][view], colours, opacity
        )
        for box, picture in zip(pair, (bare, drawn), strict=True):
            sheet.paste(Image.fromarray(picture), box[:2])
    draw = ImageDraw.Draw(sheet)
    for box in boxes:
        write_sides(draw, box, "RL")
    return as_png(sheet)
