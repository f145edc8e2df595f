"""What is asked of Slurm, with answers in the form that its manuals give; tests/slurm asks the real one."""

import inspect
import subprocess
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm

from dixonflow.run.slurm import Job, Request, SlurmError, cancel_leftovers, check_requests, job_name, jobs

PARTITIONS = "cpu|(null)\ncpu|(null)\ngpu|gpu:a100:4(S:0-1),nvme:1\ngpu|gpu:v100:2,shard:8(S:0)\nold|gpu:2"


class FakeSlurm:
    """Commands of Slurm by name: their output, or an error message."""

    def __init__(self, monkeypatch, **answers: str | Exception) -> None:
        self.answers = {
            "sinfo": PARTITIONS,
            "sacctmgr": RuntimeError("You are not running a supported accounting"),
            **answers,
        }
        self.calls: list[list[str]] = []
        monkeypatch.setattr(subprocess, "run", self.run)

    def run(self, command, **_):
        self.calls.append(list(command))
        answer = self.answers[command[0]]
        if isinstance(answer, RuntimeError):
            raise subprocess.CalledProcessError(1, command, "", str(answer))
        if isinstance(answer, Exception):
            raise answer
        return subprocess.CompletedProcess(command, 0, answer, "")


def test_a_request_is_read_from_the_resources_of_a_rule():
    resources = {"slurm_partition": "cpu", "slurm_account": 4711, "mem_mb": 100, "gres": ""}
    assert Request.of("stitch", resources) == Request("stitch", "cpu", "4711", "")
    assert Request.of("all", {}) == Request("all")


@pytest.mark.parametrize("gres", ["", "gpu:1", "gpu", "gpu:a100:1", "gpu:v100", "nvme:1", "shard:1", "shard:2"])
def test_what_the_cluster_has_passes(monkeypatch, gres):
    FakeSlurm(monkeypatch)
    check_requests([Request("stitch", "cpu"), Request("segment", "gpu", "", gres), Request("all")])


def test_several_partitions_pass_where_one_of_them_has_the_gpu(monkeypatch):
    FakeSlurm(monkeypatch)
    check_requests([Request("stitch", "cpu,gpu"), Request("segment", "cpu, gpu", "", "gpu:a100:1")])


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request("merge", "long"), "slurm_partition: unknown partition 'long'; known: cpu, gpu, old"),
        (Request("segment", "cpu", "", "gpu:1"), "partition 'cpu' has no 'gpu:1' for rule segment; it has: none"),
        (Request("merge", "cpu,long"), "slurm_partition: unknown partition 'long'; known: cpu, gpu, old"),
        (Request("segment", "old", "", "shard:1"), "partition 'old' has no 'shard:1' for rule segment; it has: gpu"),
        (Request("segment", "old", "", "gpu:2"), "gres: a job of rule segment uses one GPU, 'gpu:2' asks for 2"),
        (Request("train", "gpu", "", "gpu:a100:4"), "a job of rule train uses one GPU, 'gpu:a100:4' asks for 4"),
        (
            Request("segment", "cpu,old", "", "gpu:a100:1"),
            "partition 'cpu,old' has no 'gpu:a100:1' for rule segment; it has: gpu",
        ),
        (
            Request("segment", "old", "", "gpu:a100:1"),
            "partition 'old' has no 'gpu:a100:1' for rule segment; it has: gpu",
        ),
    ],
)
def test_what_it_does_not_have_is_named(monkeypatch, request_, message):
    FakeSlurm(monkeypatch)
    with pytest.raises(SlurmError) as error:
        check_requests([request_, Request("all", "cpu")])
    assert str(error.value).startswith("profiles/slurm/config.yaml: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_account_is_checked_where_there_is_accounting(monkeypatch):
    FakeSlurm(monkeypatch, sacctmgr="Body_MRI\nteaching\n")
    check_requests([Request("stitch", "cpu", "body_mri")])
    with pytest.raises(SlurmError, match="you have no account 'bodymri'; your accounts: body_mri, teaching"):
        check_requests([Request("stitch", "cpu", "bodymri"), Request("merge", "cpu", "bodymri")])
    FakeSlurm(monkeypatch)
    check_requests([Request("stitch", "cpu", "anything")])


def test_a_machine_without_slurm_is_told_so(monkeypatch):
    FakeSlurm(monkeypatch, sinfo=FileNotFoundError())
    with pytest.raises(SlurmError, match="sinfo was not found"):
        check_requests([Request("stitch", "cpu")])


def test_a_controller_that_does_not_answer(monkeypatch):
    FakeSlurm(monkeypatch, squeue=subprocess.TimeoutExpired("squeue", 60))
    with pytest.raises(SlurmError, match="Slurm does not answer"):
        jobs("dixonflow_1")
    FakeSlurm(monkeypatch, squeue=RuntimeError("slurm_load_jobs error:\n Unable to contact slurm controller"))
    with pytest.raises(SlurmError, match="squeue: slurm_load_jobs error: Unable to contact slurm controller"):
        jobs("dixonflow_1")


def test_jobs_are_read_with_their_rule(monkeypatch):
    FakeSlurm(monkeypatch, squeue="17|anna|RUNNING|rule_segment_wildcards_0a1b\n18|anna|PENDING|rule_aggregate\n")
    found = jobs("dixonflow_1")
    assert found[0] == Job(17, "anna", "RUNNING", "rule_segment_wildcards_0a1b")
    assert [job.rule for job in found] == ["segment", "aggregate"]


def test_jobs_of_ones_own_dead_run_are_cancelled(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    slurm = FakeSlurm(monkeypatch, squeue="17|anna|RUNNING|rule_merge_wildcards_0a\n")

    def run(command, **options):
        done = slurm.run(command, **options)
        if command[0] == "scancel":
            slurm.answers["squeue"] = ""
        return done

    slurm.answers["scancel"] = ""
    monkeypatch.setattr(subprocess, "run", run)
    assert cancel_leftovers("dixonflow_1") == 1
    assert ["scancel", "--name=dixonflow_1"] in slurm.calls
    slurm.calls.clear()
    assert cancel_leftovers("dixonflow_1") == 0
    assert [call[0] for call in slurm.calls] == ["squeue"]


def test_jobs_of_somebody_else_are_left_alone(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    slurm = FakeSlurm(
        monkeypatch, squeue="17|bert|RUNNING|rule_merge_wildcards_0a\n18|bert|PENDING|rule_merge_wildcards_0b\n"
    )
    with pytest.raises(SlurmError, match="2 jobs of an earlier run by bert are still in Slurm's queue"):
        cancel_leftovers("dixonflow_1")
    assert [call[0] for call in slurm.calls] == ["squeue"]


def test_a_job_that_does_not_go_away(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    FakeSlurm(monkeypatch, squeue="17|anna|RUNNING|rule_merge_wildcards_0a\n", scancel="")
    with pytest.raises(SlurmError, match="were not cancelled"):
        cancel_leftovers("dixonflow_1", seconds=0)


def test_the_name_of_a_runs_jobs_is_snakemakes_or_an_error_that_says_what_to_do():
    workflow = SimpleNamespace(scheduler=SimpleNamespace(_executor=SimpleNamespace(run_uuid="1234-abcd")))
    assert job_name(workflow) == "1234-abcd"
    for without in (SimpleNamespace(), SimpleNamespace(scheduler=SimpleNamespace(_executor=None))):
        with pytest.raises(SlurmError, match=r"install the versions of envs/requirements\.lock"):
            job_name(without)


def test_snakemakes_plugin_still_keeps_the_name_where_it_is_taken_from():
    text = inspect.getsource(snakemake_executor_plugin_slurm.Executor)
    assert "self.run_uuid = " in text
