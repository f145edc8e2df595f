"""What lies in a raw folder, link or not, readable or not: the one walk for the list of scans and for what changed."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from dixonflow.rawdata.other_files import is_sidecar

BIDS_FOLDERS = {"derivatives", "sourcedata", "code", "stimuli", "phenotype", "logs"}
"""Folders at the top of a BIDS data set that hold no scans."""

OnError = Callable[[str, OSError], None]


def list_folder(folder: Path | str, on_error: OnError) -> list[os.DirEntry[str]]:
    """Entries of a folder by name; `on_error` is told of a folder that cannot be listed, which then has none."""
    try:
        with os.scandir(folder) as listing:
            return sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        on_error(os.fspath(folder), error)
        return []


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one. A link that leads nowhere, or to itself, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def walk(
    folder: Path | str,
    on_error: OnError,
    passed_over: Collection[str] = (),
    is_whole: Callable[[os.DirEntry[str]], bool] = lambda entry: False,
) -> Iterator[tuple[os.DirEntry[str], bool]]:
    """Everything below a folder, in the order of the names, and whether it is a folder.

    Links to folders are followed, each folder once. What lies in folders that are known to hold no scans, by
    `is_sidecar` or because `folder` itself has them under a name in `passed_over`, is left out, and what lies in
    folders that `is_whole` takes as a whole.
    """
    yield from _walk(os.fspath(folder), os.path.realpath(folder), on_error, passed_over, is_whole, set())


def _walk(
    folder: str,
    real: str,
    on_error: OnError,
    passed_over: Collection[str],
    is_whole: Callable[[os.DirEntry[str]], bool],
    seen: set[str],
) -> Iterator[tuple[os.DirEntry[str], bool]]:
    if real in seen:  # a link that leads back
        return
    seen.add(real)
    for entry in list_folder(folder, on_error):
        below = is_folder(entry)
        yield entry, below
        if below and not is_sidecar(entry.name) and entry.name not in passed_over and not is_whole(entry):
            # a question to the file system for links alone: there are few, and a hundred thousand folders
            place = os.path.realpath(entry.path) if entry.is_symlink() else f"{real}/{entry.name}"
            yield from _walk(entry.path, place, on_error, (), is_whole, seen)


def readable(path: Path | str) -> str:
    r"""Path as text for tables and people: bytes that are not UTF-8 are written as `\x..`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def file_state(files: Iterable[Path]) -> str:
    """Hash over names, sizes, dates, inodes and change times of files.

    A file that was replaced or written in place has another one, whatever its content: content decides what is made
    again, but only where the state asks for a second look.

    Raises
    ------
    OSError
        If the status of one of them cannot be read.
    """
    digest = hashlib.sha256()
    for path in files:
        state = path.stat()
        digest.update(os.fsencode(path.name))
        digest.update(f"\0{state.st_size} {state.st_mtime_ns} {state.st_ino} {state.st_ctime_ns}\n".encode())
    return digest.hexdigest()[:32]
