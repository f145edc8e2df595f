"""The page of all studies of a run: what each found in a few numbers, its figures and its files."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd

from dixonflow.analyse.disclosure import LIMIT
from dixonflow.analyse.shareable import PERSONAL
from dixonflow.analyse.vessels import MERGED
from dixonflow.system.atomic import write_bytes

_MOST_ROWS = 25


@dataclass(frozen=True)
class Finished:
    """A study that was run.

    Attributes
    ----------
    name
        Its folder.
    title, text
        What it is, for a reader.
    written
        Its files.
    problem
        Why there is nothing in it; empty where there is.
    """

    name: str
    title: str
    text: str
    written: Sequence[Path]
    problem: str = ""


def write_page(folder: Path, studies: Sequence[Finished]) -> Path:
    """Write `index.html` into the folder of the analyses; links are relative."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    here = resources.files(__package__)
    template = environment.from_string(here.joinpath("page.html.j2").read_text(encoding="utf-8"))
    css = resources.files("dixonflow.report").joinpath("page.css").read_text(encoding="utf-8")
    text = template.render(css=css, limit=LIMIT, studies=[_shown(folder, each) for each in studies])
    path = folder / "index.html"
    write_bytes(path, text.encode())
    return path


def _shown(folder: Path, study: Finished) -> dict[str, Any]:
    names = {path.name: path for path in study.written}
    make = _ROWS.get(study.name)
    rows = make(names) if make and not study.problem else pd.DataFrame()
    figures = [path for path in study.written if path.suffix == ".svg"]
    return {
        "name": study.name,
        "title": study.title,
        "text": study.text,
        "problem": study.problem,
        "columns": [str(name).replace("_", " ") for name in rows.columns],
        "rows": [[_cell(value) for value in row] for row in rows.head(_MOST_ROWS).itertuples(index=False, name=None)],
        "figures": [{"file": _link(folder, path), "title": path.stem.replace("_", " ")} for path in figures],
        "files": [
            {"path": _link(folder, path), "name": path.name, "personal": path.name in PERSONAL}
            for path in study.written
        ],
    }


def _link(folder: Path, path: Path) -> str:
    return quote(path.relative_to(folder).as_posix())


def _cell(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and pd.isna(value)):
        return "not shown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _ageing(files: dict[str, Path]) -> pd.DataFrame:
    rows = pd.read_parquet(files["correlations.parquet"])
    rows = rows[rows["group"].eq("all")]
    rows = rows.reindex(rows["spearman_rho"].abs().sort_values(ascending=False, kind="stable").index)
    return rows[["structure", "measure", "n", "spearman_rho", "rho_low", "rho_high", "p_bonferroni"]]


def _loss(files: dict[str, Path]) -> pd.DataFrame:
    rows = pd.read_parquet(files["flow.parquet"], dtype_backend="numpy_nullable")
    return rows[["step", "reason", "n_files", "n_scans", "n_participants"]]


def _indices(files: dict[str, Path]) -> pd.DataFrame:
    rows = pd.read_parquet(files["indices.parquet"])
    definitions = pd.read_parquet(files["definitions.parquet"]).set_index("index")["definition"]
    found = []
    for name, definition in definitions.items():
        values = rows[str(name)].dropna().astype(float)
        few = rows.loc[values.index, "participant_id"].nunique() < LIMIT
        low, median, high = (None,) * 3 if few else values.quantile([0.25, 0.5, 0.75]).tolist()
        found.append((name, definition, None if few else len(values), median, low, high))
    return pd.DataFrame(found, columns=["index", "definition", "n", "median", "lower_quartile", "upper_quartile"])


def _change(files: dict[str, Path]) -> pd.DataFrame:
    rows = pd.read_parquet(files["summary.parquet"])
    rows = rows[rows["pairs"] >= LIMIT]
    return rows[["structure", "measure", "pairs", "per_year", "per_year_low", "per_year_high", "share_beyond_error"]]


def _vessels(files: dict[str, Path]) -> pd.DataFrame:
    rows = pd.read_parquet(files["consistency.parquet"])
    rows = rows[rows["images"].ge(LIMIT) & rows["contrast"].eq(MERGED)]
    others = rows["images"] - rows["in_one_piece"]
    few = (others > 0) & (others < LIMIT)
    rows = rows.assign(consistency=rows["consistency"].mask(few), others=rows["mean_pieces_of_others"].mask(few))
    return rows[["structure", "images", "consistency", "others"]].rename(columns={"others": "mean pieces of others"})


_ROWS = {"ageing": _ageing, "loss": _loss, "indices": _indices, "change": _change, "vessels": _vessels}
