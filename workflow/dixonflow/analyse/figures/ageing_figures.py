"""Figures of the study of ageing: correlations of all quantities, and boxes by quartile of age.

They show groups and no single participant: boxes have no points beyond their whiskers.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dixonflow.analyse.ageing import ALPHA, QUARTILES, AgeingStudy
from dixonflow.report.figure_files import save_figure
from dixonflow.tables.columns import NAME_ENDINGS

_COLUMNS, _WIDTH, _HEIGHT = 5, 11.0, 1.9
_BLUE, _GREY = "#1f5f8b", "#9aa5ad"


def write_figures(study: AgeingStudy, folder: Path) -> list[Path]:
    """Write all figures in every format of `FORMATS`; none for a study without values."""
    written = []
    for name, figure in _figures(study):
        FigureCanvasAgg(figure)
        written += save_figure(figure, folder, name)
    return written


def _figures(study: AgeingStudy) -> Iterator[tuple[str, Figure]]:
    whole = study.correlations[study.correlations["group"].eq("all")]
    quartiles = study.quartiles[study.quartiles["group"].eq("all")]
    keys = ["sequence", "model", "measure"]
    boxes = dict(iter(quartiles.groupby(keys, sort=True)))
    for key, rows in whole.groupby(keys, sort=True):
        name, measure = "_".join(map(str, key)), str(key[-1])
        yield f"correlations_{name}", _correlations(rows, measure)
        yield f"quartiles_{name}", _boxes(boxes[key], measure)


def _correlations(rows: pd.DataFrame, measure: str) -> Figure:
    rows = rows.sort_values("spearman_rho", ignore_index=True)
    figure = Figure(figsize=(5.5, 1.0 + 0.14 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    colours = [_BLUE if each else _GREY for each in rows["significant"]]
    axes.barh(rows.index, rows["spearman_rho"], color=colours, height=0.7)
    errors = [rows["spearman_rho"] - rows["rho_low"], rows["rho_high"] - rows["spearman_rho"]]
    axes.errorbar(rows["spearman_rho"], rows.index, xerr=errors, fmt="none", ecolor="#333333", elinewidth=0.6)
    axes.axvline(0, color="#333333", linewidth=0.6)
    axes.set_yticks(rows.index, [_readable(each) for each in rows["structure"]], fontsize=5)
    axes.set_ylim(-1, len(rows))
    axes.set_xlabel(f"Spearman correlation of {_readable(measure)} with age, 95 % interval; blue: p < {ALPHA:g}")
    return figure


def _boxes(rows: pd.DataFrame, measure: str) -> Figure:
    structures = sorted(rows["structure"].unique())
    lines = -(-len(structures) // _COLUMNS)
    figure = Figure(figsize=(_WIDTH, 0.5 + _HEIGHT * lines), layout="constrained")
    for place, structure in enumerate(structures, 1):
        axes = figure.add_subplot(lines, _COLUMNS, place)
        own = rows[rows["structure"].eq(structure)].set_index("quartile").reindex(QUARTILES).dropna(subset="n")
        boxes = [
            {
                "med": row["median"],
                "q1": row["lower_quartile"],
                "q3": row["upper_quartile"],
                "whislo": row["lower_quartile"],
                "whishi": row["upper_quartile"],
                "label": f"{row['age_low']:.0f}-{row['age_high']:.0f}",
            }
            for _, row in own.iterrows()
        ]
        axes.bxp(boxes, showfliers=False, showcaps=False, widths=0.6, medianprops={"color": _BLUE})
        axes.set_title(_readable(structure), fontsize=6)
        axes.tick_params(labelsize=5)
    unit = str(rows["unit"].iloc[0])
    shown = "" if unit in ("1", "") or unit not in NAME_ENDINGS else f" ({unit})"
    figure.supxlabel("age in years, by quartile")
    figure.supylabel(f"{_readable(measure)}{shown}, median and quartiles")
    return figure


def _readable(name: str) -> str:
    return name.replace("_", " ")
