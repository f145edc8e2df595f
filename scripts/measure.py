#!/usr/bin/env python3
"""Measure volumes, fat and quality of each scan."""

from dixonflow.command import CONFIG, ConfigOption, MemoryOption, ScanOption, ShardOption, run, run_stage
from dixonflow.vocabulary import Stage


def main(
    config: ConfigOption = CONFIG,
    shard: ShardOption = None,
    scan: ScanOption = None,
    memory_mb: MemoryOption = None,
) -> None:
    """Measure volumes, fat and quality of each scan.

    A shard writes its outcome rows to results/measure/; one scan is run by hand, again even if it is done, and
    only its files are written.
    """
    run_stage(Stage.MEASURE, config, shard, scan, memory_mb)


if __name__ == "__main__":
    run(main)
