"""The estimate of a run: all of its parts together."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dixonflow.config import Config
from dixonflow.run.estimate.forecast import (
    Makespan,
    StageWork,
    has_gpu,
    makespan,
    notes,
    outcomes,
    shards_of,
    stage_work,
)
from dixonflow.run.estimate.pilot import EstimateError, Pilot, differing_settings, read_pilot
from dixonflow.run.estimate.storage import Storage, storage
from dixonflow.run.estimate.target import Amount, Target, listed_scans, number_of_scans
from dixonflow.run.requests import Proposal, propose
from dixonflow.vocabulary import JOBS

MOST_SCANS = 100_000_000
"""More than there are in any cohort: a number above it is a slip."""


@dataclass(frozen=True)
class Estimate:
    """What a run will cost.

    Attributes
    ----------
    scans, pilot_scans
        Scans of the run, and those of the pilot that stand for them.
    outcomes
        Scans that will be ok, excluded and failed.
    shards
        Each is run by a job of every kind.
    jobs
        Of all shards, and the three of the whole run.
    work
        By stage and model.
    requests
        What the jobs should ask for, as `dixonflow status --resources` proposes it.
    makespan
        None where GPUs or cores were not given, or a part of it is not known.
    """

    scans: int
    pilot_scans: int
    pilot_gpu: bool
    outcomes: Mapping[str, Amount]
    shards: int
    jobs: int
    work: list[StageWork]
    requests: list[Proposal]
    makespan: Makespan | None
    storage: Storage
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """JSON-compatible content; docs/cluster.md documents the keys."""
        return asdict(self)


def estimate(folder: Path, config: Config, scans: int | None, gpus: int | None, cores: int | None) -> Estimate:
    """Estimate a run of `config` from the pilot whose results are in `folder`.

    Parameters
    ----------
    scans
        Number of scans in the raw folders; None for those that the cohort stage of `config` has listed.
    gpus, cores
        On which its time is estimated; None where it is not.

    Raises
    ------
    EstimateError
        If nothing can be said; see `read_pilot`, `listed_scans`, `has_gpu`, `makespan`.
    ConfigError, ModelError, TableError, StatusError
        If a configuration, model file or table is missing or damaged.
    """
    pilot = read_pilot(folder)
    target = _target(pilot, config, scans)
    gpu = has_gpu(pilot)
    _check_machines(gpus, cores, gpu=gpu)
    work = stage_work(pilot, target, gpu=gpu)
    size = config.cohort.scans_per_shard
    shards = shards_of(pilot, target, size)
    models = max(len(used) for used in pilot.models.values())
    stored = storage(pilot, target, size)
    return Estimate(
        scans=target.scans,
        pilot_scans=len(target.kinds),
        pilot_gpu=gpu,
        outcomes=outcomes(pilot, target),
        shards=shards,
        jobs=shards * len(JOBS) + 3,
        work=work,
        requests=propose(pilot.results, size, models, config.scan_minutes),
        makespan=makespan(pilot, work, shards, gpus, cores) if cores else None,
        storage=stored,
        notes=[*notes(pilot, work, gpu=gpu), *stored.notes, *_differences(pilot, config)],
    )


def _check_machines(gpus: int | None, cores: int | None, *, gpu: bool) -> None:
    """Refuse machines on which the pilot tells nothing of the time."""
    if gpus and not gpu:
        raise EstimateError(
            "the pilot segmented on a CPU, which tells nothing of the time on a GPU: leave out --gpus, or run a pilot "
            "on a GPU"
        )
    if gpu and (gpus is None) != (cores is None):
        raise EstimateError("the pilot used GPUs and cores: give --gpus and --cores, or neither")


def _target(pilot: Pilot, config: Config, scans: int | None) -> Target:
    wanted, ran = set(config.segment.models), set(pilot.config.segment.models)
    if wanted != ran or config.segment.models_of != pilot.config.segment.models_of:
        raise EstimateError(
            f"the pilot ran the models {', '.join(sorted(ran))}, and the configuration names "
            f"{', '.join(sorted(wanted))}: run a pilot with the same segment.models and segment.models_of"
        )
    if scans is None:
        return listed_scans(pilot, config.paths)
    if not 1 <= scans <= MOST_SCANS:
        raise EstimateError(f"--scans must be from 1 to {MOST_SCANS}, not {scans}")
    return number_of_scans(pilot, scans)


def _differences(pilot: Pilot, config: Config) -> list[str]:
    found = differing_settings(pilot.config, config)
    return (
        [f"settings that differ from the pilot's, nothing is corrected for them: {', '.join(found)}"] if found else []
    )
