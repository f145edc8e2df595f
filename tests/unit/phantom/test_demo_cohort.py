import io
import json
import re
import shutil
import zipfile
from collections import Counter

import numpy as np
import pandas as pd
import pydicom
import pytest

from dixonflow.errors import DixonflowError
from dixonflow.phantom import demo_cohort
from dixonflow.phantom.anatomy.structures import Structure
from dixonflow.phantom.breakages import Breakage
from dixonflow.phantom.demo_cohort import (
    EXPECTED_NAME,
    STAMP_NAME,
    TRUTH_COLUMNS,
    TRUTH_NAME,
    WITHDRAWN_NAME,
    DemoOptions,
    is_current,
    make_demo_cohort,
    make_scan,
)
from dixonflow.phantom.demo_scans import DEMO_SCANS, participant_in_session
from dixonflow.vocabulary import Layout, Reason, Status

COARSE = DemoOptions(ukb_scale=0.05, nako_scale=0.05, fine_spacing_mm=6)
FEW = tuple(item for item in DEMO_SCANS if item.scan.participant == "000123") + tuple(
    item for item in DEMO_SCANS if item.breakage is Breakage.CUT_OFF
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A few scans of the demo, made for real by a worker process."""
    folder = tmp_path_factory.mktemp("demo") / "raw"
    done = []
    assert make_demo_cohort(folder, COARSE, 1, done.append, FEW)
    assert sorted(item.path for item in done) == sorted(item.path for item in FEW)
    return folder


def snapshot(folder):
    return {path.relative_to(folder.parent): path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()}


def test_the_list_is_the_one_of_the_demo():
    assert len(DEMO_SCANS) == len({item.scan for item in DEMO_SCANS}) == len({item.path for item in DEMO_SCANS}) == 16
    assert Counter(item.layout for item in DEMO_SCANS) == {Layout.UKB: 8, Layout.NAKO: 8}
    assert sorted(item.breakage for item in DEMO_SCANS if item.breakage) == sorted(Breakage)
    assert Counter(item.layout for item in DEMO_SCANS if item.breakage) == {Layout.UKB: 2, Layout.NAKO: 2}
    twice = [name for name, count in Counter(item.scan.participant for item in DEMO_SCANS).items() if count == 2]
    assert len(twice) == 2
    for name in twice:
        first, second = (item for item in DEMO_SCANS if item.scan.participant == name)
        assert first.seed == second.seed
        assert first.layout == second.layout
        assert (first.session_number, second.session_number, first.breakage, second.breakage) == (0, 1, None, None)
    assert len({item.seed for item in DEMO_SCANS}) == 14
    assert all(0 <= item.seed < 10_000 for item in DEMO_SCANS)
    assert all(re.fullmatch("[0-9]{6}", item.scan.participant) for item in DEMO_SCANS if item.layout is Layout.NAKO)
    assert any(item.scan.participant.startswith("00") for item in DEMO_SCANS)
    assert {item.scan.session for item in DEMO_SCANS} == {"2", "3", "30", "60"}


def test_expectations(cohort):
    expected = json.loads((cohort.parent / EXPECTED_NAME).read_text())
    assert [(row["participant_id"], row["session_id"], row["status"], row["reason"]) for row in expected] == [
        ("000123", "30", Status.OK, Reason.NONE),
        ("000123", "60", Status.OK, Reason.NONE),
        ("5672719", "2", Status.EXCLUDED, Reason.UNREADABLE_FILE),
    ]
    assert all((cohort / row["file"]).is_file() for row in expected)
    reasons = {item.expected for item in DEMO_SCANS if item.breakage}
    assert reasons == {
        (Status.EXCLUDED, reason)
        for reason in (
            Reason.UNREADABLE_FILE,
            Reason.MISSING_STATION,
            Reason.TRUNCATED_PIXELS,
            Reason.MISSING_CONTRAST,
        )
    }
    assert (cohort.parent / WITHDRAWN_NAME).read_bytes() == b""
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(cohort / "ukb/5672719_20201_2_0.zip")


def test_truth_lies_outside_the_raw_folder_and_keeps_ids(cohort):
    assert {path.suffix for path in cohort.rglob("*") if path.is_file()} == {".zip"}
    truth = pd.read_parquet(cohort.parent / TRUTH_NAME)
    assert list(truth.columns) == TRUTH_COLUMNS
    assert len(truth) == len(FEW) * len(Structure)
    assert set(truth.participant_id) == {"000123", "5672719"}
    liver = truth[truth.structure == "liver"].set_index(["participant_id", "session_id"])
    assert set(liver.label) == {Structure.LIVER}
    assert liver.volume_in_fov_ml.between(700, 3000).all()
    assert liver.fat_fraction.between(0.005, 0.4).all()
    # The same body twice: fat fractions are equal; the liver is seen whole both times.
    assert liver.fat_fraction["000123", "30"] == liver.fat_fraction["000123", "60"]
    assert liver.volume_in_fov_ml["000123", "30"] == liver.volume_in_fov_ml["000123", "60"]


def test_second_session_is_the_same_body_elsewhere():
    first, second = participant_in_session(21, 0), participant_in_session(21, 1)
    assert first.table_offset_mm != second.table_offset_mm
    assert np.abs(np.subtract(first.table_offset_mm, second.table_offset_mm)).max() < 40
    assert first.organ_offset_mm == second.organ_offset_mm
    assert (first.height_cm, first.bmi, first.fat_fraction) == (second.height_cm, second.bmi, second.fat_fraction)
    assert second == participant_in_session(21, 1)


def test_second_session_has_other_images(cohort):
    pixels = []
    for name in ("000123_30", "000123_60"):
        with zipfile.ZipFile(cohort / f"nako/{name}.zip") as archive:
            water = [
                pydicom.dcmread(io.BytesIO(archive.read(entry)))
                for entry in archive.namelist()
                if entry.startswith(f"{name}/3D_GRE_TRA_W/")
            ]
        water.sort(key=lambda dataset: (dataset.SeriesNumber, dataset.InstanceNumber))
        pixels.append(np.stack([dataset.pixel_array for dataset in water]))
    assert pixels[0].shape == pixels[1].shape
    assert pixels[0].max() > 100
    assert (pixels[0] != pixels[1]).mean() > 0.3


def test_nothing_is_done_twice(cohort):
    before = snapshot(cohort)
    done = []
    assert not make_demo_cohort(cohort, COARSE, 1, done.append, FEW)
    assert not done
    assert snapshot(cohort) == before


@pytest.mark.parametrize("damage", ["lost", "cut", "added", "truth", "stamp", "options", "list", "code"])
def test_what_makes_it_out_of_date(cohort, damage, tmp_path, monkeypatch):
    folder = tmp_path / "raw"
    shutil.copytree(cohort.parent, tmp_path, dirs_exist_ok=True)
    assert is_current(folder, COARSE, FEW)
    match damage:
        case "lost":
            (folder / FEW[0].path).unlink()
        case "cut":
            (folder / FEW[0].path).write_bytes(b"PK")
        case "added":
            (folder / "ukb/1111111_20201_2_0.zip").write_bytes(b"somebody's data")
        case "truth":
            (tmp_path / TRUTH_NAME).unlink()
        case "stamp":
            (tmp_path / STAMP_NAME).write_text('{"key": ')
        case "code":
            package = tmp_path / "package"
            shutil.copytree(demo_cohort.PACKAGE, package)
            monkeypatch.setattr(demo_cohort, "PACKAGE", package)
            assert is_current(folder, COARSE, FEW)
            (package / "scanner/acquisition.py").write_text("# another scanner")
    options = DemoOptions() if damage == "options" else COARSE
    assert not is_current(folder, options, FEW[:2] if damage == "list" else FEW)


def test_made_again_it_has_the_same_bytes_and_nothing_of_a_killed_run(cohort):
    (cohort.parent / WITHDRAWN_NAME).write_text("010452\n")  # the list is the user's
    before = snapshot(cohort)
    (cohort / FEW[0].path).unlink()
    (cohort / "nako/.3f2a1b4c5d6e.000123_30.zip").write_bytes(b"half")
    assert make_demo_cohort(cohort, COARSE, 1, lambda _: None, FEW)
    assert snapshot(cohort) == before
    (cohort.parent / WITHDRAWN_NAME).write_bytes(b"")


def test_files_of_others_are_left_alone(cohort):
    before = snapshot(cohort)
    stranger = cohort / "ukb/1111111_20201_2_0.zip"
    stranger.write_bytes(b"somebody's data")
    with pytest.raises(DixonflowError, match="do not belong to the demo"):
        make_demo_cohort(cohort, COARSE, 1, lambda _: None, FEW)
    assert stranger.read_bytes() == b"somebody's data"
    stranger.unlink()
    assert snapshot(cohort) == before


def test_impossible_scale_is_one_clear_line_and_removes_nothing(cohort):
    before = snapshot(cohort)
    with pytest.raises(DixonflowError, match="scale"):
        make_demo_cohort(cohort, DemoOptions(ukb_scale=2), 1, lambda _: None, FEW)
    assert snapshot(cohort) == before


@pytest.mark.parametrize("breakage", [Breakage.STATION, Breakage.CONTRAST, Breakage.PIXELS])
def test_a_broken_scan_lacks_what_it_should(breakage, tmp_path):
    item = next(item for item in DEMO_SCANS if item.breakage is breakage)
    make_scan(item, tmp_path, COARSE)
    with zipfile.ZipFile(tmp_path / item.path) as archive:
        assert archive.testzip() is None
        slices = [name for name in archive.namelist() if name.endswith(".dcm")]
    stations = [station.matrix[2] for station in COARSE.protocol(item.layout).stations]
    missing = {Breakage.STATION: 4 * stations[2], Breakage.CONTRAST: sum(stations), Breakage.PIXELS: 0}
    assert len(slices) == 4 * sum(stations) - missing[breakage]
