"""What a shard has done at a stage, kept across runs: the memory that makes resuming exact.

While a job runs, every finished scan is one small file; when the job ends they are packed into one. Both appear by
rename. A mark left behind by a scan that was begun and never finished tells that its job was killed.
"""

import gzip
import json
import logging
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dixonflow.execution.outcome import Outcome
from dixonflow.system.atomic import write_bytes
from dixonflow.vocabulary import ScanId, ScanSequence

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """Outcome of a scan at a stage and what the stage has to say about it (JSON-compatible).

    Attributes
    ----------
    result
        Hash over what later stages read of the stage's files; empty where that is not known.
    stands_for
        Earlier content keys of the scan at this stage under which it gave the same result.
    raw_stamp
        State of the raw data that the outcome rests on; empty where it was not known.
    """

    outcome: Outcome
    payload: dict[str, Any] = field(default_factory=dict)
    result: str = ""
    stands_for: tuple[str, ...] = ()
    raw_stamp: str = ""

    def to_json(self) -> bytes:
        """Encode as one line of JSON."""
        more: dict[str, Any] = {"result": self.result, "stands_for": list(self.stands_for), "raw_stamp": self.raw_stamp}
        row, sequence = self.outcome.to_row(), self.outcome.scan.sequence
        row |= {"sequence": sequence.value} if sequence is not ScanSequence.DIXON else {}
        content: dict[str, Any] = {"outcome": row, "payload": self.payload}
        content |= {name: value for name, value in more.items() if value}
        return json.dumps(content, sort_keys=True, allow_nan=False).encode() + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> "Record":
        """Inverse of `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
        content = json.loads(line)
        return cls(
            Outcome.from_row(content["outcome"]),
            content["payload"],
            content.get("result", ""),
            tuple(content.get("stands_for", ())),
            content.get("raw_stamp", ""),
        )


@dataclass(frozen=True)
class EarlierResult:
    """What a stage had made of a scan before it began to recompute it.

    Attributes
    ----------
    result
        Hash of the earlier result; empty where it is not known.
    keys
        Content keys under which it was made.
    """

    result: str = ""
    keys: tuple[str, ...] = ()


NO_EARLIER_RESULT = EarlierResult()


@dataclass(frozen=True)
class StartedMark:
    """The mark of a scan that was begun and never finished.

    Attributes
    ----------
    key
        Its content key; empty where the mark cannot be read.
    interruptions
        How often that has happened.
    before
        What there was before: its record does not count any more, its result may still be compared with.
    """

    key: str
    interruptions: int
    before: EarlierResult


class Records:
    """The records of one shard at one stage.

    Parameters
    ----------
    packed
        Path of the packed file, `<shard>.jsonl.gz`; loose files lie in a folder next to it, named `<shard>`.
    """

    def __init__(self, packed: Path) -> None:
        self._packed = packed
        self._loose = packed.with_name(packed.name.removesuffix(".jsonl.gz"))

    def load(self) -> dict[ScanId, Record]:
        """Read all records, loose ones over packed ones; what cannot be read counts as not done.

        Nor does a scan that was begun with another key since and not finished: its files may be of either.
        """
        lines: list[bytes] = []
        if self._packed.exists():
            try:
                lines += gzip.decompress(self._packed.read_bytes()).splitlines()
            except (OSError, EOFError, zlib.error) as error:
                log.warning("unreadable records %s, their scans are processed again: %s", self._packed, error)
        if self._loose.is_dir():
            lines += [_content(path) for path in sorted(self._loose.glob("sub-*.json"))]
        begun = self.begun()
        records: dict[ScanId, Record] = {}
        for line in lines:
            try:
                record = Record.from_json(line)
            except (ValueError, KeyError, TypeError):
                log.warning("unreadable record of %s, the scan is processed again", self._packed)
                continue
            scan = record.outcome.scan
            if scan not in begun or begun[scan].key == record.outcome.content_key:
                records[scan] = record
        return records

    def begun(self) -> dict[ScanId, StartedMark]:
        """Marks of the scans that were begun and never finished."""
        marks: dict[ScanId, StartedMark] = {}
        if self._loose.is_dir():
            for path in self._loose.glob("sub-*.begun"):
                words = _content(path).decode(errors="replace").split()
                known = len(words) >= 2 and words[1].isdigit()
                marks[ScanId.parse(path.stem)] = (
                    StartedMark(words[0], int(words[1]) + 1, EarlierResult("".join(words[2:3]), tuple(words[3:])))
                    if known
                    else StartedMark("", 1, NO_EARLIER_RESULT)
                )
        return marks

    def begin(self, scan: ScanId, content_key: str, interruptions: int, before: EarlierResult | None = None) -> None:
        """Leave a mark that work on `scan` has begun, after it was interrupted so often."""
        words = [content_key, str(interruptions)]
        if before is not None and before.result:
            words += [before.result, *before.keys]
        write_bytes(self._loose / f"{scan.name}.begun", " ".join(words).encode())

    def finish(self, record: Record) -> None:
        """Write the record of a finished scan and take its mark away."""
        name = record.outcome.scan.name
        write_bytes(self._loose / f"{name}.json", record.to_json())
        (self._loose / f"{name}.begun").unlink(missing_ok=True)

    def pack(self, records: dict[ScanId, Record]) -> None:
        """Replace everything by `records`, in one file."""
        lines = b"".join(records[scan].to_json() for scan in sorted(records))
        write_bytes(self._packed, gzip.compress(lines, compresslevel=6, mtime=0))
        if self._loose.is_dir():
            for path in self._loose.iterdir():
                path.unlink()
            self._loose.rmdir()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        log.warning("a file of %s cannot be read and counts as empty: %s", path.parent, error.strerror)
        return b""
