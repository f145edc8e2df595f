"""DixonFlow: raw whole-body Dixon MRI of a cohort to tables of organ volumes and fat compartments."""

import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import min_version

from dixonflow.run.start import begin_run, check_until
from dixonflow.cohort.shards import NAME_DIGITS
from dixonflow.config import check_readable
from dixonflow.errors import DixonflowError
from dixonflow.run.job_errors import JobErrors
from dixonflow.run.job_shell import check_project_folder, check_slurm_folder, job_prefix, quote_spawned_commands
from dixonflow.run.plan import Plan
from dixonflow.run.lock import RunLock
from dixonflow.run.progress import ProgressReport
from dixonflow.run.stale_results import mark_stale_results
from dixonflow.run.slurm import Request, job_name
from dixonflow.tables import SCHEMA_VERSION
from dixonflow.run.user import set_user_name

min_version("9.17")
set_user_name()
DEPLOYMENT = [method.item_to_choice() for method in workflow.deployment_settings.deployment_method]
try:
    check_project_folder(workflow.basedir, DEPLOYMENT)
    # Before Snakemake reads it, which answers what is no text or too deep with a traceback.
    check_readable(Path("config.yaml"))
except DixonflowError as error:
    raise WorkflowError(str(error)) from None

shell.prefix(job_prefix(workflow.basedir, DEPLOYMENT))
quote_spawned_commands()


configfile: "config.yaml"


wildcard_constraints:
    shard=f"[0-9a-f]{{{NAME_DIGITS}}}",


try:
    PLAN = Plan.from_config(config)
    LOCK = RunLock(PLAN.results)
    if workflow.is_main_process:
        logger.addHandler(JobErrors())
        check_until(sys.argv[1:])
        PLAN.recheck_unknown_results(Path(".snakemake"))
        if not workflow.dryrun and LOCK.is_free():
            mark_stale_results(PLAN)
        if PLAN.config.verify:
            # Not above: it needs pandas, and this file is read again in every job.
            from dixonflow.run.verify import request_lost_files

            LOCK.take()
            request_lost_files(PLAN)
except DixonflowError as error:
    raise WorkflowError(str(error)) from None

PROGRESS = ProgressReport(PLAN.results, [model.name for model in PLAN.models], sys.stderr, watched=sys.stderr.isatty())
STARTED = time.monotonic()
RESULTS = str(PLAN.config.results)
CONFIG = str(PLAN.results.config)


include: "workflow/rules/cohort.smk"
include: "workflow/rules/stitch.smk"
include: "workflow/rules/segment.smk"
include: "workflow/rules/postprocess.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/until.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/tables/datapackage.json",
        f"{RESULTS}/report/report.html",


# Not in a dry run, and before the first job starts.
onstart:
    try:
        if workflow.executor_plugin.name == "slurm":
            check_slurm_folder(workflow.workdir_init)
            asked = [
                Request.of(each.name, {name: value.raw for name, value in each.resources.items()})
                for each in workflow.rules
            ]
            begin_run(PLAN, LOCK, job_name(workflow), asked)
        else:
            begin_run(PLAN, LOCK)
        PROGRESS.start()
    except DixonflowError as error:
        sys.exit(f"dixonflow: {error}")


onsuccess:
    PROGRESS.end()
    LOCK.end()
    print(PLAN.closing_lines(time.monotonic() - STARTED))


onerror:
    PROGRESS.end()
