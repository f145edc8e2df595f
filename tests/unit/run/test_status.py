"""How far a run is: counts that add up at any moment of a run, whatever lies about in the folders."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dixonflow.cohort.found import UnnamedEntry
from dixonflow.cohort.table import CohortScan, write_scans
from dixonflow.config import demo_config
from dixonflow.execution.outcome import Outcome, write_outcomes
from dixonflow.execution.records import Record, Records
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.run.lock import Run, RunLock
from dixonflow.run.requests import propose
from dixonflow.run.slurm import Job
from dixonflow.run.status import StatusError, run_status
from dixonflow.system.atomic import write_json
from dixonflow.vocabulary import SHARD_STAGES, Layout, Reason, ScanId, Stage

ROOT = Path(__file__).resolve().parents[3]
NOW = 1_800_000_000.0


class MadeUpRun:
    """A results folder in which shards of four scans are as far as a test wants."""

    def __init__(self, root: Path, shards: int) -> None:
        self.results = Results(root)
        self.shards = {
            f"shard{number:03}": [ScanId(f"00{number:03}{member}", "2") for member in range(4)]
            for number in range(shards)
        }
        self._date = itertools.count(NOW - 3000)
        rows = [
            CohortScan(RawScan(scan, Layout.UKB, Path("raw"), "raw key"), shard=shard)
            for shard, scans in self.shards.items()
            for scan in scans
        ]
        unnamed = UnnamedEntry(Layout.UKB, Path("raw/x"))
        rows.append(CohortScan(unnamed, reason=Reason.UNPARSABLE_NAME, message="x"))
        withdrawn = RawScan(ScanId("777", "2"), Layout.UKB, Path("raw"))
        rows.append(CohortScan(withdrawn, reason=Reason.CONSENT_WITHDRAWN))
        write_scans(self.results.scans, rows)

    def outcome(self, scan: ScanId, stage: Stage, reason: Reason = Reason.NONE) -> Outcome:
        message = "" if reason is Reason.NONE else "what was seen"
        return Outcome(scan, stage, reason.status, reason, message, 2.0, 1000.0, 0.5, 1, "key")

    def end(self, shard: str, through: Stage, ended: dict[int, tuple[Stage, Reason]] | None = None) -> None:
        """Write the rows of a shard up to a stage; `ended` names members that are not ok, and where."""
        for stage in SHARD_STAGES[: SHARD_STAGES.index(through) + 1]:
            rows = []
            for number, scan in enumerate(self.shards[shard]):
                at, reason = (ended or {}).get(number, (None, Reason.NONE))
                over = at is not None and SHARD_STAGES.index(at) <= SHARD_STAGES.index(stage)
                rows.append(self.outcome(scan, at, reason) if over else self.outcome(scan, stage))
            path = self.results.outcomes(stage, shard)
            write_outcomes(path, rows)
            date = next(self._date)
            os.utime(path, (date, date))


@pytest.fixture
def made_up(tmp_path):
    return MadeUpRun(tmp_path / "results", shards=5)


def by_stage(status, stage):
    row = next(row for row in status.stages if row.stage is stage)
    return (row.ok, row.excluded, row.failed, row.waiting)


def test_without_a_list_of_scans_there_is_nothing_to_tell(tmp_path):
    with pytest.raises(StatusError, match="run the cohort stage first"):
        run_status(Results(tmp_path), NOW)


def test_before_the_first_shard_every_scan_waits(made_up):
    status = run_status(made_up.results, NOW)
    assert status.scans == {"in": 22, "ok": 0, "excluded": 1, "failed": 0, "withdrawn": 1, "waiting": 20}
    assert by_stage(status, Stage.COHORT) == (20, 1, 0, 0)
    assert by_stage(status, Stage.STITCH) == (0, 0, 0, 20)
    assert (status.shards, status.shards_ended, status.running, status.pace) == (5, 0, False, None)


def test_shards_at_different_stages(made_up):
    swap = (Stage.STITCH, Reason.FAT_WATER_SWAP)
    memory = (Stage.SEGMENT, Reason.OUT_OF_MEMORY)
    made_up.end("shard000", Stage.MEASURE, {0: swap, 1: memory})
    made_up.end("shard001", Stage.SEGMENT, {3: memory})
    made_up.end("shard002", Stage.STITCH, {2: swap})
    status = run_status(made_up.results, NOW)
    assert by_stage(status, Stage.STITCH) == (10, 2, 0, 8)
    assert by_stage(status, Stage.SEGMENT) == (2 + 3, 0, 2, 3 + 8)
    assert by_stage(status, Stage.MEASURE) == (2, 0, 0, 3 + 3 + 8)
    assert status.scans == {"in": 22, "ok": 2, "excluded": 3, "failed": 2, "withdrawn": 1, "waiting": 14}
    assert status.failed == {"out_of_memory": 2}
    assert status.excluded == {"fat_water_swap": 2, "unparsable_name": 1}
    assert status.shards_ended == 1


def test_scans_that_a_running_job_has_finished_count(made_up):
    made_up.end("shard000", Stage.STITCH)
    write_json(made_up.results.config, json.loads(demo_config().model_dump_json()))
    records = Records(made_up.results.records(Stage.RESAMPLE, "shard000", "demo"))
    for scan in made_up.shards["shard000"][:3]:
        records.finish(Record(made_up.outcome(scan, Stage.RESAMPLE)))
    records.begin(made_up.shards["shard000"][3], "key", 1)
    assert by_stage(run_status(made_up.results, NOW), Stage.RESAMPLE) == (3, 0, 0, 17)
    # the same job segments the first of them
    segmented = Records(made_up.results.records(Stage.SEGMENT, "shard000", "demo"))
    segmented.finish(Record(made_up.outcome(made_up.shards["shard000"][0], Stage.SEGMENT)))
    status = run_status(made_up.results, NOW)
    assert by_stage(status, Stage.RESAMPLE) == (3, 0, 0, 17)
    assert by_stage(status, Stage.SEGMENT) == (1, 0, 0, 19)


def test_rows_of_an_earlier_run_do_not_count_where_an_earlier_stage_is_newer(made_up):
    made_up.end("shard000", Stage.MEASURE)
    path = made_up.results.outcomes(Stage.RESAMPLE, "shard000")
    os.utime(path, (NOW, NOW))  # the resample stage was run again: what follows will be
    status = run_status(made_up.results, NOW)
    assert by_stage(status, Stage.RESAMPLE) == (4, 0, 0, 16)
    assert by_stage(status, Stage.SEGMENT) == (0, 0, 0, 20)


def test_damaged_foreign_and_half_written_files_count_as_not_there(made_up):
    made_up.end("shard000", Stage.MEASURE)
    made_up.end("shard001", Stage.MEASURE)
    made_up.results.outcomes(Stage.MEASURE, "shard001").write_bytes(b"PAR1 cut off")
    folder = made_up.results.outcomes(Stage.MEASURE, "x").parent
    (folder / ".0123456789ab.shard002.parquet").write_bytes(b"half")
    (folder / "shard003.measurements.parquet").write_bytes(b"another table")
    (folder / "notes.txt").write_text("by hand")
    loose = made_up.results.records(Stage.STITCH, "shard004", "").with_name("shard004")
    loose.mkdir(parents=True)
    (loose / "sub-x.json").write_text("{")
    status = run_status(made_up.results, NOW)
    assert status.scans["ok"] == 4
    assert sum(count for name, count in status.scans.items() if name != "in") == 22


def test_looking_changes_nothing(made_up):
    made_up.end("shard000", Stage.MEASURE)
    RunLock(made_up.results).take()
    before = {path: path.stat().st_mtime_ns for path in made_up.results.root.rglob("*")}
    run_status(made_up.results, NOW)
    assert {path: path.stat().st_mtime_ns for path in made_up.results.root.rglob("*")} == before


@settings(max_examples=25)
@given(data=st.data())
def test_every_scan_is_at_one_place_in_every_stage(tmp_path_factory, data):
    made_up = MadeUpRun(tmp_path_factory.mktemp("run"), shards=3)
    reasons = st.sampled_from([reason for reason in Reason if reason not in {Reason.NONE, Reason.CONSENT_WITHDRAWN}])
    ends = st.dictionaries(st.integers(0, 3), st.tuples(st.sampled_from(SHARD_STAGES), reasons))
    for shard in made_up.shards:
        through = data.draw(st.none() | st.sampled_from(SHARD_STAGES))
        if through is not None:
            made_up.end(shard, through, data.draw(ends))
    status = run_status(made_up.results, NOW)
    assert (
        sum(status.scans[name] for name in ("ok", "excluded", "failed", "withdrawn", "waiting")) == status.scans["in"]
    )
    going = 12
    for stage in SHARD_STAGES:
        ok, excluded, failed, waiting = by_stage(status, stage)
        assert ok + excluded + failed + waiting == going  # of those that came through the stage before or still will
        going -= excluded + failed
    assert by_stage(status, SHARD_STAGES[-1])[0] == status.scans["ok"]
    assert sum(status.failed.values()) == status.scans["failed"]
    assert sum(status.excluded.values()) == status.scans["excluded"]


HOLD = """
import sys, dataclasses
from pathlib import Path
from dixonflow.paths import Results
from dixonflow.run.lock import Run, RunLock
lock = RunLock(Results(Path(sys.argv[1])))
lock.take()
lock.announce(dataclasses.replace(Run.here(), started=sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(made_up):
    """Another process that runs into the same results since half an hour."""
    command = [sys.executable, "-c", HOLD, str(made_up.results.root), "2027-01-15T07:30:00+00:00"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield
        process.stdin.close()


def test_pace_of_a_run_that_goes_on(made_up, held):
    made_up.end("shard000", Stage.MEASURE)
    made_up.end("shard001", Stage.STITCH)
    for stage in SHARD_STAGES:
        for shard in ("shard000", "shard001"):
            path = made_up.results.outcomes(stage, shard)
            if path.exists():
                os.utime(path, (NOW - 100, NOW - 100))
    status = run_status(made_up.results, NOW)  # 1800 s after the start
    assert status.running
    # 28 steps of 2 s in 1800 s; 92 steps are left, and a scan is six of them
    assert status.pace.scans_per_hour == pytest.approx(28 / 6 * 2)
    assert status.pace.seconds_left == pytest.approx(92 * 1800 / 28)


def test_no_pace_before_anything_is_done(made_up, held):
    assert run_status(made_up.results, NOW).pace is None


def test_slurm_jobs_are_counted_by_rule_and_state(made_up, monkeypatch):
    RunLock(made_up.results).announce(Run.here("dixonflow_1"))
    found = [Job(1, "anna", "RUNNING", "rule_segment_wildcards_shard000"), Job(2, "anna", "PENDING", "rule_aggregate")]
    monkeypatch.setattr("dixonflow.run.status.jobs", lambda name: found if name == "dixonflow_1" else [])
    assert run_status(made_up.results, NOW).slurm == {"segment": {"RUNNING": 1}, "aggregate": {"PENDING": 1}}


def documented_keys() -> set[str]:
    """First words of the rows of the table of keys in docs/cluster.md."""
    table = (ROOT / "docs/cluster.md").read_text().split("## Keys of `--json`")[1].split("\n## ")[0]
    return {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}


def test_every_key_of_the_json_is_documented(made_up):
    RunLock(made_up.results).announce(Run.here())
    content = json.loads(json.dumps(run_status(made_up.results, NOW).to_json()))
    assert documented_keys() == content.keys()


@pytest.fixture
def script(made_up, tmp_path):
    """Run dixonflow status on the made-up run."""
    config = json.loads(demo_config().model_copy(update={"results": made_up.results.root}).model_dump_json())
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))

    def call(*options: str) -> str:
        command = [sys.executable, "-m", "dixonflow", "status", "--config", str(path), *options]
        return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout

    return call


def test_the_script_prints_text_and_json_without_a_participant(made_up, script):
    made_up.end("shard000", Stage.MEASURE, {0: (Stage.MERGE, Reason.TIMEOUT)})
    text, content = script(), script("--json")
    assert "timeout" in text
    assert json.loads(content)["scans"]["ok"] == 3
    for scans in made_up.shards.values():
        assert not any(scan.participant in text + content for scan in scans)


def test_requests_follow_from_what_scans_took(made_up, script):
    with pytest.raises(StatusError, match="no shard"):
        propose(made_up.results, 64, 1, 0)
    made_up.end("shard000", Stage.SEGMENT, {0: (Stage.STITCH, Reason.FAT_WATER_SWAP)})
    proposals = {each.stage: each for each in propose(made_up.results, 64, 1, 30)}
    assert list(proposals) == [Stage.STITCH, Stage.SEGMENT]
    segment = proposals[Stage.SEGMENT]
    assert (segment.mem_mb, segment.runtime, segment.scans) == (
        2000,
        45,
        3,
    )  # 1000 x 1.25 + 600 + 64; 64 x (2 + 2) s + 10 + 30 min: the job resamples too
    assert (segment.seconds, segment.gpu_seconds) == (4.0, 1.0)
    three_models = {each.stage: each for each in propose(made_up.results, 64, 3, 30)}
    assert three_models[Stage.SEGMENT].mem_mb == 2100  # 1000 x 1.25 + 600 + 3 x 64
    assert "segment: {mem_mb: 1900, runtime: 135}" in script("--resources")
    assert json.loads(script("--resources", "--json"))[0]["stage"] == "stitch"


def test_the_engineers_page_says_what_to_do_for_every_reason():
    table = (ROOT / "docs/cluster.md").read_text().split("## What to do for each reason")[1].split("\n## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    told = {reason.strip(" `"): status.strip() for reason, status in rows}
    assert told == {reason.value: reason.status.value for reason in Reason if reason is not Reason.NONE}
