"""The demo network from nothing: plan, cases, training until a deadline, calibration."""

import time
from dataclasses import dataclass
from pathlib import Path

from dixonflow.training.calibration import calibrate
from dixonflow.training.cases import TRAINING_SEED, VALIDATION_SEED
from dixonflow.training.plan import Workspace, make_plan
from dixonflow.training.trainer import PhantomTrainer, Schedule
from dixonflow.training.workers import check_workers, start_workers


@dataclass(frozen=True)
class Effort:
    """How much is put in.

    Attributes
    ----------
    cases
        Training participants.
    validation_cases
        Held-out participants, seeds from 200000 upwards.
    first_cases
        Training begins when so many are there; the others are made meanwhile.
    workers
        Processes that make cases.
    deadline
        Unix time at which training has annealed and ends.
    start_from
        Exported weights to begin with, from an earlier training of the same plan; none for random ones.
    first_seed
        Of the training participants, one seed each from here upwards. Weights of an earlier training learn more from
        participants that they have not seen.
    """

    cases: int
    validation_cases: int
    first_cases: int
    workers: int
    deadline: float
    start_from: Path | None = None
    first_seed: int = TRAINING_SEED


def train_demo_model(workspace: Workspace, effort: Effort) -> None:
    """Plan, make cases, train and calibrate; what is there already is kept, so that running it again resumes.

    Raises
    ------
    ValueError
        If no cases are asked for, or a training participant is not the training's own.
    RuntimeError
        If a case cannot be made.
    """
    if min(effort.cases, effort.validation_cases, effort.first_cases, effort.workers) < 1:
        raise ValueError("cases, validation cases, first cases and workers must be at least 1")
    training = range(effort.first_seed, effort.first_seed + effort.cases)
    if training.start < TRAINING_SEED or training.stop > VALIDATION_SEED:
        raise ValueError(f"training participants have seeds from {TRAINING_SEED} to {VALIDATION_SEED - 1}")
    workspace.export_environment()
    if not workspace.plans_file.exists():
        make_plan(workspace)
    validation = range(VALIDATION_SEED, VALIDATION_SEED + effort.validation_cases)
    processes = start_workers(workspace, workspace.validation_cases, validation, 1, 0)
    processes += start_workers(workspace, workspace.cases, training, effort.workers, 10)
    while len(list(workspace.cases.glob("[0-9]*.npz"))) < min(effort.first_cases, effort.cases):
        check_workers(processes)
        time.sleep(1)
    schedule = Schedule(effort.deadline) if effort.start_from is None else Schedule.refining(effort.deadline)
    PhantomTrainer.create(workspace, schedule, effort.start_from).run_training()
    check_workers(processes)
    calibrate(workspace, effort.workers)
