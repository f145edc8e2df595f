"""Shard lists: every scan in one shard, and what was once assigned stays."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dixonflow.cohort.shards import (
    RawScan,
    Shard,
    ShardError,
    assign_shards,
    find_shard,
    read_shard,
    read_shards,
    shard_by_scan,
    write_shards,
)
from dixonflow.vocabulary import Layout, ScanId

ids = st.builds(ScanId, st.text("0123456789", min_size=1, max_size=4), st.sampled_from(["2", "3", "30"]))
scan_sets = st.sets(ids, max_size=30)


def entry(scan: ScanId, key: str = "a") -> RawScan:
    return RawScan(scan, Layout.UKB, Path("raw") / f"{scan.name}.zip", key * 64)


def members(shards: list[Shard]) -> list[ScanId]:
    return [item.scan for shard in shards for item in shard.scans]


@given(scans=scan_sets, size=st.integers(1, 7), order=st.randoms())
def test_shards_are_a_partition_that_does_not_depend_on_order(scans: set[ScanId], size: int, order: object) -> None:
    listed = [entry(scan) for scan in scans]
    shards = assign_shards(listed, [], size)
    assert sorted(members(shards)) == sorted(scans)
    assert all(1 <= len(shard.scans) <= size for shard in shards)
    order.shuffle(listed)  # type: ignore[attr-defined]
    assert assign_shards(listed, [], size) == shards


@given(first=scan_sets, later=scan_sets, size=st.integers(1, 7), other_size=st.integers(1, 7))
def test_shards_of_earlier_runs_never_change(
    first: set[ScanId], later: set[ScanId], size: int, other_size: int
) -> None:
    before = assign_shards(map(entry, first), [], size)
    after = assign_shards(map(entry, later), reversed(before), other_size)
    assert [shard for shard in after if shard in before] == sorted(before, key=lambda shard: shard.name)
    assert sorted(members(after)) == sorted(first | later)
    assert set(shard_by_scan(after)) == first | later
    assert assign_shards(map(entry, later), after, size) == sorted(after, key=lambda shard: shard.name)


@settings(max_examples=20)
@given(scans=st.sets(ids, min_size=1, max_size=20))
def test_lists_come_back_from_disk(tmp_path_factory: pytest.TempPathFactory, scans: set[ScanId]) -> None:
    folder = tmp_path_factory.mktemp("cohort") / "shards"
    shards = assign_shards(map(entry, scans), [], 3)
    write_shards(folder, shards)
    assert read_shards(folder) == sorted(shards, key=lambda shard: shard.name)
    assert folder.with_suffix(".txt").read_text().split() == [shard.name for shard in shards]
    scan = max(scans)
    assert scan in [item.scan for item in find_shard(folder, scan).scans]


def test_leading_zeros_survive(tmp_path: Path) -> None:
    scans = [ScanId("0007", "2"), ScanId("7", "2"), ScanId("007", "02")]
    write_shards(tmp_path / "shards", assign_shards(map(entry, scans), [], 64))
    assert sorted(members(read_shards(tmp_path / "shards"))) == sorted(scans)


def test_a_list_is_written_again_only_where_raw_data_changed(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    scans = [ScanId(str(number), "2") for number in range(4)]
    write_shards(folder, assign_shards(map(entry, scans), [], 2))
    files = sorted(folder.glob("*.json"))
    before = [(path.stat().st_ino, path.read_bytes()) for path in files]
    changed = [entry(scan, "b" if scan.participant == "3" else "a") for scan in scans]
    write_shards(folder, assign_shards(changed, read_shards(folder), 2))
    same = [(path.stat().st_ino, path.read_bytes()) == old for path, old in zip(files, before, strict=True)]
    assert sorted(same) == [False, True]
    assert find_shard(folder, ScanId("3", "2")).scans[1].raw_key == "b" * 64
    assert sorted(folder.glob("*.json")) == files


def test_an_edited_damaged_or_missing_list_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    write_shards(folder, assign_shards([entry(ScanId("1", "2")), entry(ScanId("2", "2"))], [], 2))
    path = next(folder.glob("*.json"))
    text = path.read_text()
    path.write_text(text.replace('"participant": "1"', '"participant": "3"'))
    with pytest.raises(ShardError, match="edited"):
        read_shard(path)
    path.write_text(text.replace('"participant": "1"', '"participant": 1'))
    with pytest.raises(ShardError, match="damaged"):
        read_shard(path)
    path.write_text(text[:50])
    with pytest.raises(ShardError, match="damaged"):
        read_shard(path)
    path.unlink()
    with pytest.raises(ShardError, match="no shard list"):
        read_shard(path)
    with pytest.raises(ShardError, match="no shard list"):
        find_shard(folder, ScanId("1", "2"))


def test_contradicting_lists_and_double_scans_are_errors() -> None:
    one, two, three = (entry(ScanId(name, "2")) for name in "123")
    overlapping = [*assign_shards([one, two], [], 2), *assign_shards([two, three], [], 2)]
    with pytest.raises(ShardError, match="another shard"):
        assign_shards([one, two, three], overlapping, 2)
    with pytest.raises(ValueError, match="twice"):
        assign_shards([one, one], [], 2)
    with pytest.raises(ValueError, match="at least 1"):
        assign_shards([one], [], 0)
