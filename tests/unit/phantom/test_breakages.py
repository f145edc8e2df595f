import io
import zipfile

import pydicom
import pytest
from written_scans import (
    NAKO_SCAN,
    NAKO_SLICES,
    by_series,
    datasets,
    public_rule,
    stations_of,
    write_scan,
)

from dixonflow.phantom import breakages
from dixonflow.phantom.breakages import Breakage
from dixonflow.phantom.writers.dicom import write_nako
from dixonflow.vocabulary import Contrast


@pytest.fixture(params=["ukb", "nako"])
def written(request, tmp_path):
    return write_scan(request.param, tmp_path)


def test_cut_off_zip_cannot_be_opened(written):
    _, path = written
    size = path.stat().st_size
    breakages.cut_off(path)
    assert path.stat().st_size == size // 2
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(path)


def test_station_removed(written):
    stations, path = written
    before = datasets(path)
    breakages.remove_station(path, 2)
    after = datasets(path)
    gone = {before[name].AcquisitionTime for name in before.keys() - after.keys()}
    assert gone == {"100040.000000"}
    assert len(before) - len(after) == 4 * stations[2].shape[2]
    with pytest.raises(IndexError):
        breakages.remove_station(path, len(stations) - 1)


def test_contrast_removed(written):
    stations, path = written
    breakages.remove_contrast(path, Contrast.FAT)
    series = by_series(path)
    assert len(series) == 3 * len(stations)
    assert Contrast.FAT not in public_rule(series).values()


@pytest.mark.parametrize("honest_length", [False, True])
def test_pixels_shortened_in_one_slice(written, honest_length):
    _, path = written
    before = datasets(path)
    breakages.shorten_pixels(path, honest_length=honest_length)
    short = []
    with zipfile.ZipFile(path) as archive:
        for name, dataset in before.items():
            content = archive.read(name)
            expected = dataset.Rows * dataset.Columns * 2
            assert pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True).SeriesNumber == dataset.SeriesNumber
            start = content.index(b"\xe0\x7f\x10\x00OW\x00\x00") + 12
            claimed = int.from_bytes(content[start - 4 : start], "little")
            if len(content) - start != expected:
                short.append((len(content) - start, claimed, expected))
    assert len(short) == 1
    held, claimed, expected = short[0]
    assert held <= expected // 2 + 1
    assert claimed == (held if honest_length else expected)


def test_slice_removed_and_duplicated(written):
    _, path = written
    before = datasets(path)
    breakages.duplicate_slice(path)
    after = datasets(path)
    extra = [after[name] for name in after.keys() - before.keys()]
    assert len(extra) == 1
    twins = [
        dataset
        for dataset in after.values()
        if dataset.SeriesInstanceUID == extra[0].SeriesInstanceUID
        and dataset.ImagePositionPatient == extra[0].ImagePositionPatient
    ]
    assert len(twins) == len({dataset.SOPInstanceUID for dataset in twins}) == 2
    breakages.remove_slice(path)
    assert len(datasets(path)) == len(after) - 1


def test_water_and_fat_swapped_in_one_station(written):
    _, path = written

    def pixels():
        return {
            (dataset.AcquisitionTime, dataset.SeriesDescription[-1], float(dataset.SliceLocation)): dataset.PixelData
            for dataset in datasets(path).values()
        }

    before = pixels()
    breakages.swap_water_and_fat(path, 1)
    exchange = {"W": "F", "F": "W"}
    for (time, letter, height), content in pixels().items():
        source = exchange.get(letter, letter) if time == "100020.000000" else letter
        assert content == before[time, source, height]


def test_patient_ids_exchanged(written):
    _, path = written
    breakages.set_patient_id(path, "7654321")
    assert {dataset.PatientID for dataset in datasets(path).values()} == {"7654321"}


def test_breakages_are_as_deterministic_as_the_writers(tmp_path):
    for breakage in Breakage:
        pair = [write_nako(tmp_path / name, NAKO_SCAN, stations_of(NAKO_SLICES)) for name in "ab"]
        whole = pair[0].read_bytes()
        for path in pair:
            breakage.apply(path)
        assert pair[0].read_bytes() == pair[1].read_bytes() != whole
    assert len({breakage.reason for breakage in Breakage}) == len(Breakage)
