"""Runs for tests of the review page: a small one with images, and tables of as many scans as a large cohort has."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from synthetic_tables import MODEL, draw_sheets, scan_row, write_tables

from dixonflow.config import demo_config
from dixonflow.imaging.nifti import write_labels, write_nifti
from dixonflow.paths import Results
from dixonflow.tables.definitions import QUALITY, SCANS
from dixonflow.tables.schema import arrow_schema
from dixonflow.vocabulary import DIXON, Contrast, ScanId

WITH_IMAGES = 6
SHAPE, SPACING_MM = (72, 48, 120), (5.0, 5.0, 8.0)
AFFINE = np.array([[5.0, 0, 0, -180], [0, 5, 0, -120], [0, 0, 8, -500], [0, 0, 0, 1]])
ORGANS = {
    "liver": (0.38, 0.5, 0.65, 0.16),
    "kidney_left": (0.65, 0.45, 0.55, 0.06),
    "kidney_right": (0.35, 0.45, 0.55, 0.06),
}
"""Centre along x, y and z, and radius, as shares of the image."""


def label_key(scan: ScanId) -> str:
    """Content key in the sidecar of a scan's label map."""
    return f"{int(scan.participant):064x}"


def write_small_run(folder: Path) -> tuple[Results, list[ScanId]]:
    """Write 12 measured scans and 4 others, the first six with images, 11 with contact sheets, and the configuration.

    Checks object to the left kidney of the scans 5 and 7 and to the liver of scan 7, a check of the whole scan to 3.
    """
    results = Results(folder / "results")
    scans = write_tables(results.tables)
    draw_sheets(results.contact_sheets, scans[:11])
    chosen = [*scans[:4], scans[5], scans[7]]
    for scan in chosen:
        write_images(results, scan)
    write_config(folder)
    return results, scans


def write_config(folder: Path) -> None:
    config = demo_config().model_copy(update={"results": folder / "results"})
    (folder / "config.json").write_text(config.model_dump_json(), encoding="utf-8")


def write_images(results: Results, scan: ScanId, shape: tuple[int, int, int] = SHAPE) -> None:
    """A body of fat and muscle with three organs, in two stations."""
    rng = np.random.default_rng(int(scan.participant))
    place = np.stack(np.meshgrid(*(np.linspace(0, 1, size, dtype=np.float32) for size in shape), indexing="ij"))
    affine = AFFINE @ np.diag([*(old / new for old, new in zip(SHAPE, shape, strict=True)), 1.0])
    body = ((place[0] - 0.5) / 0.42) ** 2 + ((place[1] - 0.5) / 0.42) ** 2 < 1
    inner = ((place[0] - 0.5) / 0.34) ** 2 + ((place[1] - 0.5) / 0.34) ** 2 < 1
    ids, labels = MODEL.structures, np.zeros(shape, np.uint8)
    labels[body] = ids["subcutaneous_fat"]
    labels[inner] = ids["muscle"]
    for name, (*centre, radius) in ORGANS.items():
        labels[sum((place[axis] - centre[axis]) ** 2 for axis in range(3)) < radius**2] = ids[name]
    water = np.where(inner, 400, 0) + 90 * (labels == ids["liver"]) + rng.integers(0, 25, shape)
    fat = np.where(body & ~inner, 700, 0) + rng.integers(0, 25, shape)
    values = {Contrast.WATER: water, Contrast.FAT: fat, Contrast.IN_PHASE: water + fat}
    for contrast in DIXON:
        image = values.get(contrast, abs(water - fat)).astype(np.int16)
        write_nifti(results.stitched(scan, contrast), image, affine)
    write_labels(results.labels(scan, MODEL.name), labels, affine)
    results.labels_sidecar(scan, MODEL.name).write_text(json.dumps({"content_key": label_key(scan)}))
    stations = [{"low_mm": [-180, -120, low], "high_mm": [180, 120, high]} for low, high in ((-30, 460), (-500, 30))]
    results.stitched_sidecar(scan).write_text(json.dumps({"stations": stations}))


def write_large_run(folder: Path, scans: int) -> Results:
    """Write the tables `scans` and `quality` of a cohort: 10 rows of checks per scan, of which one in 40 objects."""
    results = Results(folder / "results")
    results.tables.mkdir(parents=True)
    rng = np.random.default_rng(1)
    participants = np.char.mod("%d", np.arange(1_000_000, 1_000_000 + scans))
    one = {name: [value] * scans for name, value in scan_row("0").items()}
    grades = np.where(rng.random(scans) < 0.9, "pass", "review")
    one |= {
        "participant_id": participants,
        "raw_key": np.char.mod("%064x", np.arange(scans)),
        "note": [""] * scans,
        "scan_grade": grades,
        "scan_grade_decided_by": np.where(grades == "pass", None, "kidney_sides"),
    }
    _write(results.scan_table, SCANS, pd.DataFrame(one)[list(SCANS.names)])
    checks = ["kidney_sides", "signal_to_noise"] + ["contrast_agreement"] * 8
    structures = [
        "",
        "",
        "liver",
        "spleen",
        "kidney_left",
        "kidney_right",
        "heart",
        "aorta",
        "femur_left",
        "femur_right",
    ]
    count = scans * len(checks)
    value = rng.normal(1, 0.05, count)
    bad = rng.random(count) < 1 / 40
    rows = {
        "participant_id": np.repeat(participants, len(checks)),
        "session_id": ["2"] * count,
        "sequence": ["dixon"] * count,
        "check": checks * scans,
        "structure": structures * scans,
        "model": ["demo"] * count,
        "value": np.where(bad, value - 0.4, value),
        "threshold": np.full(count, 0.7),
        "grade": np.where(bad, "review", "pass"),
        "place": [""] * count,
    }
    _write(results.tables / "quality.parquet", QUALITY, pd.DataFrame(rows)[list(QUALITY.names)])
    write_config(folder)
    return results


def _write(path: Path, table: object, rows: pd.DataFrame) -> None:
    schema = arrow_schema(table)
    pq.write_table(pa.Table.from_pandas(rows, schema=schema, preserve_index=False), path, compression="zstd")
