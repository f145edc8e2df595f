"""Reading the DICOM slices of a scan: what tags say becomes stations, everything else a reason."""

import io
import itertools
import shutil
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless, generate_uid
from raw_scan_files import AXIAL, Slice, encode, make_stations, scan_slices, write_scan_zip

from dixonflow.cohort import archive as archive_module
from dixonflow.cohort.archive import CHUNK_BYTES, open_archive, zip_fingerprint
from dixonflow.cohort.header import read_header
from dixonflow.cohort.raw import RawScan
from dixonflow.cohort.reader import InspectOptions, RawDataChangedError, inspect, read_stations
from dixonflow.errors import ScanExcluded
from dixonflow.station import Station
from dixonflow.vocabulary import Contrast, Layout, Reason, ScanId

SCAN = ScanId("0001234", "2")
TWO = InspectOptions(n_stations={Layout.UKB: 2})
THREE = InspectOptions(n_stations={Layout.UKB: 3, Layout.NAKO: 3})


def raw_scan(path: Path, layout: Layout = Layout.UKB) -> RawScan:
    return RawScan(SCAN, layout, path, zip_fingerprint(path))


def reason_of(path: Path, options: InspectOptions = THREE) -> tuple[Reason, str]:
    with pytest.raises(ScanExcluded) as excluded:
        inspect(raw_scan(path), options)
    return excluded.value.reason, excluded.value.message


def assert_equal(found: list[Station], wanted: list[Station]) -> None:
    assert [station.index for station in found] == list(range(len(wanted)))
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got.affine, want.affine, atol=1e-5)
        assert set(got.images) == set(Contrast)
        for contrast in Contrast:
            assert got.images[contrast].dtype == np.int16
            np.testing.assert_array_equal(got.images[contrast], want.images[contrast])


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
    assert_equal(read_stations(raw_scan(path, Layout.NAKO), THREE), stations)


SIGNED_AXES = [
    np.eye(3)[:, list(order)] * signs
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]
# slices are stacked along the cross product of columns and rows, so half of them would be mirrored stacks
RIGHT_HANDED = [axes for axes in SIGNED_AXES if np.linalg.det(axes) > 0]


@pytest.mark.parametrize(
    "directions", RIGHT_HANDED[::4], ids=lambda axes: "".join("RAS"[i] for i in np.abs(axes).argmax(0))
)
def test_every_orientation_of_the_slices_gives_the_same_ras_image(tmp_path: Path, directions: np.ndarray) -> None:
    stations = make_stations(2, shape=(20, 18, 16))
    path = write_scan_zip(tmp_path / "a.zip", scan_slices(stations, directions))
    assert_equal(read_stations(raw_scan(path), TWO), stations)


def tilt(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])


def write_tilted(path: Path, degrees: float) -> list[Station]:
    """A whole scan tilted as one body about the left-right axis."""
    stations = make_stations(3)
    slices = scan_slices(stations)
    turn_slices(slices, degrees)
    write_scan_zip(path, slices)
    return stations


def turn_slices(slices: list[Slice], degrees: float) -> None:
    flip = np.diag([-1.0, -1.0, 1.0])
    turn = flip @ tilt(degrees) @ flip
    for item in slices:
        item.ds.ImagePositionPatient = [
            round(float(v), 8) for v in turn @ np.array(item.ds.ImagePositionPatient, float)
        ]
        cosines = np.array(item.ds.ImageOrientationPatient, float).reshape(2, 3) @ turn.T
        item.ds.ImageOrientationPatient = [round(float(v), 12) for v in cosines.ravel()]


def test_a_slight_tilt_keeps_the_stations_where_they_are_to_each_other(tmp_path: Path) -> None:
    wanted = write_tilted(tmp_path / "a.zip", 0.8)
    found = read_stations(raw_scan(tmp_path / "a.zip"), THREE)
    for got, want in zip(found, wanted, strict=True):
        assert np.count_nonzero(got.affine[:3, :3]) == 3
        np.testing.assert_allclose(got.affine, want.affine, atol=1e-4)
        np.testing.assert_array_equal(got.images[Contrast.FAT], want.images[Contrast.FAT])


def test_an_oblique_scan_is_excluded(tmp_path: Path) -> None:
    write_tilted(tmp_path / "a.zip", 3.0)
    reason, message = reason_of(tmp_path / "a.zip")
    assert reason is Reason.UNEXPECTED_GEOMETRY
    assert "3.0 degrees" in message


def test_one_station_tilted_unlike_the_others_is_excluded(tmp_path: Path) -> None:
    slices = scan_slices(make_stations(3))
    turn_slices([item for item in slices if item.station == 1], 0.8)
    assert reason_of(write_scan_zip(tmp_path / "a.zip", slices))[0] is Reason.SPACING_MISMATCH


def test_implicit_transfer_syntax_and_signed_and_scaled_values(tmp_path: Path) -> None:
    stations = make_stations(3)
    slices = scan_slices(stations)
    for item in slices:
        item.ds.RescaleSlope, item.ds.RescaleIntercept = "0.5", "-10"
    path = write_scan_zip(tmp_path / "a.zip", slices, lambda ds: encode(ds, implicit=True))
    found = read_stations(raw_scan(path), THREE)
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
    found = read_stations(raw_scan(write_scan_zip(tmp_path / "a.zip", slices)), THREE)
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
    assert_equal(read_stations(raw_scan(path), THREE), stations)


def test_echo_times_tell_where_no_tag_names_the_phase(tmp_path: Path) -> None:
    stations = make_stations(3)
    slices = scan_slices(stations)
    for item in slices:
        item.ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "NORM"]
        item.ds.SeriesDescription = "vibe dixon"
        block = item.ds.private_block(0x0051, "SIEMENS MR HEADER", create=True)
        if item.contrast in (Contrast.WATER, Contrast.FAT):
            block.add_new(0x19, "LO", {"water": "A1/DIXW/2", "fat": "A1/DIXF/2"}[item.contrast])
    assert_equal(read_stations(raw_scan(write_scan_zip(tmp_path / "a.zip", slices)), THREE), stations)
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
    assert_equal(read_stations(raw_scan(path), THREE), stations)
    notes = " ".join(inspect(raw_scan(path), THREE).notes)
    assert "localizer" in notes
    assert "composed" in notes


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
        item.ds.SeriesNumber = 99
    return slices + again


def repeat_slice(slices: list[Slice]) -> list[Slice]:
    again = scan_slices(make_stations(3))[5]
    again.ds.SOPInstanceUID = generate_uid()
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
    "slice twice": (repeat_slice, Reason.MISSING_SLICE, "1 of 7 slices lie at the position of another"),
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
    "gap between stations": (move_station, Reason.STATION_GAP, "stations 2 and 3 do not overlap: 12.0 mm"),
    "two patients": (change("PatientID", "0009999", station=1), Reason.IDENTITY_MISMATCH, "2 different patient ids"),
    "ImageType against description": (
        change("ImageType", ["DERIVED", "PRIMARY", "M", "FAT"], contrast=Contrast.WATER),
        Reason.CONTRAST_MISMATCH,
        "cannot be told",
    ),
    "echo times against names": (
        change("EchoTime", 1.0, contrast=Contrast.IN_PHASE),
        Reason.CONTRAST_MISMATCH,
        "in phase the echo at 1 ms",
    ),
    "sheared stack": (shear, Reason.UNEXPECTED_GEOMETRY, "one behind the other"),
    "absurd matrix": (change("Rows", 4096), Reason.TRUNCATED_PIXELS, "need"),
    "absurd spacing": (change("PixelSpacing", [200.0, 200.0]), Reason.UNEXPECTED_GEOMETRY, "voxel"),
    "tiny matrix": (change("Rows", 4), Reason.UNEXPECTED_GEOMETRY, "matrix"),
    "colour": (change("SamplesPerPixel", 3), Reason.UNEXPECTED_GEOMETRY, "3 samples"),
    "frames": (change("NumberOfFrames", 8), Reason.UNEXPECTED_GEOMETRY, "8 frames"),
    "no pixels": (cut_header, Reason.UNREADABLE_FILE, "ends before its pixel data"),
    "no position": (change("ImagePositionPatient", None, station=0), Reason.UNREADABLE_FILE, "position"),
    "no series": (change("SeriesInstanceUID", "", station=0), Reason.UNREADABLE_FILE, "series UID"),
    "no orientation": (
        change("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]),
        Reason.UNEXPECTED_GEOMETRY,
        "right angles",
    ),
    "nothing": (lambda slices: [], Reason.UNREADABLE_FILE, "no DICOM image"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_with_a_scan_is_told(tmp_path: Path, case: str) -> None:
    damage, wanted, words = BROKEN[case]
    reason, message = reason_of(write_scan_zip(tmp_path / "a.zip", damage(scan_slices(make_stations(3)))))
    assert reason is wanted, message
    assert words in message
    assert SCAN.participant not in message


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


def test_values_beyond_the_stored_bits_are_refused(tmp_path: Path) -> None:
    slices = change("BitsStored", 8, station=1)(scan_slices(make_stations(3)))
    with pytest.raises(ScanExcluded, match="do not fit the 8 bits"):
        read_stations(raw_scan(write_scan_zip(tmp_path / "a.zip", slices)), THREE)


def test_a_constant_image_is_empty(tmp_path: Path) -> None:
    slices = change("PixelData", bytes(720), station=2, contrast=Contrast.FAT)(scan_slices(make_stations(3)))
    with pytest.raises(ScanExcluded) as excluded:
        read_stations(raw_scan(write_scan_zip(tmp_path / "a.zip", slices)), THREE)
    assert excluded.value.reason is Reason.EMPTY_IMAGE
    assert "station 3: the fat image is constant" in excluded.value.message


def test_the_patient_id_is_compared_with_the_name_only_when_asked(tmp_path: Path) -> None:
    slices = scan_slices(make_stations(3), patient_id="PSEUDONYM")
    path = write_scan_zip(tmp_path / "a.zip", slices)
    inspect(raw_scan(path), THREE)
    asked = InspectOptions(THREE.n_stations, match_patient_id=True)
    assert reason_of(path, asked)[0] is Reason.IDENTITY_MISMATCH
    inspect(raw_scan(write_scan_zip(tmp_path / "b.zip", scan_slices(make_stations(3)))), asked)
    visit = scan_slices(make_stations(3), patient_id="0001234_30")
    inspect(raw_scan(write_scan_zip(tmp_path / "c.zip", visit)), asked)


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
        read_stations(raw_scan(path), THREE)


def test_what_changed_since_the_cohort_stage_is_not_read(tmp_path: Path) -> None:
    path = write_scan_zip(tmp_path / "a.zip", scan_slices(make_stations(3)))
    raw = raw_scan(path)
    write_scan_zip(path, scan_slices(make_stations(3, seed=5)))
    with pytest.raises(RawDataChangedError):
        read_stations(raw, THREE)


def test_a_member_that_is_no_dicom_file_excludes_the_scan(tmp_path: Path) -> None:
    path = write_scan_zip(tmp_path / "a.zip", scan_slices(make_stations(3)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("zzz.dcm", b"\0" * 5000)
    assert reason_of(path) == (Reason.UNREADABLE_FILE, "zzz.dcm: no DICOM file")


def test_zips_that_claim_too_much_are_refused_before_anything_is_inflated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.dcm", bytes(3 << 20))
    monkeypatch.setattr(archive_module, "RATIO_FREE_BYTES", 4 << 20)
    assert reason_of(path)[1].startswith("the zip claims to hold 9437184 bytes in")
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


def test_a_header_is_read_without_the_rest_of_the_file(tmp_path: Path) -> None:
    ds = scan_slices(make_stations(1))[0].ds
    ds.Rows = ds.Columns = 512
    ds.PixelData = np.random.default_rng(0).bytes(512 * 512 * 2)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.dcm", encode(ds))
    with open_archive(path) as archive:
        stream = archive.stream(archive.images[0])
        header = read_header(stream, "0.dcm", "0.dcm")
        assert header is not None
        assert header.pixel_bytes == header.expected_bytes == 512 * 512 * 2
        assert not stream.ended
        assert len(stream._data) < 2 * CHUNK_BYTES


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
        found = read_stations(raw_scan(path), THREE)
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
        found = read_stations(raw_scan(path), TWO)
    except ScanExcluded:
        return
    assert len(found) == 2


def test_axial_is_what_scanners_write() -> None:
    assert any(np.array_equal(AXIAL, axes) for axes in RIGHT_HANDED)
