"""One picture per scan: is the label map on the body, are left and right where they belong, is a station wrong.

Shown left to right: a coronal view without labels, the same view with labels, a sagittal view, two axial views one
above the other. Views run through the slices that show most structures, so that the picture needs no landmark and
works for every model.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dixonflow.imaging.types import Affine
from dixonflow.report.palette import lookup_table
from dixonflow.report.views import (
    INK,
    Box,
    as_png,
    draw_scale_bar,
    grey_view,
    opacities_of,
    overlaid,
    shown_images,
    white_of,
    write_sides,
)
from dixonflow.vocabulary import Contrast, ScanId

View = tuple[slice | int, slice | int, slice | int]

_HEIGHT_PX = 560  # of the coronal view: 2 mm a pixel for a body of 1.1 m
_LARGEST_WIDTH_PX = 1500  # a flat crop must not make a giant picture
_GAP_PX = 8
_FEWEST_VOXELS = 3  # of a structure in the thinned slice, below which a stray speck does not count


def sheet_name(scan: ScanId, raw_key: str) -> str:
    """File name of a scan's contact sheet, `<20 hex digits>.png`, the same in every run on the same raw data.

    Parameters
    ----------
    scan
        Enters so that two scans with equal images have two pictures.
    raw_key
        Fingerprint of the raw data. A hash of the id alone can be undone by hashing all seven-digit ids; the raw data
        is known only to those who have the images.

    Raises
    ------
    ValueError
        If `raw_key` is empty.
    """
    if not raw_key:
        raise ValueError("the name of a contact sheet needs the fingerprint of the raw data")
    digest = hashlib.sha256(f"contact sheet\n{scan.name}\n{raw_key}".encode()).hexdigest()
    return f"{digest[:20]}.png"


def contact_sheet(images: Mapping[Contrast, NDArray[np.generic]], labels: NDArray[np.integer], affine: Affine) -> bytes:
    """Draw the contact sheet of one scan.

    Radiological convention: the patient's right is on the left of coronal and axial views, anterior on the left of the
    sagittal one; the sides are written into the views. Millimetres are isotropic within each view. The bar is 100 mm
    long; small ticks on the sagittal view tell where the axial views are.

    Parameters
    ----------
    images
        Stitched images of shape (x, y, z) in RAS+ orientation; which are drawn: `shown_images`.
    labels
        Label map on the same grid; 0 is background.
    affine
        4x4, voxel index to RAS mm; the upper 3x3 is diagonal and positive.

    Returns
    -------
    bytes
        A PNG. Equal inputs give equal bytes.

    Raises
    ------
    ValueError
        As `shown_images`.
    """
    plain, under, spacing = shown_images(images, labels, affine)
    colours = lookup_table(int(labels.max()))
    x, y, upper, lower = shown_slices(labels)
    boxes, scale = _layout(np.array(labels.shape) * spacing)
    # All indices run toward right, anterior and superior; pictures run down and to the patient's left or posterior.
    reverse = slice(None, None, -1)
    coronal: View = (reverse, y, reverse)
    sagittal: View = (x, reverse, reverse)
    opacity = opacities_of(labels, len(colours))
    views: list[View] = [coronal, sagittal, *((reverse, reverse, level) for level in (upper, lower))]

    right, bottom = (max(box[axis] + box[axis + 2] for box in boxes) for axis in (0, 1))
    sheet = Image.new("RGB", (right + _GAP_PX, bottom + _GAP_PX))
    sheet.paste(Image.fromarray(grey_view(plain[coronal], white_of(plain), boxes[0])), boxes[0][:2])
    white = white_of(under)
    for box, view in zip(boxes[1:], views, strict=True):
        picture = overlaid(grey_view(under[view], white, box), labels[view], colours, opacity)
        sheet.paste(Image.fromarray(picture), box[:2])

    draw = ImageDraw.Draw(sheet)
    for box, sides in zip(boxes, ("RL", "RL", "AP", "RL", "RL"), strict=True):
        write_sides(draw, box, sides)
    draw_scale_bar(draw, boxes[0], round(100 * scale))
    left, top, _, height = boxes[2]
    for level in (upper, lower):
        row = top + round((1 - (level + 0.5) / labels.shape[2]) * height)
        draw.line((left, row, left + 10, row), INK, 2)
    return as_png(sheet)


def shown_slices(labels: NDArray[np.integer]) -> tuple[int, int, int, int]:
    """Sagittal x, coronal y, and an upper and a lower axial z that show most structures.

    Ties go to the slice with most labelled voxels. The axial slices are at least an eighth of the height apart. A map
    without labels is shown through its middle.
    """
    step = max(1, min(labels.shape) // 80)  # which structures a slice holds is well seen on every second voxel or so
    thin = labels[::step, ::step, ::step]
    if not thin.any():
        depth = labels.shape[2]
        return labels.shape[0] // 2, labels.shape[1] // 2, min(depth - 1, depth * 2 // 3), depth // 3
    x, y = (int(_interest(thin, axis).argmax()) for axis in (0, 1))
    score = _interest(thin, 2)
    best = int(score.argmax())
    apart = max(1, len(score) // 8)
    score[max(0, best - apart + 1) : best + apart] = -1
    lower, upper = sorted((best, int(score.argmax())))
    return x * step, y * step, upper * step, lower * step


def _interest(labels: NDArray[np.integer], axis: int) -> NDArray[np.float64]:
    """Structures in each slice along `axis`, plus a fraction below 1 that grows with the labelled voxels."""
    slices = labels.shape[axis]
    flat = np.moveaxis(labels, axis, 0).reshape(slices, -1)
    kinds = int(labels.max()) + 1
    # One histogram over (slice, label) pairs instead of one pass per structure.
    pairs = flat.astype(np.int64) + np.arange(slices)[:, None] * kinds
    counts = np.bincount(pairs.ravel(), minlength=slices * kinds).reshape(slices, kinds)[:, 1:]
    area = counts.sum(axis=1)
    structures = (counts >= _FEWEST_VOXELS).sum(axis=1)
    return np.asarray(structures + area / (flat.shape[1] + 1.0), dtype=np.float64)


def _layout(size_mm: NDArray[np.float64]) -> tuple[list[Box], float]:
    """Boxes of the five views, and pixels per mm of the coronal and sagittal ones.

    The two axial views share the height of the coronal one; of a flat crop they are as large as in the coronal view.
    """
    width, depth, tall = size_mm.tolist()
    scale = min(_HEIGHT_PX / tall, _LARGEST_WIDTH_PX / (3 * width + depth))
    coronal, sagittal, height = (max(1, round(v * scale)) for v in (width, depth, tall))
    half = max((height - _GAP_PX) // 2, round(depth * scale), 1)
    axial = max(1, round(half * width / depth))
    top = _GAP_PX + (max(height, 2 * half + _GAP_PX) - height) // 2
    second = 2 * _GAP_PX + coronal
    third = second + _GAP_PX + coronal
    fourth = third + _GAP_PX + sagittal
    boxes = [
        (_GAP_PX, top, coronal, height),
        (second, top, coronal, height),
        (third, top, sagittal, height),
        (fourth, _GAP_PX, axial, half),
        (fourth, max(_GAP_PX + height, 2 * half + 2 * _GAP_PX) - half, axial, half),
    ]
    return boxes, scale
