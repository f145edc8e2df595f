"""How many of a large cohort are listed, and the pictures of examples."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from dixonflow.measure.checks.of_model import CHECKS, expected_checks
from dixonflow.models.load import MODELS, load_model
from dixonflow.phantom.demo_cohort import DemoOptions
from dixonflow.phantom.writers.dicom import write_ukb
from dixonflow.trials.defect_page import defect_page
from dixonflow.trials.defect_runs import Measured, clean_scan, stations_of
from dixonflow.trials.example_pictures import example_cases, objection, picture_of_delivery
from dixonflow.trials.review_list import ALL, resampled_grades, review_counts
from dixonflow.vocabulary import ScanId

DEMO = load_model(MODELS / "demo.yaml")


def measured(number: int, **failing: float) -> Measured:
    """One of twelve scans whose values lie evenly around 1, but for those named."""
    rows = [
        {
            "check": check,
            "structure": structure,
            "value": failing.get(check, CHECKS[check].threshold or 1 + (number * 7 + place) % 12 / 600),
            "threshold": 0.0 if check == "kidney_sides" else None,
            "grade": "fail" if check in failing else "pass",
            "place": "",
            "model": model,
        }
        for place, (check, structure, model) in enumerate(sorted(expected_checks(DEMO, [DEMO])))
    ]
    listed = {"reading": "", "acquisitions": "", "layout": "ukb"}
    return Measured("", "", pd.DataFrame(), pd.DataFrame(rows), listed)


def test_a_check_that_fails_in_one_of_four_scans_lists_one_of_four_of_the_cohort() -> None:
    clean = {ScanId(f"{number}", "2"): measured(number) for number in range(12)}
    assert resampled_grades(DEMO, clean, 200).empty
    mirrored = {ScanId(f"{20 + number}", "2"): measured(number, kidney_sides=-9.0) for number in range(4)}
    grades = resampled_grades(DEMO, clean | mirrored, 400)
    assert set(grades["scan_grade_decided_by"]) == {"kidney_sides"}
    assert 60 < len(grades) < 140
    counts = review_counts(grades, 400)
    assert counts.to_dict("records") == [
        {"checks": ALL, "listed": len(grades), "scans": 400},
        {"checks": "kidney_sides", "listed": len(grades), "scans": 400},
    ]


def test_the_example_of_a_check_is_the_case_where_little_else_objects() -> None:
    said = ["", "kidney_sides, head_up", "kidney_sides", "missing_slice", "kidney_sides", "kidney_sides"]
    table = pd.DataFrame({"said": said, "defect": ["d"] * 5 + ["no defect"]})
    assert example_cases(table) == {"kidney_sides": 4, "missing_slice": 3, "head_up": 1}


def test_the_value_furthest_beyond_its_threshold_is_the_example() -> None:
    rows = pd.DataFrame(
        [
            ("side_ratio", "femur_left", 0.8, 0.9, "review"),
            ("side_ratio", "femur_right", 0.3, 0.9, "review"),
            ("side_ratio", "hip_left", 0.1, 0.9, "pass"),
            ("noise_level", "", None, None, "review"),
        ],
        columns=["check", "structure", "value", "threshold", "grade"],
    )
    quality = pa.Table.from_pandas(rows)
    assert objection(quality, "side_ratio") == ("femur_right", 0.3, 0.9)
    assert objection(quality, "noise_level") == ("", None, None)
    assert objection(quality, "kidney_sides") is None


def test_what_was_delivered_is_drawn_with_its_gaps(tmp_path: Path) -> None:
    options = DemoOptions(0.1, 0.1, 0.25, 6.0)
    stations = stations_of(clean_scan(0), options)
    whole = picture_of_delivery(write_ukb(tmp_path, clean_scan(0).scan, stations))
    path = write_ukb(tmp_path, clean_scan(1).scan, stations[:2] + stations[3:])
    gap = picture_of_delivery(path)
    assert whole is not None and gap is not None
    dark = [
        int((np.asarray(Image.open(io.BytesIO(each)).convert("L")).max(axis=1) == 0).sum()) for each in (whole, gap)
    ]
    assert dark[1] > dark[0] + 10
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as archive:
        archive.writestr("a.dcm", "no image")
    assert picture_of_delivery(tmp_path / "text.zip") is None
    (tmp_path / "cut.zip").write_bytes(path.read_bytes()[:1000])
    assert picture_of_delivery(tmp_path / "cut.zip") is None


def test_the_page_says_which_share_is_listed() -> None:
    row = {"defect": "d", "layer": "label map", "strength": 1.0, "unit": "share", "expected": "graded"}
    row |= {"outcome": "graded", "said": "kidney_sides", "listed": "yes", "moved": 2, "ungraded": 0}
    row |= {"worst": "", "worst_change": None, "worst_unit": ""}
    table = pd.DataFrame([row, row | {"listed": "no"}, row | {"listed": "no", "moved": 0}])
    page = defect_page(table, review_counts(pd.DataFrame({"scan_grade_decided_by": ["x"] * 3}), 200))
    assert "of the 2 cases in which values of a measured scan moved: listed for a look | 1 (50.0 %)" in page
    assert "in a cohort of 200, whose rows of `quality` are drawn from theirs | 1.50 % |" in page


@pytest.mark.parametrize("name", ["defects.csv", "review_list.csv", "examples/examples.csv"])
def test_what_make_defects_writes_is_there(name: str) -> None:
    assert (Path(__file__).parents[3] / "docs" / name).is_file()
