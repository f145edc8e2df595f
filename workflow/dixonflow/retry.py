"""Marks that ask the next run to look at a shard again.

Snakemake compares the number in the mark with the one it recorded, so that the same command reruns only the shards with
failed scans or lost files, and nothing once all is well.
"""

import json

from dixonflow.atomic import write_json
from dixonflow.layout import Results


def looks(results: Results, shard: str) -> int:
    """How often another look at `shard` has been asked for."""
    path = results.retry(shard)
    return int(json.loads(path.read_text(encoding="utf-8"))["looks"]) if path.exists() else 0


def ask_for_look(results: Results, shard: str) -> None:
    """Ask the next run to look at `shard` again."""
    write_json(results.retry(shard), {"looks": looks(results, shard) + 1})
