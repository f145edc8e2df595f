#!/usr/bin/env python3
"""Drop surplus components and put the final label map in place."""

from dixonflow.command import CONFIG, ConfigOption, MemoryOption, ScanOption, ShardOption, run, run_stage
from dixonflow.vocabulary import Stage


def main(
    config: ConfigOption = CONFIG,
    shard: ShardOption = None,
    scan: ScanOption = None,
    memory_mb: MemoryOption = None,
) -> None:
    """Drop surplus components and put the final label map in place.

    A shard writes its outcome rows to results/postprocess/; one scan is run by hand, again even if it is done, and
    only its files are written.
    """
    run_stage(Stage.POSTPROCESS, config, shard, scan, memory_mb)


if __name__ == "__main__":
    run(main)
