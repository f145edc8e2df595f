"""A run finished by version 0.1 is called again with this version: nothing is computed but what has to be."""

import gzip
import json
import os
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from small_project import SmallProject

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
    assert project.files("derivatives") == derivatives


def test_only_measure_was_done_again(upgraded):
    project, (_, before, _) = upgraded
    after = records(project)
    assert after.keys() == before.keys()
    for (stage, participant), record in after.items():
        same = record["outcome"] == before[stage, participant]["outcome"]
        assert same is (stage != "measure"), stage


def test_the_tables_say_the_same_but_for_what_was_corrected(upgraded):
    project, (_, _, tables) = upgraded
    import io

    for name in ("volumes", "fat_compartments"):
        was = pd.read_parquet(io.BytesIO(tables[f"{name}.parquet"][1]))
        pd.testing.assert_frame_equal(project.table(name), was)
    scans, was = project.table("scans"), pd.read_parquet(io.BytesIO(tables["scans.parquet"][1]))
    same = ["participant_id", "status", "reason", "raw_key", "shard", "last_stage", "n_stations", "n_slices"]
    pd.testing.assert_frame_equal(scans[same], was[same])
    assert project.status()["300002"] == ("excluded", "unreadable_file")


def test_a_second_call_does_nothing(upgraded):
    project, _ = upgraded
    assert "Nothing to be done" in project.run()
