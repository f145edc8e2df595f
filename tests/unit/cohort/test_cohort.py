"""The cohort stage on folders of raw data: everything that lies there is accounted for."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bids_session import scans_frame
from crashing_worker import failing_inspection
from raw_scan_files import make_stations, scan_slices, write_scan_zip

from dixonflow.cohort import inspect as inspection_module
from dixonflow.cohort.build import build_cohort, write_cohort
from dixonflow.cohort.conservation import check_conservation
from dixonflow.cohort.discover import discover
from dixonflow.cohort.shards import read_shards
from dixonflow.cohort.table import read_scans
from dixonflow.cohort.withdrawn import read_withdrawn
from dixonflow.errors import ConfigError, ScanExcluded
from dixonflow.imaging.station import Station
from dixonflow.phantom.breakages import Breakage
from dixonflow.phantom.writers.bids import write_bids
from dixonflow.phantom.writers.dicom import write_nako, write_ukb
from dixonflow.rawdata import fingerprint as fingerprint_module
from dixonflow.rawdata import protocols
from dixonflow.rawdata.content import ImageContents
from dixonflow.rawdata.raw_scan import ReadOptions, Source
from dixonflow.rawdata.reader import inspect, read_stations
from dixonflow.vocabulary import DIXON, Layout, Reason, ScanId, Status

TWO = ReadOptions(stations=2)


def write_zip(path: Path, seed: int = 0, patient_id: str = "1") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_scan_zip(path, scan_slices(make_stations(2, seed, (18, 16, 4)), patient_id=patient_id))


@pytest.fixture(scope="module")
def ukb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of UK Biobank zips with everything that can be beside them."""
    folder = tmp_path_factory.mktemp("raw") / "ukb"
    good = write_zip(folder / "00" / "0001234_20201_2_0.zip", 1)
    write_zip(folder / "00" / "0001234_20201_3_0.zip", 2)
    write_zip(folder / "00" / "0009999_20201_2_0.zip", 9)
    (folder / "01").mkdir()
    shutil.copy(good, folder / "01" / good.name)  # the same scan twice, equal
    write_zip(folder / "01" / "1000005_20201_2_0.zip", 5)
    write_zip(folder / "00" / "1000005_20201_2_0.zip", 6)  # the same scan twice, different
    shutil.copy(write_zip(folder / "1000007_20201_2_0.zip", 7), folder / "1000008_20201_2_0.zip")  # whose is it?
    cut = write_zip(folder / "1000009_20201_2_0.zip", 8)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (folder / "1000010_20201_2_0.zip").write_bytes(b"")
    (folder / "1000011_20201_2_0.zip").write_bytes(b"")
    (folder / "1000012_20204_2_0.zip").write_bytes(b"another field")
    (folder / "1000013_20201_2_0.zip.part").write_bytes(b"a download")
    (folder / "bulk.csv").write_text("x")
    (folder / "README").write_text("x")
    (folder / ".hidden").mkdir()
    write_zip(folder / ".hidden" / "1000020_20201_2_0.zip", 20)
    (folder / "1000014_20201_2_0.zip").symlink_to(folder / "nowhere")
    (folder / "00" / "back").symlink_to(folder)  # a link that leads in a circle
    return folder


def test_everything_in_a_folder_of_zips_is_accounted_for(ukb: Path) -> None:
    found = discover([Source(Layout.UKB, ukb)])
    said = {each.raw.scan.name: each.problem and each.problem[0] for each in found.scans}
    assert said == {
        "sub-0001234_ses-2": None,
        "sub-0001234_ses-3": None,
        "sub-0009999_ses-2": None,
        "sub-1000005_ses-2": Reason.DUPLICATE_SCAN,
        "sub-1000007_ses-2": Reason.IDENTITY_MISMATCH,
        "sub-1000008_ses-2": Reason.IDENTITY_MISMATCH,
        "sub-1000009_ses-2": Reason.UNREADABLE_FILE,
        "sub-1000010_ses-2": Reason.UNREADABLE_FILE,
        "sub-1000011_ses-2": Reason.UNREADABLE_FILE,
        "sub-1000014_ses-2": Reason.UNREADABLE_FILE,
    }
    assert [entry.path.name for entry in found.unnamed] == ["1000012_20204_2_0.zip", "1000013_20201_2_0.zip.part"]
    assert [path.name for path in found.ignored] == [".hidden", "README", "bulk.csv"]
    first = found.scans[0]
    assert first.note == "found 2 times with equal content"
    assert first.raw.path.parent.name == "00"
    keys = [each.raw.raw_key for each in found.scans if each.problem is None]
    assert all(len(key) == 64 for key in keys)
    assert len(set(keys)) == len(keys)


def test_the_fingerprint_knows_content_only(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a" / "1_20201_2_0.zip", 1)
    other = tmp_path / "b" / "1_20201_2_0.zip"
    other.parent.mkdir()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w", zipfile.ZIP_STORED) as new:
        for info in reversed(old.infolist()):
            new.writestr(zipfile.ZipInfo(info.filename, (2001, 1, 1, 0, 0, 0)), old.read(info))
    one, two = (discover([Source(Layout.UKB, folder)]).scans[0].raw.raw_key for folder in (path.parent, other.parent))
    assert one == two
    write_zip(path, 2)
    assert discover([Source(Layout.UKB, path.parent)]).scans[0].raw.raw_key != one


def test_a_folder_of_two_layouts_and_a_pattern_of_its_own(tmp_path: Path) -> None:
    write_zip(tmp_path / "100012_30.zip", 1)
    write_zip(tmp_path / "1000001_20201_2_0.zip", 2)
    write_zip(tmp_path / "NAKO-77-v60.zip", 3)
    both = [Source(Layout.UKB, tmp_path), Source(Layout.NAKO, tmp_path)]
    found = discover(both)
    assert [(each.scan, each.layout) for each in (*(scan.raw for scan in found.scans), *found.unnamed)] == [
        (ScanId("1000001", "2"), Layout.UKB),
        (ScanId("100012", "30"), Layout.NAKO),
        (None, Layout.UKB),
    ]
    own = Source(Layout.NAKO, tmp_path, r"NAKO-(?P<participant>\d+)-v(?P<session>\d+)\.zip")
    assert [each.raw.scan for each in discover([*both, own]).scans][-1] == ScanId("77", "60")
    with pytest.raises(ConfigError, match="name pattern"):
        discover([Source(Layout.NAKO, tmp_path, "(")])
    with pytest.raises(ConfigError, match="cannot be listed"):
        discover([Source(Layout.NAKO, tmp_path / "none")])


def test_rows_shards_and_conservation(ukb: Path, tmp_path: Path) -> None:
    sources = [Source(Layout.UKB, ukb, options=TWO)]
    result = build_cohort(sources, withdrawn=frozenset({"0009999", "5555555"}), scans_per_shard=1, workers=2)
    counts = result.n_by_status
    assert counts == {Status.OK: 2, Status.EXCLUDED: 9, Status.FAILED: 0, Status.WITHDRAWN: 1}
    assert result.n_inspected == 2
    assert check_conservation(sources, scans_frame(result), {"0009999"}).n_by_status == counts
    assert [item.scan for shard in result.shards for item in shard.scans] == [
        ScanId("0001234", "2"),
        ScanId("0001234", "3"),
    ]
    rows = {row.scan: row for row in result.scans if row.scan}
    whole = rows[ScanId("0001234", "2")]
    assert (whole.n_stations, whole.n_slices, whole.message) == (2, 8, "")
    assert whole.shard in {shard.name for shard in result.shards}
    assert rows[ScanId("0009999", "2")].status is Status.WITHDRAWN
    assert rows[ScanId("0009999", "2")].shard == ""

    write_cohort(result, tmp_path / "scans.parquet", tmp_path / "shards")
    assert read_scans(tmp_path / "scans.parquet") == sorted(
        result.scans, key=lambda row: (row.scan is None, row.scan or ScanId("z", "z"), str(row.entry.path))
    )
    frame = pd.read_parquet(tmp_path / "scans.parquet")
    assert list(frame["participant_id"][:2]) == ["0001234", "0001234"]
    assert (tmp_path / "ignored.txt").read_text().splitlines() == [str(path) for path in result.ignored]


def test_what_was_looked_into_is_not_looked_into_again(tmp_path: Path) -> None:
    sources = [Source(Layout.UKB, tmp_path / "raw", options=TWO)]
    for number in range(3):
        write_zip(tmp_path / "raw" / f"{number}_20201_2_0.zip", number)
    first = build_cohort(sources)
    assert first.n_inspected == 3
    write_cohort(first, tmp_path / "scans.parquet", tmp_path / "shards")
    write_zip(tmp_path / "raw" / "3_20201_2_0.zip", 3)
    write_zip(tmp_path / "raw" / "1_20201_2_0.zip", 11)  # replaced
    (tmp_path / "raw" / "2_20201_2_0.zip").unlink()
    again = build_cohort(
        sources,
        withdrawn=frozenset({"0"}),
        previous=read_scans(tmp_path / "scans.parquet"),
        shards=read_shards(tmp_path / "shards"),
    )
    assert again.n_inspected == 2
    assert [(row.scan.participant, row.status.value) for row in again.scans if row.scan] == [
        ("0", "withdrawn"),
        ("1", "ok"),
        ("3", "ok"),
    ]
    # members of the old shard stay, the one that was replaced with its new fingerprint; the new scan has its own shard
    assert [len(shard.scans) for shard in again.shards] == [3, 1]
    assert again.shards[0].name == first.shards[0].name
    assert again.shards[0].scans[1].raw_key == again.scans[1].entry.raw_key != first.scans[1].entry.raw_key
    usual = [Source(Layout.UKB, tmp_path / "raw")]
    other = build_cohort(usual, previous=again.scans, shards=again.shards)
    assert other.n_inspected == 3  # other options
    assert {row.reason for row in other.scans} == {Reason.MISSING_STATION}


def test_files_in_a_known_state_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [Source(Layout.UKB, tmp_path, options=TWO)]
    for number in range(3):
        write_zip(tmp_path / f"{number}_20201_2_0.zip", number)
    first = build_cohort(sources)
    opened: list[str] = []
    real = fingerprint_module.zip_fingerprint

    def watched(path: Path, contents: ImageContents) -> str:
        (tmp_path / f".opened-{path.name}").touch()
        return real(path, contents)

    monkeypatch.setattr(fingerprint_module, "zip_fingerprint", watched)

    def call() -> list[str]:
        result = build_cohort(sources, previous=first.scans, shards=first.shards)
        assert [row.entry.raw_key for row in result.scans] == [row.entry.raw_key for row in first.scans]
        opened[:] = sorted(path.name.removeprefix(".opened-") for path in tmp_path.glob(".opened-*"))
        return opened

    assert call() == []
    path = tmp_path / "1_20201_2_0.zip"
    content, state = path.read_bytes(), path.stat()
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # the change time cannot be put back
    assert call() == [path.name]


def test_a_worker_that_dies_costs_one_scan_and_failures_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [Source(Layout.UKB, tmp_path, options=TWO)]
    for number in range(4):
        write_zip(tmp_path / f"{number}_20201_2_0.zip", number)
    with monkeypatch.context() as patch:
        patch.setattr(inspection_module, "inspect_scan", failing_inspection)
        result = build_cohort(sources, workers=2)
        assert [row.reason for row in result.scans] == [
            Reason.NONE,
            Reason.WORKER_DIED,
            Reason.INTERNAL_ERROR,
            Reason.NONE,
        ]
        second = build_cohort(sources, previous=result.scans, max_attempts=2)
        assert second.n_inspected == 2
        assert [row.attempt for row in second.scans] == [1, 2, 2, 1]
        assert build_cohort(sources, previous=second.scans, max_attempts=2).n_inspected == 0
    third = build_cohort(sources, previous=second.scans, max_attempts=3)
    assert third.n_by_status[Status.OK] == 4


def test_the_list_of_withdrawn_participants(tmp_path: Path) -> None:
    path = tmp_path / "withdrawn.csv"
    path.write_text('\ufeffeid\r\n0001234\r\n\r\n# asked by letter\r\n"77"\n')
    assert read_withdrawn(path) == {"0001234", "77"}
    path.write_text("0001234\n12,13\n")
    with pytest.raises(ConfigError, match=r"line 2: not a participant id"):
        read_withdrawn(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_withdrawn(tmp_path / "none.csv")


def test_a_withdrawn_id_that_lost_its_zeros_stops_the_run(tmp_path: Path) -> None:
    write_zip(tmp_path / "0001234_20201_2_0.zip")
    with pytest.raises(ConfigError, match="1 ids that differ from a participant's only by leading zeros"):
        build_cohort([Source(Layout.UKB, tmp_path)], withdrawn=frozenset({"1234"}))


def test_the_facts_file_names_its_sources() -> None:
    content = json.loads(Path(protocols.__file__).with_name("acquisition.json").read_text())
    assert all(entry["source"] for entry in content.values())


@pytest.mark.parametrize("layout", [Layout.UKB, Layout.NAKO, Layout.BIDS])
def test_what_the_phantom_writes_comes_back_exactly(tmp_path: Path, layout: Layout) -> None:
    scan = ScanId("000123", "2")
    count = {Layout.UKB: 6, Layout.NAKO: 4, Layout.BIDS: 3}[layout]
    stations = make_stations(count, shape=(18, 16, 5))
    {Layout.UKB: write_ukb, Layout.NAKO: write_nako, Layout.BIDS: write_bids}[layout](tmp_path, scan, stations)
    (found,) = discover([Source(layout, tmp_path)]).scans
    raw = found.raw
    assert raw.scan == scan
    assert inspect(raw).n_stations == count
    for got, want in zip(read_stations(raw), stations, strict=True):
        np.testing.assert_allclose(got.affine, want.affine, atol=1e-4)
        for contrast in DIXON:
            np.testing.assert_array_equal(got.images[contrast], want.images[contrast])


@pytest.mark.parametrize("breakage", list(Breakage))
@pytest.mark.parametrize("write", [write_ukb, write_nako])
def test_the_breakages_of_the_demo_are_told(
    tmp_path: Path, write: Callable[[Path, ScanId, list[Station]], Path], breakage: Breakage
) -> None:
    layout, count = (Layout.UKB, 6) if write is write_ukb else (Layout.NAKO, 4)
    breakage.apply(write(tmp_path, ScanId("000123", "2"), make_stations(count, shape=(18, 16, 5))))
    (found,) = discover([Source(layout, tmp_path)]).scans
    if found.problem is None:
        with pytest.raises(ScanExcluded) as excluded:
            inspect(found.raw)
        assert excluded.value.reason is breakage.reason
    else:
        assert found.problem[0] is breakage.reason
