"""NaN around the body is no data, as programs that mask leave it; inside the body it is a fault."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bids_session import write_session
from small_scans import trunk_stations

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.nifti.bids import session_fingerprint
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.rawdata.reader import read_stations
from dixonflow.stitch.scan import stitch
from dixonflow.vocabulary import DIXON, Contrast, Layout, Reason, ScanId

SCAN = ScanId("1000017", "2")


def entry(folder: Path) -> RawScan:
    return RawScan(SCAN, Layout.BIDS, folder, session_fingerprint(folder, SCAN.sequence))


def with_nan(folder: Path, choose, contrasts=DIXON) -> None:
    """Replace voxels of all images of a session by NaN: those that `choose` gives for the sum of its contrasts."""
    for path in sorted(folder.rglob("*.nii.gz")):
        image = nib.load(path)
        data = np.asanyarray(image.dataobj).astype(np.float32)
        if any(f"_acq-{each.acq}_" in path.name for each in contrasts):
            data[choose(data)] = np.nan
        nib.Nifti1Image(data, image.affine).to_filename(path)


def rim(data: np.ndarray) -> np.ndarray:
    chosen = np.zeros(data.shape, bool)
    chosen[[0, -1]] = True
    return chosen


@pytest.fixture
def written(tmp_path: Path) -> Path:
    stations = [
        replace(station, images={contrast: image.copy() for contrast, image in station.images.items()})
        for station in trunk_stations(3)
    ]
    for station in stations:
        for contrast in DIXON:
            station.images[contrast][[0, -1]] = 0  # a rim of nothing, in all contrasts
    return write_session(tmp_path, SCAN, stations)


def test_nan_around_the_body_gives_the_images_of_a_background_of_zero(written: Path) -> None:
    with_nan(written, lambda data: np.zeros(data.shape, bool))  # floats, as those with NaN
    before = stitch(read_stations(entry(written)))
    with_nan(written, rim)
    assert np.isnan(nib.load(next(written.rglob("*.nii.gz"))).get_fdata()).any()
    after = stitch(read_stations(entry(written)))
    for contrast in DIXON:
        np.testing.assert_array_equal(after.images[contrast], before.images[contrast])


def test_an_image_without_any_data_is_empty(written: Path) -> None:
    with_nan(written, lambda data: np.ones(data.shape, bool))
    with pytest.raises(ScanExcluded) as error:
        read_stations(entry(written))
    assert error.value.reason is Reason.EMPTY_IMAGE


def test_a_hole_in_the_body_is_no_background(tmp_path: Path) -> None:
    written = write_session(tmp_path, SCAN, trunk_stations(3))

    def middle(data: np.ndarray) -> np.ndarray:
        hole = np.zeros(data.shape, bool)
        hole[tuple(slice(size // 3, 2 * size // 3) for size in data.shape)] = True
        return hole

    with_nan(written, middle, (Contrast.WATER,))
    with pytest.raises(ScanExcluded) as error:
        read_stations(entry(written))
    assert error.value.reason is Reason.IMPLAUSIBLE_VALUES
