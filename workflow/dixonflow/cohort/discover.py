"""Find every scan in the raw folders: whatever lies there is a scan, a row that says why not, or known to be none."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from dixonflow.cohort.file_state import file_state
from dixonflow.cohort.found import Discovery, FoundScan, UnnamedEntry
from dixonflow.cohort.walk import BIDS_FOLDERS, OnError, is_folder, list_folder, readable, walk
from dixonflow.errors import ConfigError, ScanExcluded
from dixonflow.rawdata.bids import image_paths, no_image, session_fingerprint, session_fingerprint_0_1
from dixonflow.rawdata.protocols import scan_of_zip
from dixonflow.rawdata.raw_scan import RawScan, Source
from dixonflow.rawdata.zip_archive import file_fingerprint, is_sidecar, zip_fingerprint
from dixonflow.system.guard import FailedItem
from dixonflow.vocabulary import Reason, ScanId

_SUBJECT = re.compile(r"sub-([A-Za-z0-9]+)")
_NOT_UTF8 = "the name of the file, or of a folder above it, is not UTF-8: rename it"
_SESSION = re.compile(r"ses-([A-Za-z0-9]+)")


@dataclass(frozen=True)
class KnownFingerprint:
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


_Listed = tuple[list[RawScan | UnnamedEntry], list[Path]]
"""What is, or should be, a scan, and what is known to be none."""

FingerprintTask = tuple[FoundScan, KnownFingerprint | None]
"""A scan whose fingerprint is to be taken, and the one that it had."""

Run = Callable[[Callable[[FingerprintTask], FoundScan], Sequence[FingerprintTask]], Sequence[FoundScan | FailedItem]]
"""Applies a function to each of several scans, each protected from the others."""


def _run_in_process(
    function: Callable[[FingerprintTask], FoundScan], looks: Sequence[FingerprintTask]
) -> list[FoundScan]:
    return [function(look) for look in looks]


def discover(
    sources: Sequence[Source],
    run: Run = _run_in_process,
    known: Mapping[tuple[ScanId, Path, str], FoundScan] | None = None,
    expected: Mapping[ScanId, KnownFingerprint] | None = None,
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
        different scans excludes all of them: all but one have a wrong name.

    Raises
    ------
    ConfigError
        If a folder is missing or cannot be listed, or a name pattern is wrong.
    """
    entries: dict[Path, FoundScan | UnnamedEntry] = {}
    ignored: set[Path] = set()
    for number, source in enumerate(sources):
        found, passed_over = _list_folders(source) if source.layout.has_session_folders else _list_zips(source)
        for listed in found:
            # in a folder that is a source of two layouts, each names its own zips
            if isinstance(listed, UnnamedEntry):
                entries.setdefault(listed.path, listed)
            elif not isinstance(entries.get(listed.path), FoundScan):
                entries[listed.path] = FoundScan(listed, number)
        ignored.update(passed_over)
    known, expected = known or {}, expected or {}
    scans: list[FoundScan] = []
    unnamed: list[UnnamedEntry] = []
    unknown: list[FoundScan] = []
    for entry in (entries[path] for path in sorted(entries)):
        if isinstance(entry, UnnamedEntry):
            path = readable(entry.path)
            utf8 = path == str(entry.path)
            unnamed.append(entry if utf8 else UnnamedEntry(entry.layout, Path(path), _NOT_UTF8))
            continue
        raw = replace(entry.raw, state=_state(entry.raw))
        before = known.get((raw.scan, raw.path, raw.state)) if raw.state else None
        if before is None:
            unknown.append(replace(entry, raw=raw))
        else:
            scans.append(replace(before, source=entry.source))
    looks = [(entry, expected.get(entry.raw.scan)) for entry in unknown]
    scans += [_with_failure(entry, taken) for entry, taken in zip(unknown, run(_with_fingerprint, looks), strict=True)]
    scans = _exclude_equal_content(_merge_repeats(scans))
    scans.sort(key=lambda found: (found.raw.scan, found.raw.path))
    ignored -= set(entries)
    return Discovery(tuple(scans), tuple(unnamed), tuple(Path(readable(path)) for path in sorted(ignored)))


def _refuse(source: Source) -> OnError:
    """Say what becomes of a folder that cannot be listed: one that is gone since its name was read holds nothing."""

    def refuse(folder: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) or folder == os.fspath(source.folder):
            raise ConfigError(f"raw folder {readable(folder)} cannot be listed: {error.strerror}") from error

    return refuse


def _list_zips(source: Source) -> _Listed:
    entries: list[RawScan | UnnamedEntry] = []
    ignored = []
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
        entries.append(RawScan(scan, source.layout, path) if scan else UnnamedEntry(source.layout, path))
    return entries, ignored


def _list_folders(source: Source) -> _Listed:
    entries: list[RawScan | UnnamedEntry] = []
    ignored = []
    for entry in list_folder(source.folder, _refuse(source)):
        path = Path(entry.path)
        subject = _SUBJECT.fullmatch(entry.name)
        if is_sidecar(entry.name) or (entry.name in BIDS_FOLDERS and is_folder(entry)):
            ignored.append(path)
        elif subject is None or not is_folder(entry):
            entries.append(UnnamedEntry(source.layout, path))
        else:
            sessions, passed_over = _list_sessions(path, subject[1], source)
            entries += sessions or [UnnamedEntry(source.layout, path)]
            ignored += passed_over
    return entries, ignored


def _list_sessions(folder: Path, participant: str, source: Source) -> _Listed:
    entries: list[RawScan | UnnamedEntry] = []
    ignored = []
    for entry in list_folder(folder, _refuse(source)):
        path = Path(entry.path)
        session = _SESSION.fullmatch(entry.name)
        if is_sidecar(entry.name):
            ignored.append(path)
        elif session is None or not is_folder(entry):
            entries.append(UnnamedEntry(source.layout, path))
        else:
            entries.append(RawScan(ScanId(participant, session[1]), source.layout, path))
    return entries, ignored


def _state(raw: RawScan) -> str:
    """State of a scan's files; empty where they cannot be examined."""
    try:
        if raw.layout.has_session_folders:
            return file_state(image_paths(raw.path, raw.layout))
        return file_state([raw.path])
    except OSError:
        return ""


def _with_failure(entry: FoundScan, taken: FoundScan | FailedItem) -> FoundScan:
    if isinstance(taken, FailedItem):
        return replace(entry, problem=(taken.reason, f"while opening it: {taken.message}"))
    return taken


def _with_fingerprint(look: FingerprintTask) -> FoundScan:
    entry, expected = look
    raw = entry.raw
    path = readable(raw.path)
    if path != str(raw.path):  # neither a table nor a shard list can hold such a path
        return replace(entry, raw=replace(raw, path=Path(path)), problem=(Reason.UNPARSABLE_NAME, _NOT_UTF8))
    try:
        return _session(entry, expected) if raw.layout.has_session_folders else _zip(entry)
    except OSError as error:
        # no fingerprint, so that the next run tries again
        return replace(entry, problem=(Reason.UNREADABLE_FILE, f"cannot be opened: {error.strerror}"))


def _session(entry: FoundScan, expected: KnownFingerprint | None) -> FoundScan:
    raw = entry.raw
    try:
        content = session_fingerprint(raw.path, raw.layout)
    except ScanExcluded as problem:
        key = sha256(problem.message.encode()).hexdigest()
        return replace(entry, raw=replace(raw, raw_key=key), problem=(problem.reason, problem.message))
    if not image_paths(raw.path, raw.layout):
        entry = replace(entry, problem=(Reason.MISSING_CONTRAST, no_image(raw.layout)))
    if expected is None or expected.content not in ("", content):
        return replace(entry, raw=replace(raw, raw_key=content))
    if expected.raw_key != session_fingerprint_0_1(raw.path, raw.layout):
        return replace(entry, raw=replace(raw, raw_key=content))
    return replace(entry, raw=replace(raw, raw_key=expected.raw_key), content=content)


def _zip(entry: FoundScan) -> FoundScan:
    raw = entry.raw
    try:
        return replace(entry, raw=replace(raw, raw_key=zip_fingerprint(raw.path)))
    except ScanExcluded as problem:
        key = file_fingerprint(raw.path)
        return replace(entry, raw=replace(raw, raw_key=key), problem=(problem.reason, problem.message))


def _merge_repeats(scans: Iterable[FoundScan]) -> list[FoundScan]:
    merged: list[FoundScan] = []
    by_scan: dict[ScanId, list[FoundScan]] = {}
    for found in scans:
        by_scan.setdefault(found.raw.scan, []).append(found)
    for group in by_scan.values():
        group.sort(key=lambda found: found.raw.path)
        keys = sorted({found.all_content for found in group})
        if len(group) == 1:
            merged += group
        elif len(keys) == 1 and keys[0]:
            merged.append(replace(group[0], note=f"found {len(group)} times with equal content"))
        else:
            message = f"found {len(group)} times, with different content: keep one"
            key = sha256("\n".join(keys).encode()).hexdigest()
            # without a state: none of the files is spared the next look
            raw = replace(group[0].raw, raw_key=key, state="")
            merged.append(replace(group[0], raw=raw, problem=(Reason.DUPLICATE_SCAN, message)))
    return merged


def _exclude_equal_content(scans: Sequence[FoundScan]) -> list[FoundScan]:
    counts = Counter(found.all_content for found in scans if found.problem is None)
    message = "the same content exists under the names of {} scans: all but one are wrong"
    return [
        replace(found, problem=(Reason.IDENTITY_MISMATCH, message.format(counts[found.all_content])))
        if found.problem is None and counts[found.all_content] > 1
        else found
        for found in scans
    ]
