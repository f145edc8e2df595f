"""The list of scans to review: the worst first, what is wrong named, its picture cropped to it."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dixonflow.imaging.nifti import write_labels, write_nifti
from dixonflow.models.load import MODELS, load_model
from dixonflow.paths import Results
from dixonflow.report.checks import add_pictures, read_objections, read_verdicts, worst_first
from dixonflow.report.close_up import MARGIN_MM, close_up
from dixonflow.report.close_ups import CloseUps
from dixonflow.report.palette import colour
from dixonflow.tables.definitions import QUALITY
from dixonflow.tables.parquet import write_table
from dixonflow.vocabulary import Contrast, ScanId, ScanSequence

DEMO = load_model(MODELS / "demo.yaml")
USUAL = [
    (f"9{number:02d}", check, structure, 0.96 + number / 1000, threshold, "pass")
    for number in range(20)
    for check, structure, threshold in (
        ("kidney_sides", "", 0.5),
        ("side_ratio", "femur_left", 0.9),
        ("side_ratio", "femur_right", 0.9),
    )
]
"""Of other scans."""


def objections(path: Path, rows: list[tuple[str, str, str, float | None, float | None, str]]) -> pd.DataFrame:
    columns = ["participant_id", "check", "structure", "value", "threshold", "grade"]
    table = pd.DataFrame(rows, columns=columns).astype({"value": float, "threshold": float})
    whole = table.assign(session_id="2", sequence="dixon", model="demo", place="")[list(QUALITY.names)]
    write_table(path, QUALITY, whole)
    return read_objections(path, read_verdicts(path))


def scans(**counts: tuple[str, int, int]) -> pd.DataFrame:
    rows = [
        {"participant_id": name[1:], "scan_grade": grade, "values_failed": failed, "values_to_review": review}
        for name, (grade, failed, review) in counts.items()
    ]
    return pd.DataFrame(rows).assign(
        session_id="2", sequence="dixon", status="ok", raw_key="r", content_key="k", sheet="", link=""
    )


def test_the_worst_scan_is_first_and_its_worst_value_is_named_first(tmp_path: Path) -> None:
    found = objections(
        tmp_path / "quality.parquet",
        [
            *USUAL,
            ("1", "kidney_sides", "", 0.45, 0.5, "review"),
            ("2", "kidney_sides", "", 0.10, 0.5, "review"),
            ("3", "side_ratio", "femur_left", 0.80, 0.9, "review"),
            ("3", "side_ratio", "femur_right", 0.30, 0.9, "review"),
            ("4", "kidney_sides", "", -20.0, 0.0, "fail"),
            ("5", "side_ratio", "femur_left", 0.80, 0.9, "review"),
        ],
    )
    listed = add_pictures(
        scans(s1=("review", 0, 9), s2=("review", 0, 9), s3=("review", 0, 30), s4=("fail", 5, 0), s5=("review", 2, 3)),
        [],
        found,
    )
    assert worst_first(listed)["participant_id"].tolist() == ["4", "5", "3", "2", "1"]
    texts = listed.set_index("participant_id")["checks"]
    assert texts["2"] == "kidney sides 0.1, above 0.5"
    assert texts["3"] == "side ratio (femur right 0.3, at least 0.9; femur left 0.8, at least 0.9)"


def body(shape: tuple[int, int, int] = (60, 40, 90)) -> tuple[dict[Contrast, np.ndarray], np.ndarray]:
    labels = np.zeros(shape, np.uint8)
    labels[5:-5, 5:-5] = DEMO.structures["muscle"]
    labels[36:42, 12:18, 40:50] = DEMO.structures["kidney_right"]
    image = np.full(shape, 400, np.int16)
    return {Contrast.WATER: image, Contrast.IN_PHASE: image}, labels


def test_a_close_up_is_cropped_to_the_structure() -> None:
    images, labels = body()
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    picture = close_up(images, labels, affine, [DEMO.structures["kidney_right"]])
    assert picture is not None
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(float)
    # the box of 6 x 6 x 10 voxels and what is around it, four times, and not the body of 180 mm
    millimetres = (6 * 3 + 2 * MARGIN_MM, 10 * 3 + 2 * MARGIN_MM)
    scale = pixels.shape[0] / (millimetres[1] + 4)
    assert pixels.shape[1] == pytest.approx(4 * millimetres[0] * scale, rel=0.1)
    kidney = 0.42 * np.array(colour(DEMO.structures["kidney_right"])) + 0.58 * 255
    near = np.abs(pixels - kidney).max(axis=2) < 30
    share = near.sum() / near.size
    assert 0.02 < share < 0.2
    assert not near[:, : pixels.shape[1] // 4].any(), "the first view is plain"
    assert close_up(images, labels, affine, [DEMO.structures["liver"]]) is None


def test_close_ups_are_drawn_once_hide_the_id_and_go_when_they_are_not_wanted(tmp_path: Path) -> None:
    results = Results(tmp_path)
    images, labels = body()
    for name in ("1", "2"):
        scan = ScanId(name, "2")
        for contrast, image in images.items():
            write_nifti(results.stitched(scan, contrast), image, np.eye(4))
        write_labels(results.labels(scan, "demo"), labels, np.eye(4))
    found = objections(
        tmp_path / "quality.parquet",
        [
            *USUAL,
            ("1", "unusually_small", "liver", 1.0, 2.0, "review"),  # not in the label map: the next one is shown
            ("1", "side_ratio", "kidney_right", 0.8, 0.9, "review"),
            ("2", "kidney_sides", "", 0.4, 0.5, "review"),
            ("3", "kidney_sides", "", 0.4, 0.5, "review"),  # without images
            ("4", "noise_level", "", 100.0, 50.0, "review"),  # of no structure
        ],
    )
    rows = scans(s1=("review", 0, 1), s2=("review", 0, 1), s3=("review", 0, 1), s4=("review", 0, 1))
    draw = CloseUps(results, {ScanSequence.DIXON: [DEMO]}).draw
    drawn = draw(rows, found)
    assert {key[0] for key in drawn} == {"1", "2"}
    assert all(re.fullmatch(r"[0-9a-f]{20}\.png", name) for name in drawn.values())
    paths = {path.name: path.stat().st_mtime_ns for path in results.close_ups.iterdir()}
    assert set(paths) == set(drawn.values())
    assert draw(rows, found) == drawn
    assert {path.name: path.stat().st_mtime_ns for path in results.close_ups.iterdir()} == paths
    assert draw(rows.assign(content_key="other"), found).keys() == drawn.keys()
    assert not {path.name for path in results.close_ups.iterdir()} & set(paths)
    assert draw(rows[:0], found) == {}
    assert list(results.close_ups.iterdir()) == []
