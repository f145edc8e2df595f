"""What the next run should ask of the cluster, from what the scans of this one took."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from dixonflow.execution.outcome_files import StageFiles, read_rows
from dixonflow.paths import Results
from dixonflow.run.resources import START_MINUTES, job_mb
from dixonflow.run.status import StatusError
from dixonflow.tables.definitions import TIMINGS
from dixonflow.vocabulary import JOBS, SHARD_STAGES, Stage, Status

SPARE = 1.25
"""Factor on the largest memory seen."""

_COLUMNS = ["stage", "seconds", "peak_memory_mb", "gpu_seconds"]


@dataclass(frozen=True)
class Proposal:
    """What the jobs of a rule should ask for.

    Attributes
    ----------
    stage
        Name of the rule: the last stage of the job.
    mem_mb
        Largest memory of a scan and a quarter more, and what the job itself needs; whole 100 MB.
    runtime
        Minutes: 95th percentile of the seconds of a scan at each stage of the job, for every scan of a full shard, and
        what one scan may take, so that a scan that hangs is ended by its own limit; whole 5 minutes.
    scans
        Scans that it rests on.
    seconds, gpu_seconds
        Mean of a scan, of all stages of the job.
    """

    stage: Stage
    mem_mb: int
    runtime: int
    scans: int
    seconds: float
    gpu_seconds: float


def propose(results: Results, scans_per_shard: int, n_models: int, scan_minutes: float) -> list[Proposal]:
    """Propose what every job should ask for; those of which a stage has done nothing yet are left out.

    Raises
    ------
    StatusError
        If no stage has done anything yet.
    """
    rows = _timings(results)
    proposals = [
        _proposal(job, rows[rows["stage"].isin(job)], scans_per_shard, n_models, scan_minutes)
        for job in JOBS
        if set(job) <= set(rows["stage"])
    ]
    if not proposals:
        raise StatusError(f"no shard in {results.root} has finished a stage yet")
    return proposals


def _proposal(
    job: Sequence[Stage], rows: pd.DataFrame, scans_per_shard: int, n_models: int, scan_minutes: float
) -> Proposal:
    # several tables of rows, some of them empty, make a column of objects
    of_stages = rows.astype({"seconds": float, "gpu_seconds": float}).groupby("stage")
    memory = float(rows["peak_memory_mb"].max()) * SPARE + job_mb(scans_per_shard, n_models)
    minutes = float(of_stages["seconds"].quantile(0.95).sum()) * scans_per_shard / 60 + START_MINUTES + scan_minutes
    return Proposal(
        job[-1],
        mem_mb=math.ceil(memory / 100) * 100,
        runtime=math.ceil(minutes / 5) * 5,
        scans=int(of_stages.size().max()),
        seconds=float(of_stages["seconds"].mean().sum()),
        gpu_seconds=float(of_stages["gpu_seconds"].mean().sum()),
    )


def _timings(results: Results) -> pd.DataFrame:
    """The table of a run that has ended, or the rows that there are so far. Scans without work say nothing."""
    table = results.tables / f"{TIMINGS.name}.parquet"
    if table.exists():
        rows = read_rows([str(table)], _COLUMNS)
    else:
        files = StageFiles.of(results, ())
        parts = [
            read_rows(files.paths(stage, files.dates[stage]), [*_COLUMNS, "status"]).query("stage == @stage.value")
            for stage in SHARD_STAGES
        ]
        rows = pd.concat(parts, ignore_index=True)
        rows = rows[rows["status"].eq(Status.OK.value)]
    return rows[rows["peak_memory_mb"].gt(0)]
