"""Find every scan in the raw folders: whatever lies there is a scan, a row that says why not, or known to be none."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from dixonflow.cohort.assemble import assemble
from dixonflow.cohort.found import Discovery, FoundScan, UnnamedEntry
from dixonflow.cohort.included import Included
from dixonflow.cohort.listing import list_source
from dixonflow.cohort.walk import file_state, readable
from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.content import ImageContents
from dixonflow.rawdata.fingerprint import damaged_fingerprint, raw_fingerprint
from dixonflow.rawdata.nifti.bids import image_paths, no_image, session_fingerprint_0_1, with_sidecars
from dixonflow.rawdata.raw_files import loose_paths
from dixonflow.rawdata.raw_scan import RawScan, Source
from dixonflow.system.guard import FailedItem
from dixonflow.vocabulary import Layout, Reason, ScanId

_NOT_UTF8 = "the name of the file, or of a folder above it, is not UTF-8: rename it"


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


KnownFiles = Mapping[tuple[ScanId, tuple[Path, ...], str], FoundScan]
"""What is known from before, by scan, files and their state."""

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
    known: KnownFiles | None = None,
    expected: Mapping[ScanId, KnownFingerprint] | None = None,
    included: Included | None = None,
) -> Discovery:
    """List the scans of all sources and take the fingerprint of each.

    Parameters
    ----------
    sources
        Folders; one may lie inside another.
    run
        Takes the fingerprints, which means opening every zip that is not known; in this process by default.
    known
        These are not opened.
    expected
        Fingerprints of version 0.1 under which scans were processed. They stand where what lies there now has them, and
        is known to be the same or was never read whole.
    included
        The scans to include; all by default.

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
    listed = [list_source(source) for source in sources]
    entries = assemble(sources, listed)
    named = {path for entry in entries for path in (*entry.raw.paths, *entry.superseded)}
    left_out = [entry for entry in entries if included is not None and entry.raw.scan not in included]
    entries = [entry for entry in entries if included is None or entry.raw.scan in included]
    known, expected = known or {}, expected or {}
    scans: list[FoundScan] = []
    unknown: list[FoundScan] = []
    for entry in entries:
        raw = replace(entry.raw, state=_state(entry.raw))
        before = known.get((raw.scan, raw.paths, raw.state)) if raw.state else None
        if before is None:
            unknown.append(replace(entry, raw=raw))
            continue
        seen = replace(entry, raw=replace(before.raw, options=raw.options), problem=before.problem)
        seen = replace(seen, content=before.content, images=before.images)
        # earlier versions did not compare images
        (scans if before.images or before.problem else unknown).append(seen)
    looks = [(entry, expected.get(entry.raw.scan)) for entry in unknown]
    scans += [_with_failure(entry, taken) for entry, taken in zip(unknown, run(_with_fingerprint, looks), strict=True)]
    scans = _exclude_equal_content(_merge_repeats(scans))
    scans.sort(key=lambda found: (found.raw.scan, found.raw.path))
    unnamed: dict[Path, UnnamedEntry] = {}
    for nameless in (each for found in listed for each in found.unnamed if each.path not in named):
        unnamed.setdefault(nameless.path, nameless)
    ignored = {path for found in listed for path in found.ignored} - named - set(unnamed)
    return Discovery(
        tuple(scans),
        tuple(_readable(unnamed[path]) for path in sorted(unnamed)),
        tuple(Path(readable(path)) for path in sorted(ignored)),
        tuple(sorted(entry.raw.scan for entry in left_out)),
    )


def _readable(entry: UnnamedEntry) -> UnnamedEntry:
    path = readable(entry.path)
    return entry if path == str(entry.path) else UnnamedEntry(entry.layout, Path(path), _NOT_UTF8)


def _state(raw: RawScan) -> str:
    """State of a scan's files; empty where they cannot be examined."""
    try:
        if raw.layout.has_session_folders:
            return file_state(with_sidecars(image_paths(raw.path, raw.sequence)))
        recursive = raw.layout is not Layout.DICOM
        return file_state([file for path in raw.paths for file in loose_paths(path, recursive)])
    except OSError:
        return ""


def _with_failure(entry: FoundScan, taken: FoundScan | FailedItem) -> FoundScan:
    if isinstance(taken, FailedItem):
        return _unopened(entry, taken.reason, f"while opening it: {taken.message}")
    return taken


def _unopened(entry: FoundScan, reason: Reason, message: str) -> FoundScan:
    # no fingerprint, so that the next run tries again
    return replace(entry, raw=replace(entry.raw, raw_key=""), problem=(reason, message))


def _with_fingerprint(look: FingerprintTask) -> FoundScan:
    entry, expected = look
    raw = entry.raw
    if any(readable(path) != str(path) for path in raw.paths):  # neither a table nor a shard list can hold such a path
        first, *more = (Path(readable(path)) for path in raw.paths)
        return replace(
            entry, raw=replace(raw, path=first, more_paths=tuple(more)), problem=(Reason.UNPARSABLE_NAME, _NOT_UTF8)
        )
    contents = ImageContents()
    try:
        key = raw_fingerprint(raw.layout, raw.paths, raw.sequence, contents)
        entry = replace(entry, images=contents.digest() or key)
    except ScanExcluded as problem:
        if raw.layout.has_session_folders:
            key = sha256(problem.message.encode()).hexdigest()
        else:
            key = damaged_fingerprint(raw.paths)
        return replace(entry, raw=replace(raw, raw_key=key), problem=(problem.reason, problem.message))
    except OSError as error:
        return _unopened(entry, Reason.UNREADABLE_FILE, f"cannot be opened: {error.strerror}")
    if raw.raw_key:  # only the images are not known: the fingerprint stands, of whatever version it is
        return entry
    entry = replace(entry, raw=replace(raw, raw_key=key))
    return _of_session(entry, expected) if raw.layout.has_session_folders else entry


def _of_session(entry: FoundScan, expected: KnownFingerprint | None) -> FoundScan:
    raw, content = entry.raw, entry.raw.raw_key
    if not image_paths(raw.path, raw.sequence):
        entry = replace(entry, problem=(Reason.MISSING_CONTRAST, no_image(raw.sequence)))
    if expected is None or expected.content not in ("", content):
        return entry
    if expected.raw_key != session_fingerprint_0_1(raw.path, raw.sequence):
        return entry
    return replace(entry, raw=replace(raw, raw_key=expected.raw_key), content=content)


def _merge_repeats(scans: Iterable[FoundScan]) -> list[FoundScan]:
    merged: list[FoundScan] = []
    by_scan: dict[ScanId, list[FoundScan]] = {}
    for found in scans:
        by_scan.setdefault(found.raw.scan, []).append(found)
    for group in by_scan.values():
        # zips first: their checksums show damage
        group.sort(key=lambda found: (found.raw.path.suffix.lower() != ".zip", found.raw.paths))
        images = {found.all_images for found in group}
        others = {path for found in group for path in (*found.raw.paths, *found.others)} - set(group[0].raw.paths)
        first = replace(group[0], others=tuple(sorted(others)))
        if len(group) == 1:
            merged.append(first)
        elif len(images) == 1 and "" not in images:
            note = "; ".join(filter(None, [first.note, f"found {len(group)} times with equal content"]))
            merged.append(replace(first, note=note))
        else:
            message = f"found {len(group)} times, with different content: keep one"
            key = sha256("\n".join(sorted({found.all_content for found in group})).encode()).hexdigest()
            # without a state: none of the files is spared the next look
            raw = replace(first.raw, raw_key=key, state="")
            merged.append(replace(first, raw=raw, problem=(Reason.DUPLICATE_SCAN, message)))
    return merged


def _exclude_equal_content(scans: Sequence[FoundScan]) -> list[FoundScan]:
    # one folder may hold several sequences
    counts = Counter((found.raw.sequence, found.all_images) for found in scans if found.problem is None)
    message = "the same content exists under the names of {} scans: all but one are wrong"
    return [
        replace(found, problem=(Reason.IDENTITY_MISMATCH, message.format(counts[found.raw.sequence, found.all_images])))
        if found.problem is None and counts[found.raw.sequence, found.all_images] > 1
        else found
        for found in scans
    ]
