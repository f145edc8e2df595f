"""Find every scan in the raw folders: whatever lies there is a scan, a row that says why not, or known to be none."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from dixonflow.cohort.file_state import file_state
from dixonflow.cohort.walk import BIDS_FOLDERS, OnError, is_folder, list_folder, readable, walk
from dixonflow.errors import ConfigError, ScanExcluded
from dixonflow.rawdata.bids import image_paths, no_image, session_fingerprint, session_fingerprint_0_1
from dixonflow.rawdata.protocols import scan_of_zip
from dixonflow.rawdata.raw_scan import Discovery, RawScan, Source
from dixonflow.rawdata.zip_archive import file_fingerprint, is_sidecar, zip_fingerprint
from dixonflow.system.guard import Lost
from dixonflow.vocabulary import Layout, Reason, ScanId

_SUBJECT = re.compile(r"sub-([A-Za-z0-9]+)")
_SESSION = re.compile(r"ses-([A-Za-z0-9]+)")


@dataclass(frozen=True)
class Expected:
    """The fingerprint of version 0.1 under which a scan was processed.

    Attributes
    ----------
    raw_key
        The fingerprint. It covers little of compressed files.
    content
        Fingerprint of all bytes when they were last read; empty where that was never done.
    """

    raw_key: str
    content: str = ""


Run = Callable[[Callable[["_Entry"], RawScan], Sequence["_Entry"]], Sequence["RawScan | Lost"]]
"""Applies a function to each of several entries, each protected from the others."""


@dataclass(frozen=True)
class _Entry:
    scan: ScanId | None
    layout: Layout
    path: Path
    source: int = 0
    state: str = ""
    expected: "Expected | None" = None


def _here(function: Callable[[_Entry], RawScan], entries: Sequence[_Entry]) -> list[RawScan]:
    return [function(entry) for entry in entries]


def discover(
    sources: Sequence[Source],
    run: Run = _here,
    known: Mapping[tuple[ScanId, Path, str], RawScan] | None = None,
    expected: Mapping[ScanId, Expected] | None = None,
) -> Discovery:
    """List the scans of all sources and take the fingerprint of each.

    Parameters
    ----------
    sources
        Folders; one may lie inside another.
    run
        Takes the fingerprints, which means opening every zip that is not known; in this process by default.
    known
        What is known from before, by scan, path and state: these are not opened.
    expected
        Fingerprints of version 0.1 under which scans were processed. They stand where what lies there now has them, and
        is known to be the same or was never read whole.

    Returns
    -------
    Discovery
        One entry per scan, and one per file or folder whose name gives no scan. A scan that was found several times
        with equal content is kept once; with different content it is excluded. Equal content under the names of
        different scans excludes all of them: all but one bear a wrong name.

    Raises
    ------
    ConfigError
        If a folder is missing or cannot be listed, or a name pattern is wrong.
    """
    entries: dict[Path, _Entry] = {}
    ignored: set[Path] = set()
    for number, source in enumerate(sources):
        found, passed_over = _list_folders(source) if source.layout.has_session_folders else _list_zips(source)
        for entry in (replace(each, source=number) for each in found):
            # in a folder that is a source of two layouts, each names its own zips
            if entry.path not in entries or (entries[entry.path].scan is None and entry.scan is not None):
                entries[entry.path] = entry
        ignored.update(passed_over)
    expected = expected or {}
    ordered = [
        replace(entry, state=_state(entry), expected=expected.get(entry.scan) if entry.scan else None)
        for entry in (entries[path] for path in sorted(entries))
    ]
    scans, unknown = [], []
    for entry in ordered:
        before = (known or {}).get((entry.scan, entry.path, entry.state)) if entry.scan and entry.state else None
        if before is None:
            unknown.append(entry)
        else:
            scans.append(replace(before, source=entry.source))
    for entry, taken in zip(unknown, run(_raw_scan, unknown), strict=True):
        scans.append(replace(_unless_lost(entry, taken), source=entry.source, state=entry.state))
    scans = _exclude_equal_content(_merge_repeats(scans))
    scans.sort(key=lambda raw: (raw.scan is None, raw.scan or ScanId("0", "0"), raw.path))
    return Discovery(tuple(scans), tuple(Path(readable(path)) for path in sorted(ignored - set(entries))))


def _refuse(source: Source) -> OnError:
    """Say what becomes of a folder that cannot be listed: one that is gone since its name was read holds nothing."""

    def refuse(folder: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) or folder == os.fspath(source.folder):
            raise ConfigError(f"raw folder {readable(folder)} cannot be listed: {error.strerror}") from error

    return refuse


def _list_zips(source: Source) -> tuple[list[_Entry], list[Path]]:
    entries, ignored = [], []
    for entry, below in walk(source.folder, _refuse(source)):
        path = Path(entry.path)
        if is_sidecar(entry.name):
            ignored.append(path)
        if below or is_sidecar(entry.name):
            continue
        try:
            scan = scan_of_zip(path.name, source.layout, source.name_pattern)
        except (re.error, IndexError) as error:
            raise ConfigError(f"name pattern of {source.folder}: {error}") from error
        entries.append(_Entry(scan, source.layout, path))
    return entries, ignored


def _list_folders(source: Source) -> tuple[list[_Entry], list[Path]]:
    entries, ignored = [], []
    for entry in list_folder(source.folder, _refuse(source)):
        path = Path(entry.path)
        subject = _SUBJECT.fullmatch(entry.name)
        if is_sidecar(entry.name) or (entry.name in BIDS_FOLDERS and is_folder(entry)):
            ignored.append(path)
        elif subject is None or not is_folder(entry):
            entries.append(_Entry(None, source.layout, path))
        else:
            sessions, passed_over = _list_sessions(path, subject[1], source)
            entries += sessions or [_Entry(None, source.layout, path)]
            ignored += passed_over
    return entries, ignored


def _list_sessions(folder: Path, participant: str, source: Source) -> tuple[list[_Entry], list[Path]]:
    entries, ignored = [], []
    for entry in list_folder(folder, _refuse(source)):
        path = Path(entry.path)
        session = _SESSION.fullmatch(entry.name)
        if is_sidecar(entry.name):
            ignored.append(path)
        elif session is None or not is_folder(entry):
            entries.append(_Entry(None, source.layout, path))
        else:
            entries.append(_Entry(ScanId(participant, session[1]), source.layout, path))
    return entries, ignored


def _state(entry: _Entry) -> str:
    """State of an entry's files; empty where they cannot be looked at."""
    if entry.scan is None:
        return ""
    try:
        if entry.layout.has_session_folders:
            return file_state(image_paths(entry.path, entry.layout))
        return file_state([entry.path])
    except OSError:
        return ""


def _unless_lost(entry: _Entry, found: RawScan | Lost) -> RawScan:
    if isinstance(found, Lost):
        return RawScan(entry.scan, entry.layout, entry.path, "", (found.reason, f"opening it: {found.message}"))
    return found


def _raw_scan(entry: _Entry) -> RawScan:
    path = readable(entry.path)
    if path != str(entry.path):  # neither a table nor a shard list can hold such a path
        message = "the name of the file, or of a folder above it, is not UTF-8: rename it"
        return RawScan(entry.scan, entry.layout, Path(path), "", (Reason.UNPARSABLE_NAME, message))
    if entry.scan is None:
        message = "the name gives no participant and session as the layout has them"
        return RawScan(None, entry.layout, entry.path, "", (Reason.UNPARSABLE_NAME, message))
    try:
        read = _session if entry.layout.has_session_folders else _zip
        return read(entry.scan, entry)
    except OSError as error:
        # no fingerprint, so that the next run tries again
        message = f"cannot be opened: {error.strerror}"
        return RawScan(entry.scan, entry.layout, entry.path, "", (Reason.UNREADABLE_FILE, message))


def _session(scan: ScanId, entry: _Entry) -> RawScan:
    try:
        content = session_fingerprint(entry.path, entry.layout)
    except ScanExcluded as problem:
        key = sha256(problem.message.encode()).hexdigest()
        return RawScan(scan, entry.layout, entry.path, key, (problem.reason, problem.message))
    missing = Reason.MISSING_CONTRAST, no_image(entry.layout)
    why = None if image_paths(entry.path, entry.layout) else missing
    before = entry.expected
    if before is None or before.content not in ("", content):
        return RawScan(scan, entry.layout, entry.path, content, why)
    stands = before.raw_key == session_fingerprint_0_1(entry.path, entry.layout)
    key, all_bytes = (before.raw_key, content) if stands else (content, "")
    return RawScan(scan, entry.layout, entry.path, key, why, content=all_bytes)


def _zip(scan: ScanId, entry: _Entry) -> RawScan:
    try:
        return RawScan(scan, entry.layout, entry.path, zip_fingerprint(entry.path))
    except ScanExcluded as problem:
        key = file_fingerprint(entry.path)
        return RawScan(scan, entry.layout, entry.path, key, (problem.reason, problem.message))


def _merge_repeats(scans: Iterable[RawScan]) -> list[RawScan]:
    merged: list[RawScan] = []
    by_scan: dict[ScanId, list[RawScan]] = {}
    for raw in scans:
        if raw.scan is None:
            merged.append(raw)
        else:
            by_scan.setdefault(raw.scan, []).append(raw)
    for group in by_scan.values():
        group.sort(key=lambda raw: raw.path)
        keys = sorted({_content_of(raw) for raw in group})
        if len(group) == 1:
            merged += group
        elif len(keys) == 1 and keys[0]:
            merged.append(replace(group[0], note=f"found {len(group)} times with equal content"))
        else:
            message = f"found {len(group)} times, with different content: keep one"
            key = sha256("\n".join(keys).encode()).hexdigest()
            # without a state: none of the files is spared the next look
            merged.append(replace(group[0], raw_key=key, problem=(Reason.DUPLICATE_SCAN, message), state=""))
    return merged


def _content_of(raw: RawScan) -> str:
    """What tells one content from another: all bytes, where the fingerprint is that of version 0.1."""
    return raw.content or raw.raw_key


def _exclude_equal_content(scans: Sequence[RawScan]) -> list[RawScan]:
    counts: dict[str, int] = {}
    for raw in scans:
        if raw.problem is None:
            counts[_content_of(raw)] = counts.get(_content_of(raw), 0) + 1
    message = "the same content lies under the names of {} scans: all but one are wrong"
    return [
        replace(raw, problem=(Reason.IDENTITY_MISMATCH, message.format(counts[_content_of(raw)])))
        if raw.problem is None and counts[_content_of(raw)] > 1
        else raw
        for raw in scans
    ]
