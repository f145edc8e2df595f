"""How stages run on a shard, or on one scan by hand: what goes in, what is left for the next call."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dixonflow.cohort.shards import Shard, find_shard, read_shard
from dixonflow.cohort.withdrawn import WITHDRAWN_MESSAGE, read_withdrawn
from dixonflow.config import Config, read_config
from dixonflow.errors import ConfigError, DixonflowError, ScanExcluded
from dixonflow.execution.outcome import Outcome, outcome_of_models, read_outcomes, write_outcomes
from dixonflow.execution.records import Record
from dixonflow.execution.shard import run_shard
from dixonflow.execution.steps import Step
from dixonflow.execution.supervisor import Limits, StartDiedError
from dixonflow.models.load import load_models
from dixonflow.models.model import Model
from dixonflow.models.runnable import models_for
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.run.resources import scan_mb, scan_seconds
from dixonflow.run.retry import Failure, record_failures, request_retry
from dixonflow.stages.context import ContextWork, StageContext, contexts, stage_work
from dixonflow.tables.schema import TableError
from dixonflow.vocabulary import JOBS, Reason, ScanId, Stage, Status


class JobError(DixonflowError):
    """A stage could not begin, or a scan that is run by hand did not come through."""


def run_stages(
    stages: Sequence[Stage], config: Path, shard: str | None, scan: str | None, memory_mb: float | None
) -> None:
    """Run stages on a shard, or on one scan by hand, one after the other.

    Parameters
    ----------
    stages
        One, or several that one job may run.
    config
        Configuration file.
    shard, scan
        One of them: name of a shard, or `sub-<participant>_ses-<session>`.
    memory_mb
        Memory of the job; a scan of a shard that needs more fails.

    Raises
    ------
    DixonflowError
        One line, where configuration, model or shard are wrong.
    """
    if (shard is None) == (scan is None):
        raise ConfigError("name either --shard or --scan")
    if len(stages) > 1 and tuple(stages) not in JOBS:
        together = ", or ".join(" ".join(job) for job in JOBS if len(job) > 1)
        raise ConfigError(f"these stages do not run together: name one, or {together}")
    settings = read_config(config)
    results, models = settings.paths, load_models(settings)
    if scan is not None:
        for stage in stages:
            _run_scan(stage, scan, settings, models)
    elif shard is not None:
        members = read_shard(results.shard(shard))
        _run_shard(stages, _contexts(stages[0], settings, models, members), members, memory_mb)


def _contexts(stage: Stage, settings: Config, models: Sequence[Model], shard: Shard) -> Sequence[StageContext]:
    chosen = models_for(shard.sequence, models, settings)
    if not chosen or shard.current_sequence is None:
        raise ConfigError(
            f"shard {shard.name} holds scans of another sequence than the run: run the cohort stage again"
        )
    return contexts(stage, settings, chosen, settings.paths, shard.name)


def _run_shard(
    stages: Sequence[Stage], each_model: Sequence[StageContext], shard: Shard, memory_mb: float | None
) -> None:
    config, results = each_model[0].config, each_model[0].results
    if memory_mb is not None:
        memory_mb = scan_mb(memory_mb, len(shard.scans), len(config.segment.models))
    limits = Limits(memory_mb, scan_seconds(config.scan_minutes))
    outcomes = _upstream(stages[0], each_model[0], shard)
    done: dict[Stage, dict[str, list[Record]]] = {stage: {} for stage in stages}
    for context in each_model:
        works = [stage_work(stage, context) for stage in stages]
        steps = [Step(work, context.records(work.stage), config.max_attempts) for work in works]
        try:
            found = run_shard(steps, shard.scans, outcomes, limits)
        except StartDiedError as error:
            if error.reason is Reason.OUT_OF_MEMORY:
                request_retry(results, shard.name, more_memory=True)
            raise JobError(str(error)) from error
        for stage, records in zip(stages, found, strict=True):
            done[stage][context.model.name] = records
    for work in works:
        outcomes = _write(work, shard, results, outcomes, done[work.stage], config.max_attempts)


def _write(
    work: ContextWork,
    shard: Shard,
    results: Results,
    upstream: Mapping[ScanId, Outcome],
    done: Mapping[str, list[Record]],
    max_attempts: int,
) -> dict[ScanId, Outcome]:
    """Write the rows of a stage from its records for each model. Return them."""
    outcomes = {}
    for place, entry in enumerate(shard.scans):
        before = upstream.get(entry.scan)
        of_models = {name: records[place].outcome for name, records in done.items()}
        # where the stage before is not ok for one of several models, another may have passed this one in the same job
        outcomes[entry.scan] = outcome_of_models(of_models) if before is None or _is_ok(before) else before
    ok = [record for records in done.values() for record in records if _is_ok(outcomes[record.outcome.scan])]
    work.write_rows(ok)  # once for all models
    write_outcomes(results.outcomes(work.stage, shard.name), list(outcomes.values()))
    # here and not at the last stage, which this run may not reach
    failures = [
        Failure(record.outcome.reason, record.outcome.attempt)
        for records in done.values()
        for record in records
        if record.outcome.stage is outcomes[record.outcome.scan].stage is work.stage
        and record.outcome.status is outcomes[record.outcome.scan].status is Status.FAILED
    ]
    record_failures(results, shard.name, work.stage.value, failures, max_attempts)
    return outcomes


def _is_ok(outcome: Outcome) -> bool:
    return outcome.status is Status.OK


def _upstream(stage: Stage, context: StageContext, shard: Shard) -> dict[ScanId, Outcome]:
    """Outcomes of the stage before. Whoever has withdrawn since the shard was formed is not worked on any more.

    That holds for entries without a fingerprint too: their participants may have returned, but not their raw data.
    """
    before = stage.previous
    if before is None or before is Stage.COHORT:
        upstream = {entry.scan: Outcome.because(Reason.NONE, entry.scan, Stage.COHORT) for entry in shard.scans}
    else:
        upstream = {row.scan: row for row in _rows(context.results.outcomes(before, context.shard), before, shard)}
    path = context.config.cohort.withdrawn
    withdrawn = read_withdrawn(path) if path else frozenset()
    for entry in shard.scans:
        if not entry.raw_key or entry.scan.participant in withdrawn:
            reason, message = Reason.CONSENT_WITHDRAWN, WITHDRAWN_MESSAGE
            upstream[entry.scan] = Outcome.because(reason, entry.scan, Stage.COHORT, message=message)
    return upstream


def _rows(path: Path, stage: Stage, shard: Shard) -> list[Outcome]:
    try:
        return read_outcomes(path, shard.sequence)
    except TableError as error:
        # Snakemake takes any file for a good one. It runs the stage before again where the file is not there; that
        # writes the same rows, from its records.
        path.unlink(missing_ok=True)
        raise TableError(f"the rows of stage {stage} were damaged and are now removed, run again: {error}") from error


def _run_scan(stage: Stage, name: str, config: Config, models: tuple[Model, ...]) -> None:
    try:
        scan = ScanId.parse(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    results = config.paths
    shard = find_shard(results.shards, scan)
    entry = next(entry for entry in shard.scans if entry.scan == scan)
    if not entry.raw_key:
        raise ConfigError("the participant has withdrawn, or had withdrawn and the raw data is missing")
    for context in _contexts(stage, config, models, shard):
        _run_by_hand(stage, entry, context)


def _run_by_hand(stage: Stage, entry: RawScan, context: StageContext) -> None:
    work = stage_work(stage, context)
    # what the jobs have recorded of it holds no more if the settings are other ones
    context.records(stage).begin(entry.scan, work.key(entry), 0)
    try:
        done = work.by_hand(entry)
    except ScanExcluded as excluded:
        raise JobError(f"excluded, {excluded}") from excluded
    except FileNotFoundError as error:
        raise JobError(f"{error.filename} does not exist: run the previous stage on this scan first") from error
    print(f"{stage}: ok {done.payload if len(str(done.payload)) < 2000 else ''}")
    for path in work.outputs(entry):
        print(f"{stage}: wrote {path}")
