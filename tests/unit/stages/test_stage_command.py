"""The script of a stage on a shard: what it leaves for the next call of the same command."""

import json
import time

import numpy as np
import pytest

from dixonflow.cohort.shards import shard_of, write_shards
from dixonflow.config import demo_config
from dixonflow.errors import DixonflowError
from dixonflow.execution.outcome import Outcome, read_outcomes, write_outcomes
from dixonflow.paths import Results
from dixonflow.run.resources import job_mb
from dixonflow.run.retry import read_retry
from dixonflow.stages import merge
from dixonflow.stages.job import run_stages
from dixonflow.vocabulary import Reason, ScanId, Stage, Status


class OneShard:
    """Two scans that are ok up to segment and whose label maps are not there: at merge they fail."""

    def __init__(self, folder, make_scan):
        self.results = Results(folder / "results")
        self.scans = [make_scan(ScanId(f"00{number}", "2")) for number in range(2)]
        self.name = shard_of(self.scans).name
        write_shards(self.results.shards, [shard_of(self.scans)])
        rows = [
            Outcome(scan.scan, Stage.SEGMENT, Status.OK, Reason.NONE, "", 1.0, 1.0, 0.0, 1, "key")
            for scan in self.scans
        ]
        write_outcomes(self.results.outcomes(Stage.SEGMENT, self.name), rows)
        self.config = folder / "config.json"

    def run(self, *stages, max_attempts=2, memory_mb=None):
        content = json.loads(demo_config().model_dump_json())
        content["cohort"]["withdrawn"] = None
        content |= {"results": str(self.results.root), "max_attempts": max_attempts}
        self.config.write_text(json.dumps(content))
        run_stages(stages, self.config, self.name, None, memory_mb)

    def attempts(self, stage):
        return [row.attempt for row in read_outcomes(self.results.outcomes(stage, self.name))]

    def number(self, max_attempts):
        return read_retry(self.results, self.name).number(max_attempts)


@pytest.fixture
def one_shard(tmp_path, make_shard_scan):
    return OneShard(tmp_path, make_shard_scan)


def test_a_shard_whose_scans_have_no_attempts_left_is_looked_at_again_when_these_are_raised(one_shard):
    one_shard.run(Stage.MERGE)
    assert (one_shard.attempts(Stage.MERGE), one_shard.number(2)) == ([1, 1], 1)
    one_shard.run(Stage.MERGE)
    assert (one_shard.attempts(Stage.MERGE), one_shard.number(2)) == ([2, 2], 1)
    assert one_shard.number(3) == 2
    one_shard.run(Stage.MERGE, max_attempts=3)
    assert (one_shard.attempts(Stage.MERGE), one_shard.number(3)) == ([3, 3], 2)


def test_damaged_rows_of_the_stage_before_are_removed_so_that_snakemake_makes_them_again(one_shard):
    before = one_shard.results.outcomes(Stage.SEGMENT, one_shard.name)
    before.write_bytes(before.read_bytes()[:-20])
    with pytest.raises(DixonflowError, match=r"^the rows of stage segment were damaged and are now removed") as ended:
        one_shard.run(Stage.MERGE)
    assert "\n" not in str(ended.value)
    assert not before.exists()
    assert not one_shard.results.outcomes(Stage.MERGE, one_shard.name).exists()


def test_a_job_of_two_stages_writes_rows_of_both_and_counts_a_failure_where_it_happened(one_shard):
    one_shard.run(Stage.MERGE, Stage.POSTPROCESS)
    for stage in Stage.POSTPROCESS.job:
        rows = read_outcomes(one_shard.results.outcomes(stage, one_shard.name))
        assert [(row.stage, row.status) for row in rows] == [(Stage.MERGE, Status.FAILED)] * 2
    assert dict(read_retry(one_shard.results, one_shard.name).failed) == {"merge": 1}


@pytest.mark.parametrize("stages", [(Stage.SEGMENT, Stage.MERGE), (Stage.POSTPROCESS, Stage.MERGE)])
def test_stages_that_are_not_those_of_one_job_are_refused(one_shard, stages):
    with pytest.raises(DixonflowError, match="name one, or resample segment, or merge postprocess"):
        one_shard.run(*stages)


def test_memory_that_the_job_itself_takes_is_one_clear_line_and_no_scan_fails(one_shard):
    with pytest.raises(DixonflowError, match=r"^--memory-mb 602 .* the job itself takes 602 MB$"):
        one_shard.run(Stage.MERGE, memory_mb=602)
    assert not one_shard.results.outcomes(Stage.MERGE, one_shard.name).exists()


def test_memory_that_runs_out_before_the_first_scan_asks_for_more(one_shard, monkeypatch):
    def load_much(work):
        held = np.ones(300 * 2**17)
        time.sleep(60)
        del held

    monkeypatch.setattr(merge.MergeWork, "start", load_much)
    with pytest.raises(DixonflowError, match=r"^.*ended before it started \(out_of_memory\)") as ended:
        one_shard.run(Stage.MERGE, memory_mb=job_mb(2, 1) + 350)
    assert "\n" not in str(ended.value)
    assert read_retry(one_shard.results, one_shard.name).memory == 2
    assert one_shard.number(2) == 1
