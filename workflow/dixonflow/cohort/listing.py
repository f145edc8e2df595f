"""What the names in a source's folder say: parts of scans, entries that should be some, and other files."""

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from dixonflow.cohort.found import UnnamedEntry
from dixonflow.cohort.walk import BIDS_FOLDERS, OnError, is_folder, list_folder, readable, walk
from dixonflow.errors import ConfigError
from dixonflow.rawdata.nifti.bids import image_paths
from dixonflow.rawdata.other_files import is_sidecar
from dixonflow.rawdata.protocols import (
    NO_SESSION,
    NamedPart,
    UnknownSequenceError,
    scan_of_file,
    scan_of_nifti,
    scan_of_zip,
)
from dixonflow.rawdata.raw_scan import Source
from dixonflow.vocabulary import Layout, ScanId, ScanSequence

_SUBJECT = re.compile(r"sub-([A-Za-z0-9]+)")
_SESSION = re.compile(r"ses-([A-Za-z0-9]+)")
_UNKNOWN_SEQUENCE = "the name has a sequence that is not known"
_NO_MATCH = "no file of this folder, or not all, match the name pattern of the source"

BIDS_DATATYPES = {"anat", "ct", "func", "dwi", "fmap", "perf", "pet", "mrs", "eeg", "meg", "ieeg", "beh", "motion"}
"""Folders inside a participant or session of BIDS."""


@dataclass(frozen=True)
class Part:
    """A file or folder that holds a scan or a part of it.

    Attributes
    ----------
    scan
        Whose.
    path
        Zip, folder or file.
    name
        Which part, the same in every delivery; empty for a whole scan.
    """

    scan: ScanId
    path: Path
    name: str = ""


@dataclass
class Listed:
    """What a source's folder holds, by names alone.

    Attributes
    ----------
    parts
        Of scans.
    unnamed
        What should be one and gives no participant and session.
    ignored
        What is known to be none.
    """

    parts: list[Part] = field(default_factory=list)
    unnamed: list[UnnamedEntry] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)


def list_source(source: Source) -> Listed:
    """List the folder of a source.

    Raises
    ------
    ConfigError
        If a folder is missing or cannot be listed, or the name pattern is wrong.
    """
    try:
        if source.layout.has_session_folders:
            return _list_sessions(source)
        return _list_loose(source) if source.layout is Layout.DICOM else _list_zips(source)
    except (re.error, IndexError) as error:
        raise ConfigError(f"name pattern of {source.folder}: {error}") from error


def _refuse(source: Source) -> OnError:
    """Say what becomes of a folder that cannot be listed: one that is gone since its name was read holds nothing."""

    def refuse(folder: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) or folder == os.fspath(source.folder):
            raise ConfigError(f"raw folder {readable(folder)} cannot be listed: {error.strerror}") from error

    return refuse


def _list_zips(source: Source) -> Listed:
    found = Listed()
    whole: dict[str, NamedPart] = {}

    def named(entry: os.DirEntry[str]) -> NamedPart | None:
        below = PurePosixPath(source.folder.name, Path(entry.path).relative_to(source.folder).as_posix())
        if source.layout is Layout.NAKO and entry.name.endswith((".nii", ".nii.gz")):
            return scan_of_nifti(below)
        if not entry.name.lower().endswith(".zip") and not is_folder(entry):
            return None
        return scan_of_zip(below, source.layout, source.name_pattern)

    def is_whole(entry: os.DirEntry[str]) -> bool:
        return entry.path in whole

    for entry, below in walk(source.folder, _refuse(source), is_whole=is_whole):
        path = Path(entry.path)
        if is_sidecar(entry.name):
            found.ignored.append(path)
            continue
        try:
            part = named(entry)
        except UnknownSequenceError:
            if not below:
                found.unnamed.append(UnnamedEntry(source.layout, path, _UNKNOWN_SEQUENCE))
            continue
        if part is not None and (not below or not entry.name.lower().endswith(".zip")):
            if below:
                whole[entry.path] = part
            if part.scan.sequence in source.looked_for:
                found.parts.append(Part(part.scan, path, part.part))
            else:
                found.ignored.append(path)
        elif not below:
            found.unnamed.append(UnnamedEntry(source.layout, path))
    return found


def _list_loose(source: Source) -> Listed:
    """Folders all of whose files are of one scan are its parts; of others, each file."""
    found = Listed()
    scans: dict[Path, dict[Path, ScanId | None]] = defaultdict(dict)
    for entry, below in walk(source.folder, _refuse(source)):
        path = Path(entry.path)
        if is_sidecar(entry.name):
            found.ignored.append(path)
        elif not below:
            place = PurePosixPath(path.relative_to(source.folder).as_posix())
            named = scan_of_file(place, source.name_pattern or "")
            scans[path.parent][path] = replace(named, sequence=source.looked_for[0]) if named else None
    for folder, files in scans.items():
        each = set(files.values())
        scan = each.pop() if len(each) == 1 else None
        zips = any(path.suffix.lower() == ".zip" for path in files)
        if scan is not None and not zips and folder != source.folder:
            found.parts.append(Part(scan, folder, folder.relative_to(source.folder).as_posix()))
            continue
        for path, one in files.items():
            if one is not None:
                found.parts.append(Part(one, path, path.relative_to(source.folder).as_posix()))
        if None in files.values():
            found.unnamed.append(UnnamedEntry(source.layout, folder, _NO_MATCH))
    return found


def _list_sessions(source: Source) -> Listed:
    found = Listed()
    for entry in list_folder(source.folder, _refuse(source)):
        path = Path(entry.path)
        subject = _SUBJECT.fullmatch(entry.name)
        if is_sidecar(entry.name) or (entry.name in BIDS_FOLDERS and is_folder(entry)):
            found.ignored.append(path)
        elif subject is None or not is_folder(entry):
            found.unnamed.append(UnnamedEntry(source.layout, path))
        else:
            _list_subject(path, subject[1], source, found)
    return found


def _list_subject(folder: Path, participant: str, source: Source, found: Listed) -> None:
    before = len(found.parts) + len(found.unnamed)
    images = {"ct" if sequence is ScanSequence.CT else "anat" for sequence in source.looked_for}
    added = False

    def add(session: str, path: Path) -> None:
        held = [sequence for sequence in source.looked_for if image_paths(path, sequence)]
        for sequence in held or source.looked_for[:1]:  # a session without any image has a row all the same
            found.parts.append(Part(ScanId(participant, session, sequence), path))

    for entry in list_folder(folder, _refuse(source)):
        path = Path(entry.path)
        session = _SESSION.fullmatch(entry.name)
        below = is_folder(entry)
        if is_sidecar(entry.name):
            found.ignored.append(path)
        elif session is not None and below:
            add(session[1], path)
        elif below and entry.name in images:
            if not added:
                add(NO_SESSION, folder)
            added = True
        elif below and entry.name in BIDS_DATATYPES:
            found.ignored.append(path)
        else:
            found.unnamed.append(UnnamedEntry(source.layout, path))
    if len(found.parts) + len(found.unnamed) == before:
        found.unnamed.append(UnnamedEntry(source.layout, folder))
