"""Training of a retraining round: one job for each fold. `dixonflow retrain train` calls it, with a file that says what."""

from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from dixonflow.errors import DixonflowError
from dixonflow.run.job_shell import check_project_folder, check_slurm_folder, job_prefix, quote_spawned_commands

min_version("9.17")
PROJECT = str(Path(workflow.basedir).parent)
DEPLOYMENT = [method.item_to_choice() for method in workflow.deployment_settings.deployment_method]
try:
    check_project_folder(PROJECT, DEPLOYMENT)
except DixonflowError as error:
    raise WorkflowError(str(error)) from None

shell.prefix(job_prefix(PROJECT, DEPLOYMENT))
quote_spawned_commands()
JOBS = config["done"]


rule all:
    default_target: True
    input:
        expand(f"{JOBS}/fold_{{fold}}.done", fold=config["folds"]),


# The checkpoints are no outputs: Snakemake removes the outputs of a job that it repeats, and a training resumes from them.
rule train:
    output:
        touch(f"{JOBS}/fold_{{fold}}.done"),
    log:
        f"{JOBS}/fold_{{fold}}.log",
    threads: config["threads"]
    retries: config["attempts"] - 1
    resources:
        mem_mb=config["mem_mb"],
        runtime=config["minutes"],
        gres="" if config["device"] == "cpu" else "gpu:1",
    params:
        project=config["project"],
        round=config["round"],
        final="--final" if config["final"] else "",
    shell:
        "python -m dixonflow retrain train --project {params.project:q} --round {params.round} {params.final}"
        " --fold {wildcards.fold:q} 2>> {log:q}"


onstart:
    try:
        if workflow.executor_plugin.name == "slurm":
            check_slurm_folder(workflow.workdir_init)
    except DixonflowError as error:
        raise WorkflowError(str(error)) from None
