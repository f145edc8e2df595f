"""Two visits are never mixed; of what was acquired again, or composed by the scanner, what is whole is used."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from known_stations import cut, on_grid, summed_stations
from pydicom.uid import generate_uid
from raw_scan_files import Slice, make_stations, scan_slices, write_scan_zip
from scan_reading import TWO, assert_equal, raw_scan, reason_of

from dixonflow.imaging.station import Station
from dixonflow.rawdata.raw_scan import ReadOptions
from dixonflow.rawdata.reader import inspect, read_stations
from dixonflow.vocabulary import DIXON, Contrast, Reason

STATIONS = make_stations(2, 3, (20, 18, 16))
CORONAL = np.array([[-1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
SAGITTAL = np.array([[0.0, 0, -1], [-1, 0, 0], [0, -1, 0]])


def changed(slices: list[Slice], number: int, **tags: object) -> list[Slice]:
    """The same slices as series of their own, with other tags."""
    more = []
    for item in slices:
        ds = deepcopy(item.ds)
        ds.SOPInstanceUID, ds.SeriesInstanceUID = generate_uid(), f"{ds.SeriesInstanceUID}.{number}"
        ds.SeriesNumber = number + 4 * item.station + list(DIXON).index(item.contrast)
        for name, value in tags.items():
            setattr(ds, name, value)
        more.append(Slice(item.station, item.contrast, item.index, ds))
    return more


def visit(number: int, date: str | None, time: str, date_tag: str = "AcquisitionDate", seed: int = 3) -> list[Slice]:
    slices = changed(scan_slices(make_stations(2, seed, (20, 18, 16))), 40 * number)
    for item in slices:
        item.ds.AcquisitionTime = f"{time}{item.station}000"
        if date is not None:
            setattr(item.ds, date_tag, date)
    return slices


@pytest.mark.parametrize("date_tag", ["AcquisitionDate", "StudyDate"])
def test_the_later_of_two_visits_is_used_whole_whatever_the_time_of_day(tmp_path: Path, date_tag: str) -> None:
    first, second = visit(1, "20150301", "14", date_tag, seed=4), visit(2, "20190815", "09", date_tag)
    wanted = make_stations(2, 3, (20, 18, 16))
    assert_equal(read_stations(raw_scan(write_scan_zip(tmp_path / "a.zip", first + second), options=TWO)), wanted)
    broken = [item for item in first if (item.station, item.contrast) != (1, Contrast.FAT)]
    path = write_scan_zip(tmp_path / "b.zip", broken + second)
    assert_equal(read_stations(raw_scan(path, options=TWO)), wanted)
    broken = [item for item in second if (item.station, item.contrast) != (1, Contrast.FAT)]
    reason, message = reason_of(write_scan_zip(tmp_path / "c.zip", first + broken), TWO)
    assert (reason, "1628 days apart" in message) == (Reason.CONTRADICTORY_HEADERS, True), message


def test_the_note_says_how_far_apart_visits_are(tmp_path: Path) -> None:
    path = write_scan_zip(tmp_path / "a.zip", visit(1, "20150301", "14") + visit(2, "20190815", "09"))
    (first, _) = inspect(raw_scan(path, options=TWO)).notes
    assert first == "station 1 was acquired 2 times, 1628 days apart: acquisition 2 is used, the later one"
    assert inspect(raw_scan(path, options=TWO)).acquisitions[0].date == ""
    dated = ReadOptions(stations=2, personal=("date",))
    assert inspect(raw_scan(path, options=dated)).acquisitions[0].date == "2019-08-15"


@pytest.mark.parametrize(
    ("dates", "read"),
    [
        (("20150301", "20150302"), True),  # past midnight
        (("20150301", "20150303"), False),
        (("20150301", None), True),
        (("20150301", "19000101"), True),  # what stands for a date that was removed
        (("20150301", "00000000"), True),
    ],
)
def test_stations_of_different_visits_are_not_stitched(
    tmp_path: Path, dates: tuple[str | None, str | None], read: bool
) -> None:
    slices = [item for n in (0, 1) for item in visit(1, dates[n], "23" if n == 0 else "00") if item.station == n]
    path = write_scan_zip(tmp_path / "a.zip", slices)
    if read:
        assert_equal(read_stations(raw_scan(path, options=TWO)), STATIONS)
    else:
        assert reason_of(path, TWO)[0] is Reason.CONTRADICTORY_HEADERS


@pytest.mark.parametrize("directions", [CORONAL, SAGITTAL], ids=["coronal", "sagittal"])
@pytest.mark.parametrize("kept", [2, 17])
def test_a_station_broken_off_across_the_body_is_not_used(tmp_path: Path, directions: np.ndarray, kept: int) -> None:
    slices = scan_slices(STATIONS, directions)
    more = changed([item for item in slices if item.station == 1 and item.index < kept], 60)
    path = write_scan_zip(tmp_path / "a.zip", slices + more)
    assert_equal(read_stations(raw_scan(path, options=TWO)), STATIONS)
    lost = [item for item in slices if (item.station, item.contrast) != (1, Contrast.FAT) or item.index < kept]
    assert reason_of(write_scan_zip(tmp_path / "b.zip", lost), TWO)[0] in (
        Reason.MISSING_SLICE,
        Reason.UNEXPECTED_GEOMETRY,
    )


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("contrasts", [DIXON, (Contrast.WATER,)])
def test_a_volume_over_several_stations_is_no_station(
    tmp_path: Path, count: int, contrasts: tuple[Contrast, ...]
) -> None:
    images, affine = on_grid((20, 18, 10 * count + 4), (4.0, 4.0, 5.0), (-38.0, -34.0, -100.0))
    stations = cut(images, affine, [(10 * place, 10 * place + 14) for place in range(count)])
    whole = changed(scan_slices([Station(0, {c: image // 2 for c, image in images.items()}, affine)]), 90)
    whole = [item for item in whole if item.contrast in contrasts]
    path = write_scan_zip(tmp_path / "a.zip", scan_slices(stations) + whole)
    for options in (ReadOptions(stations=count), ReadOptions(stations="any")):
        assert_equal(read_stations(raw_scan(path, options=options)), stations)
        notes = inspect(raw_scan(path, options=options)).notes
        assert [note.split(": ")[1] for note in notes] == len(contrasts) * [
            f"{10 * count + 4} slices over several stations, taken as composed on the scanner"
        ]


def one_slice(slices: list[Slice]) -> list[Slice]:
    return changed([item for item in slices if item.station == 1 and item.index == 0], 60)


def key_image(slices: list[Slice]) -> list[Slice]:
    return changed(slices[:1], 60, ImageType=["DERIVED", "SECONDARY"])


def projections(slices: list[Slice]) -> list[Slice]:
    more = [item for angle in range(12) for item in changed(slices[:1], 60, InstanceNumber=angle)]
    for number, item in enumerate(more):
        angle = np.radians(15 * number)
        item.ds.ImageOrientationPatient = [float(np.cos(angle)), float(np.sin(angle)), 0, 0, 0, -1]
    return more


def two_slices_apart(slices: list[Slice]) -> list[Slice]:
    return changed([item for item in slices if item.station == 1 and item.index in (0, 11)], 60)


@pytest.mark.parametrize("stray", [one_slice, key_image, projections, two_slices_apart])
def test_slices_that_form_no_volume_cost_nothing_where_a_whole_one_is_there(
    tmp_path: Path, stray: Callable[[list[Slice]], list[Slice]]
) -> None:
    slices = scan_slices(STATIONS)
    more = stray(slices)
    path = write_scan_zip(tmp_path / "a.zip", slices + more)
    assert_equal(read_stations(raw_scan(path, options=TWO)), STATIONS)
    assert len(inspect(raw_scan(path, options=TWO)).notes) == len({item.contrast for item in more})
    wanting = [item for item in slices if item.station == 0 or item.contrast is not Contrast.WATER]
    reason, _ = reason_of(write_scan_zip(tmp_path / "b.zip", wanting + more), TWO)
    assert reason in (Reason.MISSING_CONTRAST, Reason.UNEXPECTED_GEOMETRY)


def test_contrasts_with_times_of_their_own_are_put_together_by_their_numbers(tmp_path: Path) -> None:
    slices = scan_slices(STATIONS)
    more = changed([item for item in scan_slices(make_stations(2, 9, (20, 18, 16))) if item.station == 1], 60)
    for item in slices + more:
        minute = 15 if item in slices else 25
        item.ds.AcquisitionTime = f"10{minute}00.{10 if item.contrast in (Contrast.WATER, Contrast.FAT) else 20}"
    path = write_scan_zip(tmp_path / "a.zip", slices + more)
    wanted = [STATIONS[0], make_stations(2, 9, (20, 18, 16))[1]]
    assert_equal(read_stations(raw_scan(path, options=TWO)), wanted)
    for place, item in enumerate(sorted(slices + more, key=lambda item: list(DIXON).index(item.contrast))):
        item.ds.SeriesNumber = 100 + place // 32 * 2  # in turn: no numbers follow each other
    for item in more:
        item.ds.SeriesNumber += 1
    assert reason_of(write_scan_zip(tmp_path / "b.zip", slices + more), TWO)[0] is Reason.DUPLICATE_SCAN


@pytest.mark.parametrize("number", ["same", "next"])
@pytest.mark.parametrize("contrasts", [(Contrast.FAT,), DIXON])
def test_series_that_were_sent_twice_count_once(tmp_path: Path, number: str, contrasts: tuple[Contrast, ...]) -> None:
    slices = scan_slices(STATIONS)
    for item in slices:
        item.ds.SeriesNumber = 10 + 10 * item.station + 2 * list(DIXON).index(item.contrast)
    more = changed([item for item in slices if item.station == 0 and item.contrast in contrasts], 60)
    for item in more:
        item.ds.SeriesNumber = 10 + 2 * list(DIXON).index(item.contrast) + (number == "next")
    path = write_scan_zip(tmp_path / "a.zip", slices + more)
    assert_equal(read_stations(raw_scan(path, options=TWO)), STATIONS)
    notes = inspect(raw_scan(path, options=TWO)).notes
    assert len(notes) == len(contrasts)
    assert all("an exact copy of" in note for note in notes)
    more[0].ds.PixelData = more[0].ds.PixelData[::-1]
    assert reason_of(write_scan_zip(tmp_path / "b.zip", slices + more), TWO)[0] is Reason.DUPLICATE_SCAN


def test_a_repeat_whose_times_say_enough_is_chosen_as_before(tmp_path: Path) -> None:
    """A repeated station whose times or numbers tell the acquisitions apart keeps its choice, so its content key."""
    stations = summed_stations(2)
    slices = scan_slices(stations)
    path = write_scan_zip(tmp_path / "a.zip", slices + changed([i for i in slices if i.station == 1], 60))
    summary = inspect(raw_scan(path, options=TWO))
    assert summary.reading == "station 2: 2 of 2"
    assert summary.notes == ("station 2 was acquired 2 times: acquisition 2 is used, the later one",)


def test_two_acquisitions_that_both_broke_off_are_told_and_not_compared(tmp_path: Path) -> None:
    slices = scan_slices(STATIONS)
    more = changed([item for item in slices if item.station == 1], 60)
    kept = [item for item in slices + more if (item.station, item.contrast) != (1, Contrast.FAT) or item.index < 9]
    assert reason_of(write_scan_zip(tmp_path / "a.zip", kept), TWO)[0] is Reason.MISSING_SLICE


@pytest.mark.parametrize(("left", "expected"), [(1, Reason.UNEXPECTED_GEOMETRY), (2, Reason.STATION_GAP)])
def test_what_is_left_of_a_station_is_not_passed_over(tmp_path: Path, left: int, expected: Reason) -> None:
    """Of the last station few slices came: whoever expects any number of stations must hear of it."""
    slices = [item for item in scan_slices(STATIONS) if item.station == 0 or item.index < left]
    path = write_scan_zip(tmp_path / "a.zip", slices)
    reason, message = reason_of(path, ReadOptions(stations="any"))
    assert reason is expected, message
