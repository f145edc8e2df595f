"""Charts of reference centiles: women and men next to each other, one curve per centile, no participant."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dixonflow.analyse.centiles import CENTILES, SEXES, Curves
from dixonflow.report.figure_files import save_figure

_COLUMNS = 4
_BLUE = "#1f5f8b"


def write_charts(curves: Sequence[Curves], folder: Path) -> list[Path]:
    """Draw the curves of every measure, one figure each, in all formats."""
    written: list[Path] = []
    for key in dict.fromkeys((each.sequence, each.model, each.measure) for each in curves):
        own = [each for each in curves if (each.sequence, each.model, each.measure) == key]
        structures = list(dict.fromkeys(each.structure for each in own))
        lines = -(-2 * len(structures) // _COLUMNS)
        figure = Figure(figsize=(11.0, 0.5 + 1.9 * lines), layout="constrained")
        FigureCanvasAgg(figure)
        for place, (structure, sex) in enumerate([(name, sex) for name in structures for sex in SEXES], 1):
            axes = figure.add_subplot(lines, _COLUMNS, place)
            axes.set_title(f"{structure.replace('_', ' ')}, {'women' if sex == 'female' else 'men'}", fontsize=6)
            axes.tick_params(labelsize=5)
            for each in own:
                if (each.structure, each.sex) == (structure, sex):
                    ages = np.linspace(*each.ages, 60)
                    lines_of = each.at(ages, None)
                    for number, centile in enumerate(CENTILES):
                        width = 1.2 if centile == 0.5 else 0.6
                        axes.plot(ages, lines_of[:, number], color=_BLUE, linewidth=width)
        unit = own[0].unit
        figure.supxlabel(f"age in years; centiles {', '.join(f'{100 * each:g}' for each in CENTILES)}")
        figure.supylabel(f"{key[2].replace('_', ' ')}{f' ({unit})' if unit not in ('', '1') else ''}")
        written += save_figure(figure, folder, f"centiles_{'_'.join(key)}")
    return written
