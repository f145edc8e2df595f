"""The cohort stage on zips with all slices of a UK Biobank scan, measured on 1,000 and extrapolated to 100,000.

`python -m benchmarks.cohort_speed FOLDER [--scans 1000] [--workers 2]`, with tests and tests/helpers on PYTHONPATH.

Pixels are few, so that a thousand zips fit on a disk: headers are what the stage reads. Each zip has a file of its own
in addition, so that no two are equal.
"""

import json
import shutil
import sys
import time
import zipfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dixonflow.cohort.build import build_cohort, write_cohort
from dixonflow.cohort.shards import read_shards
from dixonflow.cohort.table import read_scans
from dixonflow.imaging.station import Station
from dixonflow.phantom.writers.dicom import ukb_zip_name, write_ukb
from dixonflow.rawdata.raw_scan import Source
from dixonflow.vocabulary import DIXON, Layout, ScanId, Status

SLICES = (64, 44, 44, 44, 72, 64)
COHORT = 100_000


def make_zips(folder: Path, count: int) -> None:
    """Write the zips that are not there yet."""
    rng = np.random.default_rng(0)
    stations, top = [], 0.0
    for index, slices in enumerate(SLICES):
        affine = np.diag([2.2, 2.2, 4.0, 1.0])
        affine[:3, 3] = (-17.6, -17.6, top - slices * 4.0)
        top = affine[2, 3] + 36.0
        images = {contrast: rng.integers(0, 900, (16, 16, slices), dtype=np.int16) for contrast in DIXON}
        stations.append(Station(index, images, affine))
    first = write_ukb(folder / "made", ScanId("1", "2"), stations)
    for number in range(count):
        path = folder / "raw" / ukb_zip_name(ScanId(f"{1000000 + number}", "2"))
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            temporary = path.with_suffix(".part")
            shutil.copy(first, temporary)
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(f"{number}.txt", str(number))
            temporary.rename(path)


def main(
    folder: Path,
    scans: Annotated[int, typer.Option(min=1)] = 1000,
    workers: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Time the first call, which inspects every scan, and a second one, which has nothing to inspect."""
    make_zips(folder, scans)
    sources = [Source(Layout.UKB, folder / "raw")]
    results = folder / "results"
    shutil.rmtree(results, ignore_errors=True)
    figures: dict[str, float] = {"scans": scans, "slices": scans * 4 * sum(SLICES), "workers": workers}
    for call in ("first", "second"):
        began = time.perf_counter()
        path = results / "scans.parquet"
        previous = read_scans(path) if path.exists() else []
        result = build_cohort(sources, previous=previous, shards=read_shards(results / "shards"), workers=workers)
        write_cohort(result, path, results / "shards")
        seconds = time.perf_counter() - began
        if result.n_by_status[Status.OK] != scans or result.n_inspected != (scans if call == "first" else 0):
            sys.exit(f"{call} call: {result.n_by_status}, {result.n_inspected} inspected")
        figures[f"{call}_s"] = round(seconds, 2)
        figures[f"{call}_minutes_for_{COHORT}"] = round(seconds / scans * COHORT / 60, 1)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    typer.run(main)
