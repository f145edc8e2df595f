"""What the folders of a run show of its shards while jobs write them; no file is opened."""

import os
from collections.abc import Iterable

from dixonflow.paths import Results
from dixonflow.vocabulary import Stage


def outcome_dates(results: Results, stage: Stage) -> dict[str, float]:
    """Date (s since 1970) of the outcome rows of a stage, by shard; none where there is no file."""
    found = {}
    try:
        with os.scandir(results.outcomes(stage, "x").parent) as entries:
            for entry in entries:
                name, _, suffix = entry.name.partition(".")
                if name and suffix == "parquet":
                    found[name] = entry.stat().st_mtime
    except OSError:
        return found  # the stage has not begun, or a file is gone this moment
    return found


def begun_shards(results: Results, stage: Stage, models: Iterable[str]) -> set[str]:
    """Shards that a job has begun at a stage, for any model, and not ended."""
    shards: set[str] = set()
    for model in models:
        try:
            with os.scandir(results.records(stage, "x", model).parent) as entries:
                shards.update(entry.name for entry in entries if entry.is_dir())
        except OSError:
            continue  # not reached yet
    return shards
