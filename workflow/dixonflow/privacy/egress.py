"""What may leave a protected environment: aggregates, and nothing that names or shows a participant.

What is not known to be harmless does not pass: other kinds of files, tables whose rows are not said to be groups,
pictures that look like scans.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dixonflow.analyse.disclosure import LIMIT
from dixonflow.errors import ConfigError
from dixonflow.privacy.egress_figures import in_html, in_pdf, in_png, in_svg
from dixonflow.privacy.egress_tables import HOLDS_ID, in_delimited, in_json, in_parquet, in_rows
from dixonflow.privacy.known_people import KnownPeople

MAX_BYTES = 1 << 30
"""No aggregate is larger."""

_LIKE_A_TABLE = 0.8
"""Share of the lines of a text with the same number of separators from which it is read as a table."""


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


def check_release(folder: Path, people: KnownPeople, limit: int = LIMIT) -> tuple[list[Path], list[Objection]]:
    """Check everything below a folder.

    Parameters
    ----------
    folder
        What is to leave.
    people
        Who must not be found in it.
    limit
        Smallest count that may leave; 0 may.

    Returns
    -------
    tuple
        All files, and what is wrong with them; nothing where they may leave.

    Raises
    ------
    ConfigError
        If there is no such folder, or nothing in it.
    """
    if not folder.is_dir() or folder.is_symlink():
        raise ConfigError(f"{folder} is not a folder")
    files, findings = [], []
    for path in _entries(folder):
        name = str(path.relative_to(folder))
        files.append(path)
        if people.in_text(name):
            findings.append(Objection("(a name that holds an id)", "its name holds an id of a participant"))
            name = "(a name that holds an id)"
        findings += [Objection(name, problem) for problem in dict.fromkeys(_problems(path, people, limit))]
    if not files:
        raise ConfigError(f"{folder} is empty")
    return files, findings


def _entries(folder: Path) -> Iterator[Path]:
    """Files, links and empty folders below a folder; links are not followed."""
    for name, folders, files in os.walk(folder):
        folders.sort()
        links = [each for each in folders if (Path(name) / each).is_symlink()]
        yield from (Path(name) / each for each in sorted([*files, *links]))
        if not folders and not files and Path(name) != folder:
            yield Path(name)


def _problems(path: Path, people: KnownPeople, limit: int) -> Iterator[str]:
    state = path.lstat()
    if not stat.S_ISREG(state.st_mode):
        yield "it is a link, an empty folder or no plain file"
        return
    if path.name.startswith("."):
        yield "it is hidden"
    if state.st_size > MAX_BYTES:
        yield "it is larger than any aggregate"
        return
    check = _CHECKS.get(path.suffix.lower())
    if check is None:
        yield f"files of this kind are not checked ({', '.join(sorted(_CHECKS))} are)"
        return
    data = path.read_bytes()
    if people.in_bytes(data):
        yield HOLDS_ID
    try:
        yield from check(data, people, limit)
    except Exception as error:  # whatever is wrong with a file, it does not leave
        yield f"it cannot be read as {path.suffix.lower()[1:]}: {type(error).__name__}"


def _in_text(data: bytes, people: KnownPeople, limit: int) -> Iterator[str]:
    text = data.decode("utf-8")
    if "\0" in text:
        yield "it is no plain text"
    lines = [line.strip().strip("|") for line in text.splitlines() if line.strip() and set(line.strip()) - set("|-: ")]
    for separator in (",", "\t", ";", "|"):
        cells = [line.count(separator) for line in lines]
        if len(lines) > limit and cells[0] and sum(each == cells[0] for each in cells) > _LIKE_A_TABLE * len(lines):
            yield from in_rows([line.split(separator) for line in lines], people, limit)


_CHECKS: dict[str, Callable[[bytes, KnownPeople, int], Iterator[str]]] = {
    ".parquet": in_parquet,
    ".csv": in_delimited,
    ".tsv": in_delimited,
    ".json": in_json,
    ".html": in_html,
    ".svg": in_svg,
    ".png": in_png,
    ".pdf": in_pdf,
    ".txt": _in_text,
    ".md": _in_text,
    ".bib": _in_text,
}
