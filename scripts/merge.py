#!/usr/bin/env python3
"""Merge the label maps of the contrasts into one."""

from dixonflow.command import CONFIG, ConfigOption, MemoryOption, ScanOption, ShardOption, run, run_stage
from dixonflow.vocabulary import Stage


def main(
    config: ConfigOption = CONFIG,
    shard: ShardOption = None,
    scan: ScanOption = None,
    memory_mb: MemoryOption = None,
) -> None:
    """Merge the label maps of the contrasts into one.

    A shard writes its outcome rows to results/merge/; one scan is run by hand, again even if it is done, and
    only its files are written.
    """
    run_stage(Stage.MERGE, config, shard, scan, memory_mb)


if __name__ == "__main__":
    run(main)
