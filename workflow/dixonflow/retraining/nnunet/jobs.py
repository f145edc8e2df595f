"""The trainings of a round as Snakemake's jobs, one for each fold, on this machine or on a cluster."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dixonflow.retraining.nnunet.settings import TrainingSettings, settings_to_train
from dixonflow.retraining.nnunet.training_cases import check_not_withdrawn
from dixonflow.retraining.nnunet.workspace import Workspace, folds_of, workspace_of
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.system.atomic import as_json, write_if_changed

SNAKEFILE = Path("workflow/retrain.smk")


def train_in_jobs(project: Project, round_number: int, options: Sequence[str], *, final: bool = False) -> None:
    """Train every fold that is not trained; the same command again resumes those that were killed.

    Parameters
    ----------
    options
        Of snakemake: `--profile slurm`, say. The cores of one job by default.

    Raises
    ------
    RetrainingError
        If this is not the folder of the project, the round is not planned, or a fold did not finish.
    LeakageError
        If a participant who has withdrawn since is in the training.
    """
    if not SNAKEFILE.is_file():
        raise RetrainingError(f"{SNAKEFILE} is not here: call this in the folder where you call snakemake")
    workspace = workspace_of(project, round_number, final=final)
    folds = folds_of(workspace.settings, project.settings.folds)
    if not workspace.planned_file.exists():
        raise RetrainingError(f"{workspace.root} is not preprocessed: call dixonflow retrain plan")
    settings = settings_to_train(project.root, workspace.settings)
    check_not_withdrawn(project, workspace)
    command = snakemake_command(project, workspace, settings, folds, options, final=final)
    ended = subprocess.run(command, check=False, env=os.environ)
    lacking = [fold for fold in folds if not workspace.checkpoint(fold).exists()]
    if lacking or ended.returncode:
        where = workspace.root / "jobs"
        raise RetrainingError(
            f"fold {', '.join(lacking) or 'jobs'} did not finish: see {where}, then call the same command again, which "
            "resumes at the last checkpoint"
        )


def snakemake_command(
    project: Project,
    workspace: Workspace,
    settings: TrainingSettings,
    folds: Sequence[str],
    options: Sequence[str],
    *,
    final: bool,
) -> list[str]:
    """Write what the Snakefile reads, and give the command that calls it."""
    done = workspace.root / "jobs"
    for fold in folds:
        if not workspace.checkpoint(fold).exists():  # a folder that was removed, and its fold with it
            (done / f"fold_{fold}.done").unlink(missing_ok=True)
    content = {
        "project": str(project.root),
        "round": workspace.number,
        "final": final,
        "folds": list(folds),
        "done": str(done),
        "threads": settings.job_threads,
        "attempts": settings.job_attempts,
        "mem_mb": settings.job_mem_mb,
        "minutes": settings.job_minutes,
        "device": settings.device,
    }
    file = done / "jobs.json"
    write_if_changed(file, as_json(content))
    named = any(option.split("=")[0] in {"--profile", "--cores", "-c", "--jobs", "-j"} for option in options)
    cores = [] if named else ["--cores", str(settings.job_threads)]
    return [sys.executable, "-m", "snakemake", "-s", str(SNAKEFILE), "--configfile", str(file), *cores, *options]
