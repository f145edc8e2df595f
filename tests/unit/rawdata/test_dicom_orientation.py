"""Slices of any orientation become the same RAS images; tilted ones keep their place or exclude the scan."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from raw_scan_files import AXIAL, Slice, make_stations, scan_slices, write_scan_zip
from scan_reading import THREE, TWO, assert_equal, raw_scan, reason_of

from dixonflow.imaging.station import Station
from dixonflow.rawdata.reader import read_stations
from dixonflow.vocabulary import Contrast, Reason

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
    assert_equal(read_stations(raw_scan(path, options=TWO)), stations)


def test_axial_is_what_scanners_write() -> None:
    assert any(np.array_equal(AXIAL, axes) for axes in RIGHT_HANDED)


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
    found = read_stations(raw_scan(tmp_path / "a.zip", options=THREE))
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
