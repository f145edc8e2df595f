"""The pilot: scans of a finished run, and what each stage took for them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dixonflow.config import Config, read_config
from dixonflow.errors import DixonflowError
from dixonflow.execution.records import Record, Records
from dixonflow.models.load import named_models
from dixonflow.models.model import Model
from dixonflow.models.runnable import models_by_sequence
from dixonflow.paths import Results
from dixonflow.run.lock import is_running
from dixonflow.tables.definitions import SCANS, TIMINGS
from dixonflow.tables.parquet import read_table
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import SHARD_STAGES, ScanId, ScanSequence, Stage, Status

_COSTS = ["seconds", "peak_memory_mb", "gpu_seconds", "attempt"]
_TOLERANCE_S = 1e-3
"""Times of models add up to that of the stage, but for rounding."""


class EstimateError(DixonflowError):
    """Nothing can be estimated; the message says what is missing."""


@dataclass(frozen=True)
class Pilot:
    """A finished run.

    Attributes
    ----------
    config
        Its settings in force.
    models
        Models by the sequence whose scans they segment.
    scans
        Rows of the table `scans` without those who have withdrawn; the index is that of `work`.
    work
        A row for every scan, stage and model that worked on it: `scan` (index of `scans`), `stage`, `model` (empty
        where all models share the stage), `status`, and the costs of `TIMINGS`.
    """

    results: Results
    config: Config
    models: Mapping[ScanSequence, tuple[Model, ...]]
    scans: pd.DataFrame
    work: pd.DataFrame


def read_pilot(folder: Path) -> Pilot:
    """Read the results of a pilot run.

    Raises
    ------
    EstimateError
        If the run is in progress, has no scans, or its tables contradict each other or the records of its shards.
    ConfigError, ModelError, TableError
        If its configuration, a model file or a table is missing or damaged.
    """
    if not folder.is_dir():
        raise EstimateError(f"there is no results folder {folder}: name that of a finished pilot run")
    config = read_config(Results(folder).config)
    results = Results(folder, config.keep.prefix_folders)
    if is_running(results):
        raise EstimateError(f"a run in {folder} is in progress: wait for its end, its tables are of an earlier one")
    scans = read_table(results.scan_table, SCANS).to_pandas()
    scans = scans[scans["status"].ne(Status.WITHDRAWN.value)].reset_index(drop=True)
    if not scans["shard"].notna().any():
        raise EstimateError(f"no scan of the run in {folder} went to a job: nothing is known of its costs")
    models = models_by_sequence(named_models(config), config)
    unknown = sorted({*scans["sequence"][scans["shard"].notna()]} - {each.value for each in models})
    if unknown:
        raise EstimateError(f"the tables in {folder} have scans of {', '.join(unknown)}, its configuration has not")
    timings = _timings(results, scans)
    return Pilot(results, config, models, scans, _split_by_model(results, scans, timings, models))


def _timings(results: Results, scans: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table `timings` of the stages of shards, checked against the table `scans`."""
    rows = read_table(results.tables / f"{TIMINGS.name}.parquet", TIMINGS).to_pandas()
    rows = rows[rows["stage"].isin([stage.value for stage in SHARD_STAGES])]
    keyed = scans[SCAN_KEYS].assign(scan=scans.index).dropna(subset=SCAN_KEYS)
    rows = rows.merge(keyed, how="left", on=SCAN_KEYS)
    if rows["scan"].isna().any():
        raise EstimateError(
            f"the tables in {results.tables} contradict each other: timings of {rows['scan'].isna().sum()} scans and "
            "stages have no scan; run the pilot's command again"
        )
    rows["scan"] = rows["scan"].astype(int)
    done = scans.index[scans["status"].eq(Status.OK.value)]
    for stage in SHARD_STAGES:
        lost = len(set(done) - set(rows.loc[rows["stage"].eq(stage.value), "scan"]))
        if lost:
            raise EstimateError(
                f"the tables in {results.tables} contradict each other: {lost} scans are ok and have no timings of "
                f"stage {stage.value}; run the pilot's command again"
            )
    statuses = [scans.loc[scan, f"{stage}_status"] for scan, stage in zip(rows["scan"], rows["stage"], strict=True)]
    work: pd.DataFrame = rows.assign(status=statuses, model="")[["scan", "stage", "model", "status", *_COSTS]]
    return work


def _split_by_model(
    results: Results, scans: pd.DataFrame, timings: pd.DataFrame, models: Mapping[ScanSequence, tuple[Model, ...]]
) -> pd.DataFrame:
    """Name the model of every row of a stage that runs for one model after another.

    The table adds up the models of a scan. Where there are several, the records of the shards have each by itself.
    """
    several = {each.value for each, used in models.items() if len(used) > 1}
    only = {each.value: used[0].name for each, used in models.items() if len(used) == 1}
    sequence = timings["scan"].map(scans["sequence"])
    per_model = timings["stage"].isin([stage.value for stage in SHARD_STAGES if stage.is_per_model])
    alone = per_model & sequence.isin(list(only))
    timings.loc[alone, "model"] = sequence[alone].map(only)
    mixed = timings[per_model & sequence.isin(several)]
    if mixed.empty:
        return timings
    split = _recorded(results, scans[scans["sequence"].isin(several) & scans["shard"].notna()], models)
    done = set(scans.index[scans["status"].eq(Status.OK.value)])
    table, records = (
        rows[rows["scan"].isin(done)].groupby(["scan", "stage"])["seconds"].sum().sort_index()
        for rows in (mixed, split)
    )
    if not table.index.equals(records.index) or (table - records).abs().gt(_TOLERANCE_S).any():
        raise EstimateError(
            f"the table timings and the records in {results.root} contradict each other: run the pilot's command again"
        )
    return pd.concat([timings.drop(mixed.index), split], ignore_index=True)


def _recorded(results: Results, scans: pd.DataFrame, models: Mapping[ScanSequence, tuple[Model, ...]]) -> pd.DataFrame:
    places = {scan: (index, shard) for (index, scan), shard in zip(scan_ids(scans), scans["shard"], strict=True)}
    stages = [stage for stage in SHARD_STAGES if stage.is_per_model]
    rows = []
    for shard, members in scans.groupby("shard"):
        used = models[ScanSequence(members["sequence"].iloc[0])]
        for stage in stages:
            for model in used:
                for scan, record in _records(results, stage, str(shard), model.name).items():
                    index, of_shard = places.get(scan, (None, None))
                    made = record.outcome
                    if of_shard == shard and made.stage is stage:
                        costs = [made.seconds, made.peak_memory_mb, made.gpu_seconds, made.attempt]
                        rows.append((index, stage.value, model.name, made.status.value, *costs))
    return pd.DataFrame(rows, columns=["scan", "stage", "model", "status", *_COSTS])


def _records(results: Results, stage: Stage, shard: str, model: str) -> Mapping[ScanId, Record]:
    try:
        return Records(results.records(stage, shard, model)).load()
    except OSError as error:
        raise EstimateError(f"records of shard {shard} cannot be read: {error.strerror}") from error


def scan_ids(scans: pd.DataFrame) -> list[tuple[int, ScanId]]:
    """Index and id of scans that went to jobs."""
    keys = zip(scans.index, *(scans[key] for key in SCAN_KEYS), strict=True)
    return [(int(index), ScanId(who, session, ScanSequence(word))) for index, who, session, word in keys]


def differing_settings(pilot: Config, target: Config) -> list[str]:
    """Settings that differ between two runs and may change what a scan costs, as `section.key`."""
    both = [json.loads(each.model_dump_json(exclude={"results", "cohort", "verify"})) for each in (pilot, target)]
    found = []
    for section in both[0]:
        one, other = (each[section] for each in both)
        if isinstance(one, dict) and isinstance(other, dict):
            found += [f"{section}.{key}" for key in one if one[key] != other.get(key)]
        elif one != other:
            found.append(section)
    return found
