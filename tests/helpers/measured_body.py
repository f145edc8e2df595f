"""A label map and images of which every measure is known."""

import numpy as np
import pandas as pd
from small_models import rule, small_model

from dixonflow.measure.checks.stitch_findings import CheckValue
from dixonflow.measure.field_of_view import StationBox
from dixonflow.measure.scan import ScanMeasurements, measure
from dixonflow.vocabulary import Contrast

LABELS = {
    1: rule("spleen", "organ"),
    2: rule("kidney_right", "organ", lower_cutoff_ml=50),
    3: rule("kidney_left", "organ"),
    5: rule("liver", "organ"),
    65: rule("subcutaneous_fat", "rest"),
    66: rule("muscle", "rest"),
    61: rule("iliopsoas_left", "muscle"),
}
MODEL = small_model(
    LABELS, composites={"total_muscle": ("muscle", "iliopsoas_left"), "kidneys": ("kidney_right", "kidney_left")}
)
AFFINE = np.array([[5.0, 0, 0, -100], [0, 4, 0, -80], [0, 0, 10, 7], [0, 0, 0, 1]])
VOXEL_ML = 0.2
SHAPE = (40, 32, 24)


def whole(shape: tuple[int, ...], affine: np.ndarray = AFFINE) -> list[StationBox]:
    low = affine[:3, 3] - np.diag(affine)[:3] / 2
    high = low + np.diag(affine)[:3] * shape
    return [StationBox(0, tuple(low.tolist()), tuple(high.tolist()))]


def images(water: np.ndarray, fat: np.ndarray) -> dict[Contrast, np.ndarray]:
    return {
        Contrast.WATER: water,
        Contrast.FAT: fat,
        Contrast.IN_PHASE: water + fat,
        Contrast.OPPOSED_PHASE: np.abs(water - fat),
    }


def body() -> tuple[np.ndarray, dict[Contrast, np.ndarray]]:
    """Label map and noise-free images: liver 10 % fat, muscle 25 % with an all-fat part, subcutaneous fat 90 %."""
    labels = np.zeros(SHAPE, np.uint8)
    water, fat = np.zeros(SHAPE, np.int16), np.zeros(SHAPE, np.int16)

    def put(label: int, where: tuple[slice, slice, slice], w: int, f: int) -> None:
        labels[where], water[where], fat[where] = label, w, f

    put(65, np.s_[6:36, 6:28, 2:22], 100, 900)
    put(66, np.s_[7:35, 7:27, 3:21], 750, 250)
    put(66, np.s_[7:35, 7:27, 20:21], 0, 1000)
    put(5, np.s_[24:34, 10:24, 10:18], 900, 100)
    put(1, np.s_[9:14, 10:16, 10:18], 1000, 0)
    put(2, np.s_[24:29, 9:15, 4:8], 1000, 0)
    put(3, np.s_[12:17, 9:15, 4:8], 1000, 0)
    put(61, np.s_[18:22, 9:15, 4:8], 800, 200)
    return labels, images(water, fat)


def values(rows: pd.DataFrame) -> pd.Series:
    return rows.set_index(["structure", "measure"])["value"]


def row(rows: pd.DataFrame, structure: str, name: str) -> pd.Series:
    found = rows[(rows["structure"] == structure) & (rows["measure"] == name)]
    assert len(found) == 1
    return found.iloc[0]


def good_scan() -> ScanMeasurements:
    """The body as a scan that all went well with."""
    labels, contrasts = body()
    stitched = {"overlap_residual": CheckValue(0.1, "stations 1 and 2")}
    return measure(labels, contrasts, AFFINE, whole(SHAPE), MODEL, of_stitching=stitched, wrong_side_ml=0.5)
