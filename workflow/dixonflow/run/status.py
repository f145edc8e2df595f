"""How far a run is, from the rows that its shards have written so far. Reads only, and can be stopped at any time.

The newest row of a scan tells its whole way: a scan that is ok at a stage was ok before, any other row names the stage
that ended its way and is carried on unchanged. So one small file per shard is enough, 1,600 for 100,000 scans. A file
that is half written, damaged or gone counts as not there yet.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from dixonflow.cohort.shards import ShardError, read_shard
from dixonflow.config import read_config
from dixonflow.errors import ConfigError, DixonflowError, ModelError
from dixonflow.execution.outcome import outcome_of_models
from dixonflow.execution.outcome_files import StageFiles, read_rows, read_rows_of_shards
from dixonflow.execution.records import Records
from dixonflow.execution.shard_files import begun_shards
from dixonflow.models.load import named_models
from dixonflow.models.runnable import models_by_sequence, sequences_of
from dixonflow.paths import Results
from dixonflow.run.lock import Run, is_running, read_run
from dixonflow.run.slurm import SlurmError, jobs
from dixonflow.tables.shards import SHARD_KEYS
from dixonflow.vocabulary import SHARD_STAGES, ScanSequence, Stage, Status

_COHORT = [*SHARD_KEYS, "status", "reason", "shard"]
_ROWS = [*SHARD_KEYS, "stage", "status", "reason"]
_MINUTES = 60.0
"""Pace is taken over the last hour of a run: shards come in bursts."""
_SAMPLE = 64
"""Files of a stage from which its pace is estimated."""


class StatusError(DixonflowError):
    """There is nothing to tell."""


@dataclass(frozen=True)
class StageCounts:
    """Scans at one stage.

    Attributes
    ----------
    ok, excluded, failed
        Scans that the stage has brought to this status.
    waiting
        Scans that have still to pass it.
    """

    stage: Stage
    ok: int
    excluded: int
    failed: int
    waiting: int


@dataclass(frozen=True)
class Pace:
    """How fast a run goes.

    Attributes
    ----------
    scans_per_hour
        Work of the last hour, in scans that pass all stages.
    seconds_left
        Until the last shard ends at this pace; the tables and the report come after it.
    """

    scans_per_hour: float
    seconds_left: float


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes
    ----------
    running
        Whether a run is in progress.
    run
        Who runs the workflow, or ran it last.
    scans
        Scans in, and how many are ok, excluded, failed, withdrawn, and waiting for a stage.
    excluded, failed
        Scans by reason.
    shards, shards_ended
        All, and those that the last stage has written.
    pace
        None where the run has ended, or nothing has been done in the last hour.
    slurm
        Jobs by rule and state; None without Slurm.
    """

    running: bool
    run: Run | None
    scans: Mapping[str, int]
    stages: tuple[StageCounts, ...]
    excluded: Mapping[str, int]
    failed: Mapping[str, int]
    shards: int
    shards_ended: int
    pace: Pace | None
    slurm: Mapping[str, Mapping[str, int]] | None

    def to_json(self) -> dict[str, Any]:
        """JSON-compatible content; docs/cluster.md documents the keys."""
        run = self.run
        return {
            "running": self.running,
            "started": run.started if run else None,
            "host": run.host if run else None,
            "process": run.process if run else None,
            "scans": dict(self.scans),
            "stages": [
                {
                    "stage": row.stage.value,
                    "ok": row.ok,
                    "excluded": row.excluded,
                    "failed": row.failed,
                    "waiting": row.waiting,
                }
                for row in self.stages
            ],
            "excluded": dict(self.excluded),
            "failed": dict(self.failed),
            "shards": {"in": self.shards, "ended": self.shards_ended},
            "scans_per_hour": self.pace.scans_per_hour if self.pace else None,
            "seconds_left": self.pace.seconds_left if self.pace else None,
            "slurm": {rule: dict(states) for rule, states in self.slurm.items()} if self.slurm is not None else None,
        }


def run_status(results: Results, now: float) -> RunStatus:
    """Inspect a results folder.

    Parameters
    ----------
    now
        Seconds since 1970.

    Raises
    ------
    StatusError
        If the cohort stage has not listed the scans yet.
    """
    cohort = _cohort(results)
    members = cohort[cohort["status"].eq(Status.OK.value) & cohort["shard"].notna()]
    shards = sorted(members["shard"].unique())
    files = StageFiles.of(results, shards)
    scans = _latest(results, members, files)
    ended = pd.concat([scans, cohort.drop(members.index).assign(stage=Stage.COHORT.value, through=0)])
    ended["at"] = ended["stage"].map({stage.value: number for number, stage in enumerate(Stage)})
    stages = tuple(_counts(ended, stage) for stage in Stage)
    going = is_running(results)
    run = read_run(results)
    final = ended["status"].ne(Status.OK.value) | ended["through"].eq(len(SHARD_STAGES))
    counts = ended.loc[final, "status"].value_counts()
    return RunStatus(
        running=going,
        run=run,
        scans={
            "in": len(cohort),
            **{status.value: int(counts.get(status.value, 0)) for status in Status},
            "waiting": int((~final).sum()),
        },
        stages=stages,
        excluded=_reasons(ended, Status.EXCLUDED),
        failed=_reasons(ended, Status.FAILED),
        shards=len(shards),
        shards_ended=sum(files.last.get(shard) is SHARD_STAGES[-1] for shard in shards),
        pace=_pace(files, stages, run, now) if going else None,
        slurm=_slurm(run),
    )


def _cohort(results: Results) -> pd.DataFrame:
    rows = read_rows([str(results.scans)], _COHORT)
    if rows.empty and not results.scans.exists():
        raise StatusError(f"no scans are listed in {results.root} yet: run the cohort stage first")
    return rows


def _latest(results: Results, members: pd.DataFrame, files: StageFiles) -> pd.DataFrame:
    """The members with what became of them so far, and how many stages they are through."""
    parts = []
    for number, stage in enumerate(SHARD_STAGES, 1):
        here = [shard for shard, last in files.last.items() if last is stage]
        found = read_rows_of_shards(files.paths(stage, here), _ROWS).rename(columns={"file": "shard"})
        parts.append(found.assign(through=number))
    running = pd.DataFrame(_finished_in_running_jobs(results, files), columns=[*_ROWS, "through", "shard"])
    keys = [*SHARD_KEYS, "shard"]
    rows = pd.concat([running, *parts], ignore_index=True).drop_duplicates(keys)
    scans = members[keys].merge(rows, how="left", on=keys)
    scans["through"] = scans["through"].fillna(0).astype(int)
    return scans.fillna({"stage": Stage.COHORT.value, "status": Status.OK.value, "reason": "none"})


def _finished_in_running_jobs(results: Results, files: StageFiles) -> list[tuple[Any, ...]]:
    """Rows of scans that are finished in shards that are not: their records are loose files until the job ends.

    A job may bring a scan through two stages: the later one comes first.
    """
    rows: list[tuple[Any, ...]] = []
    for number, stage in reversed(list(enumerate(SHARD_STAGES, 1))):
        of_sequence = _models(results)
        named = {name for names in of_sequence.values() for name in names} if stage.is_per_model else {""}
        for shard in begun_shards(results, stage, named):
            done = SHARD_STAGES.index(files.last[shard]) + 1 if shard in files.last else 0
            if not SHARD_STAGES.index(stage.job[0]) <= done < number:
                continue  # left behind by an earlier run
            try:
                models = _models_of(shard, results, of_sequence) if stage.is_per_model else ("",)
                records = {model: Records(results.records(stage, shard, model)).load() for model in models}
            except (OSError, ShardError):
                continue  # packed this moment, or its list is gone
            for scan in set.intersection(*(set(found) for found in records.values())) if records else ():
                outcome = outcome_of_models({model: found[scan].outcome for model, found in records.items()})
                key = (scan.participant, scan.session, stage.value)
                rows.append((*key, outcome.status, outcome.reason, number, shard))
    return rows


def _models(results: Results) -> Mapping[ScanSequence, Sequence[str]]:
    """Names of the models of the run, by the sequence whose scans they segment."""
    try:
        config = read_config(results.config)
        sequences = sequences_of(config)
        if len(sequences) == 1:  # no model file has to be read
            return {each: config.segment.models_of.get(each) or config.segment.models for each in sequences}
        used = models_by_sequence(named_models(config), config)
        return {each: [model.name for model in models] for each, models in used.items()}
    except (ConfigError, ModelError):
        return {}  # the run has not begun, or is an older one


def _models_of(shard: str, results: Results, of_sequence: Mapping[ScanSequence, Sequence[str]]) -> Sequence[str]:
    """Models that the scans of a shard go through. Raises ShardError."""
    if len(of_sequence) == 1:  # its list need not be read
        return next(iter(of_sequence.values()))
    return of_sequence.get(read_shard(results.shard(shard)).sequence, ())


def _counts(scans: pd.DataFrame, stage: Stage) -> StageCounts:
    number = list(Stage).index(stage)
    ended = scans["status"].ne(Status.OK.value)
    statuses = scans.loc[ended & scans["at"].eq(number), "status"].value_counts()
    return StageCounts(
        stage,
        ok=int(((~ended & scans["through"].ge(number)) | (ended & scans["at"].gt(number))).sum()),
        excluded=int(statuses.get(Status.EXCLUDED.value, 0)),
        failed=int(statuses.get(Status.FAILED.value, 0)),
        waiting=int((~ended & scans["through"].lt(number)).sum()),
    )


def _reasons(scans: pd.DataFrame, status: Status) -> dict[str, int]:
    counts = scans.loc[scans["status"].eq(status.value), "reason"].value_counts()
    return {str(reason): int(count) for reason, count in counts.items()}


def _pace(files: StageFiles, stages: tuple[StageCounts, ...], run: Run | None, now: float) -> Pace | None:
    """Work of the last hour against the work that is left, both in seconds of work on scans."""
    begun = max(now - 60 * _MINUTES, datetime.fromisoformat(run.started).timestamp() if run else 0.0)
    seconds_each: dict[Stage, float] = {}
    work = 0.0
    for stage in SHARD_STAGES:
        recent = sorted(shard for shard, date in files.dates[stage].items() if date >= begun)
        sample = recent[:: max(1, len(recent) // _SAMPLE)]
        rows = read_rows(files.paths(stage, sample), ["stage", "seconds"])
        rows = rows[rows["stage"].eq(stage.value)]
        if len(rows):
            seconds_each[stage] = max(float(rows["seconds"].mean()), 1e-3)
            work += float(rows["seconds"].sum()) * len(recent) / len(sample)
    if not work or now <= begun:
        return None
    usual = sum(seconds_each.values()) / len(seconds_each)  # of a stage that no shard has ended yet
    left = sum(row.waiting * seconds_each.get(row.stage, usual) for row in stages if row.stage in SHARD_STAGES)
    whole = sum(seconds_each.get(stage, usual) for stage in SHARD_STAGES)
    speed = work / (now - begun)
    return Pace(scans_per_hour=3600 * speed / whole, seconds_left=left / speed)


def _slurm(run: Run | None) -> dict[str, dict[str, int]] | None:
    if run is None or not run.slurm_name:
        return None
    try:
        found = jobs(run.slurm_name)
    except SlurmError as error:
        logging.getLogger(__name__).warning("%s", error)
        return None
    counts = Counter((job.rule, job.state) for job in found)
    rules = dict.fromkeys(rule for rule, _ in sorted(counts))
    return {rule: {state: count for (name, state), count in sorted(counts.items()) if name == rule} for rule in rules}
