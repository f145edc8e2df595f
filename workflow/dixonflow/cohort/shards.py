"""Shard lists: which scans one job processes. Membership never changes; new scans form new shards."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dixonflow.errors import DixonflowError
from dixonflow.rawdata.raw_scan import RawScan, options_as_json, options_from_json
from dixonflow.system.atomic import write_bytes, write_json
from dixonflow.vocabulary import Layout, ScanId, ScanSequence

NAME_DIGITS = 12
"""48 bits: among 10,000 shards two have the same name by chance once in several million cohorts."""


class ShardError(DixonflowError):
    """A shard list is damaged, was edited, or does not exist."""


@dataclass(frozen=True)
class Shard:
    """A fixed set of scans of one sequence, sorted. Made by `shard_of`."""

    name: str
    scans: tuple[RawScan, ...]

    @property
    def sequence(self) -> ScanSequence:
        """Of its scans."""
        return self.scans[0].scan.sequence

    @property
    def current_sequence(self) -> ScanSequence | None:
        """Sequence of its scans; None for CT as earlier versions named it, which is read as a new scan."""
        of_earlier_version = self.scans[0].layout is Layout.CT and self.sequence is ScanSequence.DIXON
        return None if of_earlier_version else self.sequence


def shard_name(scans: Iterable[ScanId]) -> str:
    """Name of the shard that holds these scans: a hash of their names, whatever their order."""
    names = sorted(scan.name for scan in scans)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:NAME_DIGITS]


def shard_of(scans: Iterable[RawScan]) -> Shard:
    """Make the shard that holds these scans.

    Raises
    ------
    ValueError
        If there are none, or one is named twice.
    """
    entries = tuple(sorted(scans, key=lambda entry: entry.scan))
    if not entries or len({entry.scan for entry in entries}) != len(entries):
        raise ValueError("a shard must hold at least one scan, and each only once")
    if len({entry.scan.sequence for entry in entries}) > 1:
        raise ValueError("the scans of a shard must be of one sequence")
    return Shard(shard_name(entry.scan for entry in entries), entries)


def without_paths(shards: Iterable[Shard], participants: Collection[str]) -> list[Shard]:
    """Take out of shard lists where the raw data of participants lies, and its fingerprint.

    Their ids stay: the members give a shard its name.
    """
    return [
        Shard(
            shard.name,
            tuple(
                RawScan(entry.scan, entry.layout, Path()) if entry.scan.participant in participants else entry
                for entry in shard.scans
            ),
        )
        for shard in shards
    ]


def assign_shards(scans: Iterable[RawScan], existing: Iterable[Shard], scans_per_shard: int) -> list[Shard]:
    """Put every scan into exactly one shard.

    Parameters
    ----------
    scans
        All scans that are to be processed, in any order.
    existing
        Shards of earlier runs. Their names and members stay. Where raw data has moved or was replaced, the entry takes
        the new path and fingerprint; members that are not among `scans` keep theirs.
    scans_per_shard
        Size of new shards; the last new one may be smaller.

    Returns
    -------
    Existing shards by name, then new ones in the order of their scans.

    Raises
    ------
    ShardError
        If two existing shards hold the same scan.
    ValueError
        If a scan is given twice, or `scans_per_shard` is below 1.
    """
    if scans_per_shard < 1:
        raise ValueError("scans_per_shard must be at least 1")
    current: dict[ScanId, RawScan] = {}
    for entry in scans:
        if entry.scan in current:
            raise ValueError("a scan would be assigned twice")
        current[entry.scan] = entry
    shards: list[Shard] = []
    assigned: set[ScanId] = set()
    for shard in sorted(existing, key=lambda shard: shard.name):
        members = {entry.scan for entry in shard.scans}
        if members & assigned:
            raise ShardError(
                f"shard {shard.name} holds a scan that another shard holds too: remove one of the two lists"
            )
        assigned |= members
        shards.append(Shard(shard.name, tuple(current.get(entry.scan, entry) for entry in shard.scans)))
    for sequence in ScanSequence:  # the scans of a shard go through the same models
        new = [current[scan] for scan in sorted(current) if scan not in assigned and scan.sequence is sequence]
        shards += [shard_of(new[start : start + scans_per_shard]) for start in range(0, len(new), scans_per_shard)]
    return shards


def shard_by_scan(shards: Iterable[Shard]) -> Mapping[ScanId, str]:
    """Name of the shard of every scan."""
    return {entry.scan: shard.name for shard in shards for entry in shard.scans}


def write_shards(folder: Path, shards: Iterable[Shard]) -> None:
    """Write `<folder>/<name>.json` for each shard, and `<folder>.txt` with all names, one per line.

    A file whose content is right already is not touched, so that its date does not make a job run again.
    """
    shards = list(shards)
    for shard in shards:
        path = folder / f"{shard.name}.json"
        if not path.exists() or read_shard(path) != shard:
            write_json(path, {"shard": shard.name, "scans": [_to_json(entry) for entry in shard.scans]})
    write_bytes(folder.with_suffix(".txt"), "".join(f"{shard.name}\n" for shard in shards).encode())


def read_shard_names(folder: Path) -> list[str]:
    """Shards of the run, as `write_shards` named them; none where there is no such file."""
    try:
        return folder.with_suffix(".txt").read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return []


def read_shards(folder: Path) -> list[Shard]:
    """Read all shard lists of a folder, sorted by name; none where there is no folder. Raises ShardError."""
    return [read_shard(path) for path in sorted(folder.glob("*.json")) if not path.name.startswith(".")]


def read_shard(path: Path) -> Shard:
    """Read a shard list.

    Raises
    ------
    ShardError
        If it is missing or damaged, or its members are not those that gave it its name.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        shard = shard_of(_from_json(entry) for entry in content["scans"])
    except FileNotFoundError as error:
        raise ShardError(f"there is no shard list {path}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ShardError(f"shard list {path} is damaged: remove it and run the workflow again") from error
    if shard.name != path.stem or shard.name != content.get("shard"):
        raise ShardError(f"shard list {path} does not match its name: its scans were edited")
    return shard


def dixon_scans(folder: Path) -> Mapping[ScanId, tuple[str, RawScan]]:
    """Entry of every Dixon scan of the run that has raw data, and the name of its shard. Raises ShardError."""
    shards = [read_shard(folder / f"{name}.json") for name in read_shard_names(folder)]
    return {
        entry.scan: (shard.name, entry)
        for shard in shards
        if shard.current_sequence is ScanSequence.DIXON
        for entry in shard.scans
        if entry.raw_key
    }


def find_shard(folder: Path, scan: ScanId) -> Shard:
    """Find the shard that holds a scan.

    Raises
    ------
    ShardError
        If none does.
    """
    for shard in read_shards(folder):
        if any(entry.scan == scan for entry in shard.scans):
            return shard
    raise ShardError(f"no shard list in {folder} holds this scan: it was not found, or the cohort stage excluded it")


def _to_json(entry: RawScan) -> dict[str, Any]:
    more: dict[str, Any] = {"more_paths": [str(path) for path in entry.more_paths]} if entry.more_paths else {}
    options = options_as_json(entry.options)
    more |= {"options": options} if options else {}
    more |= {"sequence": entry.scan.sequence.value} if entry.scan.sequence is not ScanSequence.DIXON else {}
    return more | {
        "participant": entry.scan.participant,
        "session": entry.scan.session,
        "layout": entry.layout.value,
        "path": str(entry.path) if entry.path != Path() else "",
        "raw_key": entry.raw_key,
        "state": entry.state,
    }


def _from_json(entry: Mapping[str, Any]) -> RawScan:
    if not all(isinstance(entry[key], str) for key in ("participant", "session", "layout", "path", "raw_key")):
        raise TypeError("all values of a shard list entry must be text")
    scan = ScanId(entry["participant"], entry["session"], ScanSequence(entry.get("sequence", ScanSequence.DIXON)))
    more = entry.get("more_paths", [])
    if not isinstance(more, list) or not all(isinstance(path, str) for path in more):
        raise TypeError("the paths of a shard list entry must be text")
    return RawScan(
        scan,
        Layout(entry["layout"]),
        Path(entry["path"]),
        entry["raw_key"],
        entry.get("state", ""),
        tuple(map(Path, more)),
        options_from_json(entry.get("options", "")),
    )
