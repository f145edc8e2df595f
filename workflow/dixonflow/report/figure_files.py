"""How figures are saved: vector and PNG, the same bytes for the same figure, nothing of time and program in them."""

import logging
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from dixonflow.system.atomic import atomic_path

FORMATS = ("pdf", "svg", "png")
_METADATA = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}

for noisy in ("fontTools", "matplotlib"):  # they log every glyph
    logging.getLogger(noisy).setLevel(logging.WARNING)
mpl.rcParams.update({"svg.hashsalt": "dixonflow", "svg.fonttype": "none", "font.size": 7, "pdf.fonttype": 42})


def save_figure(figure: Figure, folder: Path, name: str, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write a figure that has a canvas in some formats of `FORMATS`, each file atomically."""
    written = []
    for ending in formats:
        path = folder / f"{name}.{ending}"
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=200, metadata=_METADATA[ending])
        written.append(path)
    return written
