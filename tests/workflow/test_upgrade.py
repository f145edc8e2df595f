"""A run finished by version 0.1 is called again with this version: nothing is computed but what has to be."""

import gzip
import io
import json
import os
import sys
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from bids_validation import bids_issues
from project_copy import call_in
from small_project import SmallProject

from dixonflow.analyse.vessels import MEASURES_OF_CONSISTENCY

FINISHED = Path(__file__).parents[1] / "data" / "finished_run_0_1.tar.xz"
"""Raw data and results of four scans, one of them damaged in the middle: UK Biobank, NAKO and BIDS."""


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory):
    project = SmallProject(tmp_path_factory.mktemp("upgrade"))
    with tarfile.open(FINISHED) as archive:
        archive.extractall(project.folder, filter="data")
    for path in (project.folder / "raw").rglob("*.zip"):  # checked out and moved since: dates are not those of then
        os.utime(path)
    (project.folder / "run.yaml").rename(project.folder / "config.yaml")
    before = project.files("derivatives"), records(project), project.files("tables")
    project.run()
    return project, before


def records(project: SmallProject) -> dict[tuple[str, str], dict]:
    """Every record of the run, by stage and scan."""
    found = {}
    for path in (project.folder / "results/records").rglob("*.jsonl.gz"):
        stage = path.relative_to(project.folder / "results/records").parts[0]
        for line in gzip.decompress(path.read_bytes()).splitlines():
            record = json.loads(line)
            found[stage, record["outcome"]["participant_id"]] = record
    return found


def test_images_and_label_maps_are_not_touched(upgraded):
    project, (derivatives, _, _) = upgraded
    assert len(derivatives) == 3 * 7
    now = project.files("derivatives")
    assert {name: now[name] for name in derivatives} == derivatives
    assert all("/" not in name for name in now.keys() - derivatives), "only files of the whole data set are new"


def test_only_measure_was_done_again(upgraded):
    project, (_, before, _) = upgraded
    after = records(project)
    assert after.keys() == before.keys()
    for (stage, participant), record in after.items():
        same = record["outcome"] == before[stage, participant]["outcome"]
        assert same is (stage != "measure"), stage


SAME_UNDER_ANOTHER_NAME = {"fat_fraction": "fat_fraction_of_sums", "fat_fraction_eroded_median": "fat_fraction"}


def test_the_tables_say_the_same_under_the_names_of_schema_2(upgraded):
    project, (_, _, tables) = upgraded
    keys = ["participant_id", "session_id", "structure", "measure"]
    was = pd.read_parquet(io.BytesIO(tables["measurements.parquet"][1]))
    was["measure"] = was["measure"].replace(SAME_UNDER_ANOTHER_NAME)
    now = project.table("measurements")
    both = was.merge(now, on=keys, how="left", suffixes=("_before", ""), validate="one_to_one", indicator=True)
    assert (both["_merge"] == "both").all(), "nothing that was measured is gone"
    value = both["value"].fillna(both["value_before_grade"])
    gone = value.isna() & both["value_before"].notna()
    assert set(both.loc[gone, "missing_reason"]) <= {"incomplete"}
    same = value.notna() & both["value_before"].notna() & ~both["measure"].str.contains("_(?:mean|sd|median|p5|p95)$")
    assert same.sum() > 500
    pd.testing.assert_series_equal(value[same], both.loc[same, "value_before"], check_names=False)
    of_vessels = {*MEASURES_OF_CONSISTENCY, "largest_gap", "centreline_length", "tortuosity", "diameter"}
    of_compartments = {"area", "uncut_slices"}
    assert set(now["measure"]) - set(was["measure"]) == {"fat_volume", *of_vessels, *of_compartments}
    scans, was = project.table("scans"), pd.read_parquet(io.BytesIO(tables["scans.parquet"][1]))
    same = ["participant_id", "status", "reason", "raw_key", "shard", "last_stage", "n_stations", "n_slices"]
    pd.testing.assert_frame_equal(scans[same], was[same])
    assert project.status()["300002"] == ("excluded", "unreadable_file")


def test_a_second_call_does_nothing(upgraded):
    project, _ = upgraded
    assert "Nothing to be done" in project.run()


def test_one_command_moves_the_folders_to_where_bids_has_them_and_nothing_is_computed_again(upgraded):
    project, (_, _, _) = upgraded
    before, done = project.files("derivatives"), records(project)
    moved = call_in(project.folder, sys.executable, "-m", "dixonflow", "move-folders")
    assert (moved.returncode, moved.stdout.strip()) == (0, "3 folders moved")
    after = project.files("derivatives")
    assert {Path(name).name: content for name, content in after.items()} == {
        Path(name).name: content for name, content in before.items()
    }
    assert all(name.startswith("sub-") or "/" not in name for name in after)
    assert bids_issues(project.folder / "results/derivatives", errors_only=True) == []
    assert "Nothing to be done" in project.run("--config", "verify=true")
    assert records(project) == done
    assert project.files("derivatives") == after
