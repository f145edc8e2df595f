"""The cohort stage on folders of raw data: everything that lies there is accounted for."""

import gzip
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bids_session import scans_frame, write_session
from raw_scan_files import make_stations

from dixonflow.cohort.build import build_cohort
from dixonflow.cohort.conservation import check_conservation
from dixonflow.cohort.discover import discover
from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.raw_scan import RawScan, Source
from dixonflow.rawdata.reader import RawDataChangedError, inspect, read_stations
from dixonflow.vocabulary import DIXON, Layout, Reason, ScanId


def bids_raw(session: Path, scan: ScanId) -> RawScan:
    found = discover([Source(Layout.BIDS, session.parents[1])])
    return next(each.raw for each in found.scans if each.raw.scan == scan)


def test_a_bids_folder_is_accounted_for_and_read(tmp_path: Path) -> None:
    scan, stations = ScanId("007", "a1"), make_stations(3, shape=(18, 16, 4))
    session = write_session(tmp_path, scan, stations)
    write_session(tmp_path, ScanId("008", "a1"), make_stations(1, 1, (18, 16, 4)))
    (tmp_path / "sub-009" / "ses-1" / "anat").mkdir(parents=True)
    (tmp_path / "sub-010").mkdir()
    (tmp_path / "sub-011" / "anat").mkdir(parents=True)
    (tmp_path / "sub-0_12" / "ses-1").mkdir(parents=True)
    (tmp_path / "derivatives").mkdir()
    (tmp_path / "participants.tsv").write_text("x")
    (tmp_path / "stray.nii.gz").write_text("x")
    found = discover([Source(Layout.BIDS, tmp_path)])
    said = [(str(each.raw.path.relative_to(tmp_path)), each.problem and each.problem[0]) for each in found.scans]
    assert said == [
        ("sub-007/ses-a1", None),
        ("sub-008/ses-a1", None),
        ("sub-009/ses-1", Reason.MISSING_CONTRAST),
        ("sub-011", Reason.MISSING_CONTRAST),  # without sessions
    ]
    unnamed = [str(entry.path.relative_to(tmp_path)) for entry in found.unnamed]
    assert unnamed == ["stray.nii.gz", "sub-010", "sub-0_12"]
    assert [path.name for path in found.ignored] == ["derivatives", "participants.tsv"]
    result = build_cohort([Source(Layout.BIDS, tmp_path)])
    assert check_conservation([Source(Layout.BIDS, tmp_path)], scans_frame(result)).n_unparsable == 3
    raw = bids_raw(session, scan)
    assert inspect(raw).n_stations == 3
    for got, want in zip(read_stations(raw), stations, strict=True):
        np.testing.assert_allclose(got.affine, want.affine, atol=1e-4)
        for contrast in DIXON:
            np.testing.assert_array_equal(got.images[contrast], want.images[contrast])
    write_session(tmp_path, scan, make_stations(3, 5, (18, 16, 4)))
    with pytest.raises(RawDataChangedError):
        read_stations(raw)


@pytest.mark.parametrize("codes", [(1, 1), (1, 0), (0, 1)])
@pytest.mark.parametrize("qfac", [0.0, -0.0, 1.0, 4.0])
def test_a_handedness_that_is_not_negative_counts_as_one(tmp_path: Path, qfac: float, codes: tuple[int, int]) -> None:
    scan, stations = ScanId("007", "1"), make_stations(3, shape=(18, 16, 4))
    session = write_session(tmp_path, scan, stations)
    for path in session.rglob("*.nii.gz"):
        content = bytearray(gzip.decompress(path.read_bytes()))
        struct.pack_into("<f", content, 76, qfac)
        struct.pack_into("<hh", content, 252, *codes)  # of qform and sform
        path.write_bytes(gzip.compress(content, 1))
    (row,) = build_cohort([Source(Layout.BIDS, tmp_path)]).scans
    assert row.reason is Reason.NONE, row.message
    for got, want in zip(read_stations(row.entry), stations, strict=True):
        np.testing.assert_allclose(got.affine, want.affine, atol=1e-4)


def rename(session: Path, old: str, new: str) -> None:
    for path in list(session.glob(f"anat/*{old}*")):
        path.rename(path.with_name(path.name.replace(old, new)))


def cut(session: Path) -> None:
    path = next(session.glob("anat/*water_chunk-2*"))
    path.write_bytes(path.read_bytes()[:60])


BIDS_FAULTS = {
    "no station 2": (lambda s: [p.unlink() for p in s.glob("anat/*chunk-2*")], Reason.MISSING_STATION, "1, 3"),
    "no fat": (lambda s: [p.unlink() for p in s.glob("anat/*fat*")], Reason.MISSING_CONTRAST, "no fat"),
    "no fat in 2": (
        lambda s: [p.unlink() for p in s.glob("anat/*fat_chunk-2*")],
        Reason.MISSING_CONTRAST,
        "station 2 has no fat",
    ),
    "unknown contrast": (lambda s: rename(s, "acq-fat", "acq-lipid"), Reason.UNPARSABLE_NAME, "acq-("),
    "another's name": (lambda s: rename(s, "sub-007", "sub-008"), Reason.IDENTITY_MISMATCH, "another participant"),
    "numbers swapped in fat": (
        lambda s: [rename(s, f"fat_chunk-{a}", f"fat_chunk-{b}") for a, b in ((1, 9), (2, 1), (9, 2))],
        Reason.SPACING_MISMATCH,
        "consists of files numbered 1, 2",
    ),
    "cut off": (cut, Reason.UNREADABLE_FILE, "acq-water_chunk-2"),
}


@pytest.mark.parametrize("case", BIDS_FAULTS)
def test_what_is_wrong_with_a_bids_session_is_told(tmp_path: Path, case: str) -> None:
    damage, reason, words = BIDS_FAULTS[case]
    scan = ScanId("007", "1")
    stations = make_stations(3, shape=(18, 16, 12))
    if case == "no station 2":  # so much overlap that no gap appears
        stations = [
            replace(station, affine=station.affine + np.eye(4)[:, [2]] * np.eye(4)[3] * 18 * station.index)
            for station in stations
        ]
    session = write_session(tmp_path, scan, stations)
    damage(session)
    with pytest.raises(ScanExcluded) as excluded:
        inspect(bids_raw(session, scan))
    assert excluded.value.reason is reason, excluded.value.message
    assert words in excluded.value.message
