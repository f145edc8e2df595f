"""Files that must not leave a protected environment: each kind plants an id, a row or a picture of one participant."""

import base64
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pypdf import PdfWriter
from pypdf.generic import NameObject, TextStringObject

Rng = np.random.Generator
Plant = Callable[[Path, str, Rng], None]
GROUPS = pd.DataFrame(
    {"structure": ["liver", "spleen", "kidneys"], "n": [412, 407, 399], "mean": [1543.2, 210.7, 301.4]}
)
"""An aggregate that may leave."""


def figure_bytes(ending: str, text: str = "") -> bytes:
    """A small figure of groups."""
    figure = Figure(figsize=(2.5, 2))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.barh(["liver", "spleen"], [-0.1, 0.3])
    axes.set_xlabel(text or "correlation with age")
    out = io.BytesIO()
    figure.savefig(out, format=ending, metadata={"Date": None} if ending == "svg" else None)
    return out.getvalue()


_FIGURES: dict[str, bytes] = {}


def _figure(ending: str) -> bytes:
    return _FIGURES.setdefault(ending, figure_bytes(ending))


def _csv(folder: Path, rows: pd.DataFrame, name: str = "table.csv") -> None:
    rows.to_csv(folder / name, index=False)


def _file_name(folder: Path, own: str, _rng: Rng) -> None:
    _csv(folder, GROUPS, f"means_sub-{own}.csv")


def _folder_name(folder: Path, own: str, _rng: Rng) -> None:
    (folder / own).mkdir()
    _csv(folder / own, GROUPS)


def _cell(folder: Path, own: str, rng: Rng) -> None:
    rows = GROUPS.astype({"structure": object})
    rows.loc[int(rng.integers(len(rows))), "structure"] = f"liver of {own}"
    _csv(folder, rows)


def _numbers(folder: Path, own: str, _rng: Rng) -> None:
    _csv(folder, GROUPS.assign(code=[10, int(own), 30]))


def _floats(folder: Path, own: str, _rng: Rng) -> None:
    GROUPS.assign(weight=[0.5, float(own), 0.7]).to_parquet(folder / "table.parquet")


def _file_metadata(folder: Path, own: str, _rng: Rng) -> None:
    table = pa.Table.from_pandas(GROUPS, preserve_index=False)
    pq.write_table(table.replace_schema_metadata({"history": f"merged {own}"}), folder / "table.parquet")


def _field_metadata(folder: Path, own: str, _rng: Rng) -> None:
    field = pa.field("mean", pa.float64(), metadata={"description": f"mean without {own}"})
    table = pa.table([pa.array([412]), pa.array([1.5])], schema=pa.schema([pa.field("n", pa.int64()), field]))
    pq.write_table(table, folder / "table.parquet")


def _unused_category(folder: Path, own: str, _rng: Rng) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 0, 1]), pa.array(["a", "b", own]))
    pq.write_table(pa.table({"group": column, "n": [8, 9, 10]}), folder / "table.parquet")


def _column_name(folder: Path, own: str, _rng: Rng) -> None:
    _csv(folder, GROUPS.assign(**{f"value_{own}": [0.25, 0.5, 0.75]}))


def _hashed(folder: Path, own: str, rng: Rng) -> None:
    name = ("md5", "sha1", "sha256")[int(rng.integers(3))]
    _csv(folder, GROUPS.assign(key=["a", hashlib.new(name, own.encode(), usedforsecurity=False).hexdigest(), "c"]))


def _base_64(folder: Path, own: str, _rng: Rng) -> None:
    (folder / "notes.txt").write_text(f"checked: {base64.b64encode(own.encode()).decode()}\n")


def _two_bytes(folder: Path, own: str, _rng: Rng) -> None:
    (folder / "notes.txt").write_bytes(f"see {own}".encode("utf-16"))


def _small_count(folder: Path, _own: str, rng: Rng) -> None:
    rows = GROUPS.copy()
    rows.loc[int(rng.integers(len(rows))), "n"] = int(rng.integers(1, 5))
    if rng.random() < 0.5:
        _csv(folder, rows)
    else:
        rows.to_parquet(folder / "table.parquet")


def _rows_of_people(folder: Path, _own: str, rng: Rng) -> None:
    _csv(folder, pd.DataFrame({"age": np.round(rng.uniform(40, 80, 30), 1), "liver_ml": rng.normal(1500, 200, 30)}))


def _renamed_id_column(folder: Path, _own: str, rng: Rng) -> None:
    rows = pd.DataFrame({"eid": np.arange(9_000_000, 9_000_010), "n": 10, "liver_ml": rng.normal(1500, 200, 10)})
    rows.to_parquet(folder / "table.parquet")


def _text_chunk(folder: Path, own: str, _rng: Rng) -> None:
    with Image.open(io.BytesIO(_figure("png"))) as image:
        info = PngInfo()
        info.add_text("Comment", f"without {own}", zip=True)
        image.save(folder / "figure.png", pnginfo=info)


def _exif(folder: Path, own: str, _rng: Rng) -> None:
    with Image.open(io.BytesIO(_figure("png"))) as image:
        exif = Image.Exif()
        exif[0x010E] = own
        image.save(folder / "figure.png", exif=exif)


def _behind_the_end(folder: Path, own: str, _rng: Rng) -> None:
    (folder / "figure.png").write_bytes(_figure("png") + gzip.compress(own.encode()))


def scan_picture(rng: Rng, size: int = 120) -> Image.Image:
    """A body with the texture and noise of an image of a scanner."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    body = (x / 0.8) ** 2 + (y / 0.95) ** 2 < 1
    smooth = 120 + 60 * np.sin(3 * x + 2 * y)
    pixels = np.where(body, smooth + rng.normal(0, 6, (size, size)), 0)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _scan(folder: Path, _own: str, rng: Rng) -> None:
    scan_picture(rng).save(folder / "figure.png")


def _scan_in_a_figure(folder: Path, _own: str, rng: Rng) -> None:
    with Image.open(io.BytesIO(_figure("png"))) as image:
        whole = image.convert("RGB")
    whole.paste(scan_picture(rng, 48), (int(rng.integers(0, 150)), int(rng.integers(0, 100))))
    whole.save(folder / "figure.png")


def _svg(folder: Path, old: str, new: str) -> None:
    text = _figure("svg").decode()
    assert old in text
    (folder / "figure.svg").write_text(text.replace(old, new, 1))


def _svg_comment(folder: Path, own: str, _rng: Rng) -> None:
    _svg(folder, "</svg>", f"<!-- {own} --></svg>")


def _svg_letters(folder: Path, own: str, _rng: Rng) -> None:
    letters = "".join(f"<tspan>{each}</tspan>" for each in own)
    _svg(folder, "</svg>", f"<text>{letters}</text></svg>")


def _svg_entities(folder: Path, own: str, _rng: Rng) -> None:
    _svg(folder, "</svg>", "<desc>" + "".join(f"&#{ord(each)};" for each in own) + "</desc></svg>")


def _svg_picture(folder: Path, _own: str, rng: Rng) -> None:
    out = io.BytesIO()
    scan_picture(rng).save(out, "PNG")
    data = base64.b64encode(out.getvalue()).decode()
    _svg(folder, "</svg>", f'<image width="9" height="9" href="data:image/png;base64,{data}"/></svg>')


def _pdf(folder: Path, change: Callable[[PdfWriter], None]) -> None:
    writer = PdfWriter(clone_from=io.BytesIO(_figure("pdf")))
    change(writer)
    writer.write(folder / "figure.pdf")


def _pdf_metadata(folder: Path, own: str, rng: Rng) -> None:
    key = ("/Title", "/Keywords", "/Subject")[int(rng.integers(3))]
    _pdf(folder, lambda writer: writer.add_metadata({key: f"cohort without {own}"}))


def _pdf_text(folder: Path, own: str, _rng: Rng) -> None:
    (folder / "figure.pdf").write_bytes(figure_bytes("pdf", f"age of {own}"))


def _pdf_attachment(folder: Path, _own: str, _rng: Rng) -> None:
    _pdf(folder, lambda writer: writer.add_attachment("values.csv", b"a,b\n1,2\n"))


def _pdf_object(folder: Path, own: str, _rng: Rng) -> None:
    _pdf(folder, lambda writer: writer._root_object.update({NameObject("/Note"): TextStringObject(own)}))


def _pdf_picture(folder: Path, _own: str, rng: Rng) -> None:
    scan_picture(rng).save(folder / "figure.pdf", "PDF")


def _html(folder: Path, body: str) -> None:
    table = "<table><tr><th>structure</th><th>n</th></tr><tr><td>liver</td><td>412</td></tr></table>"
    (folder / "page.html").write_text(f"<!DOCTYPE html><html><body>{table}{body}</body></html>")


def _html_comment(folder: Path, own: str, _rng: Rng) -> None:
    _html(folder, f"<!-- {own} -->")


def _html_entities(folder: Path, own: str, _rng: Rng) -> None:
    _html(folder, "<p title='" + "".join(f"&#x{ord(each):x};" for each in own) + "'>x</p>")


def _html_picture(folder: Path, _own: str, rng: Rng) -> None:
    out = io.BytesIO()
    scan_picture(rng).save(out, "JPEG")
    _html(folder, f"<img src='data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}'>")


def _html_script(folder: Path, own: str, _rng: Rng) -> None:
    _html(folder, f"<script>const people = {json.dumps([escape(own)])}</script>")


def _html_small_count(folder: Path, _own: str, _rng: Rng) -> None:
    _html(folder, "<table><tr><th>reason</th><th>n participants</th></tr><tr><td>cut</td><td>2</td></tr></table>")


def _json_key(folder: Path, own: str, _rng: Rng) -> None:
    (folder / "curves.json").write_text(json.dumps({"curves": [{"knots": [40.0, 60.0]}], "left_out": {own: True}}))


def _json_number(folder: Path, own: str, _rng: Rng) -> None:
    (folder / "curves.json").write_text(json.dumps({"curves": [{"knots": [40.0, int(own)]}]}))


def _json_rows(folder: Path, _own: str, rng: Rng) -> None:
    rows = [{"age": round(float(age), 1), "liver": round(float(age) * 9, 1)} for age in rng.uniform(40, 80, 20)]
    (folder / "rows.json").write_text(json.dumps(rows))


def _image(folder: Path, _own: str, rng: Rng) -> None:
    (folder / "water.nii.gz").write_bytes(gzip.compress(rng.bytes(400)))


def _disguised_zip(folder: Path, own: str, _rng: Rng) -> None:
    with zipfile.ZipFile(folder / "table.csv", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ids.txt", own)


def _link(folder: Path, _own: str, _rng: Rng) -> None:
    (folder / "table.csv").symlink_to("/etc/hostname")


def _hidden(folder: Path, _own: str, _rng: Rng) -> None:
    _csv(folder, GROUPS, ".table.csv")


def _markdown_rows(folder: Path, _own: str, rng: Rng) -> None:
    lines = [
        "| age | liver |",
        "| --- | --- |",
        *(f"| {age:.1f} | {age * 20:.0f} |" for age in rng.uniform(40, 80, 12)),
    ]
    (folder / "rows.md").write_text("\n".join(lines))


KINDS: dict[str, Plant] = {
    name.removeprefix("_"): plant
    for name, plant in list(globals().items())
    if name.startswith("_")
    and name not in ("_figure", "_csv", "_svg", "_pdf", "_html", "_FIGURES")
    and callable(plant)
    and getattr(plant, "__module__", "") == __name__
}
"""Every way to plant a leak, by name."""
