"""The report: one HTML page that needs no network, no script and nothing but the tables and the pictures next to it."""

import hashlib
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd

from dixonflow.report import checks, contents
from dixonflow.report.close_ups import CloseUps
from dixonflow.report.figures import STRIP_MOST, share_bar, stacked_bar
from dixonflow.report.methods import Methods
from dixonflow.report.palette import colour
from dixonflow.report.without_ids import without_ids
from dixonflow.system import versions as provenance
from dixonflow.system.atomic import write_bytes
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.tables.wide import sequence_of_table
from dixonflow.vocabulary import Grade, ScanSequence, Status

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class ReportOptions:
    """How the page looks.

    Attributes
    ----------
    title
        Heading of the page.
    largest_pictures
        Contact sheets on the page; the browser loads each when it scrolls into view. Scans with a failed check come
        first, then those to review. The links alone to 100,000 pictures would be 40 MB of page.
    largest_rows
        Rows of the lists of scans; the tables hold all.
    structures
        Label id of each structure of the first model, for the legend of colours.
    wide
        Names of the wide tables of all models.
    versions
        Further lines for the section on model and software, for example the hash of the weights.
    with_ids
        Whether scans are called by the ids of participant and session.
    methods
        What makes the words of the last section of the table `scans`; without, the section is left out.
    """

    title: str = "DixonFlow report"
    largest_pictures: int = 200
    largest_rows: int = 500
    structures: Mapping[str, int] = field(default_factory=dict)
    wide: Sequence[str] = ("volumes", "fat_compartments")
    versions: Mapping[str, str] = field(default_factory=dict)
    methods: Callable[[pd.DataFrame], Methods] | None = None
    with_ids: bool = True


def write_report(
    tables_folder: Path,
    contact_sheet_folder: Path,
    output: Path,
    options: ReportOptions | None = None,
    close_ups: CloseUps | None = None,
) -> None:
    """Write the report of a run.

    Parameters
    ----------
    tables_folder
        Folder of the Parquet tables.
    contact_sheet_folder
        Folder of the pictures, named by `sheet_name`; it need not exist.
    output
        The HTML file. Links to tables and pictures are relative to it, so the results folder can be moved as a whole.
    options
        Default: `ReportOptions()`.
    close_ups
        Draws what checks object to; none are drawn where it is not given.

    Raises
    ------
    ReportError
        If a table is missing or a picture is damaged.
    ValueError
        If the tables hold a status, reason or grade that this version does not know.
    """
    options = options or ReportOptions()
    page = (
        _environment()
        .get_template("page.html.j2")
        .render(**_page_values(tables_folder, contact_sheet_folder, output, options, close_ups))
    )
    write_bytes(output, page.encode())


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("dixonflow.report", package_path=""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )


def _page_values(
    tables: Path, pictures: Path, output: Path, options: ReportOptions, close_ups: CloseUps | None
) -> dict[str, Any]:
    """Everything the template names."""
    files = contents.table_files(tables, contents.table_names(options.wide))
    models = contents.models_of(tables / "measurements.parquet")
    verdicts = checks.read_verdicts(tables / "quality.parquet")
    objections = checks.read_objections(tables / "quality.parquet", verdicts)
    quality = checks.name_models(verdicts, models)
    names = {entry.name for entry in os.scandir(pictures)} if pictures.is_dir() else set()
    scans = checks.add_pictures(
        contents.read_wide(tables / "scans.parquet"), names, checks.name_models(objections, models)
    )
    if not options.with_ids:
        scans = without_ids(scans)
    in_order = list(SCAN_KEYS) if options.with_ids else ["key"]
    counts = scans["status"].map(Status).value_counts()
    links = {name: f"{_link(pictures, output)}/{quote(name)}" for name in scans["sheet"] if name}
    scans["link"] = [links.get(name, "") for name in scans["sheet"]]
    statuses = [(status.value, int(counts.get(status, 0))) for status in Status]
    ok = scans[scans["status"] == Status.OK.value]
    # who has withdrawn is counted, not named
    not_ok = scans[~scans["status"].isin([Status.OK.value, Status.WITHDRAWN.value])].sort_values(
        ["status", "reason", *in_order]
    )
    to_review = checks.worst_first(ok[ok["grade"] != Grade.PASS.value]).assign(close_up="")
    if close_ups is not None:
        drawn = close_ups.draw(to_review.head(options.largest_pictures), objections)
        folder = _link(close_ups.results.close_ups, output)
        keys = to_review[list(SCAN_KEYS)].itertuples(index=False, name=None)
        to_review["close_up"] = [f"{folder}/{drawn[key]}" if key in drawn else "" for key in keys]
    noted = scans[scans["note"].fillna("") != ""].sort_values(in_order)
    shown = _chosen_pictures(ok, pictures, options.largest_pictures)
    versions = {
        "Models": ", ".join(models) or "none",
        "Schema of the tables": files[0].schema_version,
        **options.versions,
        **provenance.versions(),
    }
    return {
        "options": options,
        "css": _resource("page.css"),
        "of_ct": set(scans["sequence"]) - {""} == {ScanSequence.CT.value},
        "n_in": len(scans),
        "n_ok": len(ok),
        "n_failed": int(counts.get(Status.FAILED, 0)),
        "n_participants": scans["participant_id"].nunique(),
        "models": models,
        "statuses": statuses,
        "status_bar": stacked_bar(statuses),
        "reasons": contents.reason_counts(scans),
        "failures": contents.failures_by_stage(scans),
        "not_ok": _records(not_ok.assign(no_id=not_ok["participant_id"].isna()), options.largest_rows),
        "not_ok_total": len(not_ok),
        "notes": _records(noted, options.largest_rows),
        "notes_total": len(noted),
        "checks": checks.check_counts(quality),
        "structure_checks": {
            str(check).replace("_", " "): checks.check_counts(rows, "structure")
            for check, rows in quality[quality["structure"] != ""].groupby("check", observed=True)
        },
        "to_review": _records(to_review, options.largest_rows),
        "to_review_total": len(to_review),
        "volumes": _panels("volumes", tables, options.wide, scans, links),
        "fat_compartments": _panels("fat_compartments", tables, options.wide, scans, links),
        "pictures": shown,
        "pictures_total": int((ok["sheet"] != "").sum()),
        "without_picture": int((ok["sheet"] == "").sum()),
        "picture_folder": _link(pictures, output),
        "structures": [(name.replace("_", " "), colour(label)) for name, label in options.structures.items()],
        "times": contents.stage_times(contents.read_wide(tables / "timings.parquet")),
        "files": files,
        "tables_link": _link(tables, output),
        "dictionary": _dictionary(tables / "dictionary.parquet"),
        "versions": list(versions.items()),
        "methods": options.methods(scans) if options.methods else None,
        "strip_most": STRIP_MOST,
        "review_page": f"http://127.0.0.1:{checks.REVIEW_PORT}/#/scan/",
        "share_bar": share_bar,
        "stacked_bar": stacked_bar,
    }


def _panels(
    kind: str, tables: Path, wide: Sequence[str], scans: pd.DataFrame, links: Mapping[str, str]
) -> list[tuple[str, list[contents.Panel]]]:
    """Distributions of the wide tables of a kind, with headings but for the plain one; empty ones are left out."""
    found = []
    for name in wide:
        if name == kind or name.startswith(f"{kind}_"):
            found.append((_heading(name, kind), contents.panels(tables / f"{name}.parquet", scans, links)))
    return [(heading, panels) for heading, panels in found if panels]


def _heading(name: str, kind: str) -> str:
    """Sequence and further model of a wide table, by its name; empty for the first model and Dixon."""
    sequence = sequence_of_table(name)
    other = sequence is not ScanSequence.DIXON
    model = name.removeprefix(kind).removeprefix(f"_{sequence}" if other else "").removeprefix("_")
    if other:
        return f"Sequence {sequence}, model {model}" if model else f"Sequence {sequence}"
    return f"Model {model}" if model else ""


def _chosen_pictures(ok: pd.DataFrame, folder: Path, most: int) -> list[dict[str, Any]]:
    """Scans whose picture is on the page: fail, review, then the others in the order of a hash, a stable sample."""
    there = ok[ok["sheet"] != ""]
    few = len(there) <= most
    order = there["scan"] if few else there["sheet"].map(lambda name: hashlib.sha256(name.encode()).hexdigest())
    severity = there["grade"].map({Grade.FAIL.value: 0, Grade.REVIEW.value: 1, Grade.PASS.value: 2})
    ranked = there.assign(severity=severity, order=order).sort_values(["severity", "order"])
    shown = _records(ranked, most)
    for row in shown:
        row["width"], row["height"] = _png_size(folder / row["sheet"])
    return shown


def _png_size(path: Path) -> tuple[int, int]:
    """Width and height from a PNG's header, so that the page keeps its place while pictures load."""
    with path.open("rb") as file:
        head = file.read(24)
    if len(head) < 24 or not head.startswith(_PNG):
        raise contents.ReportError(f"{path.name} in the folder of contact sheets is not a PNG")
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def _records(rows: pd.DataFrame, most: int) -> list[dict[str, Any]]:
    wanted = [
        "scan",
        "status",
        "reason",
        "message",
        "note",
        "last_stage",
        "source",
        "grade",
        "checks",
        "sheet",
        "link",
        "key",
    ]
    wanted += [name for name in ("no_id", "close_up", "values_failed", "values_to_review") if name in rows]
    return [{str(k): v for k, v in row.items()} for row in rows[wanted].head(most).to_dict("records")]


def _dictionary(path: Path) -> list[tuple[str, list[dict[Any, Any]]]]:
    rows = contents.read_wide(path).fillna({"unit": "", "definition": ""})
    return [
        (str(name), group.sort_values("position")[["name", "unit", "description", "definition"]].to_dict("records"))
        for name, group in rows.groupby("table_name", sort=False)
    ]


def _link(target: Path, output: Path) -> str:
    return quote(Path(os.path.relpath(target, output.parent)).as_posix())


def _resource(name: str) -> str:
    return (resources.files("dixonflow.report") / name).read_text(encoding="utf-8")
