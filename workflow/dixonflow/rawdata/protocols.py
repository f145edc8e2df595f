"""What is known of the cohorts' deliveries: `acquisition.json` as typed values."""

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from dixonflow.vocabulary import DIXON, Contrast, Layout, ScanId, ScanSequence

NO_SESSION = "1"
"""Session of a participant whose raw data does not name one."""


@cache
def _facts() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(resources.files(__package__).joinpath("acquisition.json").read_text("utf-8"))
    return content


@cache
def contrast_words(kind: str) -> dict[str, Contrast]:
    """Words of one kind (`image_type_words`, `dixon_words`, `series_suffixes`) and the contrasts they stand for."""
    return {word: contrast for contrast in DIXON for word in _facts()[kind][contrast.value]}


def composed_word() -> str:
    """Word in the tags of images that the scanner put together from stations."""
    word: str = _facts()["composed_word"]["word"]
    return word


def expected_stations(layout: Layout, sequence: ScanSequence = ScanSequence.DIXON) -> int | None:
    """Number of stations of a complete scan; None where it is not known beforehand."""
    if sequence in (ScanSequence.ME_VIBE, ScanSequence.CT):
        return 1
    if sequence is not ScanSequence.DIXON:
        of_layout: dict[str, int] = _facts()["n_stations_of_sequences"].get(layout.value, {})
        return of_layout.get(sequence.value)
    count: int | None = _facts()["n_stations"].get(layout.value)
    return count


@dataclass(frozen=True)
class NamedPart:
    """A scan, and which part of it, by a name.

    Attributes
    ----------
    part
        Number or sequence; empty for a whole scan.
    """

    scan: ScanId
    part: str = ""


class UnknownSequenceError(ValueError):
    """A name has a sequence that is not known."""


@cache
def _sequences() -> dict[str, tuple[ScanSequence, str]]:
    return {
        name.casefold(): (ScanSequence(sequence), part)
        for sequence, parts in _facts()["sequences"].items()
        if sequence != "source"
        for part, names in parts.items()
        for name in names
    }


def sequence_part(name: str) -> tuple[ScanSequence, str] | None:
    """ScanSequence of NAKO and which part of its scan a name says: a contrast, a station, or `composed`; else None."""
    return _sequences().get(name.casefold())


def part_of_path(path: Path) -> str:
    """Part of a scan that the name of a zip or folder of NAKO, or of a folder above it, says; empty for none."""
    match = re.fullmatch(_facts()["zip_names"]["nako"], path.name if path.suffix == ".zip" else f"{path.name}.zip")
    names = [match["sequence"] or "" if match else "", *(folder.name for folder in path.parents)]
    for name in names:
        found = sequence_part(name)
        if found is not None:
            return found[1]
    return ""


def contrast_of_part(path: Path) -> Contrast | None:
    """Contrast that `part_of_path` names; None where it names none."""
    part = part_of_path(path)
    return Contrast(part) if part in set(Contrast) else None


def scan_of_zip(path: PurePosixPath, layout: Layout, pattern: str | None = None) -> NamedPart | None:
    """Participant, session and part by the name of a zip, or of a folder with what a zip would hold.

    Parameters
    ----------
    path
        Below the source's folder, with the name of that folder in front. A sequence that the name does not say is
        looked for in the names of the folders above.
    pattern
        Regular expression in place of the layout's; may have the groups `part` and `sequence` too.

    Returns
    -------
    None where the name does not follow the layout.

    Raises
    ------
    UnknownSequenceError
        If the name follows the layout but its sequence is not known.
    re.error, IndexError
        If `pattern` is no regular expression, or lacks the groups `participant` and `session`.
    """
    name = path.name if path.name.lower().endswith(".zip") else f"{path.name}.zip"
    match = re.fullmatch(pattern or _facts()["zip_names"][layout.value], name)
    if match is None:
        return None
    groups = match.groupdict()
    participant, session, part = match["participant"], match["session"], groups.get("part") or ""
    sequence, said = ScanSequence.DIXON, groups.get("sequence")
    if said is not None:
        found = sequence_part(said)
        if found is None:
            raise UnknownSequenceError
        sequence, part = found
    elif layout is Layout.NAKO:
        above = (sequence_part(folder.name) for folder in path.parents)
        sequence, part = next((found for found in above if found is not None), (sequence, part))
    try:
        return NamedPart(ScanId(participant, session, sequence), part)
    except ValueError:
        return None


def scan_of_nifti(path: PurePosixPath) -> NamedPart | None:
    """Participant, visit and station of a NIfTI file of NAKO, by its path below the source's folder; else None."""
    match = re.fullmatch(f"(?:.*/)?{_facts()['zip_names']['nako_nifti']}", str(path))
    try:
        return NamedPart(ScanId(match["participant"], match["session"]), match["part"]) if match else None
    except ValueError:
        return None


def scan_of_file(path: PurePosixPath, pattern: str) -> ScanId | None:
    """Participant and session of a loose file: what `pattern` matches at the beginning of its path below the source.

    Raises
    ------
    re.error, IndexError
        If `pattern` is no regular expression, or lacks the group `participant`.
    """
    match = re.match(pattern, str(path))
    if match is None:
        return None
    try:
        return ScanId(match["participant"], match.groupdict().get("session") or NO_SESSION)
    except (ValueError, TypeError):
        return None
