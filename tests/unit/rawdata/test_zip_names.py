"""Names in zips as tools of other systems write them: the same files in the same places."""

import zipfile
from pathlib import Path

import pytest
from raw_scan_files import encode, make_stations, scan_slices
from scan_reading import TWO, assert_equal, raw_scan, reason_of

from dixonflow.rawdata.reader import inspect, read_stations
from dixonflow.vocabulary import Reason

STATIONS = make_stations(2, 3, (18, 16, 5))
GHOST = b"\0\5\x16\7\0\2\0\0Mac OS X        "
PLACES = ["", "./", "scan/", "./scan/", "scan/./part/", "../scan/", "scan\\", ".\\", ".\\scan\\", "scan\\.\\part\\"]


def written(path: Path, place: str, listed: int = 0) -> Path:
    """A zip of all slices in a place, with its folder, what macOS leaves, and a manifest that lists some more."""
    separator = "\\" if "\\" in place else "/"
    slices = [encode(each.ds) for each in scan_slices(STATIONS)]
    rows = "".join(f"{place}{number:04d}.dcm,2.1\n" for number in range(len(slices) + listed))
    files = [(place, b"")] if place else []
    files += [(f"{place}{number:04d}.dcm", content) for number, content in enumerate(slices)]
    files += [(f"{place}manifest.cvs", f"filename,x\n{rows}".encode()), (f"{place}.DS_Store", GHOST)]
    files += [(separator.join(["__MACOSX", "scan", "._0001.dcm"]), GHOST)]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files:
            info = zipfile.ZipInfo("x")
            info.filename = name  # as it is: ZipInfo would change it on some systems
            archive.writestr(info, content)
    return path


@pytest.mark.parametrize("place", PLACES)
def test_names_of_any_system_give_the_same_scan(tmp_path: Path, place: str) -> None:
    raw = raw_scan(written(tmp_path / "a.zip", place), options=TWO)
    assert_equal(read_stations(raw), STATIONS)
    assert inspect(raw).notes == ()


@pytest.mark.parametrize("place", PLACES)
def test_a_manifest_is_seen_wherever_it_lies(tmp_path: Path, place: str) -> None:
    reason, message = reason_of(written(tmp_path / "a.zip", place, listed=2), TWO)
    assert (reason, message) == (Reason.MISSING_SLICE, "2 of the files that its manifest lists are missing")
