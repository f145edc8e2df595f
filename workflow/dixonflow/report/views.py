"""Views of a scan as pictures: slices in grey, label maps over them, sides and scale written into them."""

import io
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dixonflow.imaging.types import Affine
from dixonflow.vocabulary import Contrast

Box = tuple[int, int, int, int]  # left, top, width, height in pixels

INK = (240, 240, 240)
_SHADOW = (0, 0, 0)
_FILL, _FILL_LARGE = 0.42, 0.22  # opacity of a structure; the image must stay visible below those that cover much of it
_LARGE_SHARE = 0.06  # of all labelled voxels
_OUTLINE = 0.90  # opacity of its boundary
_WHITE_PERCENTILE = 99.5
_COLOURS = 255  # an indexed PNG is a third of the size of true colour, with no visible difference


def shown_images(
    images: Mapping[Contrast, NDArray[np.generic]], labels: NDArray[np.integer], affine: Affine
) -> tuple[NDArray[np.generic], NDArray[np.generic], NDArray[np.float64]]:
    """Image to show plain, image to show under the labels, and voxel size in mm.

    Water is shown plain, in-phase under the labels; where one of the two is missing the other stands in, and the first
    image where both are. A CT is shown in the window of soft tissue.

    Raises
    ------
    ValueError
        If there is no image, if shapes differ, or if the affine is not that of a RAS+ grid.
    """
    if Contrast.CT in images:
        images = {Contrast.IN_PHASE: soft_tissue(images[Contrast.CT])}
    if not images:
        raise ValueError("a picture of a scan needs an image")
    plain = images.get(Contrast.WATER, images.get(Contrast.IN_PHASE, next(iter(images.values()))))
    under = images.get(Contrast.IN_PHASE, plain)
    if labels.ndim != 3 or 0 in labels.shape or labels.shape != plain.shape or labels.shape != under.shape:
        raise ValueError(f"images {plain.shape}, {under.shape} and labels {labels.shape} are not on one grid")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise ValueError("labels must be integers, 0 or more")
    spacing = np.diag(affine)[:3]
    if not np.allclose(affine[:3, :3], np.diag(spacing)) or not (spacing > 0).all():
        raise ValueError("the affine is not that of an axis-aligned RAS+ grid")
    return plain, under, spacing


def soft_tissue(ct: NDArray[np.generic]) -> NDArray[np.generic]:
    """Window of soft tissue, centre 40 HU and width 400 HU, from 0 up."""
    return np.clip(np.asarray(ct, np.float32), -160, 240) + np.float32(160)


def white_of(image: NDArray[np.generic]) -> float:
    """Intensity drawn white: a high percentile of the positive voxels, from a thinned volume."""
    step = max(1, min(image.shape) // 60)
    values = np.asarray(image[::step, ::step, ::step], dtype=np.float32)
    values = values[np.isfinite(values) & (values > 0)]
    return float(np.percentile(values, _WHITE_PERCENTILE)) if values.size else 1.0


def grey_view(view: NDArray[np.generic], white: float, box: Box) -> NDArray[np.uint8]:
    """An (across, down) slice as an RGB picture of the box's size."""
    values = np.nan_to_num(np.asarray(view, dtype=np.float32).T)
    scaled = np.clip(values * (255 / white), 0, 255).astype(np.uint8)
    picture = Image.fromarray(scaled).resize(box[2:], Image.Resampling.BICUBIC)
    return np.repeat(np.asarray(picture)[:, :, None], 3, axis=2)


def opacities_of(labels: NDArray[np.integer], kinds: int) -> NDArray[np.float32]:
    """Opacity of each label id, 0 for the background."""
    counts = np.bincount(labels[::2, ::2, ::2].ravel(), minlength=kinds)
    counts[0] = 0
    opacity = np.where(counts > _LARGE_SHARE * counts.sum(), _FILL_LARGE, _FILL).astype(np.float32)
    opacity[0] = 0
    return opacity


def overlaid(
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


def write_sides(draw: ImageDraw.ImageDraw, box: Box, sides: str) -> None:
    """Write two letters, what is left and what is right, into the upper corners of a view."""
    left, top, width, _ = box
    for across, side, anchor in ((left + 4, sides[0], "la"), (left + width - 4, sides[1], "ra")):
        _write(draw, (across, top + 2), side, anchor)


def draw_scale_bar(draw: ImageDraw.ImageDraw, box: Box, length: int) -> None:
    """Draw a bar of 100 mm, `length` pixels long, into the lower left corner of a view."""
    left, top, width, height = box
    if length < 4 or length > width - 8:  # a view narrower than the bar does without
        return
    row = top + height - 8
    draw.line((left + 6, row, left + 6 + length, row), INK, 3)
    _write(draw, (left + 6, row - 4), "100 mm", "lb")


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, anchor: str) -> None:
    draw.text(place, text, anchor=anchor, font=_font(), fill=INK, stroke_width=2, stroke_fill=_SHADOW)


def as_png(sheet: Image.Image) -> bytes:
    """Encode a picture; equal pictures give equal bytes."""
    encoded = io.BytesIO()
    sheet.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        encoded, "PNG", compress_level=6
    )
    return encoded.getvalue()
