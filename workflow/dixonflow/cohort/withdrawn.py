"""The list of participants who have withdrawn their consent."""

import re
from collections.abc import Iterable
from pathlib import Path

from dixonflow.errors import ConfigError

COUNTED = "withdrawn"
"""In the place of the file of a scan that is only counted; a number follows."""

WITHDRAWN_MESSAGE = "the participant is on the list of withdrawn participants"

_HEADINGS = {"participant_id", "participant", "eid", "id"}


def read_withdrawn(path: Path) -> frozenset[str]:
    """Read participant ids, one per line. Empty lines, lines that begin with # and a heading are skipped.

    Raises
    ------
    ConfigError
        If the file cannot be read or a line is no id. The message names the line, not what is in it.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the list of withdrawn participants {path} cannot be read: {type(error).__name__}"
        ) from error
    ids = set()
    for number, line in enumerate(lines, 1):
        word = line.strip().strip('"').strip()
        if not word or word.startswith("#") or (number == 1 and word.lower() in _HEADINGS):
            continue
        if not re.fullmatch(r"[A-Za-z0-9]+", word):
            raise ConfigError(f"{path}, line {number}: not a participant id (letters and digits, one id per line)")
        ids.add(word)
    return frozenset(ids)


def check_zeros(withdrawn: Iterable[str], participants: Iterable[str]) -> None:
    """Check that no id of the list differs from a participant's by leading zeros alone.

    A spreadsheet drops leading zeros silently; the participant would stay in.

    Raises
    ------
    ConfigError
        With the number of such ids.
    """
    known = set(participants)
    bare = {participant.lstrip("0") for participant in known}
    lost = [word for word in set(withdrawn) - known if word.lstrip("0") in bare]
    if lost:
        raise ConfigError(
            f"the list of withdrawn participants holds {len(lost)} ids that differ from a participant's only by "
            "leading zeros: write them as the cohort does"
        )
