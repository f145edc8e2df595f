"""Estimate what a run will cost, from a pilot run. Reads only."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from dixonflow.cli.options import CONFIG, ConfigOption
from dixonflow.config import read_config
from dixonflow.errors import DixonflowError
from dixonflow.run.estimate.estimate import Estimate, estimate
from dixonflow.run.estimate.target import Amount
from dixonflow.run.progress import duration

_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def estimate_command(
    pilot: Annotated[Path, typer.Option("--pilot", help="Results folder of a finished pilot run.")],
    config: ConfigOption = CONFIG,
    scans: Annotated[
        int | None,
        typer.Option("--scans", help="Scans in the raw folders; without it, those that the cohort stage has listed."),
    ] = None,
    gpus: Annotated[int | None, typer.Option("--gpus", min=1, help="GPUs, like the pilot's, for the time.")] = None,
    cores: Annotated[int | None, typer.Option("--cores", min=1, help="Cores, like the pilot's, for the time.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; docs/cluster.md documents the keys.")] = False,
) -> None:
    """Print hours, memory, jobs, time and disk space of a run, with what is not known of them."""
    try:
        found = estimate(pilot, read_config(config), scans, gpus, cores)
    except DixonflowError as error:
        sys.exit(f"estimate: {error}")
    print(json.dumps(found.to_json(), allow_nan=False) if as_json else format_estimate(found))


def format_estimate(found: Estimate) -> str:
    """Render for the terminal: each number with its 95 % interval, `?` where it is not known."""
    outcomes = ", ".join(f"{name} {_range(amount)}" for name, amount in found.outcomes.items())
    lines = [
        f"{found.scans} scans, from {found.pilot_scans} scans of the pilot; with 95 % intervals",
        f"outcomes   {outcomes}",
        f"jobs       {found.jobs}, of {found.shards} shards",
        "",
        f"{'stage':<13}{'model':<20}{'pilot':>6}  {'core hours':<30}{'of them not ok':<16}{'GPU hours':<30}allocated",
    ]
    lines += [
        f"{row.stage.value:<13}{row.model:<20}{row.pilot_scans:>6}  {_range(row.core_hours):<30}"
        f"{_number(row.core_hours_not_ok.value):<16}{_range(row.gpu_hours):<30}"
        f"{_number(row.gpu_hours_allocated.value):<12}".rstrip()
        for row in found.work
    ]
    lines += ["", f"{'memory (MB)':<13}{'model':<20}{'median':<30}{'95th percentile':<30}{'largest':<9}need more"]
    lines += [
        f"{row.stage.value:<13}{row.model:<20}{_range(row.memory_mb_median):<30}{_range(row.memory_mb_p95):<30}"
        f"{_number(row.memory_mb_largest):<9}{_share(row.above_largest)}"
        for row in found.work
    ]
    if found.makespan is not None:
        low, high = found.makespan.at_least, found.makespan.at_most
        lines += ["", f"time       {_hours(low)} to {_hours(high)}"]
    lines += ["", f"{'disk':<30}{'all scans':<34}pilot"]
    lines += [
        f"{kind.name:<30}{_range(kind.bytes, size=True):<34}{kind.pilot_files} files, {_size(kind.pilot_bytes)}"
        for kind in found.storage.kept
    ]
    lines += [
        f"{'all of these that are known':<30}{_size(found.storage.kept_bytes)}",
        f"{'raw data':<30}{_range(found.storage.raw, size=True)}",
        f"{'temporary, of a shard at work':<30}at most {_size(found.storage.temporary_of_shard)}",
        "",
        "jobs ask for (dixonflow status --resources):",
        *(f"  {each.stage.value}: {{mem_mb: {each.mem_mb}, runtime: {each.runtime}}}" for each in found.requests),
        "",
        *(f"- {note}" for note in found.notes),
    ]
    return "\n".join(lines)


def _range(amount: Amount, *, size: bool = False) -> str:
    show = _size if size else _number
    if amount.low is None and amount.high is None:
        return show(amount.value)
    return f"{show(amount.value)} ({show(amount.low)} to {show(amount.high)})"


def _number(value: float | None) -> str:
    if value is None:
        return "?"
    return f"{value:.0f}" if value >= 100 or value == 0 else f"{value:.3g}"


def _share(part: float | None) -> str:
    return "?" if part is None else f"at most {part:.0%}"


def _size(count: float | None) -> str:
    if count is None:
        return "?"
    for unit, name in _UNITS:
        if count >= unit:
            return f"{_number(count / unit)} {name}"
    return f"{count:.0f} B"


def _hours(hours: float) -> str:
    return duration(hours * 3600)
