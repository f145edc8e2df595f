"""What each form of delivery gives on the phantom, from raw files to values, and the table of it in the docs.

Run as a program it writes that table.
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from small_scans import trunk_stations

from dixonflow.cohort.build import build_cohort
from dixonflow.config import demo_config
from dixonflow.imaging.nifti import read_labels, read_nifti
from dixonflow.models.load import load_models
from dixonflow.paths import Results
from dixonflow.phantom.writers.deliveries import FORMS
from dixonflow.rawdata.raw_scan import RawScan, ReadOptions, Source
from dixonflow.stages.context import StageContext, stage_work
from dixonflow.vocabulary import DIXON, SHARD_STAGES, Contrast, ScanId

PAGE = Path(__file__).parents[2] / "docs" / "raw_data.md"
SCAN = ScanId("100012", "30")
MARKS = "<!-- forms: start -->\n", "<!-- forms: end -->"


@dataclass(frozen=True)
class FormResult:
    """A scan in one form, after all stages.

    Attributes
    ----------
    example
        The first file of the scan, below the folder of the source, and how many there are.
    stations
        As the cohort stage counts them.
    images, affine
        Stitched; voxel index to RAS mm.
    labels
        Of the demo network.
    values
        By structure and measure; text where a value is missing.
    """

    example: str
    stations: int
    images: Mapping[Contrast, NDArray[Any]]
    affine: NDArray[Any]
    labels: NDArray[Any]
    values: Mapping[tuple[str, str], float | str]


def result_of(form: str, folder: Path) -> FormResult:
    """Write the phantom in a form and run all stages on it."""
    one, stations = FORMS[form], trunk_stations()
    raw = folder / form / "raw"
    one.write(raw, SCAN, stations)
    files = sorted(path for path in raw.rglob("*") if path.is_file() and path.name != "dataset_description.json")
    options = ReadOptions(stations=len(stations))
    (row,) = build_cohort([Source(one.layout, raw, one.name_pattern, options=options)]).scans
    assert isinstance(row.entry, RawScan), row.message
    config = demo_config()
    models = load_models(config)
    results = Results(folder / form / "results")
    context = StageContext(config, models, models[0], results, "shard")
    for stage in SHARD_STAGES:
        done = stage_work(stage, context).by_hand(row.entry)
    scan = row.entry.scan
    images = {contrast: read_nifti(results.stitched(scan, contrast)) for contrast in DIXON}
    labels, _ = read_labels(results.labels(scan, models[0].name))
    measured = done.payload["measurements"]
    columns = (measured[name] for name in ("structure", "measure", "value", "missing_reason"))
    return FormResult(
        f"`{files[0].relative_to(raw).as_posix()}`" + (f" and {len(files) - 1} more" if len(files) > 1 else ""),
        row.n_stations,
        {contrast: image.data for contrast, image in images.items()},
        images[Contrast.WATER].affine,
        labels,
        {(structure, measure): reason or value for structure, measure, value, reason in zip(*columns, strict=True)},
    )


def largest_difference(own: FormResult, other: FormResult) -> float:
    """Largest relative difference of values; infinite where one is missing in one of them alone."""
    assert own.values.keys() == other.values.keys()
    largest = 0.0
    for key, value in own.values.items():
        theirs = other.values[key]
        if isinstance(value, str) or isinstance(theirs, str):
            largest = largest if value == theirs else np.inf
        else:
            largest = max(largest, abs(value - theirs) / max(abs(value), abs(theirs), 1e-9))
    return largest


def as_table(results: Mapping[str, FormResult]) -> str:
    """Give the table of the docs: every form against the first."""
    first = next(iter(results.values()))
    lines = [
        "| form | what it is | files of the phantom's scan | stations | images | labels | values |",
        "|---|---|---|---|---|---|---|",
    ]
    for form, one in results.items():
        images = all(np.array_equal(one.images[contrast], first.images[contrast]) for contrast in DIXON)
        same = images and np.abs(one.affine - first.affine).max() <= 1e-4
        labels, values = np.array_equal(one.labels, first.labels), largest_difference(one, first) <= 1e-5
        words = ["equal" if each else "different" for each in (same, labels, values)]
        cells = [f"`{form}`", FORMS[form].title, one.example, str(one.stations), *words]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def table_in_docs() -> str:
    """The table as the docs have it."""
    text = PAGE.read_text(encoding="utf-8")
    return text.split(MARKS[0])[1].split(MARKS[1])[0]


def write_table_in_docs(table: str) -> None:
    """Put a table in its place in the docs."""
    text = PAGE.read_text(encoding="utf-8")
    pattern = f"({re.escape(MARKS[0])}).*({re.escape(MARKS[1])})"
    PAGE.write_text(re.sub(pattern, lambda found: found[1] + table + found[2], text, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        write_table_in_docs(as_table({form: result_of(form, Path(work)) for form in FORMS}))
