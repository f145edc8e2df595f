"""What is no part of a scan costs it nothing but a note; what was delivered or acquired twice counts once."""

import io
import zipfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    EncapsulatedPDFStorage,
    MRImageStorage,
    MRSpectroscopyStorage,
    ParametricMapStorage,
    RawDataStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)
from raw_scan_files import Slice, encode, make_stations, scan_slices, write_scan_zip
from scan_reading import TWO, assert_equal, raw_scan, reason_of

from dixonflow.rawdata.raw_scan import ReadOptions
from dixonflow.rawdata.reader import inspect, read_stations
from dixonflow.vocabulary import Contrast, Duplicates, Reason

SHAPE = (20, 18, 6)
STATIONS = make_stations(2, 3, SHAPE)
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def picture(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30)).save(stream, kind)
    return stream.getvalue()


def capture(colour: bool) -> bytes:
    """A screenshot that the scanner sends along, without a place."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    ds.SeriesInstanceUID, ds.SeriesNumber, ds.PatientID = "1.2.9", 99, "0001234"
    ds.SeriesDescription = "Dixon_BH_17s_W"
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 20, 30, 8, 8, 7
    ds.PixelRepresentation, ds.SamplesPerPixel = 0, 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    ds.PixelData = bytes(20 * 30 * ds.SamplesPerPixel)
    return encode(ds)


def localizer(series: str, planes: int) -> list[bytes]:
    """Single slices of a localizer in up to three planes."""
    files = []
    for number, orientation in enumerate([[1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]][:planes]):
        ds = scan_slices(STATIONS[:1])[0].ds
        ds.SOPInstanceUID, ds.SeriesInstanceUID = generate_uid(), series
        ds.ImageType, ds.SeriesDescription = ["ORIGINAL", "PRIMARY", "M", "LOCALIZER"], "localizer"
        ds.ImageOrientationPatient, ds.SeriesNumber, ds.InstanceNumber = orientation, 1, number + 1
        files.append(encode(ds))
    return files


def report() -> bytes:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.11", generate_uid()
    ds.SeriesInstanceUID, ds.PatientID, ds.Modality = "1.2.10", "0001234", "SR"
    return encode(ds)


def other_object(sop_class: str, size: int, data: str = "", undefined_length: bool = False) -> bytes:
    """A file with rows and columns in its place in the body, and no pixels of whole numbers."""
    ds = scan_slices(STATIONS[:1])[0].ds
    for name in ("PixelData", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(ds, name)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = sop_class, generate_uid(), "1.2.13"
    ds.ReferencedImageSequence = [Dataset()]
    ds["ReferencedImageSequence"].is_undefined_length = undefined_length
    if data:
        setattr(ds, data, bytes(size))
    return encode(ds)


OTHER_OBJECTS = {
    "parametric map": (ParametricMapStorage, "FloatPixelData"),
    "parametric map in double precision": (ParametricMapStorage, "DoubleFloatPixelData"),
    "spectrum": (MRSpectroscopyStorage, "SpectroscopyData"),
    "raw data with rows": (RawDataStorage, ""),
    "report in PDF": (EncapsulatedPDFStorage, "EncapsulatedDocument"),
    "MR image of real numbers": (MRImageStorage, "FloatPixelData"),
}

STRAY: dict[str, Callable[[], list[tuple[str, bytes]]]] = {
    "desktop.ini": lambda: [("desktop.ini", b"[.ShellClassInfo]\r\n")],
    "Thumbs.db": lambda: [("a/Thumbs.db", b"\xd0\xcf\x11\xe0" + bytes(500))],
    "DICOMDIR": lambda: [("DICOMDIR", bytes(128) + b"DICM" + bytes(200))],
    "screenshot.png": lambda: [("screenshot.png", picture("PNG"))],
    "picture without an ending": lambda: [("IM_0001", picture("PNG"))],
    "jpeg named as a slice": lambda: [("x.dcm", picture("JPEG"))],
    "notes": lambda: [("notes", b"Patient moved in the second station.\n")],
    "log": lambda: [("export.log", b"\x00\x01\x02")],
    "word file": lambda: [("Protokoll.docx", b"PK\x03\x04" + bytes(300))],
    "systems": lambda: [("Icon\r", b""), ("@eaDir/0001.dcm@SynoEAStream", bytes(200))],
    "hidden": lambda: [(".DS_Store", bytes(300)), ("__MACOSX/._1.dcm", bytes(200))],
    "RGB screenshot": lambda: [("shot.dcm", capture(True))],
    "grey capture without position": lambda: [("capture.dcm", capture(False))],
    "report": lambda: [("report.dcm", report())],
    "localizer in three planes": lambda: [(f"loc{n}.dcm", data) for n, data in enumerate(localizer("1.2.11", 3))],
    "localizer of one slice": lambda: [("loc.dcm", localizer("1.2.12", 1)[0])],
}
QUIET = {"desktop.ini", "Thumbs.db", "DICOMDIR", "screenshot.png", "log", "word file", "systems", "hidden"}
"""Known by their names: not opened, and no word about them."""


def with_files(path: Path, files: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "a") as archive:
        for name, data in files:
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("kind", STRAY)
def test_a_stray_file_costs_nothing(tmp_path: Path, kind: str) -> None:
    path = with_files(write_scan_zip(tmp_path / "a.zip", scan_slices(STATIONS)), STRAY[kind]())
    assert_equal(read_stations(raw_scan(path, options=TWO)), STATIONS)
    notes = inspect(raw_scan(path, options=TWO)).notes
    assert bool(notes) == (kind not in QUIET), notes


@pytest.mark.parametrize("size", [4000, 3 << 20])
@pytest.mark.parametrize("kind", OTHER_OBJECTS)
def test_an_object_without_whole_numbers_as_pixels_is_left_out(tmp_path: Path, kind: str, size: int) -> None:
    sop_class, data = OTHER_OBJECTS[kind]
    flags = [False] if sop_class == MRImageStorage else [False, True]
    files = [(f"{flag}.dcm", other_object(sop_class, size, data, flag)) for flag in flags]
    path = with_files(write_scan_zip(tmp_path / "a.zip", scan_slices(STATIONS)), files)
    assert_equal(read_stations(raw_scan(path, options=TWO)), STATIONS)
    assert inspect(raw_scan(path, options=TWO)).notes == (f"{len(flags)} files without an image",)


@pytest.mark.parametrize("sop_class", [MRImageStorage, "1.3.12.2.1107.5.99.1", ""])
def test_an_image_without_pixels_is_damaged(tmp_path: Path, sop_class: str) -> None:
    path = with_files(
        write_scan_zip(tmp_path / "a.zip", scan_slices(STATIONS)), [("x.dcm", other_object(sop_class, 0))]
    )
    reason, message = reason_of(path, TWO)
    assert reason is Reason.UNREADABLE_FILE
    assert "ends before its pixel data" in message


@FEW
@given(kinds=st.sets(st.sampled_from(sorted(STRAY)), min_size=2))
def test_any_of_them_together(tmp_path: Path, kinds: set[str]) -> None:
    files = [file for kind in sorted(kinds) for file in STRAY[kind]()]
    path = with_files(write_scan_zip(tmp_path / "a.zip", scan_slices(STATIONS)), files)
    assert_equal(read_stations(raw_scan(path, options=TWO)), STATIONS)


def again(item: Slice) -> Slice:
    """The same slice under an identifier of its own."""
    ds = deepcopy(item.ds)
    ds.SOPInstanceUID = generate_uid()
    return Slice(item.station, item.contrast, item.index, ds)


@FEW
@given(step=st.integers(1, 12), same_identifier=st.booleans())
def test_exact_copies_of_slices_are_dropped(tmp_path: Path, step: int, same_identifier: bool) -> None:
    slices = scan_slices(STATIONS)
    copies = [item if same_identifier else again(item) for item in slices[::step]]
    path = write_scan_zip(tmp_path / "a.zip", slices + copies)
    assert_equal(read_stations(raw_scan(path, options=TWO)), STATIONS)
    notes = inspect(raw_scan(path, options=TWO)).notes
    assert sum(int(note.split(": ")[1].split()[0]) for note in notes if "exact copies" in note) == len(copies)


@FEW
@given(place=st.integers(0, 47), pixel=st.integers(0, 359))
def test_a_slice_twice_that_differs_in_one_pixel_is_no_copy(tmp_path: Path, place: int, pixel: int) -> None:
    slices = scan_slices(STATIONS)
    other = again(slices[place])
    pixels = np.frombuffer(other.ds.PixelData, "<u2").copy()
    pixels[pixel] ^= 1
    other.ds.PixelData = pixels.tobytes()
    reason, message = reason_of(write_scan_zip(tmp_path / "a.zip", [*slices, other]), TWO)
    assert reason is Reason.MISSING_SLICE
    assert "1 of 7 slices have the position of another slice" in message


def acquired_again(
    slices: list[Slice], station: int, *, number: int = 40, time: str | None = None, seed: int | None = None
) -> list[Slice]:
    """A station once more, as series that follow; with other noise where a seed is given."""
    source = scan_slices(make_stations(2, seed, SHAPE)) if seed is not None else slices
    more = [again(item) for item in source if item.station == station]
    for item in more:
        item.ds.SeriesInstanceUID = f"{item.ds.SeriesInstanceUID}.9"
        item.ds.SeriesNumber = number + list(Contrast).index(item.contrast)
        if time is not None:
            item.ds.AcquisitionTime = time
    return more


@pytest.mark.parametrize("by_time", [True, False])
@pytest.mark.parametrize("broken", ["contrast", "slices", "pixels"])
@pytest.mark.parametrize("first", [True, False])
def test_a_station_acquired_again_after_it_broke_off(tmp_path: Path, broken: str, first: bool, by_time: bool) -> None:
    slices = scan_slices(STATIONS)
    for item in slices:
        item.ds.AcquisitionTime = "101500.5"
    more = acquired_again(slices, 1, number=1 if first else 40, time="101400" if first else "103000")
    if broken == "contrast":
        more = [item for item in more if item.contrast not in (Contrast.FAT, Contrast.WATER)]
    elif broken == "slices":
        more = [item for item in more if item.index < 4]
    else:
        more[0].ds.PixelData = more[0].ds.PixelData[:300]
    for item in [] if by_time else slices + more:
        del item.ds.AcquisitionTime
    path = write_scan_zip(tmp_path / "a.zip", slices + more)
    assert_equal(read_stations(raw_scan(path, options=TWO)), STATIONS)
    summary = inspect(raw_scan(path, options=TWO))
    number = 2 if first else 1
    assert summary.notes == (f"station 2 was acquired 2 times: acquisition {number} is used, the only complete one",)
    assert summary.reading == f"station 2: {number} of 2"


@pytest.mark.parametrize("rule", Duplicates)
def test_which_of_two_complete_acquisitions_is_used(tmp_path: Path, rule: Duplicates) -> None:
    slices = scan_slices(STATIONS)
    more = acquired_again(slices, 1, seed=11)
    path = write_scan_zip(tmp_path / "a.zip", slices + more)
    options = ReadOptions(stations=2, duplicates=rule)
    if rule is Duplicates.EXCLUDE:
        assert reason_of(path, options)[0] is Reason.DUPLICATE_SCAN
        return
    later = [STATIONS[0], make_stations(2, 11, SHAPE)[1]]
    wanted = STATIONS if rule is Duplicates.EARLIER else later
    assert_equal(read_stations(raw_scan(path, options=options)), wanted)
    assert inspect(raw_scan(path, options=options)).reading == f"station 2: {1 if wanted is STATIONS else 2} of 2"


def test_the_acquisition_in_which_in_phase_is_water_and_fat_is_better(tmp_path: Path) -> None:
    stations = make_stations(2, 3, SHAPE)
    for station in stations:
        images = station.images
        images[Contrast.IN_PHASE][:] = images[Contrast.WATER] // 2 + images[Contrast.FAT] // 2
        images[Contrast.WATER][:] //= 2
        images[Contrast.FAT][:] //= 2
    slices = scan_slices(stations)
    more = acquired_again(slices, 1, seed=12)  # noise of its own in each contrast
    path = write_scan_zip(tmp_path / "a.zip", slices + more)
    assert_equal(read_stations(raw_scan(path, options=TWO)), stations)
    assert "the only one in which in phase is water + fat" in inspect(raw_scan(path, options=TWO)).notes[0]


def test_the_acquisition_that_reaches_its_neighbour_is_better(tmp_path: Path) -> None:
    slices = scan_slices(STATIONS)
    more = acquired_again(slices, 1)
    for item in more:
        left, posterior, superior = item.ds.ImagePositionPatient
        item.ds.ImagePositionPatient = [left, posterior, superior - 10]
    path = write_scan_zip(tmp_path / "a.zip", slices + more)
    assert_equal(read_stations(raw_scan(path, options=TWO)), STATIONS)
    assert "the one that reaches more of its neighbours" in inspect(raw_scan(path, options=TWO)).notes[0]


def test_stations_that_just_touch_are_read(tmp_path: Path) -> None:
    touching = make_stations(2, 3, SHAPE)
    touching[1].affine[2, 3] -= 2 * 4.0  # two slices of overlap are gone
    path = write_scan_zip(tmp_path / "a.zip", scan_slices(touching))
    assert_equal(read_stations(raw_scan(path, options=TWO)), touching)
    assert inspect(raw_scan(path, options=TWO)).notes == ("stations 1 and 2 touch without overlap",)
    touching[1].affine[2, 3] -= 0.2
    assert reason_of(write_scan_zip(tmp_path / "b.zip", scan_slices(touching)), TWO)[0] is Reason.STATION_GAP


@FEW
@given(times=st.integers(2, 4), chosen=st.integers(1, 4), tagged=st.booleans(), partial=st.booleans())
def test_points_in_time_are_volumes_of_their_own(
    tmp_path: Path, times: int, chosen: int, tagged: bool, partial: bool
) -> None:
    each = [make_stations(2, seed, SHAPE) for seed in range(times)]
    slices = []
    for time, stations in enumerate(each):
        for item in scan_slices(stations):
            item.ds.SOPInstanceUID = generate_uid()
            item.ds.InstanceNumber = 100 * time + item.index if partial else times * item.index + time
            if tagged:
                item.ds.TemporalPositionIdentifier = time + 1
            slices.append(item)
    path = write_scan_zip(tmp_path / "a.zip", slices)
    options = ReadOptions(stations=2, time_point=chosen)
    assert_equal(read_stations(raw_scan(path, options=options)), each[min(chosen, times) - 1])
