"""Queries to Slurm in addition to Snakemake's plugin: checks of the profile, and leftover jobs of a dead run."""

import getpass
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dixonflow.errors import DixonflowError

PROFILE = "profiles/slurm/config.yaml"
_SECONDS = 60.0  # a controller that is busy answers late


class SlurmError(DixonflowError):
    """The cluster does not have what is asked for, or does not answer."""


@dataclass(frozen=True)
class Request:
    """What a rule asks of the cluster. Empty where it asks for nothing special.

    Attributes
    ----------
    partition
        Name, or several with commas between them.
    gres
        Generic resource as Slurm writes it: `gpu:1`, `gpu:a100:1`, `shard:1`.
    """

    rule: str
    partition: str = ""
    account: str = ""
    gres: str = ""

    @classmethod
    def of(cls, rule: str, resources: Mapping[str, object]) -> "Request":
        """What a rule asks for, from its resources as Snakemake calls them."""
        partition, account, gres = (
            str(resources.get(name) or "") for name in ("slurm_partition", "slurm_account", "gres")
        )
        return cls(rule, partition, account, gres)


@dataclass(frozen=True)
class Job:
    """A job that Slurm has not finished.

    Attributes
    ----------
    state
        As Slurm calls it: RUNNING, PENDING, ...
    comment
        `rule_<rule>_wildcards_<shard>`, from Snakemake's plugin.
    """

    number: int
    user: str
    state: str
    comment: str

    @property
    def rule(self) -> str:
        """Rule that the job runs."""
        return self.comment.removeprefix("rule_").split("_wildcards_")[0]


def job_name(workflow: Any) -> str:
    """Name that Snakemake's plugin gives to all Slurm jobs of this run.

    Parameters
    ----------
    workflow
        Snakemake's, when its scheduler is there. The name has no public place (snakemake 9.27, plugin 2.8).

    Raises
    ------
    SlurmError
        If it is not where it was.
    """
    try:
        name = workflow.scheduler._executor.run_uuid
    except AttributeError as error:
        raise SlurmError(
            "this version of Snakemake or of its Slurm plugin does not tell the name of its jobs, by which DixonFlow "
            "cancels what a killed run leaves: install the versions of envs/requirements.lock (make install)"
        ) from error
    return str(name)


def check_requests(requests: Iterable[Request]) -> None:
    """Check partitions, GPUs and accounts before a job is submitted.

    Raises
    ------
    SlurmError
        One line a problem, naming the profile, the rule and what the cluster has.
    """
    requests = list(requests)
    partitions = _partitions()
    problems: dict[str, None] = {}
    for request in requests:
        # Slurm takes a list and starts the job in whichever of them can run it first
        named = [name.strip() for name in request.partition.split(",") if name.strip()]
        known = ", ".join(sorted(partitions))
        missing = [name for name in named if name not in partitions]
        for name in missing:
            problems[f"slurm_partition: unknown partition {name!r}; known: {known}"] = None
        if named and not missing and not any(_has(request.gres, partitions[name]) for name in named):
            has = ", ".join(sorted(frozenset[str]().union(*(partitions[name] for name in named)))) or "none"
            text = (
                f"gres: partition {request.partition!r} has no {request.gres!r} for rule {request.rule}; it has: {has}"
            )
            problems[text] = None
        if request.gres.startswith("gpu:") and _count(request.gres) > 1:
            text = f"gres: a job of rule {request.rule} uses one GPU, {request.gres!r} asks for {_count(request.gres)}"
            problems[text] = None
    accounts = _accounts()
    for account in dict.fromkeys(request.account for request in requests if request.account):
        if accounts and account.lower() not in accounts:
            known = ", ".join(sorted(accounts))
            problems[f"slurm_account: you have no account {account!r}; your accounts: {known}"] = None
    if problems:
        raise SlurmError("\n".join(f"{PROFILE}: {problem}" for problem in problems))


def jobs(name: str) -> list[Job]:
    """Jobs of this name that have not ended, whoever submitted them. Raises SlurmError."""
    rows = _ask("squeue", "--noheader", f"--name={name}", "--format=%A|%u|%T|%k").splitlines()
    found = []
    for row in rows:
        number, user, state, comment = row.strip().split("|", 3)
        found.append(Job(int(number), user, state, comment))
    return found


def cancel_leftovers(name: str, seconds: float = 120.0) -> int:
    """Cancel the jobs of a run whose Snakemake is dead, and wait until they are gone. Return how many there were.

    They would work on the same shards as the jobs of the run that is starting.

    Raises
    ------
    SlurmError
        If they are somebody else's, or do not go away.
    """
    left = jobs(name)
    others = Counter(job.user for job in left if job.user != getpass.getuser())
    for user, count in others.items():
        raise SlurmError(
            f"{count} jobs of an earlier run by {user} are still in Slurm's queue: ask {user} to cancel them "
            f"(scancel --name={name}) or wait until they have ended"
        )
    if left:
        _ask("scancel", f"--name={name}")
        end = time.monotonic() + seconds
        while jobs(name):
            if time.monotonic() > end:
                raise SlurmError(f"jobs of an earlier run were not cancelled: run scancel --name={name}")
            time.sleep(1)
    return len(left)


def _partitions() -> Mapping[str, frozenset[str]]:
    """Generic resources of every partition, `gpu:a100` and `gpu` for a node with `gpu:a100:4`."""
    found: dict[str, set[str]] = {}
    for row in _ask("sinfo", "--noheader", "--format=%R|%G").splitlines():
        name, _, resources = row.strip().partition("|")
        names = found.setdefault(name, set())
        for entry in resources.split(","):
            words = [word for word in entry.split("(")[0].split(":") if word]
            kinds = words[:-1] if words and words[-1].isdigit() else words
            names.update(":".join(kinds[:length]) for length in range(1, len(kinds) + 1))
    return {name: frozenset(names) for name, names in found.items()}


def _has(gres: str, available: frozenset[str]) -> bool:
    words = gres.split(":")
    kinds = words[:-1] if words[-1].isdigit() else words
    return not gres or ":".join(kinds) in available


def _count(gres: str) -> int:
    last = gres.rsplit(":", maxsplit=1)[-1]
    return int(last) if last.isdigit() else 1


def _accounts() -> frozenset[str]:
    """Accounts of the user, in lower case; none where the cluster does no accounting."""
    try:
        text = _ask(
            "sacctmgr", "--noheader", "--parsable2", "show", "assoc", f"user={getpass.getuser()}", "format=account"
        )
    except SlurmError:
        return frozenset()
    return frozenset(line.strip().lower() for line in text.splitlines() if line.strip())


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
    except FileNotFoundError as error:
        raise SlurmError(
            f"{command[0]} was not found: start the run on a machine with Slurm's commands (a login node), "
            "or run on this machine only, with snakemake --cores"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"Slurm does not answer ({command[0]}, {_SECONDS:.0f} s)") from error
    except subprocess.CalledProcessError as error:
        raise SlurmError(f"{command[0]}: {' '.join(error.stderr.split())}") from error
    return done.stdout
