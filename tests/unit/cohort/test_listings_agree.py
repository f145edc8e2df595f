"""The two listings of the raw folders say the same of names that are almost, or otherwise, those of scans."""

from pathlib import Path

import pytest
from known_stations import summed_stations

from dixonflow.cohort.build import build_cohort, write_cohort
from dixonflow.cohort.conservation import check_conservation
from dixonflow.cohort.table import COHORT_SCANS, CohortScan, read_files
from dixonflow.phantom.writers.dicom import write_ukb
from dixonflow.rawdata.raw_scan import ReadOptions, Source
from dixonflow.tables.parquet import read_table
from dixonflow.vocabulary import Layout, Reason, ScanId, ScanSequence

THREE = ReadOptions(stations=3)


def rows_of(source: Source, folder: Path) -> tuple[CohortScan, ...]:
    result = build_cohort([source])
    write_cohort(result, folder / "scans.parquet", folder / "shards")
    table = read_table(folder / "scans.parquet", COHORT_SCANS).to_pandas()
    check_conservation([source], table, files=read_files(folder / "scans.parquet"))
    return result.scans


def test_a_file_with_the_name_of_a_zip_and_no_ending_is_no_scan(tmp_path: Path) -> None:
    write_ukb(tmp_path / "raw", ScanId("1000017", "2"), summed_stations(3))
    (tmp_path / "raw" / "1000018_20201_2_0").write_bytes(b"what is this")
    rows = rows_of(Source(Layout.UKB, tmp_path / "raw", options=THREE), tmp_path)
    assert [row.reason for row in rows] == [Reason.NONE, Reason.UNPARSABLE_NAME]


def test_a_pattern_may_name_the_sequence(tmp_path: Path) -> None:
    pattern = r"(?P<sequence>.+)__(?P<participant>[0-9]+)-(?P<session>[0-9]+)\.zip"
    (tmp_path / "raw").mkdir()
    for name in ("T2_HASTE_TRA__100012-30.zip", "T2_UNKNOWN__100013-30.zip", "PD_FS_SPC_COR__100014-30.zip"):
        (tmp_path / "raw" / name).write_bytes(b"no zip")
    source = Source(Layout.NAKO, tmp_path / "raw", pattern, sequences=(ScanSequence.HASTE,))
    rows = rows_of(source, tmp_path)
    assert [(row.scan, row.reason) for row in rows] == [
        (ScanId("100012", "30", ScanSequence.HASTE), Reason.UNREADABLE_FILE),
        (None, Reason.UNPARSABLE_NAME),
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("image.nii.gz", "sub-07_ses-1_acq-haste-2_T2w.nii", "sub-07_ses-1_acq-hasteFOO_T2w.nii.gz", "x_T2w.nii.gz"),
        *("x_acq-haste_T2w.nii.gz.part", "x_T2w.nii.json", ".x_T2w.nii.gz", "x_mask.nii.gz", "x_PDw.NII.GZ"),
    ],
)
def test_both_see_the_same_sequences_in_a_session(tmp_path: Path, name: str) -> None:
    place = tmp_path / "raw" / "sub-07" / "ses-1" / "anat"
    place.mkdir(parents=True)
    (place / name).write_bytes(b"no image")
    sequences = (ScanSequence.DIXON, ScanSequence.HASTE, ScanSequence.T2_TSE, ScanSequence.PD, ScanSequence.OTHER)
    rows = rows_of(Source(Layout.BIDS, tmp_path / "raw", sequences=sequences), tmp_path)
    assert len(rows) == 1
    assert rows[0].reason is not Reason.NONE


def test_loose_dicom_needs_no_number_of_stations(tmp_path: Path) -> None:
    place = tmp_path / "raw" / "1000017_2"
    place.mkdir(parents=True)
    write_ukb(place, ScanId("1000017", "2"), summed_stations(3))
    source = Source(Layout.DICOM, tmp_path / "raw", "(?P<participant>[0-9]+)_(?P<session>[0-9]+)/")
    (row,) = rows_of(source, tmp_path)
    assert (row.reason, row.n_stations) == (Reason.NONE, 3)
