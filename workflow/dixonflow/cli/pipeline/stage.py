"""`dixonflow stage`: a stage, or the stages of one job, on a shard, or on one scan by hand."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from dixonflow.cli.options import CONFIG, ConfigOption, start_logging
from dixonflow.errors import DixonflowError
from dixonflow.stages.job import run_stages
from dixonflow.vocabulary import Stage


class ShardStage(StrEnum):
    """Stages that work on shards."""

    STITCH = "stitch"
    RESAMPLE = "resample"
    SEGMENT = "segment"
    MERGE = "merge"
    POSTPROCESS = "postprocess"
    MEASURE = "measure"


def stage_command(
    stages: Annotated[
        list[ShardStage], typer.Argument(help="Name of the stage, or of all stages that one job runs, in their order.")
    ],
    config: ConfigOption = CONFIG,
    shard: Annotated[
        str | None, typer.Option("--shard", help="Name of the shard, as in results/cohort/shards/.")
    ] = None,
    scan: Annotated[
        str | None,
        typer.Option("--scan", help="One scan, sub-<participant>_ses-<session>: run by hand, without changing rows."),
    ] = None,
    memory_mb: Annotated[
        float | None,
        typer.Option(
            "--memory-mb", help="With --shard: memory of the job. A scan that needs more fails: out_of_memory."
        ),
    ] = None,
) -> None:
    """Run stages on a shard, or on one scan by hand.

    A shard writes its outcome rows to results/<stage>/. A single scan is always rerun, and only its files are
    written.
    """
    start_logging()
    try:
        run_stages([Stage(stage.value) for stage in stages], config, shard, scan, memory_mb)
    except DixonflowError as error:
        sys.exit(f"{stages[-1].value}: {error}")
