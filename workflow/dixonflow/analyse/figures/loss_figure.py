"""The flow diagram of a cohort: how many files and scans are left after each step, and why the others are not."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dixonflow.analyse.loss_flow import OF_SCANS
from dixonflow.report.figure_files import save_figure

_BOX = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": "#1f5f8b"}
_GRADES = {"pass": "passed", "review": "to be looked at first"}
_SIDE = {"boxstyle": "round,pad=0.4", "facecolor": "#f2f4f5", "edgecolor": "#9aa5ad"}


def write_flow(flow: pd.DataFrame, values: pd.DataFrame | None, folder: Path) -> list[Path]:
    """Draw the flow of `study_loss` in all formats, down to the values of the scans that are left if they are known."""
    steps = flow[flow["reason"].eq("")].reset_index(drop=True)
    files = steps["step"].tolist()[: steps["step"].tolist().index(OF_SCANS)]
    figure = Figure(figsize=(7.0, 1.3 * (len(steps) + 1)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(0, 10)
    axes.set_ylim(-len(steps) - 0.6, 0.6)
    for place, step in steps.iterrows():
        y = -float(str(place))
        name = str(step["step"]).replace("left after: ", "after: ")
        of_files = step["step"] in files
        counted = f"{_number(step['n_files'])} files and folders" if of_files else f"{_number(step['n_scans'])} scans"
        people = "" if of_files else f", {_number(step['n_participants'])} participants"
        words = f"{name}\n{counted}{people}"
        axes.text(2.6, y, words, ha="center", va="center", fontsize=8, bbox=_BOX)
        if y < 0:
            axes.annotate("", (2.6, y + 0.25), (2.6, y + 0.75), arrowprops={"arrowstyle": "->", "color": "#333333"})
            own = flow[flow["step"].eq(str(step["step"]).removeprefix("left after: ")) & flow["reason"].ne("")]
            column = "n_files" if of_files else "n_scans"
            lines = [f"{row['reason'].replace('_', ' ')}: {_number(row[column])}" for _, row in own.iterrows()]
            if step["step"] != OF_SCANS:  # nothing is lost where counting changes from files to scans
                axes.text(5.4, y + 0.5, "\n".join(lines) or "none", ha="left", va="center", fontsize=6, bbox=_SIDE)
    if values is not None:
        _draw_values(axes, values, -float(len(steps)))
    return save_figure(figure, folder, "flow")


def _draw_values(axes: Axes, values: pd.DataFrame, y: float) -> None:
    numbers = dict(zip(values["outcome"], values["n_values"], strict=True))
    kept = [f"{words}: {_number(numbers.get(grade, 0))}" for grade, words in _GRADES.items()]
    axes.text(2.6, y, "\n".join(["values of these scans", *kept]), ha="center", va="center", fontsize=8, bbox=_BOX)
    axes.annotate("", (2.6, y + 0.3), (2.6, y + 0.75), arrowprops={"arrowstyle": "->", "color": "#333333"})
    others = [f"{name.replace('_', ' ')}: {_number(n)}" for name, n in numbers.items() if name not in _GRADES]
    axes.text(5.4, y + 0.2, "\n".join(others) or "none missing", ha="left", va="center", fontsize=5, bbox=_SIDE)


def _number(count: object) -> str:
    return "not shown" if count is pd.NA else f"{int(str(count)):,}"
