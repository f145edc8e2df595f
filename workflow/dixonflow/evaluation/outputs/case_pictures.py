"""Pictures of the best and worst cases of a structure: image, outlines of reference and prediction."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dixonflow.evaluation.metrics.overlap import Presence
from dixonflow.evaluation.statistics.case_rows import METRICS, StatisticsError
from dixonflow.labelmap.components import bounding_box
from dixonflow.report.close_up import MARGIN_MM
from dixonflow.report.views import Box, as_png, grey_view, white_of, write_sides

REFERENCE_COLOUR, PREDICTION_COLOUR = (86, 180, 233), (230, 159, 0)
"""Sky blue and orange of Okabe and Ito, which readers with any colour vision distinguish."""

_SIDE_PX, _LARGEST_SCALE, _GAP_PX, _LEGEND_PX = 360, 4.0, 6, 22


@dataclass(frozen=True)
class ChosenCase:
    """A case that a picture is made of.

    Attributes
    ----------
    system, structure, case
        Which rows it is from.
    kind, place
        `worst` or `best`, and its place from 1.
    case_number
        As in the table cases; names the file.
    """

    system: str
    structure: str
    case: str
    kind: str
    place: int
    case_number: int

    @property
    def file_name(self) -> str:
        """Name of the picture: no id, and nothing of a name that a file system could take for a path."""
        words = f"{plain_name(self.system)}_{plain_name(self.structure)}_{self.kind}_{self.place}"
        return f"{words}_case_{self.case_number:05}.png"


def plain_name(name: str) -> str:
    """Letters, digits, hyphens and underscores of a name; others become underscores."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:80]


def case_numbers(rows: pd.DataFrame) -> dict[str, int]:
    """Number of each case, from 1, in order of their names; all systems of an evaluation have the same."""
    return {case: number for number, case in enumerate(sorted(set(rows["case"])), 1)}


def choose_cases(
    rows: pd.DataFrame, system: str, structure: str, metric: str = "dice", number: int = 3
) -> list[ChosenCase]:
    """Choose the worst and the best cases of a structure.

    Parameters
    ----------
    rows
        Of all systems: they give the cases their numbers.
    system, structure
        Whose cases.
    metric
        Column of `METRICS` with an optimum: 1 for Dice and NSD, 0 for the others, where signs do not count.
    number
        Most of each kind; no case is both, and with few cases the worst come first.

    Raises
    ------
    StatisticsError
        If the metric is unknown, or no row is of the system and structure.
    """
    if metric not in METRICS or metric not in rows:
        raise StatisticsError(f"metric must be one of {', '.join(METRICS)}, not {metric}")
    numbers = case_numbers(rows)
    own = rows[rows["system"].eq(system) & rows["structure"].eq(structure)]
    if own.empty:
        raise StatisticsError(f"there are no rows of {structure} by {system}")
    own = own[own["presence"].ne(Presence.NEITHER) & own[metric].notna()]
    values = own[metric].astype(float)
    badness = -values if metric in ("dice", "nsd") else values.abs()
    ordered = own.assign(badness=badness).sort_values(["badness", "case"], ascending=[False, True])["case"].tolist()
    worst, rest = ordered[:number], ordered[number:]
    chosen = [("worst", place, case) for place, case in enumerate(worst, 1)]
    chosen += [("best", place, case) for place, case in enumerate(rest[::-1][:number], 1)]
    return [ChosenCase(system, structure, case, kind, place, numbers[case]) for kind, place, case in chosen]


def case_picture(
    image: NDArray[np.generic] | None,
    reference: NDArray[np.integer],
    predicted: NDArray[np.integer],
    spacing_mm: Sequence[float],
    labels: Collection[int],
) -> bytes | None:
    """Draw a structure of a case: coronal view, the same with outlines, axial view, the same with outlines.

    The views run through the slices where reference (blue) and prediction (orange) differ in most voxels; where they
    are equal, through those that show most of the structure. Radiological convention: the right of the body is left.

    Parameters
    ----------
    image
        Shape (x, y, z) in RAS+ order; None draws outlines on black.
    reference, predicted
        Label maps on the same grid, 0 is background.
    spacing_mm
        Voxel size.
    labels
        Ids of the structure, or of the parts of a composite.

    Returns
    -------
    A PNG, or None where neither map has the structure.

    Raises
    ------
    ValueError
        If the arrays are not on one three-dimensional grid, or the spacing is not positive.
    """
    shapes = {reference.shape, predicted.shape, reference.shape if image is None else image.shape}
    if len(shapes) > 1 or reference.ndim != 3:
        raise ValueError(f"image and label maps of shape {', '.join(map(str, sorted(shapes)))} are not on one grid")
    spacing = np.asarray(spacing_mm, dtype=float)
    if spacing.shape != (3,) or not (np.isfinite(spacing) & (spacing > 0)).all():
        raise ValueError(f"spacing must be three positive numbers, not {tuple(spacing_mm)}")
    masks = [np.isin(each, list(labels)) for each in (reference, predicted)]
    either = masks[0] | masks[1]
    if not either.any():
        return None
    around = _around(either, spacing)
    masks = [mask[around] for mask in masks]
    different = masks[0] != masks[1]
    counted = different if different.any() else either[around]
    y, z = (int(counted.sum(axis=tuple(other for other in range(3) if other != axis)).argmax()) for axis in (1, 2))
    reverse = slice(None, None, -1)
    shown = np.zeros(masks[0].shape, np.float32) if image is None else np.asarray(image[around])
    if np.iscomplexobj(shown):
        raise ValueError("the image is complex")
    return _sheet(shown, masks, ((reverse, y, reverse), (reverse, reverse, z)), spacing)


def _around(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> tuple[slice, ...]:
    """The box of a mask, with `MARGIN_MM` of what is around it."""
    margins = np.ceil(MARGIN_MM / spacing).astype(int)
    return tuple(
        slice(max(side.start - margin, 0), min(side.stop + margin, size))
        for side, size, margin in zip(bounding_box(mask), mask.shape, margins, strict=True)
    )


def _sheet(
    image: NDArray[np.generic],
    masks: Sequence[NDArray[np.bool_]],
    views: Sequence[tuple[slice | int, ...]],
    spacing: NDArray[np.float64],
) -> bytes:
    size_mm = np.array(image.shape) * spacing
    scale = min(_SIDE_PX / float(size_mm.max()), _LARGEST_SCALE)
    width, depth, height = (max(1, round(length * scale)) for length in size_mm.tolist())
    boxes: list[Box] = [
        (_GAP_PX + place * (width + _GAP_PX), _GAP_PX + _LEGEND_PX, width, tall)
        for place, tall in enumerate((height, height, depth, depth))
    ]
    wide = max(boxes[-1][0] + width + _GAP_PX, 220)
    sheet = Image.new("RGB", (wide, max(height, depth) + 2 * _GAP_PX + _LEGEND_PX))
    white = white_of(image)
    for pair, view in zip((boxes[:2], boxes[2:]), views, strict=True):
        grey = grey_view(image[view], white, pair[0])
        drawn = grey.copy()
        for mask, colour in zip(masks, (REFERENCE_COLOUR, PREDICTION_COLOUR), strict=True):
            drawn[outline(mask[view], pair[1])] = colour
        for box, picture in zip(pair, (grey, drawn), strict=True):
            sheet.paste(Image.fromarray(picture), box[:2])
    draw = ImageDraw.Draw(sheet)
    for box in boxes:
        write_sides(draw, box, "RL")
    font = ImageFont.load_default(size=14)
    draw.text((_GAP_PX, 3), "reference", font=font, fill=REFERENCE_COLOUR)
    draw.text((_GAP_PX + 90, 3), "prediction", font=font, fill=PREDICTION_COLOUR)
    return as_png(sheet)


def outline(view: NDArray[np.bool_], box: Box) -> NDArray[np.bool_]:
    """Pixels of a picture of the box's size on the boundary of an (across, down) mask, just inside it."""
    across, down = view.shape
    # nearest neighbour: the voxel under the centre of each pixel
    column = ((np.arange(box[2]) + 0.5) * across / box[2]).astype(np.intp)
    row = ((np.arange(box[3]) + 0.5) * down / box[3]).astype(np.intp)
    inside = view.T[row[:, None], column[None, :]]
    framed = np.pad(inside, 1)
    surrounded = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    return np.asarray(inside & ~surrounded)
