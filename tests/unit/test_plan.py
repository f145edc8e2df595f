"""The plan of a run: configuration in force, calls for another look, lost files."""

import json
import shutil

import pytest

from dixonflow.cohort.shards import shard_of, write_shards
from dixonflow.config import demo_config
from dixonflow.outcome import Outcome, write_outcomes
from dixonflow.plan import Plan
from dixonflow.retry import MOST_MEMORY, ask_for_look
from dixonflow.verify import ask_for_lost_files, files_of, lost_files
from dixonflow.vocabulary import Reason, ScanId, Stage, Status


@pytest.fixture
def plan(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    content = json.loads(demo_config().model_dump_json())
    content["cohort"] |= {"sources": [{"layout": "ukb", "folder": str(raw)}], "withdrawn": None}
    return Plan.from_config(content | {"results": str(tmp_path / "results"), "verify": True})


def test_the_configuration_in_force_is_written_once(plan):
    plan.write()
    path = plan.results.config
    date = path.stat().st_mtime_ns
    plan.write()
    assert path.stat().st_mtime_ns == date
    assert json.loads(path.read_text())["verify"] is False  # a switch of one run, not of its jobs


def test_everything_is_looked_at_again_where_snakemake_has_no_records(plan, tmp_path):
    records, mark = tmp_path / ".snakemake", plan.results.look_again

    def looked_again():
        before = mark.stat().st_mtime_ns if mark.exists() else None
        plan.look_again_where_unknown(records)
        return mark.stat().st_mtime_ns != before

    assert looked_again()
    assert not looked_again()
    shutil.rmtree(records)
    assert looked_again()
    mark.unlink()
    assert looked_again()
    assert not looked_again()


def test_another_look_is_asked_for_and_counted(plan):
    assert plan.retry("abc") == 0
    ask_for_look(plan.results, "abc")
    ask_for_look(plan.results, "abc")
    assert plan.retry("abc") == 2
    assert plan.retry("other") == 0


def test_memory_is_doubled_where_it_ran_out_and_stays_so(plan):
    assert plan.memory_mb("abc", 4000) == 4000
    ask_for_look(plan.results, "abc", more_memory=True)
    assert plan.memory_mb("abc", 4000) == 8000
    ask_for_look(plan.results, "abc")
    assert plan.memory_mb("abc", 4000) == 8000
    for _ in range(5):
        ask_for_look(plan.results, "abc", more_memory=True)
    assert plan.memory_mb("abc", 4000) == 4000 * MOST_MEMORY
    assert plan.memory_mb("other", 4000) == 4000


def test_the_listing_changes_with_the_raw_folder_and_only_then(plan):
    folder = plan.config.cohort.sources[0].folder
    before = plan.raw_listing()
    assert plan.raw_listing() == before
    (folder / "1000001_20201_2_0.zip").write_bytes(b"new")
    after = plan.raw_listing()
    assert after != before
    (folder / "1000001_20201_2_0.zip").write_bytes(b"newer")
    assert plan.raw_listing() != after


def outcome(scan, status):
    reason = Reason.NONE if status is Status.OK else Reason.EMPTY_IMAGE
    return Outcome(scan, Stage.MEASURE, status, reason, "", 1.0, 1.0, 0.0, 1, "key")


def test_lost_files_of_ok_scans_are_found_and_asked_for(plan, make_shard_scan):
    scans = [make_shard_scan(ScanId(f"00{number}", "2")) for number in range(3)]
    shard = shard_of(scans)
    write_shards(plan.results.shards, [shard])
    assert lost_files(plan) == {}  # nothing has run yet, nothing can be lost
    rows = [outcome(scan.scan, Status.EXCLUDED if scan is scans[2] else Status.OK) for scan in scans]
    write_outcomes(plan.results.outcomes(Stage.MEASURE, shard.name), rows)
    expected = [files_of(plan.results, scan, plan.model.name, plan.config.keep) for scan in scans]
    assert len(expected[0]) == 8
    for path in expected[0] + expected[1]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert lost_files(plan) == {}
    expected[1][5].unlink()
    assert lost_files(plan) == {shard.name: [expected[1][5]]}
    ask_for_lost_files(plan)
    assert plan.retry(shard.name) == 1


def test_the_time_of_a_job_is_in_proportion_to_its_scans(plan, make_shard_scan):
    shards = [shard_of([make_shard_scan(ScanId(f"{size}{number}", "2")) for number in range(size)]) for size in (1, 60)]
    write_shards(plan.results.shards, shards)
    one, sixty = (plan.minutes(shard.name, per_scan=2) for shard in shards)
    assert sixty - one == 118
    assert one > plan.config.scan_minutes  # a scan that hangs is ended by its own limit, not by the job's
