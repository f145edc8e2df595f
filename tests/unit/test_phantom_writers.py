import io
import json
import zipfile
from collections import defaultdict
from itertools import pairwise

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from dixonflow.phantom import breakages
from dixonflow.phantom.breakages import Breakage
from dixonflow.phantom.writers_bids import write_bids
from dixonflow.phantom.writers_dicom import MANIFEST_NAME, write_nako, write_ukb
from dixonflow.station import Station
from dixonflow.vocabulary import Contrast, ScanId

UKB_SCAN = ScanId("1000017", "2")
NAKO_SCAN = ScanId("000123", "30")
UKB_SLICES = (7, 5, 5, 5, 8, 6)
NAKO_SLICES = (6, 6, 6, 6)


def stations_of(slices, seed=0):
    """Overlapping stations of different grids and slice counts, head first; every voxel value is its own."""
    rng = np.random.default_rng(seed)
    stations, top = [], 200.0
    for index, count in enumerate(slices):
        spacing = (2.232143, 2.5 + index / 10, 3.0 + index / 2)
        shape = (12, 9 - index % 2, count)
        affine = np.diag([*spacing, 1.0])
        affine[:3, 3] = -13.0 + index, -10.25 - index, top - (count - 1) * spacing[2]
        top = affine[2, 3] + spacing[2]
        images = {contrast: rng.integers(0, 4096, shape).astype(np.int16) for contrast in Contrast}
        stations.append(Station(index, images, affine))
    return stations


def datasets(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {
            name: pydicom.dcmread(io.BytesIO(archive.read(name)))
            for name in archive.namelist()
            if name.endswith(".dcm")
        }


def by_series(path):
    series = defaultdict(list)
    for dataset in datasets(path).values():
        series[dataset.SeriesInstanceUID].append(dataset)
    return series


def public_rule(series):
    """Contrast of each series by the rule of public NAKO converters: private text, else the longer echo is in phase."""
    longest = max(float(slices[0].EchoTime) for slices in series.values())
    contrasts = {}
    for key, slices in series.items():
        text = slices[0][0x0051, 0x1019].value
        if "DIXF" in text:
            contrasts[key] = Contrast.FAT
        elif "DIXW" in text:
            contrasts[key] = Contrast.WATER
        else:
            in_phase = float(slices[0].EchoTime) == longest
            contrasts[key] = Contrast.IN_PHASE if in_phase else Contrast.OPPOSED_PHASE
    return contrasts


@pytest.fixture(params=["ukb", "nako"])
def written(request, tmp_path):
    if request.param == "ukb":
        stations = stations_of(UKB_SLICES)
        return stations, write_ukb(tmp_path / "ukb", UKB_SCAN, stations)
    stations = stations_of(NAKO_SLICES)
    return stations, write_nako(tmp_path / "nako", NAKO_SCAN, stations)


def test_another_reader_gets_back_every_voxel_in_its_place(written, tmp_path):
    stations, path = written
    series = by_series(path)
    contrasts = public_rule(series)
    assert len(series) == 4 * len(stations)
    seen = set()
    for key, slices in series.items():
        folder = tmp_path / key
        folder.mkdir()
        for dataset in slices:
            dataset.save_as(folder / f"{dataset.SOPInstanceUID}.dcm")
        names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
        image = SimpleITK.DICOMOrient(SimpleITK.ReadImage(names), "RAS")
        data = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)
        station = next(item for item in stations if np.array_equal(item.images[contrasts[key]], data))
        lps_to_ras = np.diag([-1, -1, 1])
        np.testing.assert_allclose(lps_to_ras @ np.array(image.GetOrigin()), station.affine[:3, 3], atol=1e-5)
        np.testing.assert_allclose(image.GetSpacing(), station.spacing_mm, atol=1e-5)
        seen.add((station.index, contrasts[key]))
    assert len(seen) == 4 * len(stations)


def test_headers_are_those_of_a_dixon_series(written):
    stations, path = written
    series = by_series(path)
    contrasts = public_rule(series)
    studies, frames = set(), set()
    for key, slices in series.items():
        first = slices[0]
        assert len({dataset.SOPInstanceUID for dataset in slices}) == len(slices)
        assert sorted(dataset.InstanceNumber for dataset in slices) == list(range(1, len(slices) + 1))
        assert first.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert first.SOPClassUID == first.file_meta.MediaStorageSOPClassUID == MRImageStorage
        assert first.pixel_array.dtype == np.uint16
        assert first.pixel_array.shape == (first.Rows, first.Columns)
        assert first.PixelSpacing[0] != first.PixelSpacing[1]  # row spacing first: an exchange would be seen
        assert first.ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
        assert all(dataset.SliceLocation == dataset.ImagePositionPatient[2] for dataset in slices)
        suffix = {
            Contrast.IN_PHASE: "_in",
            Contrast.OPPOSED_PHASE: "_opp",
            Contrast.FAT: "_F",
            Contrast.WATER: "_W",
        }[contrasts[key]]
        assert first.SeriesDescription.endswith(suffix)
        studies.add(first.StudyInstanceUID)
        frames.add(first.FrameOfReferenceUID)
        # Tags ascend, as the standard asks.
        tags = [element.tag for element in first]
        assert tags == sorted(tags)
    assert len(studies) == len(frames) == 1
    by_number = sorted(series.values(), key=lambda slices: slices[0].SeriesNumber)
    assert [slices[0].SeriesDescription.rpartition("_")[2] for slices in by_number] == [
        "in",
        "opp",
        "F",
        "W",
    ] * len(stations)
    heights = [max(dataset.ImagePositionPatient[2] for dataset in slices) for slices in by_number]
    assert heights == sorted(heights, reverse=True)  # numbers run from head to feet


def test_ukb_delivery(tmp_path):
    stations = stations_of(UKB_SLICES)
    path = write_ukb(tmp_path, UKB_SCAN, stations)
    assert path.name == "1000017_20201_2_0.zip"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        lines = archive.read(MANIFEST_NAME).decode().splitlines()
    slices = datasets(path)
    assert len(slices) == 4 * sum(UKB_SLICES) == len(names) - 1 == len(lines) - 1
    assert not any("/" in name for name in names)
    # The order of the files says nothing: neighbours belong to many series and run up and down.
    order = [(slices[name].SeriesNumber, slices[name].InstanceNumber) for name in names if name in slices]
    assert order != sorted(order)
    assert sum(a[0] != b[0] for a, b in pairwise(order)) > 3 * len(order) / 4
    # The date's comma shifts the columns, as in the real manifest.
    assert lines[0].startswith("filename,patientid,")
    assert all(len(line.split(",")) == len(lines[0].split(",")) + 1 for line in lines[1:])
    described = {line.split(",")[0]: line.split(",")[-2] for line in lines[1:]}
    assert described == {name: dataset.SeriesDescription for name, dataset in slices.items()}
    heights = defaultdict(set)
    for dataset in slices.values():
        heights[dataset.SeriesDescription.rpartition("_")[0]].add(dataset.AcquisitionTime)
    assert {name: len(times) for name, times in heights.items()} == {"Dixon_noBH": 3, "Dixon_BH_17s": 3}
    assert {dataset.PatientID for dataset in slices.values()} == {"1000017"}
    assert {tuple(dataset.ImageType)[3] for dataset in slices.values()} == {"IN_PHASE", "OUT_PHASE", "FAT", "WATER"}


def test_nako_delivery(tmp_path):
    path = write_nako(tmp_path, NAKO_SCAN, stations_of(NAKO_SLICES))
    assert path.name == "000123_30.zip"
    slices = datasets(path)
    assert {name.split("/")[1] for name in slices} == {f"3D_GRE_TRA_{suffix}" for suffix in ("in", "opp", "F", "W")}
    assert {dataset.PatientID.split("_")[0] for dataset in slices.values()} == {"000123"}
    assert {dataset.ProtocolName for dataset in slices.values()} == {f"3D_GRE_TRA_{n}" for n in (1, 2, 3, 4)}
    assert all("PHASE" not in word for dataset in slices.values() for word in dataset.ImageType)


def test_bids_delivery(tmp_path):
    stations = stations_of(NAKO_SLICES)
    anat = write_bids(tmp_path, NAKO_SCAN, stations)
    assert anat == tmp_path / "sub-000123" / "ses-30" / "anat"
    assert len(list(anat.iterdir())) == 2 * 4 * len(stations)
    for station in stations:
        for contrast in Contrast:
            stem = anat / f"sub-000123_ses-30_acq-{contrast.acq}_chunk-{station.index + 1}_VIBE"
            image = nibabel.load(f"{stem}.nii.gz")
            np.testing.assert_array_equal(np.asarray(image.dataobj), station.images[contrast])
            np.testing.assert_allclose(image.affine, station.affine, atol=1e-5)
            echo_time = json.loads(stem.with_name(f"{stem.name}.json").read_text())["EchoTime"]
            assert echo_time == pytest.approx(0.00246 if contrast is Contrast.IN_PHASE else 0.00123)


@pytest.mark.parametrize("write", [write_ukb, write_nako])
def test_same_input_same_bytes(write, tmp_path):
    first = write(tmp_path / "a", UKB_SCAN, stations_of(UKB_SLICES)).read_bytes()
    assert first == write(tmp_path / "b", UKB_SCAN, stations_of(UKB_SLICES)).read_bytes()
    assert first != write(tmp_path / "c", UKB_SCAN, stations_of(UKB_SLICES, seed=1)).read_bytes()


@pytest.mark.parametrize("write", [write_ukb, write_nako, write_bids])
@pytest.mark.parametrize("fault", ["negative", "fraction", "contrast"])
def test_what_cannot_be_written_is_refused(write, fault, tmp_path):
    station = stations_of((3,))[0]
    images = dict(station.images)
    if fault == "contrast":
        del images[Contrast.FAT]
    elif fault == "negative":
        images[Contrast.FAT] = images[Contrast.FAT].astype(np.int32) - 40000
    else:
        images[Contrast.FAT] = images[Contrast.FAT] + 0.5
    with pytest.raises(ValueError, match=r"needs all of|whole numbers"):
        write(tmp_path, UKB_SCAN, [Station(0, images, station.affine)])
    assert not list(tmp_path.rglob("*.zip"))


def test_values_above_12_bits_are_kept(tmp_path):
    station = stations_of((3,))[0]
    images = {contrast: image.astype(np.int32) * 16 for contrast, image in station.images.items()}
    path = write_nako(tmp_path, NAKO_SCAN, [Station(0, images, station.affine)])
    pixels = [dataset.pixel_array for dataset in datasets(path).values()]
    assert (
        np.sort(np.concatenate(pixels, axis=None)).tolist() == np.sort(np.stack(list(images.values())), None).tolist()
    )


# ------------------------------------------------------------------------------------------------------- breakages


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
