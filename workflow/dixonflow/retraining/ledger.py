"""The ledger of a retraining project: one line per scan, round, set and step, only ever added to."""

import csv
import getpass
import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from dixonflow.retraining.project import MAX_ROUNDS, RetrainingError
from dixonflow.system.atomic import write_bytes
from dixonflow.system.regular_file import read_regular
from dixonflow.vocabulary import ScanId

WITHDRAWN = "withdrawn"
"""In place of the id of a participant who has withdrawn."""

_MAX_BYTES = 1 << 28
_COLUMNS = ("when", "who", "step", "round", "set", "scan", "case", "digests", "file_sha256", "note")


class CaseSet(StrEnum):
    """What a participant's cases serve. A participant is in one set for ever."""

    TRAIN = "train"
    TEST = "test"


class Step(StrEnum):
    """What was done with a scan."""

    FROZEN = "frozen"  # its participant is a test participant from now on
    SELECTED = "selected"  # it has a case name
    EXPORTED = "exported"  # image and proposal lie in the export folder
    ACCEPTED = "accepted"  # a corrected label map came back; a later one takes its place
    PROPAGATED = "propagated"  # it took the label map of another sequence of its session
    DATASET = "dataset"  # it lies in the raw data of a round's network
    TRAINED = "trained"  # the network of the round has learnt from it
    EVALUATED = "evaluated"  # the network of the round was measured on it


@dataclass(frozen=True)
class Entry:
    """A line of the ledger.

    Attributes
    ----------
    step, round, set
        What was done, in which round, for which set.
    scan
        Whose it is.
    case
        Case name, empty before there is one.
    digests
        What the scan is recognised by under another id (`leakage`).
    file_sha256
        SHA-256 of the label map that the step is about, empty for none.
    note
        What else is worth knowing, without ids.
    who, when
        User or annotator; UTC, ISO 8601.
    """

    step: Step
    round: int
    set: CaseSet
    scan: ScanId
    case: str = ""
    digests: tuple[str, ...] = ()
    file_sha256: str = ""
    note: str = ""
    who: str = field(default="", compare=False)
    when: str = field(default="", compare=False)


def read_ledger(path: Path) -> list[Entry]:
    """Read all lines, in the order in which they were written; none where there is no ledger yet.

    A last line without an end is what a killed process left: the step was not done, and the line does not count.

    Raises
    ------
    RetrainingError
        If the ledger is damaged; the message names the line.
    """
    lines = _whole_lines(path)
    if not lines:
        return []
    try:
        rows = list(csv.reader(io.StringIO(lines.decode()), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RetrainingError(f"{path} is damaged: restore it from a backup") from error
    if tuple(rows[0]) != _COLUMNS:
        raise RetrainingError(f"{path}, line 1: the columns are not those of a ledger: restore it from a backup")
    entries = []
    for number, row in enumerate(rows[1:], 2):
        try:
            entries.append(_entry(dict(zip(_COLUMNS, row, strict=True))))
        except ValueError as error:
            raise RetrainingError(f"{path}, line {number} is damaged: restore the file from a backup") from error
    return entries


def append_to_ledger(path: Path, entries: Iterable[Entry]) -> list[Entry]:
    """Add lines and flush them to disk, except those that only repeat what was last said of the same case and step.

    Returns
    -------
    list of Entry
        Those that were added.

    Raises
    ------
    RetrainingError
        If the ledger is damaged.
    """
    last = {_subject(entry): entry for entry in read_ledger(path)}
    added = []
    for entry in entries:
        if last.get(_subject(entry)) != entry:
            last[_subject(entry)] = entry
            added.append(entry)
    if not added:
        return []
    start = len(_whole_lines(path))
    lines = _lines(added, heading=not start)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b") as file:
        file.seek(start)
        file.truncate()  # half a line
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
    return added


def rewrite_ledger(path: Path, entries: Iterable[Entry]) -> None:
    """Write a whole ledger, for the one case in which lines change: a participant has withdrawn."""
    write_bytes(path, _lines(entries, heading=True))


def ledger_sha256(path: Path) -> str:
    """SHA-256 of the whole lines of the ledger. Raises RetrainingError."""
    return hashlib.sha256(_whole_lines(path)).hexdigest()


def frozen_participants(entries: Iterable[Entry]) -> frozenset[str]:
    """Participants of the test set, for ever."""
    return frozenset(entry.scan.participant for entry in entries if entry.set is CaseSet.TEST) - {WITHDRAWN}


def _subject(entry: Entry) -> tuple[Step, int, CaseSet, ScanId, str]:
    return entry.step, entry.round, entry.set, entry.scan, entry.case


def _whole_lines(path: Path) -> bytes:
    try:
        content = read_regular(path, _MAX_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise RetrainingError(f"{path} cannot be read: {error.strerror}") from error
    return content[: content.rfind(b"\n") + 1]


def _lines(entries: Iterable[Entry], *, heading: bool) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if heading:
        writer.writerow(_COLUMNS)
    now, user = datetime.now(UTC).isoformat(timespec="seconds"), getpass.getuser()
    writer.writerows(_row(entry, entry.who or user, entry.when or now) for entry in entries)
    return text.getvalue().encode()


def _row(entry: Entry, who: str, when: str) -> Sequence[str]:
    words = [when, who, entry.step, str(entry.round), entry.set, entry.scan.name, entry.case]
    words += [" ".join(entry.digests), entry.file_sha256, entry.note]
    return [" ".join(word.split()) for word in words]  # a line is a line


def _entry(row: dict[str, str]) -> Entry:
    number = int(row["round"])
    if not 0 <= number <= MAX_ROUNDS:
        raise ValueError("no such round")
    datetime.fromisoformat(row["when"])
    return Entry(
        step=Step(row["step"]),
        round=number,
        set=CaseSet(row["set"]),
        scan=ScanId.parse(row["scan"]),
        case=row["case"],
        digests=tuple(row["digests"].split()),
        file_sha256=row["file_sha256"],
        note=row["note"],
        who=row["who"],
        when=row["when"],
    )
