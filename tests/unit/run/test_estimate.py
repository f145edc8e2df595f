"""`dixonflow estimate` on pilots whose costs are chosen, so that the answer is known."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.pilot_run import GPU_SECONDS, SECONDS, THREADS, PilotRun, config_of, of, refused, write_config

from dixonflow.run.lock import RunLock
from dixonflow.vocabulary import Layout, Reason, Stage

ROOT = Path(__file__).resolve().parents[3]
HOUR = 3600


@pytest.fixture
def pilot(tmp_path):
    """20 scans that are ok, one that failed at segment, four that were excluded before any job."""
    run = PilotRun(tmp_path / "pilot")
    run.add(20)
    run.add(1, Stage.SEGMENT, Reason.OUT_OF_MEMORY)
    run.add(4, Stage.COHORT, Reason.MISSING_STATION)
    return run


def test_hours_jobs_and_outcomes_follow_from_the_shares_of_the_pilot(pilot, estimated):
    found = estimated(pilot.write())
    assert of(found, Stage.STITCH)["core_hours"]["value"] == pytest.approx(
        1000 * 21 / 25 * SECONDS[Stage.STITCH] / HOUR
    )
    assert of(found, Stage.MERGE)["core_hours"]["value"] == pytest.approx(1000 * 20 / 25 * SECONDS[Stage.MERGE] / HOUR)
    segment = of(found, Stage.SEGMENT, "demo")
    hours = 1000 * 21 / 25 * SECONDS[Stage.SEGMENT] / HOUR
    assert segment["core_hours"]["value"] == pytest.approx(hours * THREADS)
    assert segment["gpu_hours_allocated"]["value"] == pytest.approx(hours)
    assert segment["gpu_hours"]["value"] == pytest.approx(1000 * 20 / 25 * GPU_SECONDS / HOUR)
    assert segment["core_hours_not_ok"]["value"] == pytest.approx(hours * THREADS / 21)
    assert (segment["pilot_scans"], segment["pilot_not_ok"]) == (21, 1)
    assert of(found, Stage.STITCH)["gpu_hours"]["value"] == 0
    resample = of(found, Stage.RESAMPLE)  # in the job of segment
    assert resample["core_hours"]["value"] == pytest.approx(1000 * 21 / 25 * SECONDS[Stage.RESAMPLE] / HOUR * THREADS)
    assert resample["gpu_hours_allocated"]["value"] == pytest.approx(1000 * 21 / 25 * SECONDS[Stage.RESAMPLE] / HOUR)
    assert resample["gpu_hours"]["value"] == 0
    assert found["shards"] == 14  # 840 scans go to jobs, 64 to each
    assert found["jobs"] == 14 * 4 + 3  # resample and segment are one job, merge and postprocess another
    assert {name: amount["value"] for name, amount in found["outcomes"].items()} == pytest.approx(
        {"ok": 800, "excluded": 160, "failed": 40}
    )
    assert found["outcomes"]["failed"]["low"] == pytest.approx(1.0, abs=0.1)  # Clopper-Pearson, 1 of 25
    assert found["outcomes"]["failed"]["high"] == pytest.approx(203.5, abs=0.5)
    assert {each["stage"] for each in found["requests"]} == {"stitch", "segment", "postprocess", "measure"}


def test_intervals_hold_the_spread_between_participants_and_narrow_with_their_number(tmp_path, estimated):
    widths = []
    for count in (12, 48):
        run = PilotRun(tmp_path / str(count))
        run.add(count // 2)
        run.add(count // 2, factor=3.0)
        hours = of(estimated(run.write()), Stage.STITCH)["core_hours"]
        assert hours["value"] == pytest.approx(1000 * 2 * SECONDS[Stage.STITCH] / HOUR)
        assert hours["low"] < hours["value"] < hours["high"]
        widths.append((hours["high"] - hours["low"]) / (1000 * SECONDS[Stage.STITCH] / HOUR))
    normal = [2 * 1.96 / count**0.5 for count in (12, 48)]  # factors 1 and 3 have a standard deviation of 1
    assert widths == pytest.approx(normal, rel=0.15)


def test_few_scans_give_no_interval_and_say_so(tmp_path, estimated):
    run = PilotRun(tmp_path / "pilot")
    run.add(3)
    found = estimated(run.write())
    assert of(found, Stage.STITCH)["core_hours"]["low"] is None
    assert any("fewer than 10 participants" in note for note in found["notes"])
    text = estimated(run.results.root, as_json=False)
    assert re.search(r"stitch +3  10 +0 +0", text)


def test_memory_says_how_many_scans_may_need_more_than_the_largest_seen(tmp_path, estimated):
    run = PilotRun(tmp_path / "pilot")
    run.add(60)  # 1001 to 1060 MB
    row = of(estimated(run.write()), Stage.MEASURE)
    assert (row["memory_mb_median"]["value"], row["memory_mb_largest"]) == (1030.5, 1060)
    assert row["memory_mb_median"]["low"] == 1022  # order statistics 22 and 39 of 60
    assert row["memory_mb_median"]["high"] == 1039
    assert row["memory_mb_p95"]["value"] == pytest.approx(1057.05)
    assert row["memory_mb_p95"]["high"] is None  # 60 scans are too few for an upper limit
    assert row["above_largest"] == pytest.approx(0.0487, abs=1e-4)  # 1 - 0.05 ** (1 / 60)


def test_a_pilot_on_a_cpu_tells_nothing_of_gpus(tmp_path, estimated):
    run = PilotRun(tmp_path / "pilot", gpu=False)
    run.add(12)
    found = estimated(run.write(), cores=8)
    segment = of(found, Stage.SEGMENT)
    assert (segment["gpu_hours"]["value"], segment["gpu_hours_allocated"]["value"]) == (None, None)
    assert segment["core_hours"]["value"] == pytest.approx(1000 * SECONDS[Stage.SEGMENT] * THREADS / HOUR)
    assert any("GPU hours and the time on GPUs are not known" in note for note in found["notes"])
    assert "leave out --gpus" in refused(estimated, run.results.root, gpus=2, cores=8)
    assert "--cores" in refused(estimated, run.results.root, cores=THREADS - 1)


def test_a_pilot_on_two_kinds_of_machines_is_refused(tmp_path, estimated):
    run = PilotRun(tmp_path / "pilot")
    run.add(6)
    run.gpu = False
    run.add(6)
    assert "6 times on a GPU and 6 times on a CPU" in refused(estimated, run.write())


def test_time_lies_between_no_gap_and_the_bound_of_any_schedule(tmp_path, estimated):
    run = PilotRun(tmp_path / "pilot")
    run.add(12)
    found = estimated(run.write(), scans=6400, gpus=4, cores=2)
    on_cores = 6400 * sum(seconds for stage, seconds in SECONDS.items() if stage not in Stage.SEGMENT.job) / HOUR
    allocated = 6400 * (SECONDS[Stage.RESAMPLE] + SECONDS[Stage.SEGMENT]) / HOUR
    one_shard = 64 * sum(SECONDS.values()) / HOUR
    assert found["makespan"]["at_least"] == pytest.approx(max(6400 * GPU_SECONDS / HOUR / 4, on_cores / 2))
    assert found["makespan"]["at_most"] == pytest.approx(allocated / 4 + on_cores / 2 + one_shard)
    assert "give --gpus and --cores" in refused(estimated, run.results.root, cores=2)
    assert estimated(run.results.root)["makespan"] is None


def test_listed_scans_count_by_layout(tmp_path, estimated):
    run = PilotRun(tmp_path / "pilot")
    run.add(11)
    run.add(11, layout=Layout.NAKO, factor=2.0)
    target = PilotRun(tmp_path)
    target.add(3)
    target.add(30, layout=Layout.NAKO)
    target.add(5, Stage.COHORT, Reason.UNREADABLE_FILE)
    target.write_list()
    found = estimated(run.write(), scans=None)
    assert (found["scans"], found["shards"]) == (33, 1)
    assert of(found, Stage.STITCH)["core_hours"]["value"] == pytest.approx((3 + 60) * SECONDS[Stage.STITCH] / HOUR)
    target.add(1, layout=Layout.BIDS)
    target.write_list()
    assert "no scans of bids/dixon" in refused(estimated, run.results.root, scans=None)


def test_every_key_is_documented(pilot, estimated):
    page = (ROOT / "docs/cluster.md").read_text().split("## Estimating a run")[1].split("\n## ")[0]
    found = estimated(pilot.write())
    keys = {*found, *found["work"][0], *found["storage"], *found["storage"]["kept"][0]}
    assert {key for key in keys if f"`{key}`" not in page} == set()


def test_the_command_prints_no_participant(pilot, tmp_path):
    config = write_config(tmp_path / "config.json", config_of(tmp_path / "results"))
    options = ["--pilot", str(pilot.write()), "--config", str(config), "--scans", "1000"]
    command = [sys.executable, "-m", "dixonflow", "estimate", *options]
    text = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
    assert "outcomes   ok 800 (" in text
    assert "70000" not in text
    RunLock(pilot.results).take()
    ended = subprocess.run(command, check=False, text=True, capture_output=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"estimate: a run in .* is in progress: .*\n", ended.stderr)
