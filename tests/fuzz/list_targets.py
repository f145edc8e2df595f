"""Fuzz targets of what a person or an interrupted job leaves: configuration, lists of participants, shards, records."""

import gzip
import re
from pathlib import Path

from mutators import mutate_gzip, mutate_json, mutate_json_lines, mutate_yaml
from targets import Target

from dixonflow.cohort.included import read_included
from dixonflow.cohort.shards import ShardError, read_shard, shard_of, write_shards
from dixonflow.cohort.withdrawn import read_withdrawn
from dixonflow.config import demo_config, read_config
from dixonflow.config.documents import config_yaml
from dixonflow.errors import ConfigError
from dixonflow.execution.outcome import Outcome
from dixonflow.execution.records import Record, Records
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.vocabulary import Layout, Reason, ScanId, Stage, Status

_SCANS = [ScanId("0001234", "1"), ScanId("0001235", "1")]


def _written(data: bytes, folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    return path


def _read_configuration(data: bytes, folder: Path) -> None:
    read_config(_written(data, folder, "config.yaml"))


def _configurations(_: Path) -> list[bytes]:
    return [config_yaml(demo_config()).encode(), demo_config().model_dump_json().encode()]


def _read_withdrawn(data: bytes, folder: Path) -> None:
    read_withdrawn(_written(data, folder, "withdrawn.txt"))


def _withdrawn_lists(_: Path) -> list[bytes]:
    return [b"eid\n0001234\n\n# a comment\n5\n", '\ufeff"0001234"\r\n'.encode()]


def _read_included(data: bytes, folder: Path) -> None:
    read_included(_written(data, folder, "include.txt"))


def _included_lists(_: Path) -> list[bytes]:
    return [b"eid\n0001234\nsub-5_ses-2\n7,3\n# a comment\n", '\ufeff"0001234"\t"2"\r\n'.encode()]


def _read_shard(data: bytes, folder: Path) -> None:
    found = re.search(rb'"shard": *"([0-9a-f]{12})"', data)
    read_shard(_written(data, folder, f"{found[1].decode() if found else 'shard'}.json"))


def _shard_lists(folder: Path) -> list[bytes]:
    shard = shard_of(RawScan(scan, Layout.UKB, Path(f"{scan.participant}.zip"), "0" * 64) for scan in _SCANS)
    write_shards(folder, [shard])
    return [path.read_bytes() for path in folder.glob("*.json")]


def _read_records(data: bytes, folder: Path) -> None:
    records = Records(_written(data, folder, "shard.jsonl.gz"))
    loose = folder / "shard"
    loose.mkdir(exist_ok=True)
    for name in ("json", "begun"):
        (loose / f"{_SCANS[0].name}.{name}").write_bytes(data)
    records.load()


def _record_files(_: Path) -> list[bytes]:
    lines = [
        Record(
            Outcome(scan, Stage.STITCH, Status.OK, Reason.NONE, "", 1.0, 100.0, 0.0, 1, "0" * 64),
            {"stations": 6},
        ).to_json()
        for scan in _SCANS
    ]
    return [gzip.compress(b"".join(lines), 1, mtime=0), lines[0], b"0" * 64 + b" 2"]


CONFIGURATION = Target(_read_configuration, (ConfigError,), _configurations, mutate_yaml, 1 << 14, lines=True)
INCLUDED = Target(_read_included, (ConfigError,), _included_lists, longest=1 << 12)
WITHDRAWN = Target(_read_withdrawn, (ConfigError,), _withdrawn_lists, longest=1 << 12)
SHARD_LIST = Target(_read_shard, (ShardError,), _shard_lists, mutate_json, 1 << 13)
RECORDS = Target(_read_records, (), _record_files, mutate_gzip(mutate_json_lines), 1 << 13)
