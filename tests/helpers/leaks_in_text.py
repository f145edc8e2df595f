"""Texts that must not leave: rows of people in usual forms, and pictures of a scan written in letters."""

import base64
import io
from pathlib import Path

from leaks_in_drawings import Plant, Rng, scan_picture


def _rows_as(form: str, heading: str = "", name: str = "notes.txt") -> Plant:
    """Plant rows of two values of a person each, in a usual form of text."""

    def plant(folder: Path, _own: str, rng: Rng) -> None:
        rows = zip(rng.uniform(40, 80, 9), rng.normal(1500, 200, 9), strict=True)
        lines = [form % {"age": age, "liver": liver, "code": f"x{liver:.0f}"} for age, liver in rows]
        (folder / name).write_text("\n".join(["Results", "", *([heading] if heading else []), *lines, ""]))

    return plant


def _picture_in(form: str, name: str, width: int = 10**9) -> Plant:
    """Plant a picture of a scan in a text, in base 64 in lines of a width."""

    def plant(folder: Path, _own: str, rng: Rng) -> None:
        out = io.BytesIO()
        scan_picture(rng).save(out, "PNG")
        data = base64.b64encode(out.getvalue()).decode()
        lines = "\n".join(data[start : start + width] for start in range(0, len(data), width))
        (folder / name).write_text(form.replace("{data}", lines))

    return plant


IN_TEXT: dict[str, Plant] = {
    "picture_in_markdown": _picture_in("# Liver\n\n![liver](data:image/png;base64,{data})\n", "page.md"),
    "picture_in_svg_text": _picture_in('<svg><image href="data:image/png;base64,\n{data}"/></svg>', "page.txt", 76),
    "picture_in_json_text": _picture_in('{"liver": "{data}"}', "page.txt"),
    "picture_in_lines": _picture_in("liver\n\n{data}\n", "page.md", 64),
    "picture_in_a_cell": _picture_in('structure,n,picture\nliver,400,"{data}"\n', "table.csv"),
    "regenie": _rows_as("%(code)s\t%(code)s\t%(liver).1f", "FID\tIID\tliver"),
    "plink": _rows_as("%(code)s %(code)s %(liver).1f", "FID IID liver"),
    "ids_in_markdown": _rows_as("| %(code)s | yes |", "| eid | cancer |\n|---|---|", "rows.md"),
    "one_id_per_line": _rows_as("%(code)s", "eid"),
    "blanks": _rows_as("%(age).1f %(liver).1f", "age liver"),
    "blanks_with_gaps": _rows_as("female %(age).1f NA %(liver).1f"),
    "latex": _rows_as("a & %(age).1f & %(liver).1f \\\\", "sex & age & liver \\\\", "rows.md"),
    "slashes": _rows_as("%(age).1f/%(liver).1f"),
    "colons": _rows_as("%(age).1f:%(liver).1f"),
    "json_lines": _rows_as('{"age": %(age).1f, "liver": %(liver).1f}', name="rows.md"),
}
"""All such leaks, by name."""
