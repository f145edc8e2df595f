"""Fixtures of the unit tests."""

from pathlib import Path

import pytest

from dixonflow.cohort.shards import ShardScan
from dixonflow.vocabulary import Layout


@pytest.fixture
def make_shard_scan():
    """Make an entry of a shard list from a scan id."""
    return lambda scan: ShardScan(scan, Layout.UKB, Path(f"{scan.participant}.zip"), "0" * 64)
