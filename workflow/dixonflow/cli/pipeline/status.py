"""Show the progress of a run, or propose resources for the next one. Reads only."""

import json
import sys
import time
from dataclasses import asdict
from typing import Annotated

import typer

from dixonflow.cli.options import CONFIG, ConfigOption
from dixonflow.config import read_config
from dixonflow.errors import DixonflowError
from dixonflow.run.progress import duration
from dixonflow.run.requests import Proposal, propose
from dixonflow.run.status import RunStatus, run_status
from dixonflow.vocabulary import Status


def status_command(
    config: ConfigOption = CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; docs/cluster.md documents the keys.")] = False,
    resources: Annotated[
        bool, typer.Option("--resources", help="Propose memory and time for profiles/slurm/config.yaml.")
    ] = False,
) -> None:
    """Print scans per stage and status, reasons, pace and Slurm jobs, during and after a run."""
    try:
        settings = read_config(config)
        results = settings.paths
        if resources:
            proposals = propose(
                results, settings.cohort.scans_per_shard, len(settings.segment.models), settings.scan_minutes
            )
            print(json.dumps([asdict(each) for each in proposals]) if as_json else format_proposals(proposals))
        else:
            status = run_status(results, time.time())
            print(json.dumps(status.to_json()) if as_json else format_status(status))
    except DixonflowError as error:
        sys.exit(f"status: {error}")


def format_status(status: RunStatus) -> str:
    """Render for the terminal."""
    run = "a run is in progress" if status.running else "no run is in progress"
    last = f", {status.run}" if status.running else f"; the last one {status.run}"
    lines = [f"{run}{last if status.run else ''}", ""]
    lines.append(f"{'stage':<12}{'ok':>9}{'excluded':>10}{'failed':>9}{'waiting':>9}")
    lines += [
        f"{row.stage.value:<12}{row.ok:>9}{row.excluded:>10}{row.failed:>9}{row.waiting:>9}" for row in status.stages
    ]
    lines += ["", *(f"{name:<11}{count:>9}" for name, count in status.scans.items())]
    for name, reasons in ((Status.EXCLUDED, status.excluded), (Status.FAILED, status.failed)):
        if reasons:
            lines += [
                "",
                f"{name.value}, by reason",
                *(f"  {reason:<22}{count:>7}" for reason, count in reasons.items()),
            ]
    lines += ["", f"shards     {status.shards_ended} of {status.shards} ended"]
    if status.pace is not None:
        lines.append(
            f"pace       {status.pace.scans_per_hour:.0f} scans per hour, {duration(status.pace.seconds_left)} left"
        )
    if status.slurm is not None:
        jobs = [
            f"{rule} {state.lower()} {count}"
            for rule, states in status.slurm.items()
            for state, count in states.items()
        ]
        lines.append(f"slurm      {', '.join(jobs) or 'no jobs'}")
    return "\n".join(lines)


def format_proposals(proposals: list[Proposal]) -> str:
    """Render as a piece of the profile."""
    lines = [
        "# Memory: largest peak plus a quarter. Time: a full shard at the 95th percentile plus scan_minutes.",
        "# For profiles/slurm/config.yaml:",
        "set-resources:",
    ]
    for each in proposals:
        gpu = f", {each.gpu_seconds:.1f} s on the GPU" if each.gpu_seconds else ""
        seen = f"{each.scans} scans, {each.seconds:.1f} s each{gpu}"
        lines.append(f"  {each.stage.value}: {{mem_mb: {each.mem_mb}, runtime: {each.runtime}}} # {seen}")
    return "\n".join(lines)
