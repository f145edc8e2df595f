"""The list of scans to include: a pilot of a hundred, or the part of a release that an application is granted."""

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from dixonflow.errors import ConfigError
from dixonflow.vocabulary import ScanId

_HEADINGS = {"participant_id", "participant", "eid", "id"}
_SEPARATOR = re.compile(r"[,;\t ]+")


@dataclass(frozen=True)
class Included(Container[ScanId]):
    """Scans to include.

    Attributes
    ----------
    participants
        Participants all of whose scans are included.
    sessions
        Participant and session of single scans.
    """

    participants: frozenset[str] = frozenset()
    sessions: frozenset[tuple[str, str]] = frozenset()

    def __contains__(self, scan: object) -> bool:
        return isinstance(scan, ScanId) and (
            scan.participant in self.participants or (scan.participant, scan.session) in self.sessions
        )

    def missing(self, found: Iterable[ScanId]) -> int:
        """Number of participants and sessions of the list that none of the scans is of."""
        scans = list(found)
        participants = {scan.participant for scan in scans}
        sessions = {(scan.participant, scan.session) for scan in scans}
        return len(self.participants - participants) + len(self.sessions - sessions)


def read_included(path: Path) -> Included:
    """Read the list: a participant a line, or a participant and a session, or a name `sub-<id>_ses-<session>`.

    Empty lines, lines that begin with # and a heading are skipped.

    Raises
    ------
    ConfigError
        If the file cannot be read, holds no id, or a line is none. The message names the line, not what is in it.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the list of scans to include {path} cannot be read: {type(error).__name__}") from error
    participants, sessions = set(), set()
    for number, line in enumerate(lines, 1):
        words = [word.strip('"') for word in _SEPARATOR.split(line.strip()) if word]
        if not words or words[0].startswith("#") or (number == 1 and words[0].lower() in _HEADINGS):
            continue
        named = re.fullmatch(r"sub-([A-Za-z0-9]+)(?:_ses-([A-Za-z0-9]+))?", words[0])
        if named is not None:
            words = [word for word in named.groups() if word] + words[1:]
        if len(words) > 2 or not all(re.fullmatch(r"[A-Za-z0-9]+", word) for word in words):
            raise ConfigError(f"{path}, line {number}: not a participant id, or a participant id and a session")
        if len(words) == 1:
            participants.add(words[0])
        else:
            sessions.add((words[0], words[1]))
    if not participants and not sessions:
        raise ConfigError(f"the list of scans to include {path} holds no id")
    return Included(frozenset(participants), frozenset(sessions))
