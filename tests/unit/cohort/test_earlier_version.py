"""What version 0.1 made of raw data stands while the data is the same, and no longer."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from bids_session import write_session
from raw_scan_files import make_stations, scan_slices, write_scan_zip

from dixonflow.cohort.build import build_cohort
from dixonflow.cohort.earlier_version import outdated_results_of_0_1
from dixonflow.cohort.shards import shard_of
from dixonflow.imaging.nifti import read_nifti, write_nifti
from dixonflow.paths import Results
from dixonflow.rawdata.nifti.bids import session_fingerprint_0_1
from dixonflow.rawdata.raw_scan import RawScan, Source
from dixonflow.rawdata.reader import read_stations
from dixonflow.rawdata.zip_archive import zip_fingerprint
from dixonflow.system.atomic import write_json
from dixonflow.vocabulary import Layout, ScanId

SCAN = ScanId("1", "2")


class Earlier:
    """A session as version 0.1 left it: a shard list without states, a sidecar of what was stitched."""

    def __init__(self, folder: Path, scale: float = 1.0) -> None:
        self.raw, self.results = folder / "raw", Results(folder / "results")
        self.session = write_session(self.raw, SCAN, make_stations(2, 1, (18, 16, 4)))
        self.key = session_fingerprint_0_1(self.session, SCAN.sequence)
        self.shards = [shard_of([RawScan(SCAN, Layout.BIDS, self.session, self.key)])]
        self.sidecar = self.results.stitched_sidecar(SCAN)
        write_json(self.sidecar, {"intensity_scale": scale, "stations": [], "pairs": []})

    def call(self, previous=()):
        rescaled, outdated = outdated_results_of_0_1(self.results, self.shards, previous)
        result = build_cohort(
            [Source(Layout.BIDS, self.raw)],
            previous=previous,
            shards=self.shards,
            rescaled=rescaled,
            outdated=outdated,
        )
        self.shards = list(result.shards)
        return result.scans

    @property
    def entry(self) -> RawScan:
        (entry,) = (each for shard in self.shards for each in shard.scans if each.scan == SCAN)
        return entry

    def images(self) -> list[Path]:
        return sorted((self.session / "anat").iterdir())


def weak(path: Path, fill: int) -> None:
    """An image without compression whose file ends in zeros."""
    import gzip

    import nibabel as nib

    image = read_nifti(path)
    data = np.full(image.data.shape, fill, np.int16)
    data[0, 0, 0] = fill + 1
    content = gzip.compress(nib.Nifti1Image(data, image.affine).to_bytes(), compresslevel=0, mtime=0)
    path.write_bytes(content + bytes(-len(content) % 4096))


@pytest.fixture
def padded(tmp_path) -> Earlier:
    earlier = Earlier(tmp_path)
    for number, path in enumerate(earlier.images()):
        weak(path, 10 + number)
    earlier.key = session_fingerprint_0_1(earlier.session, SCAN.sequence)
    earlier.shards = [shard_of([RawScan(SCAN, Layout.BIDS, earlier.session, earlier.key)])]
    os.utime(earlier.sidecar)
    return earlier


def test_its_fingerprint_stands_while_the_content_does(padded):
    (row,) = padded.call()
    assert row.entry.raw_key == padded.key == padded.entry.raw_key
    assert row.content
    (again,) = padded.call([row])
    assert again == row
    for path in padded.images():
        os.utime(path)  # another state, the same content
    (touched,) = padded.call([row])
    assert touched.entry.raw_key == padded.key
    read_stations(padded.entry)
    for number, path in enumerate(padded.images()):
        weak(path, 90 + number)
    assert session_fingerprint_0_1(padded.session, SCAN.sequence) == padded.key, "it does not see that"
    (corrected,) = padded.call([touched])
    assert corrected.entry.raw_key != padded.key
    assert corrected.entry.raw_key == padded.entry.raw_key
    (scratch,) = build_cohort([Source(Layout.BIDS, padded.raw)]).scans
    assert corrected.entry.raw_key == scratch.entry.raw_key


def test_files_that_are_younger_than_what_was_made_of_them_are_not_trusted(padded):
    for number, path in enumerate(padded.images()):
        weak(path, 90 + number)
        os.utime(path, (4e9, 4e9))
    (row,) = padded.call()
    assert row.entry.raw_key != padded.key


def test_equal_and_different_content_is_told_by_all_bytes(padded):
    other = write_session(padded.raw, ScanId("2", "2"), make_stations(2, 1, (18, 16, 4)))
    for path, own in zip(sorted((other / "anat").iterdir()), padded.images(), strict=True):
        path.write_bytes(own.read_bytes())
    assert {row.reason.value for row in padded.call()} == {"identity_mismatch"}


@pytest.mark.parametrize("layout", [Layout.BIDS, Layout.UKB])
def test_what_was_scaled_down_is_read_again_once_and_for_all(tmp_path, layout):
    earlier = Earlier(tmp_path, scale=0.25)
    if layout is Layout.UKB:
        for path in earlier.images():
            path.unlink()
        path = write_scan_zip(earlier.raw / "1_20201_2_0.zip", scan_slices(make_stations(6, 1, (18, 16, 4))))
        earlier.shards = [shard_of([RawScan(SCAN, layout, path, zip_fingerprint(path))])]
        earlier.key = zip_fingerprint(path)
    sources = [Source(layout, earlier.raw)]

    def call(previous):
        rescaled, outdated = outdated_results_of_0_1(earlier.results, earlier.shards, previous)
        result = build_cohort(sources, previous=previous, shards=earlier.shards, rescaled=rescaled, outdated=outdated)
        earlier.shards = list(result.shards)
        return [row for row in result.scans if row.scan == SCAN]

    (row,) = call([])
    assert (row.reading, row.entry.raw_key) == ("outliers", earlier.key)
    assert earlier.entry.raw_key != earlier.key
    read_stations(earlier.entry)
    (killed,) = call([])  # before the rows were written: the shard list knows the state already
    assert killed.reading == "outliers"
    (again,) = call([row])
    assert again == row
    # stitched by this version: nothing is doubtful any more, whoever withdraws and returns in between
    content = json.loads(earlier.sidecar.read_text()) | {"outlier_voxels": 3}
    write_json(earlier.sidecar, content)
    assert outdated_results_of_0_1(earlier.results, earlier.shards, []) == (frozenset(), frozenset())


def test_results_without_a_sidecar_are_none(tmp_path):
    earlier = Earlier(tmp_path)
    earlier.sidecar.unlink()
    assert outdated_results_of_0_1(earlier.results, earlier.shards, []) == (frozenset(), frozenset())
    write_nifti(tmp_path / "x.nii.gz", np.ones((4, 4, 4), np.int16), np.eye(4))
