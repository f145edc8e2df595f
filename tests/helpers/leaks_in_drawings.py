"""Drawings, pages and JSON that must not leave: each plants an id, a row or a picture of one participant."""

import base64
import gzip
import io
import json
import struct
import zlib
from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pypdf import PdfWriter
from pypdf.generic import NameObject, TextStringObject

Rng = np.random.Generator
Plant = Callable[[Path, str, Rng], None]


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


def _pandas_json(folder: Path, _own: str, rng: Rng) -> None:
    pd.DataFrame({"age": rng.uniform(40, 80, 9)}).to_json(folder / "rows.json")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _two_texts(folder: Path, own: str, _rng: Rng) -> None:
    data = _figure("png")
    end = data.rindex(b"IEND") - 4
    hidden = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(own.encode())) + _chunk(b"tEXt", b"Comment\0nothing")
    (folder / "figure.png").write_bytes(data[:end] + hidden + data[end:])


def _behind_the_picture(folder: Path, own: str, _rng: Rng) -> None:
    data = _figure("png")
    end = data.rindex(b"IEND") - 4
    (folder / "figure.png").write_bytes(data[:end] + _chunk(b"IDAT", zlib.compress(own.encode() * 50)) + data[end:])


SEEN: dict[str, Plant] = {
    **{"text_chunk": _text_chunk, "exif": _exif, "behind_the_end": _behind_the_end, "two_texts": _two_texts},
    **{"behind_the_picture": _behind_the_picture, "svg_comment": _svg_comment, "svg_letters": _svg_letters},
    **{"svg_entities": _svg_entities, "pdf_metadata": _pdf_metadata, "pdf_text": _pdf_text, "pdf_object": _pdf_object},
    **{"html_comment": _html_comment, "html_entities": _html_entities, "html_script": _html_script},
    **{"json_key": _json_key, "json_number": _json_number},
}
"""Ids in drawings and pages, which are to be found also where somebody says that the file was looked at."""

SHOWN: dict[str, Plant] = {
    **SEEN,
    **{"scan": _scan, "scan_in_a_figure": _scan_in_a_figure, "svg_picture": _svg_picture, "pdf_picture": _pdf_picture},
    **{"pdf_attachment": _pdf_attachment, "html_picture": _html_picture, "html_small_count": _html_small_count},
    **{"json_rows": _json_rows, "pandas_json": _pandas_json},
}
"""All leaks in drawings, pages and JSON, by name."""
