"""Before the first job of a run: it is the only one, a dead one is cleared away, Slurm has what is asked for."""

from collections.abc import Iterable

from dixonflow.plan import Plan
from dixonflow.run_lock import Run, RunLock
from dixonflow.slurm import Request, cancel_leftovers, check_requests


def begin_run(plan: Plan, lock: RunLock, slurm_name: str = "", requests: Iterable[Request] = ()) -> None:
    """Take the lock, clear away, check, and write the configuration in force.

    Parameters
    ----------
    slurm_name
        Name of all Slurm jobs of the run; empty on one machine.
    requests
        What the rules ask of Slurm.

    Raises
    ------
    RunInProgressError, ConfigError, SlurmError
        With what to do; no job has been started.
    """
    before = lock.take()
    lock.check_folders()
    if before is not None and before.slurm_name and not before.ended:
        left = cancel_leftovers(before.slurm_name)
        if left:
            print(f"{left} jobs of an earlier run that was killed are cancelled: their scans go on where they stopped")
    if slurm_name:
        check_requests(requests)
    lock.announce(Run.here(slurm_name))
    plan.write()
