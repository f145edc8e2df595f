"""A fold is trained in a job on a GPU node; the same command again finds it done, or resumes it."""

import sys

from project_copy import call_in
from retraining_data import TINY, tiny_project

from dixonflow.retraining.nnunet.plan import plan_training
from dixonflow.retraining.nnunet.settings import write_settings
from dixonflow.retraining.nnunet.workspace import workspace_of
from dixonflow.retraining.nnunet_raw import dataset_folder


def test_a_fold_is_trained_in_a_job_with_one_gpu(cluster, project):
    settings = TINY.model_copy(update={"job_mem_mb": 1000, "job_minutes": 10, "job_threads": 1, "device": "auto"})
    retraining = tiny_project(project.folder / "retraining")
    write_settings(retraining.root, settings)
    workspace = workspace_of(retraining, 1)
    plan_training(retraining, workspace, settings, dataset_folder(retraining, 1))
    command = [sys.executable, "-m", "dixonflow", "retrain", "train", "--project", str(retraining.root), "--"]
    command += ["--profile", "slurm", "--slurm-init-seconds-before-status-checks", "8", "--latency-wait", "10"]
    before = len(cluster.jobs())
    ended = call_in(project.folder, *command)
    assert ended.returncode == 0, ended.stdout
    assert workspace.checkpoint("all").exists()
    asked = cluster.ask("squeue", "-h", "--states=all", "-o", "%k|%P|%b").splitlines()
    assert [row.split("|", 1)[1] for row in asked if row.startswith("rule_train")] == ["gpu|gres:gpu:1"]
    assert len(cluster.jobs()) == before + 1
    ended = call_in(project.folder, *command)
    assert ended.returncode == 0, ended.stdout
    assert len(cluster.jobs()) == before + 1
