"""Before the first job of a run: it is the only one, a dead one is cleared away, Slurm has what is asked for."""

import argparse
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from dixonflow.errors import ConfigError
from dixonflow.paths import Results
from dixonflow.run.lock import Run, RunLock
from dixonflow.run.participant_folders import check_moved
from dixonflow.run.plan import Plan
from dixonflow.run.slurm import Request, cancel_leftovers, check_requests
from dixonflow.vocabulary import Stage


def check_writable(results: Path, snakemake_folder: Path) -> None:
    """Check that folders which earlier runs have made can be written to: they may be another user's.

    Raises
    ------
    ConfigError
        Naming the first that cannot.
    """
    for path in (results, *sorted(results.iterdir())):
        if path.is_dir() and not os.access(path, os.W_OK | os.X_OK):
            raise ConfigError(f"config: results: {path} cannot be written: does it belong to another user?")
    for path in (snakemake_folder, *sorted(snakemake_folder.glob("*"))):
        if path.exists() and not os.access(path, os.W_OK):
            raise ConfigError(f"{path} cannot be written: run your own copy of the project")


def check_not_withdrawing(results: Results) -> None:
    """Refuse results of which a participant is half removed. Raises ConfigError."""
    if results.withdrawing.exists():
        raise ConfigError(
            f"a withdrawal from {results.root} was interrupted: call dixonflow withdraw once more, then run again"
        )


def check_until(command: Sequence[str]) -> None:
    """Check that Snakemake can do what `--until` asks for, where it stands among the words of a command.

    Raises
    ------
    ConfigError
        For a stage after the cohort stage: where there are new scans, Snakemake would say that nothing is to be done.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--until", "-U", nargs="+", default=[])
    asked = parser.parse_known_args(command)[0].until
    for stage in (stage for stage in Stage if stage in asked and stage is not Stage.COHORT):
        raise ConfigError(
            f"--until {stage}: its jobs are known only after the cohort stage. "
            f"Use the target until_{stage.job[-1]} instead"
        )


def begin_run(
    plan: Plan,
    lock: RunLock,
    slurm_name: str = "",
    requests: Iterable[Request] = (),
    snakemake_folder: Path = Path(".snakemake"),
) -> None:
    """Take the lock, clear away, check, and write the configuration in force.

    Parameters
    ----------
    slurm_name
        Name of all Slurm jobs of the run; empty on one machine.
    requests
        What the rules ask of Slurm.
    snakemake_folder
        Where Snakemake keeps its records.

    Raises
    ------
    RunInProgressError, ConfigError, SlurmError
        With what to do; no job has been started.
    """
    before = lock.take()
    check_writable(plan.results.root, snakemake_folder)
    check_moved(plan.results)
    check_not_withdrawing(plan.results)
    if before is not None and before.slurm_name and not before.ended:
        left = cancel_leftovers(before.slurm_name)
        if left:
            print(f"{left} jobs of an earlier run that was killed are cancelled; their scans resume where they stopped")
    if slurm_name:
        check_requests(requests)
    lock.announce(Run.here(slurm_name))
    plan.write()
