"""What may leave a protected environment: aggregates, and nothing that names or shows a participant.

What is not known to be harmless does not pass. Tables are looked at row by row; drawings and pages pass if a study of
this run wrote them, or if somebody says that they were looked at; other kinds of files do not.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dixonflow.analyse.disclosure import LIMIT
from dixonflow.errors import ConfigError
from dixonflow.privacy.egress_drawings import in_pdf, in_plain, in_png
from dixonflow.privacy.egress_lines import in_lines
from dixonflow.privacy.egress_tables import HOLDS_ID, in_delimited, in_embedded, in_parquet
from dixonflow.privacy.known_people import KnownPeople

MAX_BYTES = 1 << 28
"""No aggregate is larger."""

_HIDDEN_NAME = "(a name that holds an id)"


@dataclass(frozen=True)
class CheckedFile:
    """A file as it was when it was checked; path relative to the folder."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Objection:
    """A reason why a file must not leave.

    Attributes
    ----------
    path
        Relative to the folder; without its name where that holds an id.
    problem
        What is wrong, without the id or value.
    """

    path: str
    problem: str


def check_release(
    folder: Path, people: KnownPeople, limit: int = LIMIT, known: frozenset[str] = frozenset()
) -> tuple[list[CheckedFile], list[Objection]]:
    """Check everything below a folder.

    Parameters
    ----------
    folder
        What is to leave.
    people
        Who must not be found in it.
    limit
        Smallest count that may leave; 0 may.
    known
        SHA-256 of files that studies wrote of groups, or that somebody has looked at.

    Returns
    -------
    tuple
        All files that could be read, and what is wrong; nothing where they may leave.

    Raises
    ------
    ConfigError
        If there is no such folder, or nothing in it.
    """
    if not folder.is_dir() or folder.is_symlink():
        raise ConfigError(f"{folder} is not a folder")
    files: list[CheckedFile] = []
    objections: list[Objection] = []
    for path, problem in _entries(folder):
        name = str(path.relative_to(folder))
        names_somebody = people.in_text(name) or people.in_text(name.replace("/", ""))
        shown = _HIDDEN_NAME if names_somebody else ascii(name)[1:-1]
        problems = [problem] if problem else []
        if names_somebody:
            problems.append("its name holds an id of a participant")
        if not name.isprintable() or any(part.startswith(".") for part in Path(name).parts):
            problems.append("it is hidden, or its name has characters that cannot be shown")
        if not problem:
            checked, found = _content_problems(path, name, people, limit, known)
            files += [checked] if checked else []
            problems += found
        objections += [Objection(shown, each) for each in dict.fromkeys(problems)]
    if not files and not objections:
        raise ConfigError(f"{folder} is empty")
    return files, objections


def _entries(folder: Path) -> Iterator[tuple[Path, str]]:
    """Everything below a folder but folders with content, with what is wrong with it at first sight."""
    unreadable: list[OSError] = []
    for name, folders, files in os.walk(folder, onerror=unreadable.append):
        folders.sort()
        for entry in sorted([*files, *(each for each in folders if (Path(name) / each).is_symlink())]):
            path = Path(name) / entry
            plain = stat.S_ISREG(path.lstat().st_mode)
            yield path, "" if plain else "it is a link, or no plain file"
        if not folders and not files and Path(name) != folder:
            yield Path(name), "it is an empty folder"
    yield from ((Path(str(error.filename)), "it cannot be opened") for error in unreadable)


def _content_problems(
    path: Path, name: str, people: KnownPeople, limit: int, known: frozenset[str]
) -> tuple[CheckedFile | None, list[str]]:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError:
        return None, ["it cannot be opened"]
    if len(data) > MAX_BYTES:
        return None, ["it is larger than any aggregate"]
    digest = hashlib.sha256(data).hexdigest()
    checked, kind = CheckedFile(name, len(data), digest), path.suffix.lower()
    if kind in _TABLES:
        check = _TABLES[kind]
        found = _read(lambda: list(check(data, people, limit, digest in known)), kind)
    elif kind in _SHOWN:
        found = (
            []
            if digest in known
            else ["no study of this run wrote it, and it is not in the list of what was looked at (--seen)"]
        )
        found += _read(lambda: list(_SHOWN[kind](data, people)), kind)
    else:
        found = [f"files of this kind are not checked ({', '.join(sorted({*_TABLES, *_SHOWN}))} are)"]
    return checked, found


def _read(check: Callable[[], list[str]], kind: str) -> list[str]:
    try:
        return check()
    except Exception as error:  # whatever is wrong with a file, it does not leave
        return [f"it cannot be read as {kind[1:]}: {type(error).__name__}"]


def _in_text(data: bytes, people: KnownPeople, limit: int, known: bool) -> Iterator[str]:
    text = data.decode("utf-8-sig")
    if people.in_text(text) or people.in_text("".join(text.split())):
        yield HOLDS_ID
    if "\0" in text:
        yield "it is no plain text"
    if not known:
        yield from in_embedded(text)
    yield from in_lines(text, people, limit, known)


_TABLES: dict[str, Callable[[bytes, KnownPeople, int, bool], Iterator[str]]] = {
    ".parquet": in_parquet,
    ".csv": in_delimited,
    ".tsv": in_delimited,
    ".txt": _in_text,
    ".md": _in_text,
    ".bib": _in_text,
}
_SHOWN: dict[str, Callable[[bytes, KnownPeople], Iterator[str]]] = {
    ".png": in_png,
    ".pdf": in_pdf,
    **dict.fromkeys((".svg", ".html", ".json"), in_plain),
}
