"""Zips and DICOM files that are cut, damaged, changed or hostile: told as such, and nothing wrong is read."""

import shutil
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from raw_scan_files import encode, make_stations, scan_slices, write_scan_zip
from scan_reading import THREE, TWO, assert_equal, raw_scan, reason_of

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.station import Station
from dixonflow.rawdata import zip_archive as archive_module
from dixonflow.rawdata.dicom.header import read_headers
from dixonflow.rawdata.reader import RawDataChangedError, read_stations
from dixonflow.rawdata.zip_archive import CHUNK_BYTES, MemberStream, open_archive
from dixonflow.system.inflation import InflationLimit
from dixonflow.vocabulary import Reason


@pytest.mark.parametrize("honest", [True, False], ids=["element is short", "file is cut"])
def test_pixel_data_shorter_than_the_header_says(tmp_path: Path, honest: bool) -> None:
    slices = scan_slices(make_stations(3))
    victim = slices[40].ds.SOPInstanceUID
    if honest:
        slices[40].ds.PixelData = slices[40].ds.PixelData[:-100]

    def cut(ds: Dataset) -> bytes:
        content = encode(ds)
        return content[:-100] if ds.SOPInstanceUID == victim and not honest else content

    path = write_scan_zip(tmp_path / "a.zip", slices, cut)
    reason, message = reason_of(path)
    assert reason is Reason.TRUNCATED_PIXELS
    assert "620 bytes of pixel data, 20x18 pixels of 16 bits need 720" in message


def test_a_flipped_bit_in_the_pixels_is_found_by_the_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, item in enumerate(scan_slices(make_stations(3))):
            archive.writestr(f"{number}.dcm", encode(item.ds))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.infolist()[7]
    content[info.header_offset + info.compress_size] ^= 1
    path.write_bytes(content)
    with pytest.raises(ScanExcluded, match="wrong checksum"):
        read_stations(raw_scan(path, options=THREE))


def test_what_changed_since_the_cohort_stage_is_not_read(tmp_path: Path) -> None:
    path = write_scan_zip(tmp_path / "a.zip", scan_slices(make_stations(3)))
    raw = raw_scan(path, options=THREE)
    write_scan_zip(path, scan_slices(make_stations(3, seed=5)))
    with pytest.raises(RawDataChangedError):
        read_stations(raw)


def test_a_member_that_is_no_dicom_file_excludes_the_scan(tmp_path: Path) -> None:
    path = write_scan_zip(tmp_path / "a.zip", scan_slices(make_stations(3)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("zzz.dcm", b"\0" * 5000)
    assert reason_of(path) == (Reason.UNREADABLE_FILE, "file 73 of 73 in the zip: not a DICOM file")


def test_zips_that_claim_too_much_are_refused_before_anything_is_inflated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.dcm", bytes(3 << 20))
    monkeypatch.setattr(archive_module, "LIMIT", InflationLimit(ratio=100, free_bytes=4 << 20))
    assert reason_of(path)[1].startswith("the zip declares 9437184 bytes in")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.dcm", bytes(2 << 20))
    monkeypatch.setattr(archive_module, "MAX_MEMBER_BYTES", 1 << 20)
    assert "more than a slice can have" in reason_of(path)[1]


def test_a_member_that_lies_about_its_size_is_not_inflated_beyond_it(tmp_path: Path) -> None:
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.dcm", bytes(128) + b"DICM" + bytes(20 << 20))
        archive.filelist[0].file_size = 1000
    assert "longer than the table of contents" in reason_of(path)[1]


def test_a_header_is_read_without_the_rest_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ds = scan_slices(make_stations(1))[0].ds
    ds.Rows = ds.Columns = 512
    ds.PixelData = np.random.default_rng(0).bytes(512 * 512 * 2)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.dcm", encode(ds))
    with open_archive(path) as archive:
        member = archive.members()[0]
        streams = []
        with monkeypatch.context() as patch:
            real = type(archive).stream
            patch.setattr(type(archive), "stream", lambda *what: streams.append(real(*what)) or streams[-1])
            patch.setattr(MemberStream, "close", lambda self: None)
            (header,) = read_headers(member)
        assert header.pixel_bytes == header.expected_bytes == 512 * 512 * 2
        assert not streams[0].ended
        assert len(streams[0]._data) < 2 * CHUNK_BYTES


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Station]]:
    stations = make_stations(3)
    path = tmp_path_factory.mktemp("whole") / "a.zip"
    return write_scan_zip(path, scan_slices(stations)), stations


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_told_or_harmless(tmp_path: Path, whole: tuple[Path, list[Station]], data: st.DataObject) -> None:
    source, stations = whole
    path = tmp_path / "damaged.zip"
    shutil.copy(source, path)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans(), label="cut"):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        found = read_stations(raw_scan(path, options=THREE))
    except ScanExcluded:
        return
    assert_equal(found, stations)


@cache
def two_stations() -> list[bytes]:
    return [encode(item.ds) for item in scan_slices(make_stations(2, shape=(18, 16, 3)))]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_header_never_raises_anything_but_an_exclusion(tmp_path: Path, data: st.DataObject) -> None:
    contents = [bytearray(content) for content in two_stations()]
    victim = contents[data.draw(st.integers(0, len(contents) - 1))]
    for _ in range(data.draw(st.integers(1, 6))):
        victim[data.draw(st.integers(128, 900))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.dcm", bytes(content))
    try:
        found = read_stations(raw_scan(path, options=TWO))
    except ScanExcluded:
        return
    assert len(found) == 2
