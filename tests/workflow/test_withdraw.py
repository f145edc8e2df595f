"""Who withdraws leaves no trace: names and contents of all files are searched, and no other scan is computed again."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from project_copy import call_in
from small_project import SmallProject
from small_scans import trunk_stations

from dixonflow.phantom.writers.bids import write_bids
from dixonflow.vocabulary import ScanId

GONE, STAYING, ALONE = "200000", "200001", "200002"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> SmallProject:
    """Three participants: two in one shard, and one in a shard of its own."""
    project = SmallProject(tmp_path_factory.mktemp("withdraw"))
    cohort = {
        "sources": [{"layout": "bids", "folder": "raw/bids"}],
        "withdrawn": "withdrawn.txt",
        "scans_per_shard": 2,
    }
    project.configure(["bids"], cohort=cohort)
    for number, participant in enumerate((GONE, STAYING, ALONE)):
        write_bids(project.raw / "bids", ScanId(participant, "2"), trunk_stations(number))
    before = raw_files(project)
    project.run()
    assert raw_files(project) == before, "raw folders may be read-only mounts: nothing is written or touched there"
    (project.folder / "results/exports").mkdir()
    (project.folder / "results/exports/volumes.csv").write_text(f'"{GONE}",1\n')
    # of other ids: only the bridge, which is not here, could say which rows are whose
    (project.folder / "results/releases/1").mkdir(parents=True)
    (project.folder / "results/releases/1/volumes.csv").write_text("B17,1\n")
    return project


def raw_files(project: SmallProject) -> dict[str, tuple[int, int]]:
    """Everything in the raw folder, with its inode and its date."""
    states = {str(path): path.stat() for path in project.raw.rglob("*")}
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in states.items()}


def withdraw(project: SmallProject, *ids: str) -> subprocess.CompletedProcess[str]:
    cohort_list = project.folder / "w12345_20260101.csv"
    cohort_list.write_text("".join(f"{each}\r\n" for each in ids))
    command = [sys.executable, "-m", "dixonflow", "withdraw", "--list", str(cohort_list)]
    return call_in(project.folder, *command)


def text_of(path: Path) -> str:
    """All text of a file, in a way of its own."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return " ".join(str(value) for column in table.columns for value in column.to_pylist())
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("latin-1")


def holding(project: SmallProject, participant: str) -> list[str]:
    """Files of the results and of Snakemake's logs that hold an id in their name or content."""
    found = []
    for folder in (project.folder / "results", project.folder / ".snakemake/log"):
        for path in folder.rglob("*"):
            name = str(path.relative_to(project.folder))
            searched = name if path.is_dir() or path.name.endswith(".nii.gz") else f"{name} {text_of(path)}"
            if re.search(rf"(?<![A-Za-z0-9]){participant}(?![A-Za-z0-9])", searched):
                found.append(name)
    return found


def records(project: SmallProject) -> dict[tuple[str, str], dict]:
    """What every stage did of every scan; who was computed again has another record."""
    found = {}
    for path in (project.folder / "results/records").rglob("*.jsonl.gz"):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            record = json.loads(line)
            found[path.parent.name, record["outcome"]["participant_id"]] = record
    return found


def values(project: SmallProject) -> pd.DataFrame:
    rows = project.table("measurements")
    return rows[rows["participant_id"].isin([STAYING, ALONE])].reset_index(drop=True)


@pytest.mark.parametrize(("line", "problem"), [("20 0000", "line 1"), ("../x", "line 1"), ("0200000", "leading zeros")])
def test_a_wrong_list_is_refused_before_anything_is_touched(line, problem, project):
    lists = project.withdrawn.read_bytes()
    result = withdraw(project, line)
    assert result.returncode == 1, result.stdout
    assert problem in result.stdout
    assert project.withdrawn.read_bytes() == lists
    assert len(holding(project, GONE)) > 15


def test_a_call_that_is_killed_is_finished_by_the_next_and_no_run_begins_before(project):
    before, done = values(project), records(project)
    cohort_list = project.folder / "list.csv"
    cohort_list.write_text(f"{GONE}\n")
    command = [sys.executable, "-m", "dixonflow", "withdraw", "--list", str(cohort_list)]
    environment = os.environ | {"PYTHONPATH": str(project.folder / "workflow")}
    kills, mark = 0, project.folder / "results/withdrawing"
    for wait in (0.0, 0.005, 0.01, 0.02, 0.04, 0.08):
        call = subprocess.Popen(command, cwd=project.folder, env=environment, stdout=subprocess.DEVNULL)
        while call.poll() is None and not mark.exists():
            time.sleep(0.001)
        time.sleep(wait)
        if call.poll() is None:
            call.send_signal(signal.SIGKILL)
            kills += 1
        call.wait()
    assert kills >= 3
    mark.touch()
    refused = project.call()
    assert refused.returncode != 0
    assert "call dixonflow withdraw once more" in refused.stdout

    result = withdraw(project, GONE, "-17", "4711001")
    assert result.returncode == 0, result.stdout
    assert "1 negative ids have no data" in result.stdout
    assert GONE not in result.stdout
    assert holding(project, GONE) == []
    assert project.withdrawn.read_text().split() == [GONE, "4711001"]
    pd.testing.assert_frame_equal(values(project), before)
    for path in (project.folder / "results/withdrawals").iterdir():
        assert json.loads(path.read_text())["files_that_still_hold_an_id"] == []

    project.run()  # looks at the renamed shards, and finds all done
    assert {key: record for key, record in done.items() if key[1] != GONE} == records(project)
    pd.testing.assert_frame_equal(values(project), before)
    scans = project.table("scans").set_index("participant_id")
    assert scans.loc[GONE, "status"] == "withdrawn", "the raw folder still has the scan"
    assert scans.loc[[STAYING, ALONE], "status"].eq("ok").all()
    assert set(holding(project, GONE)) <= {"results/tables/scans.parquet", "results/cohort/scans.parquet"}
    assert "Nothing to be done" in project.run()


@pytest.mark.slow
def test_a_shard_without_members_goes_and_a_second_call_finds_nothing(project):
    result = withdraw(project, ALONE)
    assert result.returncode == 0, result.stdout
    assert holding(project, ALONE) == []
    certificates = [json.loads(path.read_text()) for path in (project.folder / "results/withdrawals").iterdir()]
    removed = max((each["removed"] for each in certificates), key=lambda each: each.get("images", 0))
    for kind in ("images", "pictures", "rows", "scans_in_shard_lists"):
        assert removed[kind] > 0, kind
    assert any(each["removed"].get("releases") == 1 for each in certificates)
    assert not (project.folder / "results/releases").exists()
    again = withdraw(project, ALONE)
    assert again.returncode == 0, again.stdout
    assert "0 ids added" in again.stdout
    done = records(project)
    project.run()  # looks at the renamed shards, and finds all done
    assert records(project) == done
    assert {key[1] for key in done} == {STAYING}


@pytest.mark.slow
def test_the_withdrawn_can_be_a_number_alone(project):
    cohort = {
        "sources": [{"layout": "bids", "folder": "raw/bids"}],
        "withdrawn": "withdrawn.txt",
        "withdrawn_rows": "counted",
        "scans_per_shard": 2,
    }
    project.configure(["bids"], cohort=cohort)
    done = records(project)
    project.run()
    assert records(project) == done
    scans = project.table("scans")
    counted = scans[scans["status"].eq("withdrawn")]
    assert counted["source"].tolist() == ["withdrawn 1", "withdrawn 2"]
    assert counted[["participant_id", "session_id", "raw_key", "content_key"]].isna().all(axis=None)
    assert scans.loc[scans["status"].eq("ok"), "participant_id"].tolist() == [STAYING]
    summary = (project.folder / "results/summary.txt").read_text()
    assert summary.split() == ["scans", "in", "3", "ok", "1", "excluded", "0", "failed", "0", "withdrawn", "2"]
    for gone in (GONE, ALONE):
        assert set(holding(project, gone)) <= {"results/cohort/scans.parquet"}
    assert "Nothing to be done" in project.run()
    loss = call_in(project.folder, sys.executable, "-m", "dixonflow", "analyse", "loss")
    assert loss.returncode == 0, loss.stdout
    # who has withdrawn is not lost: another one on the list is seen, and their rows are made again
    project.withdrawn.write_text(project.withdrawn.read_text() + f"{STAYING}\n")
    project.run()
    assert project.table("scans")["source"].tolist() == ["withdrawn 1", "withdrawn 2", "withdrawn 3"]
    assert holding(project, STAYING)[:1] != ["results/tables/scans.parquet"]
