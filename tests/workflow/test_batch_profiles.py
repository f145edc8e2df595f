"""The profiles for Kubernetes and AWS Batch: Snakemake takes them, and their commands say what is right to say.

No cluster is there: `kubectl` and `aws` are small programs that keep what they are asked.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from small_cohort import SCANS, make_small_cohort
from small_project import SmallProject

ROOT = Path(__file__).resolve().parents[2]
BATCH_JOB = ROOT / "scripts" / "batch_job.py"
PROFILES = ("kubernetes", "aws-batch")
SCRIPT = '/shared/it\'s a "folder"/job $1.sh'


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = SmallProject(tmp_path_factory.mktemp("profiles"))
    project.configure(["bids"])
    make_small_cohort(project.raw / "bids", {SCANS[0]: 12.0})
    return project


@pytest.fixture
def program(tmp_path):
    """Put a program on the PATH that prints `answer` and keeps its words and its input; gives a call of batch_job."""

    def call(name: str, answer: str, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        keep = f"printf '%s\\0' \"$@\" >{tmp_path}/words; cat >{tmp_path}/input"
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{keep}\ncat <<'END'\n{answer}\nEND\nexit {status}\n")
        path.chmod(0o755)
        environment = os.environ | {"PATH": f"{path.parent}:{os.environ['PATH']}"}
        return subprocess.run(
            [sys.executable, str(BATCH_JOB), *words], env=environment, text=True, check=False, capture_output=True
        )

    return call


@pytest.mark.parametrize("name", PROFILES)
def test_a_dry_run_takes_the_profile(project, name):
    run = project.call("--profile", f"profiles/{name}", "--dry-run")
    assert run.returncode == 0, run.stdout
    assert "cohort" in run.stdout


@pytest.mark.parametrize("name", PROFILES)
def test_no_profile_sets_what_the_default_profile_sets(name):
    own, default = (yaml.safe_load((ROOT / f"profiles/{each}/config.yaml").read_text()) for each in (name, "default"))
    assert set(own) & set(default) == set()


def test_a_job_of_kubernetes_asks_for_what_the_rule_asks_for(program, tmp_path):
    words = ["--image", "dixonflow", "--claim", "pvc", "--mount", "/shared", "--cores", "2", "--mem-mb", "3400"]
    run = program(
        "kubectl", "job.batch/dixonflow-x", "kubernetes-submit", *words, "--minutes", "30", "--gpus", "1", SCRIPT
    )
    assert (run.returncode, run.stdout) == (0, "job.batch/dixonflow-x\n")
    job = json.loads((tmp_path / "input").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["sh", SCRIPT]
    assert container["resources"]["requests"] == {"cpu": "2", "memory": "3400Mi"}
    assert container["resources"]["limits"] == {"memory": "3400Mi", "nvidia.com/gpu": "1"}
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (0, 1800)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({}, "running"),
        ({"active": 1}, "running"),
        ({"conditions": [{"type": "Complete", "status": "True"}]}, "success"),
        ({"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}, "failed"),
        ({"conditions": [{"type": "Suspended", "status": "True"}]}, "running"),
    ],
)
def test_the_state_of_a_job_of_kubernetes(program, status, state):
    run = program("kubectl", json.dumps({"status": status}), "kubernetes-status", "job.batch/dixonflow-x")
    assert (run.returncode, run.stdout) == (0, f"{state}\n")


def test_a_job_of_aws_batch_asks_for_what_the_rule_asks_for(program, tmp_path):
    words = ["--queue", "q", "--definition", "d", "--cores", "2", "--mem-mb", "3400", "--minutes", "30", SCRIPT]
    run = program("aws", "0af1", "aws-submit", *words)
    assert (run.returncode, run.stdout) == (0, "0af1\n")
    asked = (tmp_path / "words").read_text().split("\0")
    overrides = json.loads(asked[asked.index("--container-overrides") + 1])
    assert overrides["command"] == ["sh", SCRIPT]
    assert overrides["resourceRequirements"] == [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "3400"}]


@pytest.mark.parametrize(
    ("answer", "state"), [("SUCCEEDED", "success"), ("FAILED", "failed"), ("RUNNABLE", "running"), ("None", "failed")]
)
def test_the_state_of_a_job_of_aws_batch(program, answer, state):
    assert program("aws", answer, "aws-status", "0af1").stdout == f"{state}\n"


def test_a_program_that_fails_is_an_error_of_one_line(program):
    run = program("kubectl", "", "kubernetes-cancel", "job.batch/dixonflow-x", status=1)
    assert (run.returncode, run.stdout, run.stderr) == (1, "", "batch_job: kubectl failed: no message\n")
