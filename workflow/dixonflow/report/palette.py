"""One fixed colour per label id, the same in every contact sheet, page, table of labels and run.

Any two of the first 150 ids differ by at least 15 in CIELAB (the distance of CIE 1976), so whichever structures touch
can be distinguished.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab

_COLOURS = 255
_LEVELS = 18  # of red, green and blue among which colours are chosen
_DARKEST, _LEAST_CHROMA = 30.0, 20.0  # nothing that is taken for the image or what is around it


def colour(label: int) -> tuple[int, int, int]:
    """Red, green and blue (0 to 255) of a label id of 1 or more; it depends on the id alone.

    Raises
    ------
    ValueError
        If `label` is 0 or less: the background has no colour.
    """
    if label < 1:
        raise ValueError(f"label ids start at 1, got {label}")
    red, green, blue = _colours()[(label - 1) % _COLOURS].tolist()
    return red, green, blue


def lookup_table(largest: int) -> NDArray[np.uint8]:
    """Colours of the ids 0 to `largest`, shape (largest + 1, 3); row 0 (background) is black."""
    table = np.zeros((largest + 1, 3), np.uint8)
    table[1:] = _colours()[np.arange(largest) % _COLOURS]
    return table


@cache
def _colours() -> NDArray[np.uint8]:
    """Colours, each the one furthest in CIELAB from those before it."""
    levels = np.linspace(0, 255, _LEVELS).round().astype(np.uint8)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = rgb2lab(candidates)
    bright = (lab[:, 0] > _DARKEST) & (np.hypot(lab[:, 1], lab[:, 2]) > _LEAST_CHROMA)
    candidates, lab = candidates[bright], lab[bright]
    chosen = [0]
    nearest = np.linalg.norm(lab - lab[0], axis=1)
    while len(chosen) < _COLOURS:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
    return np.asarray(candidates[chosen], np.uint8)
