"""Sequences with one image per station: which of several images is the scan's, and when that cannot be known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from dicom_series import affine_of, sampled, series, turned, write_folder
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.fingerprint import raw_fingerprint
from dixonflow.rawdata.raw_scan import RawScan, ReadOptions
from dixonflow.rawdata.reader import inspect, read_stations
from dixonflow.vocabulary import Layout, Reason, ScanId, ScanSequence

SHAPE, SPACING = (24, 20, 30), (4.0, 4.0, 5.0)
AXIAL = np.diag([-1.0, -1.0, 1.0])
SAGITTAL = np.stack([[0, -1.0, 0], [0, 0, -1.0], [-1.0, 0, 0]], axis=1)
ANY = ReadOptions(stations="any")

Entries = list[tuple[str, bytes]]


def image(seed: int) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, 1000, SHAPE, dtype=np.uint16)


def made(seed: int, number: int, directions: NDArray[np.float64] = AXIAL, z: float = 0.0, **more: object) -> Entries:
    return series(image(seed), affine_of(directions, SPACING, SHAPE, (0, 0, z)), number=number, **more)


def scan(folder: Path, parts: Sequence[Entries]) -> RawScan:
    entries = [content for part in parts for _, content in part]
    path = write_folder(folder, [(f"{place:05d}.dcm", content) for place, content in enumerate(entries)])
    sequence = ScanSequence.OTHER
    key = raw_fingerprint(Layout.DICOM, [path], sequence)
    return RawScan(ScanId("0001234", "2", sequence), Layout.DICOM, path, key, options=ANY)


def assert_is(raw: RawScan, seed: int) -> None:
    (station,) = read_stations(raw)
    (found,) = station.images.values()
    np.testing.assert_array_equal(found, image(seed)[::-1, ::-1])


def excluded(raw: RawScan) -> tuple[Reason, str]:
    with pytest.raises(ScanExcluded) as problem:
        inspect(raw)
    return problem.value.reason, problem.value.message


ORIGINAL, ADC, TRACE = (
    ["ORIGINAL", "PRIMARY", "M", "ND"],
    ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"],
    ["DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"],
)


@pytest.mark.parametrize("number", [1, 9])
def test_a_map_that_was_derived_from_an_image_is_no_repeat_of_it(tmp_path: Path, number: int) -> None:
    raw = scan(tmp_path / "a", [made(1, 3, ImageType=ORIGINAL), made(2, number, ImageType=ADC)])
    assert_is(raw, 1)
    (note,) = inspect(raw).notes
    assert note.endswith("the only one not derived from others")
    reason, message = excluded(scan(tmp_path / "b", [made(1, 3, ImageType=TRACE), made(2, 4, ImageType=ADC)]))
    assert (reason, "derived in different ways" in message) == (Reason.DUPLICATE_SCAN, True), message


def test_a_repeat_is_still_a_repeat(tmp_path: Path) -> None:
    raw = scan(tmp_path / "a", [made(1, 3, EchoTime=90.0), made(2, 4, EchoTime=90.4)])
    assert_is(raw, 2)
    assert inspect(raw).reading == "station 1: 2 of 2"


def test_images_with_other_echo_times_are_neither_repeats_nor_stations_of_one_scan(tmp_path: Path) -> None:
    reason, message = excluded(scan(tmp_path / "a", [made(1, 3, EchoTime=10.0), made(2, 4, EchoTime=90.0)]))
    assert (reason, "from 10 to 90 ms" in message) == (Reason.DUPLICATE_SCAN, True), message
    stations = [made(1, 3, EchoTime=10.0), made(2, 4, z=-130.0, EchoTime=90.0)]
    reason, message = excluded(scan(tmp_path / "b", stations))
    assert (reason, "from 10 to 90 ms" in message) == (Reason.CONTRAST_MISMATCH, True), message
    stations = [made(1, 3, EchoTime=90.0), made(2, 4, z=-130.0, EchoTime=91.0)]
    assert inspect(scan(tmp_path / "c", stations)).n_stations == 2


@pytest.mark.parametrize("step", [2, 3])
@pytest.mark.parametrize("directions", [AXIAL, SAGITTAL], ids=["axial", "sagittal"])
def test_series_that_hold_every_other_slice_are_one_volume(
    tmp_path: Path, step: int, directions: NDArray[np.float64]
) -> None:
    parts = [made(1, 3 + part, directions, AcquisitionTime=f"10000{part}")[part::step] for part in range(step)]
    raw = scan(tmp_path / "a", parts)
    (whole,) = read_stations(scan(tmp_path / "b", [made(1, 3, directions)]))
    (station,) = read_stations(raw)
    np.testing.assert_array_equal(*(next(iter(each.images.values())) for each in (station, whole)))
    np.testing.assert_allclose(station.affine, whole.affine, atol=1e-6)
    assert "are one volume" in inspect(raw).notes[0]


@pytest.mark.parametrize("tilts", [(0.9, -0.9), (0.5, 0.0), (0.9, -1.2)])
def test_stations_that_are_tilted_against_each_other_keep_their_places(
    tmp_path: Path, tilts: tuple[float, float]
) -> None:
    """Read values are those of a smooth field at the places that the affines say, half a metre from the centre too."""

    def field(x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
        return 5000 + 20 * y + 2 * z + 3 * x

    parts = []
    for place, (tilt, centre) in enumerate(zip(tilts, (620.0, 490.0), strict=True)):
        affine = affine_of(turned(tilt, 0) @ AXIAL, SPACING, SHAPE, (0, 0, centre))
        parts.append(series(np.rint(sampled(field, affine, SHAPE)).astype(np.uint16), affine, number=place + 1))
    for station in read_stations(scan(tmp_path / "a", parts)):
        (found,) = station.images.values()
        inner = (slice(4, -4),) * 3
        wanted = sampled(field, station.affine, found.shape)
        np.testing.assert_allclose(found[inner], wanted[inner], atol=1.5)


def test_a_sagittal_repeat_that_broke_off_is_not_used(tmp_path: Path) -> None:
    raw = scan(tmp_path / "a", [made(1, 3, SAGITTAL), made(2, 4, SAGITTAL)[:10]])
    assert inspect(raw).shapes == ((SHAPE[2], SHAPE[0], SHAPE[1]),)
    assert inspect(raw).reading == "station 1: 1 of 2"
