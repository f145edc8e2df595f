"""Example pictures of what checks and reasons are about, from scans with planted defects."""

import io
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pydicom
from PIL import Image
from pydicom.errors import InvalidDicomError

from dixonflow.imaging.nifti import read_labels
from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.report.close_up import close_up
from dixonflow.report.contact_sheet import contact_sheet
from dixonflow.report.views import as_png
from dixonflow.stitch.files import read_stitched
from dixonflow.trials.defect_outcomes import NO_DEFECT
from dixonflow.vocabulary import Contrast, Grade, ScanId

EXAMPLES = ("name", "defect", "strength", "unit", "structure", "value", "threshold")
"""Columns of the table of examples: a check or a reason, what was planted, and what the check says of it."""

_SHOWN = {"_W": Contrast.WATER, "_F": Contrast.FAT}
"""Ends of the series descriptions of UK Biobank's water and fat images."""

_MM_PER_PIXEL = 3.0


def example_cases(table: pd.DataFrame) -> dict[str, int]:
    """Row of the table of defects that shows each check and each reason best: where little else objects, then gross."""
    found: dict[str, int] = {}
    order = table["said"].str.count(",").to_numpy() * 1000 - np.arange(len(table))
    for place in np.argsort(order):
        if table.iloc[place]["defect"] == NO_DEFECT:
            continue
        for name in table.iloc[place]["said"].split(", "):
            if name:
                found.setdefault(name, int(place))
    return found


def objection(quality: pa.Table, check: str) -> tuple[str, float | None, float | None] | None:
    """Structure, value and threshold of the row furthest beyond the threshold; None where the check does not object."""
    rows = quality.to_pandas()
    rows = rows[rows["check"].eq(check) & rows["grade"].ne(Grade.PASS.value)]
    if rows.empty:
        return None
    beyond = (rows["value"].astype(float) - rows["threshold"].astype(float)).abs().fillna(np.inf)
    worst = rows.loc[beyond.idxmax()]
    value, threshold = (None if pd.isna(worst[name]) else float(worst[name]) for name in ("value", "threshold"))
    return str(worst["structure"]), value, threshold


def picture_of_check(results: Results, scan: ScanId, model: Model, check: str, structure: str) -> bytes:
    """Draw what a check of a measured scan is about: its structures close up, else the whole scan."""
    labels, _ = read_labels(results.labels(scan, model.name))
    images, affine = read_stitched({each: results.stitched(scan, each) for each in (Contrast.WATER, Contrast.IN_PHASE)})
    structures: Collection[str] = (structure,) if structure else CHECKS[check].needs
    wanted = [label for each in structures if each in model.regions for label in model.regions[each]]
    return close_up(images, labels, affine, wanted) or contact_sheet(images, labels, affine)


def picture_of_delivery(path: Path) -> bytes | None:
    """Draw the slices of water and fat in a zip where their headers place them; None where none can be read.

    Each slice is one line of a coronal view: gaps, repeated and empty slices are seen as such.
    """
    rows: dict[Contrast, list[tuple[float, np.ndarray]]] = {contrast: [] for contrast in _SHOWN.values()}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                try:
                    header = pydicom.dcmread(io.BytesIO(archive.read(name)))
                    contrast = _SHOWN.get(str(header.SeriesDescription)[-2:])
                    if contrast is not None:
                        pixels = header.pixel_array
                        rows[contrast].append((float(header.ImagePositionPatient[2]), pixels[len(pixels) // 2]))
                except (InvalidDicomError, AttributeError, ValueError, zipfile.BadZipFile):
                    continue
    except (OSError, zipfile.BadZipFile):
        return None
    places = [z for of_contrast in rows.values() for z, _ in of_contrast]
    if not places:
        return None
    highest, height = max(places), int((max(places) - min(places)) / _MM_PER_PIXEL) + 2
    width = max(len(row) for of_contrast in rows.values() for _, row in of_contrast)
    sheet = np.zeros((height, 2 * width), np.uint8)
    for panel, of_contrast in enumerate(rows.values()):
        white = np.percentile([row for _, row in of_contrast], 99.5) if of_contrast else 1.0
        for z, row in of_contrast:
            line = int((highest - z) / _MM_PER_PIXEL)
            grey = np.clip(row * (255 / max(white, 1.0)), 0, 255).astype(np.uint8)
            sheet[line : line + 2, panel * width : panel * width + len(row)] = grey
    return as_png(Image.fromarray(np.repeat(sheet[:, :, None], 3, axis=2)))
