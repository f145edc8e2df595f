#!/usr/bin/env python3
"""Predict one label map per contrast with the networks of the model."""

from dixonflow.command import CONFIG, ConfigOption, MemoryOption, ScanOption, ShardOption, run, run_stage
from dixonflow.vocabulary import Stage


def main(
    config: ConfigOption = CONFIG,
    shard: ShardOption = None,
    scan: ScanOption = None,
    memory_mb: MemoryOption = None,
) -> None:
    """Predict one label map per contrast with the networks of the model.

    A shard writes its outcome rows to results/segment/; one scan is run by hand, again even if it is done, and
    only its files are written.
    """
    run_stage(Stage.SEGMENT, config, shard, scan, memory_mb)


if __name__ == "__main__":
    run(main)
