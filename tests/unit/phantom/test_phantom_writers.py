import json
import zipfile
from collections import defaultdict
from itertools import pairwise

import nibabel
import numpy as np
import pytest
import SimpleITK
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from written_scans import (
    NAKO_SCAN,
    NAKO_SLICES,
    UKB_SCAN,
    UKB_SLICES,
    by_series,
    datasets,
    public_rule,
    stations_of,
    write_scan,
)

from dixonflow.imaging.station import Station
from dixonflow.phantom.writers.bids import write_bids
from dixonflow.phantom.writers.dicom import MANIFEST_NAME, write_nako, write_ukb
from dixonflow.vocabulary import DIXON, Contrast


@pytest.fixture(params=["ukb", "nako"])
def written(request, tmp_path):
    return write_scan(request.param, tmp_path)


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
        for contrast in DIXON:
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
