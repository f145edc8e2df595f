"""Reading the DICOM slices of a scan: what tags say becomes stations, with the values that were stored."""

import io
import zipfile
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless
from raw_scan_files import encode, make_stations, scan_slices, write_scan_zip
from scan_reading import THREE, assert_equal, raw_scan, reason_of

from dixonflow.rawdata.reader import inspect, read_stations
from dixonflow.vocabulary import Contrast, Layout, Reason


def test_a_scan_comes_back_exactly_whatever_names_and_order(tmp_path: Path) -> None:
    stations = make_stations(6)
    path = write_scan_zip(tmp_path / "a.zip", scan_slices(stations), seed=3)
    assert_equal(read_stations(raw_scan(path)), stations)
    summary = inspect(raw_scan(path))
    assert summary.n_stations == 6
    assert summary.n_slices == 36
    assert summary.shapes[0] == stations[0].shape
    np.testing.assert_allclose(summary.spacings_mm[0], stations[0].spacing_mm)


def test_a_member_in_one_folder_per_contrast_with_foreign_files_beside(tmp_path: Path) -> None:
    stations = make_stations(3)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/", "")
        archive.writestr("__MACOSX/x/._1.dcm", "resource fork")
        archive.writestr("x/README", "hello")
        for number, item in enumerate(scan_slices(stations)):
            # a folder that lies about the contrast: only tags count
            archive.writestr(f"x/3D_GRE_TRA_W/{number}", encode(item.ds))
    assert_equal(read_stations(raw_scan(path, Layout.NAKO, options=THREE)), stations)


def test_implicit_transfer_syntax_and_signed_and_scaled_values(tmp_path: Path) -> None:
    stations = make_stations(3)
    slices = scan_slices(stations)
    for item in slices:
        item.ds.RescaleSlope, item.ds.RescaleIntercept = "0.5", "-10"
    path = write_scan_zip(tmp_path / "a.zip", slices, lambda ds: encode(ds, implicit=True))
    found = read_stations(raw_scan(path, options=THREE))
    assert found[1].images[Contrast.FAT].dtype == np.float32
    np.testing.assert_array_equal(found[1].images[Contrast.FAT], stations[1].images[Contrast.FAT] * 0.5 - 10)


def test_unsigned_values_beyond_int16_stay_what_they_are(tmp_path: Path) -> None:
    slices = scan_slices(make_stations(3))
    for item in slices:
        item.ds.BitsStored, item.ds.HighBit = 16, 15
    big = next(item for item in slices if item.contrast is Contrast.FAT and item.station == 0 and item.index == 3)
    pixels = np.frombuffer(big.ds.PixelData, "<u2").copy()
    pixels[0] = 60000
    big.ds.PixelData = pixels.tobytes()
    found = read_stations(raw_scan(write_scan_zip(tmp_path / "a.zip", slices), options=THREE))
    assert found[0].images[Contrast.FAT].dtype == np.int32
    assert found[0].images[Contrast.FAT].max() == 60000
    # the first pixel of an axial slice is the one furthest right and anterior
    assert found[0].images[Contrast.FAT][-1, -1, 3] == 60000


def test_compressed_slices_are_decoded(tmp_path: Path) -> None:
    stations = make_stations(3)

    def compressed(ds: Dataset) -> bytes:
        from pydicom import dcmread

        file = dcmread(io.BytesIO(encode(ds)))
        file.compress(RLELossless, generate_instance_uid=False)
        stream = io.BytesIO()
        file.save_as(stream)
        return stream.getvalue()

    path = write_scan_zip(tmp_path / "a.zip", scan_slices(stations), compressed)
    assert_equal(read_stations(raw_scan(path, options=THREE)), stations)


def test_echo_times_tell_where_no_tag_names_the_phase(tmp_path: Path) -> None:
    stations = make_stations(3)
    slices = scan_slices(stations)
    for item in slices:
        item.ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "NORM"]
        item.ds.SeriesDescription = "vibe dixon"
        block = item.ds.private_block(0x0051, "SIEMENS MR HEADER", create=True)
        if item.contrast in (Contrast.WATER, Contrast.FAT):
            block.add_new(0x19, "LO", {"water": "A1/DIXW/2", "fat": "A1/DIXF/2"}[item.contrast])
    assert_equal(read_stations(raw_scan(write_scan_zip(tmp_path / "a.zip", slices), options=THREE)), stations)
    for item in slices:
        item.ds.EchoTime = 2.39
    assert reason_of(write_scan_zip(tmp_path / "b.zip", slices))[0] is Reason.MISSING_CONTRAST


def test_localizers_and_composed_images_are_left_out_and_noted(tmp_path: Path) -> None:
    stations = make_stations(3)
    slices = scan_slices(stations)
    for item in scan_slices(make_stations(1, seed=9)):
        item.ds.SeriesInstanceUID = f"1.2.{item.ds.SeriesNumber}"
        if item.contrast is Contrast.WATER:
            item.ds.SeriesDescription = "3D_GRE_TRA_W_COMPOSED"
            slices.append(item)
        if item.contrast is Contrast.FAT and item.index < 3:
            item.ds.SeriesDescription, item.ds.ImageType = "localizer", ["ORIGINAL", "PRIMARY", "M"]
            item.ds.ImageOrientationPatient = [0.7, 0.7, 0, 0, 0, 1]
            slices.append(item)
    path = write_scan_zip(tmp_path / "a.zip", slices)
    assert_equal(read_stations(raw_scan(path, options=THREE)), stations)
    notes = " ".join(inspect(raw_scan(path, options=THREE)).notes)
    assert "series 6: its slices do not form a stack" in notes
    assert "series 5: composed on the scanner" in notes
    assert "localizer" not in notes, "what somebody typed at the scanner goes nowhere"
