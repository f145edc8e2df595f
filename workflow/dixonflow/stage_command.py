"""The scripts of the stages: how a stage runs on a shard or on one scan."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dixonflow.attempt import Task
from dixonflow.cohort.shards import Shard, ShardScan, find_shard, read_shard
from dixonflow.cohort.withdrawn import WITHDRAWN_MESSAGE, read_withdrawn
from dixonflow.command import CONFIG, ConfigOption, run, start_logging
from dixonflow.config import read_config
from dixonflow.errors import ConfigError, DixonflowError, ScanExcluded
from dixonflow.layout import Results
from dixonflow.model import load_model
from dixonflow.outcome import Outcome, read_outcomes, write_outcomes
from dixonflow.plan import MODELS
from dixonflow.records import Records
from dixonflow.retry import Failure, ask_for_look, note_failures
from dixonflow.runnable import check_runnable
from dixonflow.shard import run_shard
from dixonflow.stages import StageContext, stage_work
from dixonflow.supervisor import Limits, StartDiedError
from dixonflow.tables.schema import TableError
from dixonflow.vocabulary import Reason, ScanId, Stage, Status

ShardOption = Annotated[str | None, typer.Option("--shard", help="Name of the shard, as in results/cohort/shards/.")]
ScanOption = Annotated[
    str | None,
    typer.Option("--scan", help="One scan, sub-<participant>_ses-<session>: run it by hand, leave the rows alone."),
]
MemoryOption = Annotated[
    float | None,
    typer.Option("--memory-mb", help="With --shard: a scan for which its process takes more fails: out_of_memory."),
]


def run_stage_command(stage: Stage, purpose: str) -> None:
    """Run the script of a stage on a shard, or on one scan by hand, as its command line says.

    Exits with status 1 and one line on standard error where configuration, model or shard are wrong.

    Parameters
    ----------
    purpose
        First line of its help.
    """

    def main(
        config: ConfigOption = CONFIG,
        shard: ShardOption = None,
        scan: ScanOption = None,
        memory_mb: MemoryOption = None,
    ) -> None:
        _run_stage(stage, config, shard, scan, memory_mb)

    main.__doc__ = f"""{purpose}

    A shard writes its outcome rows to results/{stage}/; one scan is run by hand, again even if it is done, and only
    its files are written.
    """
    run(main)


def _run_stage(stage: Stage, config: Path, shard: str | None, scan: str | None, memory_mb: float | None) -> None:
    start_logging()
    try:
        if (shard is None) == (scan is None):
            raise ConfigError("name either --shard or --scan")
        settings = read_config(config)
        results = Results(settings.results)
        model = load_model(MODELS / f"{settings.segment.model}.yaml")
        check_runnable(model, settings)
        if scan is not None:
            _run_scan(stage, scan, StageContext(settings, model, results, ""))
        elif shard is not None:
            context = StageContext(settings, model, results, shard)
            _run_shard(stage, context, read_shard(results.shard(shard)), memory_mb)
    except DixonflowError as error:
        sys.exit(f"{stage}: {error}")


def _run_shard(stage: Stage, context: StageContext, shard: Shard, memory_mb: float | None) -> None:
    limits = Limits(memory_mb, 60 * context.config.scan_minutes)
    upstream = _upstream(stage, context, shard)
    work = stage_work(stage, context)
    records = Records(context.results.records(stage, context.shard))
    try:
        done = run_shard(work, shard.scans, upstream, records, context.config.max_attempts, limits)
    except StartDiedError as error:
        if error.reason is Reason.OUT_OF_MEMORY:
            ask_for_look(context.results, context.shard, more_memory=True)
        sys.exit(f"{stage}: {error}")
    if work.write_rows is not None:
        work.write_rows(done)
    write_outcomes(context.results.outcomes(stage, context.shard), [record.outcome for record in done])
    # here and not at the last stage, which this run may not reach
    failures = [
        Failure(record.outcome.reason, record.outcome.attempt)
        for record in done
        if record.outcome.stage is stage and record.outcome.status is Status.FAILED
    ]
    note_failures(context.results, context.shard, stage.value, failures, context.config.max_attempts)


def _upstream(stage: Stage, context: StageContext, shard: Shard) -> dict[ScanId, Outcome]:
    """Outcomes of the stage before. Whoever has withdrawn since the shard was formed is not worked on any more."""
    before = list(Stage)[list(Stage).index(stage) - 1]
    if before is Stage.COHORT:
        upstream = {entry.scan: _cohort_outcome(entry, Reason.NONE) for entry in shard.scans}
    else:
        upstream = {row.scan: row for row in _rows(context.results.outcomes(before, context.shard), before)}
    path = context.config.cohort.withdrawn
    withdrawn = read_withdrawn(path) if path else frozenset()
    for entry in shard.scans:
        if entry.scan.participant in withdrawn:
            upstream[entry.scan] = _cohort_outcome(entry, Reason.CONSENT_WITHDRAWN, WITHDRAWN_MESSAGE)
    return upstream


def _rows(path: Path, stage: Stage) -> list[Outcome]:
    try:
        return read_outcomes(path)
    except TableError as error:
        # Snakemake takes any file for a good one. It runs the stage before again where the file is not there; that
        # writes the same rows, from its records.
        path.unlink(missing_ok=True)
        raise TableError(f"the rows of stage {stage} are damaged and now removed, call again: {error}") from error


def _cohort_outcome(entry: ShardScan, reason: Reason, message: str = "") -> Outcome:
    return Task(entry, "", attempt=0).outcome(Stage.COHORT, reason, message)


def _run_scan(stage: Stage, name: str, context: StageContext) -> None:
    try:
        scan = ScanId.parse(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    shard = find_shard(context.results.shards, scan)
    context = StageContext(context.config, context.model, context.results, shard.name)
    work = stage_work(stage, context)
    entry = next(entry for entry in shard.scans if entry.scan == scan)
    # what the jobs have recorded of it holds no more if the settings are other ones
    Records(context.results.records(stage, shard.name)).begin(entry.scan, work.key(entry), 0)
    try:
        done = work.by_hand(entry)
    except ScanExcluded as excluded:
        sys.exit(f"{stage}: excluded, {excluded}")
    except FileNotFoundError as error:
        sys.exit(f"{stage}: {error.filename} is not there: run the stage before on this scan first")
    typer.echo(f"{stage}: ok {done.payload if len(str(done.payload)) < 2000 else ''}")
    for path in work.outputs(entry):
        typer.echo(f"{stage}: wrote {path}")
