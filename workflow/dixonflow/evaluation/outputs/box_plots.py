"""Box plots of a metric: one line per structure, the systems next to each other in colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cbook import boxplot_stats
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from dixonflow.evaluation.statistics.case_rows import METRICS, StatisticsError, checked_rows
from dixonflow.report.figure_files import save_figure

_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Okabe and Ito's, which readers with any colour vision distinguish."""

MOST_SYSTEMS = len(_COLOURS)
"""That a figure shows side by side."""

_PER_PANEL = 40
_LONGEST_NAME = 40
_LINE_INCHES, _SYSTEM_INCHES = 0.08, 0.10


def write_box_plots(
    rows: pd.DataFrame, folder: Path, metrics: Sequence[str] = ("dice", "nsd", "hd95_mm")
) -> list[Path]:
    """Draw `box_plot_<metric>` as SVG and PNG for every metric that has a value.

    Parameters
    ----------
    rows
        As `checked_rows` takes them.
    folder
        Where the files go.
    metrics
        Columns of `METRICS`.

    Raises
    ------
    StatisticsError
        As `checked_rows`; if there are more systems than colours.
    """
    checked = checked_rows(rows, metrics)
    written = []
    for metric in metrics:
        if checked[metric].notna().any():
            written += save_figure(box_plot(checked, metric), folder, f"box_plot_{metric}", ("svg", "png"))
    return written


def box_plot(rows: pd.DataFrame, metric: str) -> Figure:
    """Draw the checked rows of one metric.

    The box spans the quartiles, whiskers reach to the last case within 1.5 times its height, and every case beyond is a
    point. From the top: structures in order of the rows, composites last; with more than 40 of them, in several panels.
    """
    systems = rows["system"].drop_duplicates().tolist()
    if len(systems) > MOST_SYSTEMS:
        raise StatisticsError(f"a box plot shows {MOST_SYSTEMS} systems or fewer, not {len(systems)}")
    structures = rows.drop_duplicates("structure").sort_values("composite", kind="stable")["structure"].tolist()
    panels = -(-len(structures) // _PER_PANEL)
    size = -(-len(structures) // panels)
    height = 0.9 + size * (_LINE_INCHES + _SYSTEM_INCHES * len(systems))
    figure = Figure(figsize=(0.5 + 5.0 * panels, height), layout="constrained")
    FigureCanvasAgg(figure)
    limits = _limits(rows[metric].to_numpy(float), metric)
    by_box = {key: part[metric].dropna().to_numpy(float) for key, part in rows.groupby(["structure", "system"])}
    for panel in range(panels):
        axes = figure.add_subplot(1, panels, panel + 1)
        shown = structures[panel * size : (panel + 1) * size]
        for place, system in enumerate(systems):
            offset = (place - (len(systems) - 1) / 2) * 0.8 / len(systems)
            boxes = {line + offset: by_box.get((name, system), np.empty(0)) for line, name in enumerate(shown)}
            _draw(axes, boxes, 0.62 / len(systems), _COLOURS[place])
        axes.set_yticks(range(len(shown)), [_plain(each.replace("_", " ")) for each in shown])
        axes.set_ylim(size - 0.4, -0.6)
        axes.set_xlim(*limits)
        axes.grid(axis="x", linewidth=0.3, color="#cccccc")
        axes.set_axisbelow(True)
    known = METRICS[metric]
    figure.supxlabel(known.title if known.unit == "1" else f"{known.title} ({known.unit})")
    handles = [
        Patch(facecolor=colour, alpha=0.6, edgecolor=colour, label=_plain(name))
        for name, colour in zip(systems, _COLOURS, strict=False)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(systems), frameon=False)
    return figure


def _draw(axes: Axes, boxes: dict[float, NDArray[np.float64]], width: float, colour: str) -> None:
    known = {position: values for position, values in boxes.items() if values.size}
    if not known:
        return
    stats = [boxplot_stats(values)[0] for values in known.values()]
    axes.bxp(
        stats,
        positions=list(known),
        widths=width,
        orientation="horizontal",
        manage_ticks=False,
        showcaps=False,
        patch_artist=True,
        boxprops={"facecolor": colour, "alpha": 0.6, "edgecolor": colour, "linewidth": 0.6},
        medianprops={"color": "#111111", "linewidth": 0.9},
        whiskerprops={"color": colour, "linewidth": 0.6},
        flierprops={"marker": "o", "markersize": 1.2, "markerfacecolor": colour, "markeredgewidth": 0},
    )


def _limits(values: NDArray[np.float64], metric: str) -> tuple[float, float]:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if METRICS[metric].maximum == 1:
        low, high = min(low, 0.5), 1.0
    elif METRICS[metric].minimum == 0:
        low = 0.0
    margin = 0.02 * (high - low) or 0.5
    return low - margin, high + margin


def _plain(name: str) -> str:
    """Names are drawn as they are: no formula between dollar signs, and no name that hides itself from the legend."""
    shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
    return shown.replace("$", r"\$").lstrip("_")
