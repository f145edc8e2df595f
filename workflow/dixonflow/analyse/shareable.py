"""Which files studies wrote that show groups alone: their checksums, next to them, for the check of a release.

No program sees whether a drawing, a page or a table without numbers of people shows participants. Those of our studies
are known to show groups, as long as they are the same byte for byte.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from dixonflow.system.atomic import write_bytes

SHAREABLE = "shareable.sha256"
"""Name of the file, in the folder of the analyses."""

PERSONAL = ("z_scores.parquet", "changes.parquet", "indices.parquet", "ukb_fields.parquet")
"""Files of studies that have a row per participant."""


def record_shareable(folder: Path, written: Iterable[Path]) -> None:
    """Add what a study wrote to the checksums in a folder; those of files that were there before are replaced."""
    path = folder / SHAREABLE
    known = {name: digest for digest, name in _lines(path)}
    for file in written:
        if file.name not in PERSONAL:
            known[file.relative_to(folder).as_posix()] = hashlib.sha256(file.read_bytes()).hexdigest()
    known = {name: digest for name, digest in known.items() if (folder / name).is_file()}
    write_bytes(path, "".join(f"{digest}  {name}\n" for name, digest in sorted(known.items())).encode())


def shareable(folder: Path) -> frozenset[str]:
    """Checksums of all files below a folder that are recorded."""
    return frozenset(digest for path in sorted(folder.rglob(SHAREABLE)) for digest, _ in _lines(path))


def _lines(path: Path) -> list[tuple[str, str]]:
    if not path.is_file():
        return []
    pairs = (line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
