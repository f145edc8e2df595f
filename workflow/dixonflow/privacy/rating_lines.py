"""Whose the lines in the files of raters are, and what somebody typed in them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dixonflow.ratings.store import locked
from dixonflow.system.atomic import write_bytes

_ENDING, _FOLDER = ".jsonl", "ratings"
_PARTICIPANT, _COMMENT, _TYPED = "participant_id", "comment", ("rater", "comment")


def is_of_rater(path: Path) -> bool:
    """Whether a file is one of ratings."""
    return path.suffix == _ENDING and path.parent.name == _FOLDER


def rated_person(line: bytes) -> str:
    """Participant of a rating; empty where the line is none."""
    return str(_rating(line).get(_PARTICIPANT, ""))


def typed(line: bytes) -> bytes:
    """What a rater typed; the whole line where it is no rating.

    Keys and ids of ratings are hexadecimal: a run of their digits may be equal to an id and is none.
    """
    rating = _rating(line)
    return " ".join(str(rating.get(name, "")) for name in _TYPED).encode() if rating.get(_PARTICIPANT) else line


def without_ratings(path: Path, of_somebody: Callable[[str], bool], names_somebody: Callable[[bytes], bool]) -> int:
    """Rewrite a file of ratings without some participants; return the number of lines that were changed.

    Nobody can add to the file meanwhile. A comment on somebody else that names one of them is emptied, and the verdict
    stays; a line that is no rating goes if it names one.
    """
    with locked(path.parent, path.stem):
        before = path.read_bytes().splitlines(keepends=True)
        after = [_left(line, of_somebody, names_somebody) for line in before]
        if after != before:
            write_bytes(path, b"".join(after))
    return sum(old != new for old, new in zip(before, after, strict=True))


def _left(line: bytes, of_somebody: Callable[[str], bool], names_somebody: Callable[[bytes], bool]) -> bytes:
    person = rated_person(line)
    if of_somebody(person) or (not person and names_somebody(line)):
        return b""
    comment = str(_rating(line).get(_COMMENT, "")).encode()
    return _without_comment(line) if person and names_somebody(comment) else line


def _without_comment(line: bytes) -> bytes:
    end = b"\n" if line.endswith(b"\n") else b""
    return json.dumps(_rating(line) | {_COMMENT: ""}, sort_keys=True).encode() + end


def _rating(line: bytes) -> dict[str, Any]:
    try:
        rating = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return rating if isinstance(rating, dict) else {}
