"""One picture per scan: is the label map on the body, are left and right where they belong, is a station wrong.

Shown left to right: a coronal view without labels, the same view with labels, a sagittal view, two axial views one
above the other. Views run through the slices that show most structures, so that the picture needs no landmark and
works for every model.
"""

import hashlib
import io
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dixonflow.imaging.types import Affine
from dixonflow.report.palette import lookup_table
from dixonflow.vocabulary import Contrast, ScanId

View = tuple[slice | int, slice | int, slice | int]
Box = tuple[int, int, int, int]  # left, top, width, height in pixels

_INK = (240, 240, 240)
_SHADOW = (0, 0, 0)
_HEIGHT_PX = 560  # of the coronal view: 2 mm a pixel for a body of 1.1 m
_LARGEST_WIDTH_PX = 1500  # a flat crop must not make a giant picture
_GAP_PX = 8
_FILL, _FILL_LARGE = 0.42, 0.22  # opacity of a structure; the image must stay visible below those that cover much of it
_LARGE_SHARE = 0.06  # of all labelled voxels
_OUTLINE = 0.90  # opacity of its boundary
_WHITE_PERCENTILE = 99.5
_COLOURS = 255  # an indexed PNG is a third of the size of true colour, with no visible difference
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
        Stitched images of shape (x, y, z) in RAS+ orientation. Water is drawn plain, in-phase under the labels; where
        one of the two is missing the other stands in, and the first image where both are. A CT is drawn in the window
        of soft tissue.
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
        If there is no image, if shapes differ, or if the affine is not that of a RAS+ grid.
    """
    if Contrast.CT in images:
        images = {Contrast.IN_PHASE: _soft_tissue(images[Contrast.CT])}
    if not images:
        raise ValueError("a contact sheet needs an image")
    plain = images.get(Contrast.WATER, images.get(Contrast.IN_PHASE, next(iter(images.values()))))
    under = images.get(Contrast.IN_PHASE, plain)
    if labels.ndim != 3 or 0 in labels.shape or labels.shape != plain.shape or labels.shape != under.shape:
        raise ValueError(f"images {plain.shape}, {under.shape} and labels {labels.shape} are not on one grid")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise ValueError("labels must be integers, 0 or more")
    spacing = np.diag(affine)[:3]
    if not np.allclose(affine[:3, :3], np.diag(spacing)) or not (spacing > 0).all():
        raise ValueError("the affine is not that of an axis-aligned RAS+ grid")

    colours = lookup_table(int(labels.max()))
    x, y, upper, lower = shown_slices(labels)
    boxes, scale = _layout(np.array(labels.shape) * spacing)
    # All indices run toward right, anterior and superior; pictures run down and to the patient's left or posterior.
    reverse = slice(None, None, -1)
    coronal: View = (reverse, y, reverse)
    sagittal: View = (x, reverse, reverse)
    opacity = _opacities(labels, len(colours))
    views: list[View] = [coronal, sagittal, *((reverse, reverse, level) for level in (upper, lower))]

    right, bottom = (max(box[axis] + box[axis + 2] for box in boxes) for axis in (0, 1))
    sheet = Image.new("RGB", (right + _GAP_PX, bottom + _GAP_PX))
    sheet.paste(Image.fromarray(_grey(plain[coronal], _white(plain), boxes[0])), boxes[0][:2])
    white = _white(under)
    for box, view in zip(boxes[1:], views, strict=True):
        picture = _overlay(_grey(under[view], white, box), labels[view], colours, opacity)
        sheet.paste(Image.fromarray(picture), box[:2])

    draw = ImageDraw.Draw(sheet)
    for box, sides in zip(boxes, ("RL", "RL", "AP", "RL", "RL"), strict=True):
        _write_sides(draw, box, sides)
    _scale_bar(draw, boxes[0], round(100 * scale))
    left, top, _, height = boxes[2]
    for level in (upper, lower):
        row = top + round((1 - (level + 0.5) / labels.shape[2]) * height)
        draw.line((left, row, left + 10, row), _INK, 2)
    encoded = io.BytesIO()
    sheet.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        encoded, "PNG", compress_level=6
    )
    return encoded.getvalue()


def _soft_tissue(ct: NDArray[np.generic]) -> NDArray[np.generic]:
    """Window of soft tissue, centre 40 HU and width 400 HU, from 0 up."""
    return np.clip(np.asarray(ct, np.float32), -160, 240) + np.float32(160)


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


def _white(image: NDArray[np.generic]) -> float:
    """Intensity drawn white: a high percentile of the positive voxels, from a thinned volume."""
    step = max(1, min(image.shape) // 60)
    values = np.asarray(image[::step, ::step, ::step], dtype=np.float32)
    values = values[np.isfinite(values) & (values > 0)]
    return float(np.percentile(values, _WHITE_PERCENTILE)) if values.size else 1.0


def _grey(view: NDArray[np.generic], white: float, box: Box) -> NDArray[np.uint8]:
    """An (across, down) slice as an RGB picture of the box's size."""
    values = np.nan_to_num(np.asarray(view, dtype=np.float32).T)
    scaled = np.clip(values * (255 / white), 0, 255).astype(np.uint8)
    picture = Image.fromarray(scaled).resize(box[2:], Image.Resampling.BICUBIC)
    return np.repeat(np.asarray(picture)[:, :, None], 3, axis=2)


def _opacities(labels: NDArray[np.integer], kinds: int) -> NDArray[np.float32]:
    """Opacity of each label id, 0 for the background."""
    counts = np.bincount(labels[::2, ::2, ::2].ravel(), minlength=kinds)
    counts[0] = 0
    opacity = np.where(counts > _LARGE_SHARE * counts.sum(), _FILL_LARGE, _FILL).astype(np.float32)
    opacity[0] = 0
    return opacity


def _overlay(
    grey: NDArray[np.uint8], view: NDArray[np.integer], colours: NDArray[np.uint8], opacity: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Blend the structures of an (across, down) label slice onto a picture, boundaries stronger than insides."""
    rows, columns = grey.shape[:2]
    across, down = view.shape
    # Nearest neighbour: the voxel under the centre of each pixel.
    column = ((np.arange(columns) + 0.5) * across / columns).astype(np.intp)
    row = ((np.arange(rows) + 0.5) * down / rows).astype(np.intp)
    drawn = view.T[row[:, None], column[None, :]]
    edge = np.zeros(drawn.shape, bool)
    edge[:-1] |= drawn[:-1] != drawn[1:]
    edge[:, :-1] |= drawn[:, :-1] != drawn[:, 1:]
    blend = np.where(edge & (drawn > 0), np.float32(_OUTLINE), opacity[drawn])[:, :, None]
    return np.asarray(grey * (1 - blend) + colours[drawn] * blend + 0.5).astype(np.uint8)


@lru_cache(maxsize=1)
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=15)


def _write_sides(draw: ImageDraw.ImageDraw, box: Box, sides: str) -> None:
    left, top, width, _ = box
    for across, side, anchor in ((left + 4, sides[0], "la"), (left + width - 4, sides[1], "ra")):
        _write(draw, (across, top + 2), side, anchor)


def _scale_bar(draw: ImageDraw.ImageDraw, box: Box, length: int) -> None:
    left, top, width, height = box
    if length < 4 or length > width - 8:  # a view narrower than the bar does without
        return
    row = top + height - 8
    draw.line((left + 6, row, left + 6 + length, row), _INK, 3)
    _write(draw, (left + 6, row - 4), "100 mm", "lb")


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, anchor: str) -> None:
    draw.text(place, text, anchor=anchor, font=_font(), fill=_INK, stroke_width=2, stroke_fill=_SHADOW)
