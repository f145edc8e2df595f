"""What is wrong with the images of a scan is told: every fault has its reason."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.uid import generate_uid
from raw_scan_files import Slice, make_stations, scan_slices, write_scan_zip
from scan_reading import SCAN, THREE, raw_scan, reason_of

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.reader import inspect, read_stations
from dixonflow.vocabulary import Contrast, Reason


def change(tag: str, value: object, **where: object) -> Callable[[list[Slice]], list[Slice]]:
    def apply(slices: list[Slice]) -> list[Slice]:
        for item in slices:
            if all(getattr(item, key) == wanted for key, wanted in where.items()):
                setattr(item.ds, tag, value)
        return slices

    return apply


def drop(**where: object) -> Callable[[list[Slice]], list[Slice]]:
    return lambda slices: [
        item for item in slices if not all(getattr(item, key) == wanted for key, wanted in where.items())
    ]


def repeat_series(slices: list[Slice]) -> list[Slice]:
    again = [item for item in scan_slices(make_stations(3)) if (item.station, item.contrast) == (1, Contrast.FAT)]
    for item in again:
        item.ds.SeriesInstanceUID = "1.2.3"
        item.ds.SeriesNumber = ""
        item.ds.PixelData = item.ds.PixelData[::-1]  # no copy
    return slices + again


def repeat_slice(slices: list[Slice]) -> list[Slice]:
    again = scan_slices(make_stations(3))[5]
    again.ds.SOPInstanceUID = generate_uid()
    again.ds.PixelData = bytes(len(again.ds.PixelData))
    return [*slices, again]


def move_station(slices: list[Slice]) -> list[Slice]:
    for item in slices:
        if item.station == 2:
            left, posterior, superior = item.ds.ImagePositionPatient
            item.ds.ImagePositionPatient = [left, posterior, superior - 20]
    return slices


def shift_contrast(slices: list[Slice]) -> list[Slice]:
    for item in slices:
        if item.station == 1 and item.contrast is Contrast.FAT:
            left, posterior, superior = item.ds.ImagePositionPatient
            item.ds.ImagePositionPatient = [left + 1, posterior, superior]
    return slices


def shear(slices: list[Slice]) -> list[Slice]:
    for item in slices:
        left, posterior, superior = item.ds.ImagePositionPatient
        item.ds.ImagePositionPatient = [left + item.index, posterior, superior]
    return slices


def cut_header(slices: list[Slice]) -> list[Slice]:
    for item in slices:
        del item.ds.PixelData
    return slices


BROKEN: dict[str, tuple[Callable[[list[Slice]], list[Slice]], Reason, str]] = {
    "station lost": (drop(station=1), Reason.MISSING_STATION, "2 of 3 stations"),
    "end station lost": (drop(station=2), Reason.MISSING_STATION, "2 of 3"),
    "contrast lost": (drop(contrast=Contrast.WATER), Reason.MISSING_CONTRAST, "no water image in the scan"),
    "contrast of a station lost": (
        drop(contrast=Contrast.OPPOSED_PHASE, station=1),
        Reason.MISSING_CONTRAST,
        "station 2 has no opposed_phase",
    ),
    "slice lost": (drop(index=3, station=1, contrast=Contrast.FAT), Reason.MISSING_SLICE, "uneven"),
    "same slice lost in all": (drop(index=3, station=1), Reason.MISSING_SLICE, "uneven"),
    "end slice lost": (
        drop(index=5, station=1, contrast=Contrast.FAT),
        Reason.MISSING_SLICE,
        "station 2: fat has 5 slices, others have 6",
    ),
    "first slice lost in water": (
        drop(index=0, station=0, contrast=Contrast.WATER),
        Reason.MISSING_SLICE,
        "station 1: water has 5 slices, others have 6",
    ),
    "slice twice": (repeat_slice, Reason.MISSING_SLICE, "1 of 7 slices have the position of another"),
    "series twice": (repeat_series, Reason.DUPLICATE_SCAN, "station 2 has more than one fat"),
    "spacing of a contrast": (
        change("PixelSpacing", [2.0, 2.6], station=1, contrast=Contrast.FAT),
        Reason.SPACING_MISMATCH,
        "station 2: fat differs from others in spacing",
    ),
    "place of a contrast": (shift_contrast, Reason.SPACING_MISMATCH, "station 2: fat differs from others in position"),
    "spacing inside a series": (
        change("PixelSpacing", [2.0, 2.6], station=1, contrast=Contrast.FAT, index=2),
        Reason.SPACING_MISMATCH,
        "slices differ",
    ),
    "gap between stations": (
        move_station,
        Reason.STATION_GAP,
        "stations 2 and 3 do not overlap: they are 12.0 mm apart",
    ),
    "two patients": (change("PatientID", "0009999", station=1), Reason.IDENTITY_MISMATCH, "2 different patient ids"),
    "ImageType against description": (
        change("ImageType", ["DERIVED", "PRIMARY", "M", "FAT"], contrast=Contrast.WATER),
        Reason.CONTRAST_MISMATCH,
        "cannot be identified",
    ),
    "echo times against names": (
        change("EchoTime", 1.0, contrast=Contrast.IN_PHASE),
        Reason.CONTRAST_MISMATCH,
        "in phase the echo at 1 ms",
    ),
    "sheared stack": (shear, Reason.UNEXPECTED_GEOMETRY, "do not form a stack"),
    "absurd matrix": (change("Rows", 4096), Reason.UNEXPECTED_GEOMETRY, "a matrix of 20x4096x6"),
    "absurd spacing": (change("PixelSpacing", [200.0, 200.0]), Reason.UNEXPECTED_GEOMETRY, "voxel"),
    "tiny matrix": (change("Rows", 4), Reason.UNEXPECTED_GEOMETRY, "matrix"),
    "colour": (change("SamplesPerPixel", 3), Reason.MISSING_CONTRAST, "72 files in colour"),
    "frames": (change("NumberOfFrames", 8), Reason.MISSING_CONTRAST, "72 files without position"),
    "no pixels": (cut_header, Reason.UNREADABLE_FILE, "ends before its pixel data"),
    "no position": (
        change("ImagePositionPatient", None, station=0),
        Reason.MISSING_STATION,
        "24 files without position",
    ),
    "no series": (change("SeriesInstanceUID", "", station=0), Reason.UNREADABLE_FILE, "series UID"),
    "no orientation": (
        change("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]),
        Reason.UNEXPECTED_GEOMETRY,
        "right angles",
    ),
    "nothing": (lambda slices: [], Reason.UNREADABLE_FILE, "the zip is empty"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_with_a_scan_is_told(tmp_path: Path, case: str) -> None:
    damage, wanted, words = BROKEN[case]
    reason, message = reason_of(write_scan_zip(tmp_path / "a.zip", damage(scan_slices(make_stations(3)))))
    assert reason is wanted, message
    assert words in message
    assert SCAN.participant not in message


def test_a_zip_without_an_image_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("manifest.cvs", "filename,patientid\n")
    reason, message = reason_of(tmp_path / "a.zip")
    assert reason is Reason.UNREADABLE_FILE
    assert "no DICOM image" in message


def test_the_most_fundamental_of_several_faults_is_reported_whatever_the_order(tmp_path: Path) -> None:
    faults = [
        "gap between stations",
        "spacing of a contrast",
        "slice lost",
        "contrast of a station lost",
        "station lost",
    ]
    slices = scan_slices(make_stations(3))
    expected = [Reason.STATION_GAP, Reason.SPACING_MISMATCH, Reason.MISSING_SLICE, Reason.MISSING_CONTRAST]
    for fault, wanted in zip(faults, expected, strict=False):
        slices = BROKEN[fault][0](slices)
        results = {reason_of(write_scan_zip(tmp_path / "a.zip", slices, seed=seed)) for seed in range(3)}
        assert len(results) == 1
        assert results.pop()[0] is wanted
    assert reason_of(write_scan_zip(tmp_path / "a.zip", drop(contrast=Contrast.FAT)(slices)))[1].startswith("no fat")


def test_values_beyond_the_stored_bits_are_refused(tmp_path: Path) -> None:
    slices = change("BitsStored", 8, station=1)(scan_slices(make_stations(3)))
    slices = change("HighBit", 11, station=1)(slices)
    with pytest.raises(ScanExcluded, match="8 bits of 16 with high bit 11 are inconsistent"):
        read_stations(raw_scan(write_scan_zip(tmp_path / "a.zip", slices), options=THREE))
    slices = change("HighBit", 7, station=1)(slices)
    with pytest.raises(ScanExcluded, match="use more than the 8 bits"):
        read_stations(raw_scan(write_scan_zip(tmp_path / "a.zip", slices), options=THREE))


def test_a_constant_image_is_empty(tmp_path: Path) -> None:
    slices = change("PixelData", bytes(720), station=2, contrast=Contrast.FAT)(scan_slices(make_stations(3)))
    with pytest.raises(ScanExcluded) as excluded:
        read_stations(raw_scan(write_scan_zip(tmp_path / "a.zip", slices), options=THREE))
    assert excluded.value.reason is Reason.EMPTY_IMAGE
    assert "station 3: the fat image is constant" in excluded.value.message


def test_the_patient_id_is_held_against_the_name(tmp_path: Path) -> None:
    for patient_id, matches in {"0001234": True, "0001234_30": True, "00012345": False, "PSEUDONYM": False}.items():
        path = write_scan_zip(tmp_path / "a.zip", scan_slices(make_stations(3), patient_id=patient_id))
        assert inspect(raw_scan(path, options=THREE)).patient_id_matches is matches
    path = write_scan_zip(tmp_path / "a.zip", scan_slices(make_stations(3), patient_id=""))
    assert inspect(raw_scan(path, options=THREE)).patient_id_matches is None
