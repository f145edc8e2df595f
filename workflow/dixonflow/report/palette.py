"""One fixed colour per label id, the same in every contact sheet, page and run."""

import colorsys

import numpy as np
from numpy.typing import NDArray

# Successive multiples of the golden ratio's fractional part never cluster on the circle, so neighbouring ids (left and
# right of a pair, touching muscles) get distant hues. Three lightness levels in turn keep them apart without hue, too,
# for people who do not tell red from green.
_GOLDEN = 0.6180339887498949
_LIGHTNESS = (0.62, 0.42, 0.78)
_SATURATION = (0.95, 0.85, 0.75)


def colour(label: int) -> tuple[int, int, int]:
    """Red, green and blue (0 to 255) of a label id of 1 or more; it depends on the id alone.

    Raises
    ------
    ValueError
        If `label` is 0 or less: the background has no colour.
    """
    if label < 1:
        raise ValueError(f"label ids start at 1, got {label}")
    hue = (label * _GOLDEN) % 1.0
    red, green, blue = colorsys.hls_to_rgb(hue, _LIGHTNESS[label % 3], _SATURATION[label % 3])
    return round(red * 255), round(green * 255), round(blue * 255)


def lookup_table(largest: int) -> NDArray[np.uint8]:
    """Colours of the ids 0 to `largest`, shape (largest + 1, 3); row 0 (background) is black."""
    table = np.zeros((largest + 1, 3), np.uint8)
    for label in range(1, largest + 1):
        table[label] = colour(label)
    return table
