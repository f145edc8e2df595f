"""How figures are saved: vector and PNG, the same bytes for the same figure, nothing of time and program in them."""

import logging
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

FORMATS = ("pdf", "svg", "png")
_METADATA = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}

for noisy in ("fontTools", "matplotlib"):  # they log every glyph
    logging.getLogger(noisy).setLevel(logging.WARNING)
mpl.rcParams.update({"svg.hashsalt": "dixonflow", "svg.fonttype": "none", "font.size": 7, "pdf.fonttype": 42})


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure that has a canvas in every format of `FORMATS`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for ending in FORMATS:
        path = folder / f"{name}.{ending}"
        figure.savefig(path, dpi=200, metadata=_METADATA[ending])
        written.append(path)
    return written
