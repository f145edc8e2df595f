#!/usr/bin/env python3
"""Submit a job of Snakemake to Kubernetes or AWS Batch, ask for its state, cancel it: the commands of two profiles.

profiles/kubernetes and profiles/aws-batch call it by Snakemake's executor plugin cluster-generic, which assumes a file
system that all jobs share. It calls `kubectl` and `aws`, which must be installed and logged in.
"""

import json
import subprocess
import sys
from typing import Annotated, Any

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Script = Annotated[str, typer.Argument(help="Snakemake's script of the job, on the shared file system.")]
Job = Annotated[str, typer.Argument(help="The job, as its submission printed it.")]
Jobs = Annotated[list[str], typer.Argument(help="Jobs, as their submissions printed them.")]
Cores = Annotated[int, typer.Option(min=1)]
MemMb = Annotated[int, typer.Option(min=1, help="Memory in units of 2**20 bytes.")]
Minutes = Annotated[int, typer.Option(min=1, help="Time limit.")]
Gpus = Annotated[int, typer.Option(min=0)]


def call(*words: str, text: str = "") -> str:
    """Call a program and give its output; ends this one with a line where that fails."""
    try:
        called = subprocess.run(words, input=text, text=True, capture_output=True, check=False)
    except FileNotFoundError:
        sys.exit(f"batch_job: {words[0]} is not installed")
    if called.returncode != 0:
        said = called.stderr.strip() or "no message"
        sys.exit(f"batch_job: {words[0]} failed: {said.splitlines()[-1]}")
    return called.stdout.strip()


@app.command()
def kubernetes_submit(
    script: Script,
    image: Annotated[str, typer.Option(help="Image of the project, as the cluster pulls it.")],
    claim: Annotated[str, typer.Option(help="Persistent volume claim with project, raw data, results.")],
    mount: Annotated[str, typer.Option(help="Where it is mounted, here as in the jobs.")],
    cores: Cores,
    mem_mb: MemMb,
    minutes: Minutes,
    gpus: Gpus = 0,
) -> None:
    """Create a Kubernetes job and print its name."""
    resources: dict[str, Any] = {
        "requests": {"cpu": str(cores), "memory": f"{mem_mb}Mi"},
        "limits": {"memory": f"{mem_mb}Mi"} | ({"nvidia.com/gpu": str(gpus)} if gpus else {}),
    }
    container = {
        "name": "dixonflow",
        "image": image,
        "command": ["sh", script],
        "resources": resources,
        "volumeMounts": [{"name": "shared", "mountPath": mount}],
    }
    pod = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": claim}}],
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": "dixonflow-", "labels": {"app": "dixonflow"}},
        # Snakemake submits a job that died again: Kubernetes must not.
        "spec": {"backoffLimit": 0, "activeDeadlineSeconds": minutes * 60, "template": {"spec": pod}},
    }
    print(call("kubectl", "create", "--output", "name", "--filename", "-", text=json.dumps(job)))


@app.command()
def kubernetes_status(job: Job) -> None:
    """Print running, success or failed."""
    status: dict[str, Any] = json.loads(call("kubectl", "get", job, "--output", "json")).get("status", {})
    ended = {each["type"] for each in status.get("conditions", []) if each.get("status") == "True"}
    print("success" if "Complete" in ended else "failed" if "Failed" in ended else "running")


@app.command()
def kubernetes_cancel(jobs: Jobs) -> None:
    """Delete jobs and their pods."""
    call("kubectl", "delete", "--wait=false", "--ignore-not-found", *jobs)


@app.command()
def aws_submit(
    script: Script,
    queue: Annotated[str, typer.Option(help="Job queue.")],
    definition: Annotated[
        str, typer.Option(help="Job definition: the image of the project, the shared file system mounted as here.")
    ],
    cores: Cores,
    mem_mb: MemMb,
    minutes: Minutes,
    gpus: Gpus = 0,
) -> None:
    """Submit a job to AWS Batch and print its id."""
    wanted = {"VCPU": cores, "MEMORY": mem_mb} | ({"GPU": gpus} if gpus else {})
    overrides = {
        "command": ["sh", script],
        "resourceRequirements": [{"type": name, "value": str(value)} for name, value in wanted.items()],
    }
    words = ["--job-name", "dixonflow", "--job-queue", queue, "--job-definition", definition]
    words += ["--container-overrides", json.dumps(overrides)]
    words += ["--timeout", f"attemptDurationSeconds={minutes * 60}", "--retry-strategy", "attempts=1"]
    print(call("aws", "batch", "submit-job", *words, "--query", "jobId", "--output", "text"))


@app.command()
def aws_status(job: Job) -> None:
    """Print running, success or failed."""
    state = call("aws", "batch", "describe-jobs", "--jobs", job, "--query", "jobs[0].status", "--output", "text")
    print({"SUCCEEDED": "success", "FAILED": "failed", "None": "failed"}.get(state, "running"))


@app.command()
def aws_cancel(jobs: Jobs) -> None:
    """Terminate jobs, whether or not they run yet."""
    for job in jobs:
        call("aws", "batch", "terminate-job", "--job-id", job, "--reason", "cancelled by Snakemake")


if __name__ == "__main__":
    app()
