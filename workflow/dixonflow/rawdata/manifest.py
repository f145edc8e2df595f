"""The manifest that UK Biobank puts next to the slices: a table of what was delivered."""

import csv
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

MAX_MANIFEST_BYTES = 16 << 20
"""A row of a slice has some 200 bytes."""


def is_manifest(name: str) -> bool:
    """Whether a file is one, by its name, of which there are two spellings."""
    return PurePosixPath(name.replace("\\", "/")).name.lower() in {"manifest.csv", "manifest.cvs"}


@dataclass(frozen=True)
class Manifest:
    """Rows of a manifest.

    Attributes
    ----------
    rows
        Name of each listed slice, and all that its row holds: an unquoted comma in the date moves the columns, so that
        values are looked for and not counted.
    """

    rows: tuple[tuple[str, frozenset[str]], ...]

    def missing(self, present: Iterable[str], used: Collection[str], known: Collection[str]) -> int:
        """Number of listed slices that are not there and would be part of the scan.

        Parameters
        ----------
        present
            Names of the files that are there.
        used, known
            Series UIDs that the scan is made of, and of all its slices: rows of another known series do not count.
        """
        names = {name.replace("\\", "/").rsplit("/", 1)[-1] for name in present}
        lost = [values for name, values in self.rows if name not in names]
        return sum(1 for values in lost if values & set(used) or not values & set(known))


def read_manifest(content: bytes) -> Manifest:
    """Read a manifest. What cannot be read of it is left out: it is a check, and no source of data."""
    text = content.decode("utf-8", "replace").lstrip("\ufeff")
    rows = []
    try:
        for row in csv.reader(text.splitlines()):
            name = row[0].strip().replace("\\", "/").rsplit("/", 1)[-1] if row else ""
            if name.lower().endswith(".dcm"):
                rows.append((name, frozenset(value.strip() for value in row[1:])))
    except csv.Error:
        pass
    return Manifest(tuple(rows))
