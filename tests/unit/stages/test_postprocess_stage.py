"""The postprocess stage on shards: what a killed job leaves behind."""

import json
import shutil

import numpy as np
import pytest

from dixonflow.config import demo_config
from dixonflow.execution.attempt import Task
from dixonflow.execution.records import Records
from dixonflow.execution.shard import run_shard
from dixonflow.execution.steps import Step
from dixonflow.imaging.nifti import read_labels, write_nifti
from dixonflow.models.load import MODELS, load_model
from dixonflow.paths import Results
from dixonflow.stages.context import StageContext, stage_work
from dixonflow.vocabulary import Reason, ScanId, Stage, Status


@pytest.fixture
def postprocess(tmp_path, make_shard_scan):
    """Runs the stage on one scan; gives its record. Beside it the results folder and the scan."""
    config, model = demo_config(), load_model(MODELS / "demo.yaml")
    results, scan = Results(tmp_path), make_shard_scan(ScanId("007", "2"))
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4:16, 4:16, 4:16] = next(iter(model.labels))
    write_nifti(results.merged("shard", scan.scan, model.name), labels, np.diag([3.0, 3.0, 3.0, 1.0]))
    results.segment_provenance("shard", scan.scan, model.name).write_text("{}")

    def run(records="records.jsonl.gz", stages=(Stage.POSTPROCESS,)):
        context = StageContext(config, (model,), model, results, "shard")
        upstream = {scan.scan: Task(scan, "", 1).outcome(stages[0].previous, Reason.NONE)}
        works = [stage_work(stage, context) for stage in stages]
        steps = [Step(work, Records(tmp_path / work.stage / records), max_attempts=1) for work in works]
        return run_shard(steps, [scan], upstream)[-1][0].outcome

    return run, results, scan.scan, model.name


def test_killed_after_the_label_map_and_before_the_record(postprocess):
    run, results, scan, model = postprocess
    assert run().status is Status.OK
    assert not results.temporary("shard", scan, "demo").exists()
    written = results.labels(scan, model).read_bytes()
    outcome = run("records of a job that was killed.jsonl.gz")
    assert outcome.status is Status.OK
    assert results.labels(scan, model).read_bytes() == written


def test_a_job_that_merges_too_does_not_miss_what_the_killed_one_removed(postprocess):
    run, results, scan, model = postprocess
    assert run().status is Status.OK
    written = results.labels(scan, model).read_bytes()
    assert not results.temporary("shard", scan, "demo").exists(), "there is nothing to merge"
    outcome = run("records of a job that was killed.jsonl.gz", Stage.POSTPROCESS.job)
    assert (outcome.stage, outcome.status, outcome.message) == (Stage.POSTPROCESS, Status.OK, "")
    assert results.labels(scan, model).read_bytes() == written


@pytest.mark.parametrize("sidecar", ["", "[]", "{}", '{"content_key": "of other settings"}'])
def test_a_label_map_of_other_settings_is_made_again(postprocess, sidecar):
    run, results, scan, model = postprocess
    merged = results.merged("shard", scan, "demo")
    shutil.copytree(results.temporary("shard", scan, "demo"), results.root / "kept")
    assert run().status is Status.OK
    shutil.copytree(results.root / "kept", results.temporary("shard", scan, "demo"))
    write_nifti(results.labels(scan, model), np.zeros((3, 3, 3), np.uint8), np.eye(4))
    results.labels_sidecar(scan, model).write_text(sidecar)
    assert run("none.jsonl.gz").status is Status.OK
    assert np.count_nonzero(read_labels(results.labels(scan, model))[0]) == 12**3
    assert json.loads(results.labels_sidecar(scan, model).read_text())["content_key"]
    assert not merged.exists()


def test_a_job_of_other_settings_that_was_killed_in_the_middle_leaves_no_sidecar(postprocess, monkeypatch):
    run, results, scan, model = postprocess
    shutil.copytree(results.temporary("shard", scan, "demo"), results.root / "kept")
    assert run().status is Status.OK

    def killed(path, content):
        raise KeyboardInterrupt

    sidecar = results.labels_sidecar(scan, model)
    sidecar.write_text(sidecar.read_text().replace('"content_key": "', '"content_key": "0'))
    shutil.copytree(results.root / "kept", results.temporary("shard", scan, "demo"))
    monkeypatch.setattr("dixonflow.stages.postprocess.write_json", killed)
    run("none.jsonl.gz")
    assert not sidecar.exists()
