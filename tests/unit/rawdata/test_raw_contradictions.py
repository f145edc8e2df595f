"""What contradicts in raw data is never resolved in silence; what can be read is read as it is meant."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_scan_files import Slice, make_stations, scan_slices, write_scan_zip
from scan_reading import TWO, assert_equal, raw_scan

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.reader import inspect, read_stations
from dixonflow.vocabulary import DIXON, Contrast, Reason

SHAPE = (18, 16, 5)
STATIONS = make_stations(2, 3, SHAPE)
PLACES = len(DIXON) * 2 * SHAPE[2]
FEW = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(folder: Path, slices: list[Slice]) -> Path:
    return write_scan_zip(folder / "a.zip", slices)


def set_pixels(item: Slice, values: np.ndarray) -> None:
    item.ds.PixelData = values.astype("<i2" if item.ds.PixelRepresentation else "<u2").tobytes()


def pixels(item: Slice) -> np.ndarray:
    return np.frombuffer(item.ds.PixelData, "<u2").reshape(item.ds.Rows, item.ds.Columns).copy()


@FEW
@given(having=st.sets(st.integers(0, PLACES - 1), min_size=1, max_size=PLACES - 1), both=st.booleans())
def test_rescale_tags_on_part_of_the_slices_contradict(tmp_path: Path, having: set[int], both: bool) -> None:
    slices = scan_slices(STATIONS)
    for place in having:
        slices[place].ds.RescaleSlope = "2"
        if both:
            slices[place].ds.RescaleIntercept = "0"
    with pytest.raises(ScanExcluded) as excluded:
        inspect(raw_scan(written(tmp_path, slices), options=TWO))
    assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS


@FEW
@given(slope=st.sampled_from([0.25, 0.5, 2.0, 3.7, 100.0]), intercept=st.sampled_from([0.0, 5.0]))
def test_rescale_tags_on_all_slices_are_applied(tmp_path: Path, slope: float, intercept: float) -> None:
    slices = scan_slices(STATIONS)
    for item in slices:
        item.ds.RescaleSlope, item.ds.RescaleIntercept = str(slope), str(intercept)
    for found, wanted in zip(read_stations(raw_scan(written(tmp_path, slices), options=TWO)), STATIONS, strict=True):
        for contrast in DIXON:
            np.testing.assert_allclose(found.images[contrast], wanted.images[contrast] * slope + intercept, rtol=1e-6)


@FEW
@given(
    value=st.integers(-32768, -1),
    rows=st.integers(1, SHAPE[1] - 2),
    scaled=st.booleans(),
    limit=st.integers(0, 3),
    part=st.sampled_from(list(DIXON)),
)
def test_padding_is_no_data(tmp_path: Path, value: int, rows: int, scaled: bool, limit: int, part: Contrast) -> None:
    slices = scan_slices(STATIONS)
    low = max(value - limit, -32768)
    for item in slices:
        values = pixels(item).astype(np.int32)
        if item.contrast is part:
            values[:rows] = np.linspace(low, value, values[:rows].size).reshape(values[:rows].shape).round()
        item.ds.PixelRepresentation, item.ds.BitsStored, item.ds.HighBit = 1, 16, 15
        set_pixels(item, values)
        item.ds.add_new(0x00280120, "SS", value)
        if limit:
            item.ds.add_new(0x00280121, "SS", low)
        if scaled:
            item.ds.RescaleSlope, item.ds.RescaleIntercept = "2", "7"
    path = written(tmp_path, slices)
    if value != low and not limit:
        return
    assert inspect(raw_scan(path, options=TWO)).reading == "padding"
    for found, wanted in zip(read_stations(raw_scan(path, options=TWO)), STATIONS, strict=True):
        for contrast in DIXON:
            image = wanted.images[contrast] * (2 if scaled else 1) + (7 if scaled else 0)
            if contrast is part:
                image[:, SHAPE[1] - rows :] = 0  # rows run to the back
            np.testing.assert_array_equal(found.images[contrast], image)


@FEW
@given(bits=st.sets(st.integers(12, 15), min_size=1), declared=st.booleans(), seed=st.integers(0, 99))
def test_overlays_in_unused_bits_are_masked(tmp_path: Path, bits: set[int], declared: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    slices = scan_slices(STATIONS)
    for item in slices:
        values = pixels(item)
        for bit in bits:
            values |= rng.integers(0, 2, values.shape, dtype=np.uint16) << bit
        set_pixels(item, values)
        if declared:
            for number, bit in enumerate(sorted(bits)):
                item.ds.add_new(0x60000102 + (2 * number << 16), "US", bit)
    path = written(tmp_path, slices)
    if 12 in bits and not declared:  # the pixels may have more bits than the header says: nobody can tell
        with pytest.raises(ScanExcluded) as excluded:
            read_stations(raw_scan(path, options=TWO))
        assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS
    else:
        assert_equal(read_stations(raw_scan(path, options=TWO)), STATIONS)


@pytest.mark.parametrize("part", list(DIXON))
def test_padding_that_part_of_the_scan_names_contradicts(tmp_path: Path, part: Contrast) -> None:
    slices = scan_slices(STATIONS)
    for item in slices:
        if item.contrast is not part:
            item.ds.add_new(0x00280120, "US", 400)
    with pytest.raises(ScanExcluded) as excluded:
        inspect(raw_scan(written(tmp_path, slices), options=TWO))
    assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS
    for item in slices:  # to name 0 changes nothing
        item.ds.add_new(0x00280120, "US", 0)
        if item.contrast is part:
            del item.ds[0x00280120]
    assert_equal(read_stations(raw_scan(written(tmp_path, slices), options=TWO)), STATIONS)


def test_an_echo_time_that_part_of_the_stations_name_contradicts(tmp_path: Path) -> None:
    slices = scan_slices(STATIONS)
    for item in slices:
        if (item.station, item.contrast) == (1, Contrast.IN_PHASE):
            del item.ds.EchoTime
    with pytest.raises(ScanExcluded, match="echo time is missing in part of the scan") as excluded:
        inspect(raw_scan(written(tmp_path, slices), options=TWO))
    assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS
    for item in slices:  # none at all says nothing
        if item.contrast is Contrast.IN_PHASE and "EchoTime" in item.ds:
            del item.ds.EchoTime
    inspect(raw_scan(written(tmp_path, slices), options=TWO))


@pytest.mark.parametrize(("in_phase", "opposed", "contradict"), [(0, 0, False), (1.5, 1.5, False), (1.2, 2.4, True)])
def test_a_shorter_in_phase_contradicts_names_and_equal_echo_times_say_nothing(
    tmp_path: Path, in_phase: float, opposed: float, contradict: bool
) -> None:
    slices = scan_slices(STATIONS)
    for item in slices:
        item.ds.EchoTime = in_phase if item.contrast is Contrast.IN_PHASE else opposed
    raw = raw_scan(written(tmp_path, slices), options=TWO)
    if not contradict:
        assert_equal(read_stations(raw), STATIONS)
        return
    with pytest.raises(ScanExcluded, match="echo times contradict the tags") as excluded:
        inspect(raw)
    assert excluded.value.reason is Reason.CONTRAST_MISMATCH


def test_echo_times_that_differ_by_rounding_are_one(tmp_path: Path) -> None:
    slices = scan_slices(STATIONS)
    for number, item in enumerate(slices):
        item.ds.EchoTime = float(item.ds.EchoTime) + 0.0001 * (number % 2)
    inspect(raw_scan(written(tmp_path, slices), options=TWO))


@pytest.mark.parametrize("extended", [True, False])
def test_signed_values_need_no_sign_in_unused_bits(tmp_path: Path, extended: bool) -> None:
    stations = [
        replace(station, images={c: (image // 2 - 1000).astype(np.int16) for c, image in station.images.items()})
        for station in STATIONS
    ]
    slices = scan_slices(stations)
    for item in slices:
        values = np.frombuffer(item.ds.PixelData, "<i2")
        item.ds.PixelRepresentation = 1
        item.ds.PixelData = (values if extended else values & 0x0FFF).astype("<i2").tobytes()
    assert_equal(read_stations(raw_scan(written(tmp_path, slices), options=TWO)), stations)


@pytest.mark.parametrize(("thickness", "spacing", "ok"), [(4, 4, True), (4.4, 4.4, False), (3, 4.4, True)])
def test_positions_against_thickness_and_spacing(tmp_path: Path, thickness: float, spacing: float, ok: bool) -> None:
    slices = scan_slices(STATIONS)  # 4 mm apart
    for item in slices:
        item.ds.SliceThickness, item.ds.SpacingBetweenSlices = thickness, spacing
    path = written(tmp_path, slices)
    if ok:
        inspect(raw_scan(path, options=TWO))
    else:
        with pytest.raises(ScanExcluded) as excluded:
            inspect(raw_scan(path, options=TWO))
        assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS


def test_a_localizer_is_not_held_against_the_scan(tmp_path: Path) -> None:
    slices = scan_slices(STATIONS)
    for item in scan_slices(make_stations(1, 9, SHAPE)):
        if item.contrast is Contrast.FAT:
            item.ds.SeriesInstanceUID, item.ds.ImageType = "1.2.3", ["ORIGINAL", "PRIMARY", "M"]
            item.ds.SeriesDescription, item.ds.HighBit, item.ds.PatientID = "localizer", 15, ""
            slices.append(item)
    summary = inspect(raw_scan(written(tmp_path, slices), options=TWO))
    assert any("12 bits of 16" in note for note in summary.notes)
    assert_equal(read_stations(raw_scan(written(tmp_path, slices), options=TWO)), STATIONS)


def test_members_of_one_name_are_each_their_own(tmp_path: Path) -> None:
    import zipfile

    from raw_scan_files import encode

    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        for item in scan_slices(STATIONS):
            archive.writestr(f"IM{item.index}", encode(item.ds))
    assert_equal(read_stations(raw_scan(path, options=TWO)), STATIONS)


@pytest.mark.parametrize("tag", ["BitsStored", "EchoTime"])
def test_what_slices_of_a_series_share_must_be_the_same(tmp_path: Path, tag: str) -> None:
    slices = scan_slices(STATIONS)
    if tag == "BitsStored":
        slices[2].ds.BitsStored, slices[2].ds.HighBit = 13, 12
    else:
        del slices[2].ds.EchoTime
    with pytest.raises(ScanExcluded) as excluded:
        inspect(raw_scan(written(tmp_path, slices), options=TWO))
    assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS
