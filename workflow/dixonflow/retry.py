"""Marks that ask the next run to look at a shard again.

Snakemake compares the number in the mark with the one it recorded, so that the same command reruns only the shards with
failed scans or lost files, and nothing once all is well. Where memory ran out, the mark asks for more of it.
"""

import json
from dataclasses import asdict, dataclass

from dixonflow.atomic import write_json
from dixonflow.layout import Results

MOST_MEMORY = 8
"""Largest factor on the memory of a job."""


@dataclass(frozen=True)
class Retry:
    """What earlier runs ask for.

    Attributes
    ----------
    looks
        How often another look at the shard has been asked for.
    memory
        Factor on the memory of the shard's jobs.
    """

    looks: int = 0
    memory: int = 1


def read_retry(results: Results, shard: str) -> Retry:
    """Read the mark of `shard`."""
    path = results.retry(shard)
    return Retry(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else Retry()


def ask_for_look(results: Results, shard: str, *, more_memory: bool = False) -> None:
    """Ask the next run to look at `shard` again, with twice the memory where that ran out."""
    before = read_retry(results, shard)
    memory = min(before.memory * 2, MOST_MEMORY) if more_memory else before.memory
    write_json(results.retry(shard), asdict(Retry(before.looks + 1, memory)))
