"""What the jobs of every rule ask for: memory, minutes and threads, in one place.

A stage's job works on the scans of a shard in a process of its own; the job itself is Snakemake and the process that
watches. Memory is in MB (2**20 bytes), time in minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dixonflow.errors import ConfigError
from dixonflow.vocabulary import Stage


@dataclass(frozen=True)
class RuleResources:
    """What a rule asks for.

    Attributes
    ----------
    mem_mb
        Of a stage: of the process that works on scans. Of any other rule: of the job.
    minutes
        Of a stage: usual time of one scan for one model. Of any other rule: of the job.
    threads
        Cores of the job. Those of `segment` are an option of the configuration.
    """

    mem_mb: int
    minutes: float
    threads: int = 1


RULES: Mapping[str, RuleResources] = {
    # Generous on purpose: a limit that is too low costs a scan an attempt, one that is too high only some priority in
    # the queue. `dixonflow status --resources` proposes what a cohort really needs (docs/cluster.md).
    "cohort": RuleResources(4000, 720, threads=4),  # every zip of 100,000 is opened once
    "stitch": RuleResources(3400, 1),
    "resample": RuleResources(3400, 1),
    "segment": RuleResources(7400, 4),  # 3.4 GB were measured (docs/performance.md); minutes of a CPU
    "merge": RuleResources(3400, 1),
    "postprocess": RuleResources(3400, 1),
    "measure": RuleResources(3400, 1),
    "aggregate": RuleResources(4000, 120, threads=2),  # 189 million measurements: docs/cluster.md
    "report": RuleResources(4000, 60),
}

START_MINUTES = 10.0
"""Time of a job before its first scan and after its last: start-up, a file system that is slow for once."""

_JOB_MB, _ROWS_MB = 600, 1
"""Memory of a shard's job itself, and of the rows of one scan for one model (0.6 MB at the measure stage)."""

_COHORT_MB = 600
"""Memory of the cohort job itself: its imports, and the rows of 100,000 scans."""


def job_mb(n_scans: int, n_models: int) -> int:
    """Memory of a shard's job, without the process that works on its scans (MB)."""
    return _JOB_MB + _ROWS_MB * n_scans * n_models


def shard_mem_mb(stage: Stage, n_scans: int, n_models: int, factor: int) -> int:
    """Memory that the job of a stage asks for (MB): that of its hungriest stage, all of them run in one process.

    Parameters
    ----------
    factor
        On the memory of the process that works: 1, and more where it ran out before.
    """
    return job_mb(n_scans, n_models) + factor * max(RULES[each.value].mem_mb for each in stage.job)


def shard_minutes(stage: Stage, n_scans: int, n_models: int, scan_minutes: float) -> int:
    """Time limit of the job of a stage (minutes): a start, a share for each scan, and the most that one scan may take.

    A job that runs for one model after another needs it once for each.
    """
    work = START_MINUTES + sum(RULES[each.value].minutes for each in stage.job) * n_scans
    return round(work * (n_models if stage.is_per_model else 1) + scan_minutes)


def scan_mb(mem_mb: float, n_scans: int, n_models: int) -> float:
    """Memory that one scan of a shard's job of `mem_mb` may take (MB).

    Raises
    ------
    ConfigError
        If the job itself needs all of it.
    """
    own = job_mb(n_scans, n_models)
    if mem_mb <= own:
        raise ConfigError(f"--memory-mb {mem_mb:.0f} leaves nothing for a scan: the job itself takes {own} MB")
    return mem_mb - own


def cohort_scan_mb(mem_mb: float, workers: int) -> float:
    """Memory that one scan of a cohort job of `mem_mb` may take, where `workers` scans are read at once (MB)."""
    return max(0.0, mem_mb - _COHORT_MB) / workers


def scan_seconds(scan_minutes: float) -> float:
    """Time after which a scan counts as stuck (s)."""
    return 60 * scan_minutes
