"""Every encoding gives the values of the untouched scan: compressed, big-endian, many frames, without preamble."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_encodings import SYNTAXES, enhanced, saved
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian
from raw_scan_files import Slice, make_stations, scan_slices, write_scan_zip
from scan_reading import TWO, assert_equal, raw_scan

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.reader import inspect, read_stations
from dixonflow.vocabulary import DIXON, Contrast, Reason

SHAPE = (20, 18, 5)
STATIONS = make_stations(2, 3, SHAPE)
FEW = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("form", SYNTAXES)
def test_a_scan_in_each_encoding(tmp_path: Path, form: str) -> None:
    path = write_scan_zip(tmp_path / "a.zip", scan_slices(STATIONS), SYNTAXES[form])
    assert_equal(read_stations(raw_scan(path, options=TWO)), STATIONS)


@FEW
@given(forms=st.lists(st.sampled_from(sorted(SYNTAXES)), min_size=2, max_size=4), scaled=st.booleans())
def test_encodings_may_be_mixed_and_scaled(tmp_path: Path, forms: list[str], scaled: bool) -> None:
    slices = scan_slices(STATIONS)
    turn = {item.ds.SOPInstanceUID: forms[number % len(forms)] for number, item in enumerate(slices)}
    for item in slices:
        if scaled:
            item.ds.RescaleSlope, item.ds.RescaleIntercept = "0.25", "-4"
    path = write_scan_zip(tmp_path / "a.zip", slices, lambda ds: SYNTAXES[turn[ds.SOPInstanceUID]](ds))
    for found, wanted in zip(read_stations(raw_scan(path, options=TWO)), STATIONS, strict=True):
        for contrast in DIXON:
            values = wanted.images[contrast] * 0.25 - 4 if scaled else wanted.images[contrast]
            np.testing.assert_array_equal(found.images[contrast], values)


def by_series(slices: list[Slice]) -> list[Dataset]:
    groups: dict[str, list[Dataset]] = defaultdict(list)
    for item in slices:
        groups[item.ds.SeriesInstanceUID].append(item.ds)
    return [enhanced(group) for group in groups.values()]


def by_station(slices: list[Slice]) -> list[Dataset]:
    """All contrasts of a station in one file, told apart by the type of the frame."""
    groups: dict[int, list[Dataset]] = defaultdict(list)
    for item in slices:
        groups[item.station].append(item.ds)
    files = [enhanced(group) for group in groups.values()]
    for ds in files:
        ds.SeriesDescription = "mDIXON"
    return files


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("grouped", [by_series, by_station])
def test_frames_of_enhanced_files(
    tmp_path: Path, grouped: Callable[[list[Slice]], list[Dataset]], big_endian: bool
) -> None:
    syntax = ExplicitVRBigEndian if big_endian else ExplicitVRLittleEndian
    files = [Slice(0, Contrast.WATER, 0, ds) for ds in grouped(scan_slices(STATIONS))]
    path = write_scan_zip(tmp_path / "a.zip", files, lambda ds: saved(ds, syntax))
    summary = inspect(raw_scan(path, options=TWO))
    assert (summary.n_stations, summary.n_slices, summary.patient_id_matches) == (2, 10, True)
    assert_equal(read_stations(raw_scan(path, options=TWO)), STATIONS)


PRIVATE_COPIES = {
    "position": {"ImagePositionPatient": [0.0, 0.0, 25.0]},
    "orientation": {"ImageOrientationPatient": [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]},
    "echo time": {"EffectiveEchoTime": 1.0, "EchoTime": 1.0},
    "scaling": {"RescaleSlope": "1.12", "RescaleIntercept": "-3"},
    "kind": {"FrameType": ["ORIGINAL", "PRIMARY", "P", "FAT"], "ComplexImageComponent": "PHASE"},
}


@pytest.mark.parametrize("what", PRIVATE_COPIES)
@pytest.mark.parametrize("shared", [False, True])
def test_private_sequences_do_not_overwrite_public_elements(tmp_path: Path, what: str, shared: bool) -> None:
    """Philips repeats public elements in (2005,140F) of each frame; only what is private itself is read there."""
    files = by_series(scan_slices(STATIONS))
    for ds in files:
        groups = ds.SharedFunctionalGroupsSequence if shared else ds.PerFrameFunctionalGroupsSequence
        for group in groups:
            own = Dataset()
            for name, value in PRIVATE_COPIES[what].items():
                setattr(own, name, value)
            own.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", 0.5)
            group.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", [own])
    slices = [Slice(0, Contrast.WATER, 0, ds) for ds in files]
    path = write_scan_zip(tmp_path / "a.zip", slices, lambda ds: saved(ds, ExplicitVRLittleEndian))
    assert inspect(raw_scan(path, options=TWO)).reading == "scale slope"
    for found, wanted in zip(read_stations(raw_scan(path, options=TWO)), STATIONS, strict=True):
        np.testing.assert_allclose(found.affine, wanted.affine, atol=1e-5)
        for contrast in DIXON:
            np.testing.assert_array_equal(found.images[contrast], wanted.images[contrast] / 0.5)


def test_frames_fewer_than_the_file_says_are_told(tmp_path: Path) -> None:
    files = by_series(scan_slices(STATIONS))
    files[3].PerFrameFunctionalGroupsSequence = files[3].PerFrameFunctionalGroupsSequence[:-1]
    slices = [Slice(0, Contrast.WATER, 0, ds) for ds in files]
    with pytest.raises(ScanExcluded) as excluded:
        inspect(raw_scan(write_scan_zip(tmp_path / "a.zip", slices), options=TWO))
    assert excluded.value.reason is Reason.UNREADABLE_FILE
    files = by_series(scan_slices(STATIONS))
    files[3].PixelData = files[3].PixelData[: -SHAPE[0] * SHAPE[1]]
    path = write_scan_zip(tmp_path / "a.zip", [Slice(0, Contrast.WATER, 0, ds) for ds in files])
    with pytest.raises(ScanExcluded) as excluded:
        read_stations(raw_scan(path, options=TWO))
    assert excluded.value.reason is Reason.TRUNCATED_PIXELS


@FEW
@given(slopes=st.lists(st.sampled_from([0.002, 0.0081, 0.5, 3.0]), min_size=4, max_size=4), display=st.booleans())
def test_philips_scale_slopes_that_differ_between_contrasts(tmp_path: Path, slopes: list[float], display: bool) -> None:
    """Pixels are what the console shows: stretched to 12 bits for each contrast on its own."""
    slices = scan_slices(STATIONS)
    factors = dict(zip(DIXON, slopes, strict=True))
    for item in slices:
        rescale = 1.7 if display else 1.0
        item.ds.Manufacturer = "Philips"
        item.ds.RescaleSlope, item.ds.RescaleIntercept = str(rescale), "0"
        block = item.ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0E, "FL", factors[item.contrast])
    path = write_scan_zip(tmp_path / "a.zip", slices)
    assert inspect(raw_scan(path, options=TWO)).reading == "scale slope"
    for found, wanted in zip(read_stations(raw_scan(path, options=TWO)), STATIONS, strict=True):
        for contrast in DIXON:
            slope = float(np.float32(factors[contrast]))
            np.testing.assert_allclose(found.images[contrast], wanted.images[contrast] / slope, rtol=1e-6)


def test_a_scale_slope_on_part_of_the_scan_contradicts(tmp_path: Path) -> None:
    slices = scan_slices(STATIONS)
    for item in slices:
        if item.contrast is not Contrast.FAT:
            item.ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", 0.5)
    with pytest.raises(ScanExcluded) as excluded:
        inspect(raw_scan(write_scan_zip(tmp_path / "a.zip", slices), options=TWO))
    assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS
    for item in slices:  # the same element of another vendor means something else
        if item.contrast is not Contrast.FAT:
            item.ds[0x2005, 0x0010].value = "GEMS_PETD_01"
    assert_equal(read_stations(raw_scan(write_scan_zip(tmp_path / "a.zip", slices), options=TWO)), STATIONS)


def test_missing_series_numbers_and_times_are_not_needed(tmp_path: Path) -> None:
    slices = scan_slices(STATIONS)
    for item in slices:
        del item.ds.SeriesNumber
    assert_equal(read_stations(raw_scan(write_scan_zip(tmp_path / "a.zip", slices), options=TWO)), STATIONS)
