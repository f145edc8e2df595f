#!/usr/bin/env python3
"""Bring stitched contrasts onto the grid that the model's authors resample to."""

from dixonflow.command import CONFIG, ConfigOption, MemoryOption, ScanOption, ShardOption, run, run_stage
from dixonflow.vocabulary import Stage


def main(
    config: ConfigOption = CONFIG,
    shard: ShardOption = None,
    scan: ScanOption = None,
    memory_mb: MemoryOption = None,
) -> None:
    """Bring stitched contrasts onto the grid that the model's authors resample to.

    A shard writes its outcome rows to results/resample/; one scan is run by hand, again even if it is done, and
    only its files are written.
    """
    run_stage(Stage.RESAMPLE, config, shard, scan, memory_mb)


if __name__ == "__main__":
    run(main)
