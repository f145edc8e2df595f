"""Small figures as SVG text: no script, a kilobyte or two each, sharp on every screen, coloured by the style sheet.

Plotting libraries bring 3 to 5 MB of script into the page, or 20 KB of SVG for each of some hundred distributions; a
page that must open on a phone without a network is better off with rectangles and circles.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

_WIDTH, _LEFT, _RIGHT = 240, 6, 234
_TOP, _BASE = 8, 62  # rows of the plot area; the axis is at the base
_LARGEST_BINS = 36
_FAR_OUT_IQR = 3.0  # beyond the quartiles, in interquartile ranges: Tukey's outer fences
_MOST_FAR_OUT = 12
STRIP_MOST = 80
"""Up to this many values each one is a dot that opens its scan; above it, bars."""


@dataclass(frozen=True)
class Mark:
    """A value and what it links to."""

    value: float
    text: str
    link: str | None


def stacked_bar(parts: Sequence[tuple[str, int]]) -> str:
    """Horizontal bar of the shares of `parts` (style class, count); empty where all are 0."""
    total = sum(count for _, count in parts)
    if total == 0:
        return ""
    pieces, left = [], 0.0
    for kind, count in parts:
        width = 100 * count / total
        if count:
            # A single scan among 100,000 still shows.
            drawn = max(width, 0.4)
            pieces.append(
                f'<rect class="{escape(kind)}" x="{min(left, 100 - drawn):.2f}" width="{drawn:.2f}" height="8">'
                f"<title>{escape(kind)}: {count:,}</title></rect>"
            )
        left += width
    return f'<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img">{"".join(pieces)}</svg>'


def share_bar(share: float, kind: str = "plain") -> str:
    """Horizontal bar filled to `share`, 0 to 1."""
    width = 100 * min(max(share, 0.0), 1.0)
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="{escape(kind)}" width="{max(width, 0.4):.2f}" height="8"></rect></svg>'
    )


def far_out(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Positions of values beyond three interquartile ranges from the quartiles, farthest first; at least 8 values."""
    if values.size < 8:
        return np.empty(0, np.intp)
    low, high = np.percentile(values, [25, 75])
    distance = np.maximum(low - values, values - high)
    found = np.flatnonzero(distance > _FAR_OUT_IQR * (high - low)) if high > low else np.empty(0, np.intp)
    return np.asarray(found[np.argsort(-distance[found], kind="stable")], dtype=np.intp)


def distribution(values: NDArray[np.float64], axis: tuple[float, float], marks: Sequence[Mark], title: str) -> str:
    """Draw a distribution: dots where there are few values, bars where there are many, median and quartiles above.

    Parameters
    ----------
    values
        Finite values.
    axis
        Range of the axis; pairs of a left and a right structure share one.
    marks
        The values that are drawn one by one: all of them for dots, those far out for bars.
    title
        For screen readers.
    """
    low, high = axis

    def place(value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (value - low) / (high - low)

    pieces = [f'<svg class="plot" viewBox="0 0 {_WIDTH} 82" role="img" aria-label="{escape(title)}">']
    if values.size > STRIP_MOST:
        pieces.append(_bars(values, axis))
        marks = marks[:_MOST_FAR_OUT]
    pieces += [_dot(mark, place(mark.value), few=values.size <= STRIP_MOST) for mark in marks]
    quartile, median, upper = np.percentile(values, [25, 50, 75]).tolist()
    pieces.append(
        f'<line class="iqr" x1="{place(quartile):.1f}" x2="{place(upper):.1f}" y1="4" y2="4"/>'
        f'<circle class="median" cx="{place(median):.1f}" cy="4" r="3.2"/>'
        f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{_BASE + 4}" y2="{_BASE + 4}"/>'
    )
    for value, anchor in ((low, "start"), ((low + high) / 2, "middle"), (high, "end")):
        pieces.append(f'<text x="{place(value):.1f}" y="79" text-anchor="{anchor}">{number(value)}</text>')
    return "".join(pieces) + "</svg>"


def _bars(values: NDArray[np.float64], axis: tuple[float, float]) -> str:
    width = 2 * float(np.subtract(*np.percentile(values, [75, 25]))) / values.size ** (1 / 3)  # Freedman-Diaconis
    span = axis[1] - axis[0]
    bins = int(np.clip(span / width if width > 0 else 1, 8, _LARGEST_BINS))
    counts, edges = np.histogram(values, bins=bins, range=axis)
    step = (_RIGHT - _LEFT) / bins
    pieces = []
    for position, count in enumerate(counts.tolist()):
        if count:
            height = max(0.8, (_BASE - _TOP - 4) * count / counts.max())
            label = f"{number(edges[position])} to {number(edges[position + 1])}: {count:,}"
            pieces.append(
                f'<rect class="hist" x="{_LEFT + position * step:.1f}" y="{_BASE - height + 4:.1f}" '
                f'width="{max(step - 0.7, 0.5):.1f}" height="{height:.1f}"><title>{label}</title></rect>'
            )
    return "".join(pieces)


def _dot(mark: Mark, x: float, *, few: bool) -> str:
    # Jitter from the mark's own text, so that a scan keeps its height in every run.
    spread = int(hashlib.sha256(mark.text.encode()).hexdigest()[:4], 16) / 0xFFFF if few else 0.86
    y = _TOP + 8 + spread * (_BASE - _TOP - 12)
    text = f"{escape(mark.text)}: {number(mark.value)}"
    shape = (
        f'<circle class="{"dot" if few else "far"}" cx="{x:.1f}" cy="{y:.1f}" r="3.4"><title>{text}</title></circle>'
    )
    return f'<a href="{escape(mark.link)}">{shape}</a>' if mark.link else shape


def nice_range(low: float, high: float) -> tuple[float, float]:
    """Smallest range of round numbers that holds `low` to `high`; it starts at 0 where that costs little room."""
    if 0 < low <= 0.4 * high:
        low = 0.0
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):  # one value, or as good as one
        pad = abs(low) * 0.1 or 0.5
        low, high = low - pad, high + pad
    step = 10.0 ** math.floor(math.log10(high - low))
    for finer in (0.1, 0.2, 0.5, 1.0):
        start, end = math.floor(low / (step * finer)), math.ceil(high / (step * finer))
        if end - start <= 12:
            end += (end - start) % 2  # an even number of steps gives a round middle
            return start * step * finer, end * step * finer
    return low, high


def number(value: float) -> str:
    """Three significant digits, thousands separated, no exponent for what tables here hold."""
    if not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
