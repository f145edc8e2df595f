"""The conservation law: scans in = ok + excluded + failed + withdrawn, exactly.

The raw folders are listed here once more, by code that shares nothing with the one that found the scans but the
description of the sources: a scan that was lost on the way, by whichever stage, is missed here.
"""

import logging
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dixonflow.errors import ConfigError, DixonflowError
from dixonflow.rawdata.raw_scan import Source
from dixonflow.vocabulary import Layout, Status

log = logging.getLogger(__name__)

# What is no scan: hidden files, notes and tables next to the images. Kept here on purpose, apart from the list that the
# cohort stage uses: if one of the two changes alone, the law is broken and the run says so.
_OTHER_ENDINGS = (".csv", ".cvs", ".tsv", ".txt", ".json", ".xml", ".html", ".md", ".pdf")
_OTHER_NAMES = ("DICOMDIR", "README", "LICENSE", "Thumbs.db", "__MACOSX")
_BIDS_OTHER = ("derivatives", "sourcedata", "code", "stimuli", "phenotype", "logs")

_NoScan = tuple[None, None, str]
_Key = tuple[str, str] | _NoScan


class ConservationError(DixonflowError):
    """Scans were lost or appeared from nowhere."""


@dataclass(frozen=True)
class ConservationResult:
    """The counts that add up.

    Attributes
    ----------
    n_raw
        Scans in the raw folders, entries whose name gives no scan included.
    n_unparsable
        Those whose name gives no scan.
    n_by_status
        Rows of the table.
    """

    n_raw: int
    n_unparsable: int
    n_by_status: dict[Status, int]


def check_conservation(
    sources: Sequence[Source], scans_table: pd.DataFrame, withdrawn: Collection[str] = ()
) -> ConservationResult:
    """Compare the raw folders with the table of scans.

    Parameters
    ----------
    sources
        Raw folders of the run.
    scans_table
        With the columns `participant_id`, `session_id`, `source`, `status`.
    withdrawn
        Ids of the participants who have withdrawn: their scans, and no others, are withdrawn.

    Raises
    ------
    ConservationError
        If the two differ in a single scan, a scan has two rows or a row has no status. The message counts; the log
        names scans, at debug level only.
    """
    raw = _list_raw(sources)
    rows = [
        _row_key(participant, session, source)
        for participant, session, source in zip(
            scans_table["participant_id"], scans_table["session_id"], scans_table["source"], strict=True
        )
    ]
    counts = Counter(rows)
    lost, unknown = raw - set(counts), set(counts) - raw
    twice = {key for key, count in counts.items() if count > 1}
    unclear = [status for status in scans_table["status"] if status not in set(Status)]
    for what, keys in (("without a row", lost), ("with a row but no raw data", unknown), ("with two rows", twice)):
        for key in sorted(keys, key=str):
            log.debug("%s: %s", what, " ".join(part for part in key if part))
    misplaced = sum(
        (participant in withdrawn) != (status == Status.WITHDRAWN.value)
        for participant, status in zip(scans_table["participant_id"], scans_table["status"], strict=True)
        if isinstance(participant, str)
    )
    if misplaced:
        raise ConservationError(
            f"{misplaced} scans are withdrawn in the table but not on the list of withdrawn participants, or vice "
            "versa. If the list changed during the run, run the command again"
        )
    if lost or unknown or twice or unclear:
        raise ConservationError(
            f"the raw folders hold {len(raw)} scans, the table has {len(rows)} rows: {len(lost)} scans without a row "
            f"({sum(key[0] is None for key in lost)} of them entries whose name gives no scan), {len(unknown)} rows "
            f"without raw data, {len(twice)} scans with more than one row, {len(unclear)} rows without a known status. "
            "DIXONFLOW_LOG=DEBUG names them. If raw data changed during the run, run the command again"
        )
    statuses = Counter(Status(status) for status in scans_table["status"])
    n_unparsable = sum(key[0] is None for key in raw)
    return ConservationResult(len(raw), n_unparsable, {status: statuses[status] for status in Status})


def check_not_emptied(sources: Sequence[Source], scans_table: pd.DataFrame) -> None:
    """Check that no raw folder has lost all of its scans since the tables were made: its disk may not be mounted.

    Parameters
    ----------
    scans_table
        With the column `source`.

    Raises
    ------
    ConfigError
    """
    for place, source in enumerate(sources):
        folder = _as_text(source.folder)
        before = sum(str(path).startswith(f"{folder}/") for path in scans_table["source"])
        if before and not _list_raw([source]):
            raise ConfigError(
                f"config: cohort.sources.{place}.folder: {folder} held {before} scans and now holds none: is its disk "
                "mounted? If they were removed on purpose, remove the source from the configuration"
            )


def _row_key(participant: object, session: object, source: object) -> _Key:
    if isinstance(participant, str) and isinstance(session, str):
        return participant, session
    return None, None, str(source)


def _list_raw(sources: Sequence[Source]) -> set[_Key]:
    scans: set[_Key] = set()
    nameless: set[Path] = set()
    named: set[Path] = set()
    for source in sources:
        for path, key in _bids(source) if source.layout.has_session_folders else _zips(source):
            if key is None:
                nameless.add(path)
            else:
                named.add(path)
                scans.add(key)
    return scans | {(None, None, _as_text(path)) for path in nameless - named}


def _as_text(path: Path) -> str:
    """Give it as the table does: what is not UTF-8 in a name stands there in hexadecimal."""
    return bytes(path).decode("utf-8", "backslashreplace")


def _is_other(name: str) -> bool:
    return name.startswith(".") or name in _OTHER_NAMES or name.lower().endswith(_OTHER_ENDINGS)


def _raise(error: OSError) -> None:
    raise ConservationError(f"a raw folder cannot be listed: {error.strerror}") from error


def _zips(source: Source) -> Iterator[tuple[Path, tuple[str, str] | None]]:
    visited = set()
    for folder, subfolders, files in os.walk(source.folder, onerror=_raise, followlinks=True):
        real = Path(folder).resolve()
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(name for name in subfolders if not _is_other(name))
        for name in files:
            if not _is_other(name):
                yield Path(folder) / name, _zip_key(source, name)


def _zip_key(source: Source, name: str) -> tuple[str, str] | None:
    if source.name_pattern is not None:
        match = re.fullmatch(source.name_pattern, name)
        return (match["participant"], match["session"]) if match else None
    stem, ending = name[:-4], name[-4:]
    parts = stem.split("_")
    if ending != ".zip":
        return None
    if source.layout is Layout.UKB:
        fits = len(parts) == 4 and parts[1] == "20201" and all(re.fullmatch("[0-9]+", part) for part in parts)
        return (parts[0], parts[2]) if fits else None
    fits = len(parts) == 2 and all(map(re.fullmatch, ("[0-9A-Za-z]+", "[0-9]+"), parts))
    return (parts[0], parts[1]) if fits else None


def _bids(source: Source) -> Iterator[tuple[Path, tuple[str, str] | None]]:
    try:
        subjects = sorted(path for path in source.folder.iterdir() if not _is_other(path.name))
        for subject in subjects:
            if subject.name in _BIDS_OTHER and subject.is_dir():
                continue
            if not (subject.is_dir() and re.fullmatch("sub-[0-9A-Za-z]+", subject.name)):
                yield subject, None
                continue
            sessions = sorted(path for path in subject.iterdir() if not _is_other(path.name))
            for session in sessions:
                fits = session.is_dir() and re.fullmatch("ses-[0-9A-Za-z]+", session.name)
                yield session, (subject.name[4:], session.name[4:]) if fits else None
            if not sessions:
                yield subject, None
    except OSError as error:
        _raise(error)
