"""What may lie in a raw folder unforeseen: links of all kinds, names in other encodings, folders that are gone."""

import json
import os
import shutil
from pathlib import Path

import pytest
from raw_scan_files import make_stations, scan_slices, write_scan_zip

from dixonflow.cohort.build import build_cohort, write_cohort
from dixonflow.cohort.conservation import check_conservation
from dixonflow.cohort.discover import discover
from dixonflow.cohort.shards import read_shards
from dixonflow.cohort.table import COHORT_SCANS, read_scans
from dixonflow.cohort.walk import list_folder, walk
from dixonflow.config import demo_config
from dixonflow.errors import ConfigError
from dixonflow.rawdata.raw_scan import Source
from dixonflow.run.plan import Plan
from dixonflow.tables.parquet import read_table
from dixonflow.vocabulary import Layout, Reason, Status

MUELLER = os.fsdecode(b"M\xfcller")


def write_zip(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_scan_zip(path, scan_slices(make_stations(6, seed, (18, 16, 4))))


def plan_of(raw: Path, layout: Layout = Layout.UKB) -> Plan:
    content = json.loads(demo_config().model_dump_json())
    content["cohort"] |= {
        "sources": [{"layout": layout.value, "folder": str(raw)}],
        "withdrawn": None,
        "covariates": None,
    }
    return Plan.from_config(content | {"results": str(raw.parent / "results")})


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def test_links_of_all_kinds_are_a_row_and_end_nothing(raw: Path, tmp_path: Path) -> None:
    write_zip(tmp_path / "disk" / "a" / "1_20201_2_0.zip", 1)
    (raw / "data").symlink_to(tmp_path / "disk")
    (raw / "again").symlink_to(tmp_path / "disk" / "a")
    (raw / "2_20201_2_0.zip").symlink_to(raw / "nowhere")
    (raw / "3_20201_2_0.zip").symlink_to(raw / "3_20201_2_0.zip")
    (raw / "loop").symlink_to(raw / "loop")
    (tmp_path / "disk" / "back").symlink_to(raw)
    sources = [Source(Layout.UKB, raw)]
    plan_of(raw).raw_listing()
    result = build_cohort(sources)
    assert [(row.scan and row.scan.participant, row.reason) for row in result.scans] == [
        ("1", Reason.NONE),
        ("2", Reason.UNREADABLE_FILE),
        ("3", Reason.UNREADABLE_FILE),
        (None, Reason.UNPARSABLE_NAME),
    ]
    scans, shards = tmp_path / "scans.parquet", tmp_path / "shards"
    write_cohort(result, scans, shards)
    counts = check_conservation(sources, read_table(scans, COHORT_SCANS).to_pandas()).n_by_status
    assert (counts[Status.OK], counts[Status.EXCLUDED]) == (1, 3)


def test_the_listing_changes_with_everything_that_the_list_of_scans_rests_on(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "disk" / "a").mkdir(parents=True)
    (raw / "data").symlink_to(tmp_path / "disk")
    plan, seen = plan_of(raw), set()

    def changed() -> bool:
        listing = plan.raw_listing()
        assert plan.raw_listing() == listing
        known = listing in seen
        seen.add(listing)
        return not known

    assert changed()
    path = write_zip(tmp_path / "disk" / "a" / "1_20201_2_0.zip")  # behind a link
    assert changed()
    (raw / "2_20201_2_0.zip").symlink_to(tmp_path / "2.zip")
    assert changed()
    shutil.copy(path, tmp_path / "2.zip")  # what a link leads to
    assert changed()
    path.chmod(0o400)
    assert changed()
    (raw / os.fsdecode(b"\xff.zip")).touch()
    assert changed()
    (tmp_path / "disk" / "a" / "b").mkdir()
    assert changed()


def test_what_the_workflow_itself_may_write_into_a_bids_data_set_changes_no_listing(raw: Path) -> None:
    (raw / "sub-01" / "ses-1").mkdir(parents=True)
    (raw / "derivatives").mkdir()
    plan = plan_of(raw, Layout.BIDS)
    before = plan.raw_listing()
    (raw / "derivatives" / "dixonflow").mkdir()
    assert plan.raw_listing() == before
    (raw / "sub-01" / "ses-1" / "derivatives").mkdir()
    assert plan.raw_listing() != before


@pytest.mark.parametrize("layout", [Layout.UKB, Layout.BIDS])
def test_names_that_are_not_utf_8_are_rows_that_can_be_written(raw: Path, tmp_path: Path, layout: Layout) -> None:
    if layout is Layout.UKB:
        write_zip(raw / "1_20201_2_0.zip", 1)
        write_zip(raw / MUELLER / "2_20201_2_0.zip", 2)
        expected = [("1", Reason.NONE), ("2", Reason.UNPARSABLE_NAME), (None, Reason.UNPARSABLE_NAME)]
    else:
        (raw / "sub-1" / "ses-2" / "anat").mkdir(parents=True)
        (raw / "sub-1" / "ses-2" / "anat" / f"{MUELLER}_VIBE.nii").write_bytes(b"no image")
        expected = [("1", Reason.UNPARSABLE_NAME), (None, Reason.UNPARSABLE_NAME)]
    (raw / f"{MUELLER}.zip").touch()
    (raw / f"{MUELLER}.txt").touch()
    sources = [Source(layout, raw)]
    plan_of(raw, layout).raw_listing()
    result = build_cohort(sources)
    assert [(row.scan and row.scan.participant, row.reason) for row in result.scans] == expected
    scans, shards = tmp_path / "scans.parquet", tmp_path / "shards"
    write_cohort(result, scans, shards)
    assert read_scans(scans)[-1].entry.path == raw / r"M\xfcller.zip"
    assert str(raw / r"M\xfcller.txt") in (tmp_path / "ignored.txt").read_text().splitlines()
    assert [len(shard.scans) for shard in read_shards(shards)] == [1] * (layout is Layout.UKB)
    counts = check_conservation(sources, read_table(scans, COHORT_SCANS).to_pandas()).n_by_status
    assert counts[Status.EXCLUDED] == 2


def test_a_folder_that_is_gone_when_its_turn_comes_holds_nothing(raw: Path) -> None:
    (raw / "a").mkdir()
    (raw / "b").mkdir()
    (raw / "b" / "1_20201_2_0.zip").touch()
    errors: list[tuple[str, OSError]] = []
    found = walk(raw, lambda folder, error: errors.append((folder, error)))
    assert next(found)[0].name == "a"
    shutil.rmtree(raw / "b")
    assert [(entry.name, below) for entry, below in found] == [("b", True)]
    assert [(folder, type(error)) for folder, error in errors] == [(str(raw / "b"), FileNotFoundError)]
    shutil.rmtree(raw)
    with pytest.raises(ConfigError, match="cannot be listed"):
        discover([Source(Layout.UKB, raw)])
    assert list_folder(raw, lambda folder, error: None) == []
