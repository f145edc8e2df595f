"""The list of withdrawals that a cohort sends, and the list of the configuration that it goes to."""

from collections.abc import Iterable
from pathlib import Path

from dixonflow.errors import ConfigError
from dixonflow.system.atomic import write_bytes

_HEADINGS = frozenset(
    f"{start}{end}"
    for start in ("participant", "subject", "patient", "person", "proband", "sub")
    for end in ("", "s", "id", "_id", " id", "-id", "ids", "_ids", " ids", ".id")
) | {"eid", "n_eid", "f.eid", "fid", "iid", "id", "ids", "pid"}
"""What a first line may say that is no id, in small letters; any other word is one, of letters alone too."""


def add_to_list(listed: Path, ids: Iterable[str]) -> int:
    """Add ids to the list that the configuration names, those that are not on it; return their number."""
    listed = listed.resolve()  # a link stays one
    before = listed.read_text(encoding="utf-8-sig") if listed.exists() else ""
    known = set(before.split())
    new = [each for each in dict.fromkeys(ids) if each not in known]
    if new:
        start = before if not before or before.endswith("\n") else f"{before}\n"
        write_bytes(listed, (start + "".join(f"{each}\n" for each in new)).encode())
    return len(new)


def read_cohort_list(path: Path) -> tuple[list[str], int]:
    """Read the list that a cohort sends: one id a line. UK Biobank's may hold negative ids.

    Empty lines, lines that begin with # and a usual heading in the first line are skipped.

    Returns
    -------
    ids
        Of participants.
    negative
        Number of negative ids: those of participants who had withdrawn before, of whom nothing was ever delivered.

    Raises
    ------
    ConfigError
        If it cannot be read, or a line is no id. The message names the line, not what is in it.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the list {path} cannot be read: {type(error).__name__}") from error
    ids, negative = [], 0
    for number, line in enumerate(lines, 1):
        word = line.strip().strip('"').strip()
        if not word or word.startswith("#") or (number == 1 and word.lower() in _HEADINGS):
            continue
        if word.startswith("-") and word[1:].isdigit():
            negative += 1
        elif word.isascii() and word.isalnum():
            ids.append(word)
        else:
            raise ConfigError(f"{path}, line {number}: not a participant id (letters and digits, one id per line)")
    return ids, negative
