"""What was imported, from where and when: import.json in the folder of a model.

It is a file of its own because metadata.json enters the content key of every scan: the same weights imported on another
day or from another place must give the same key.
"""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dixonflow.errors import ModelError
from dixonflow.models.nnunet_files import read_json
from dixonflow.system.atomic import write_json
from dixonflow.system.versions import versions

NAME = "import.json"


@dataclass(frozen=True)
class FileRecord:
    """A file as its authors published it.

    Attributes
    ----------
    name
        In the archive or folder it came from.
    bytes, sha256
        Its size and SHA-256.
    """

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ArchiveRecord:
    """An archive.

    Attributes
    ----------
    origin
        Address or path that it came from.
    file
        Its published name, and its size and SHA-256.
    sha256_published
        Whether the SHA-256 was known before and has been compared.
    """

    origin: str
    file: FileRecord
    sha256_published: bool


@dataclass(frozen=True)
class PartRecord:
    """Where one network came from.

    Attributes
    ----------
    part
        Name of the part.
    origin
        Folder or archives, and the folder within.
    archives
        The archives; none for a folder.
    files
        The files that were used.
    """

    part: str
    origin: str
    archives: tuple[ArchiveRecord, ...]
    files: tuple[FileRecord, ...]


def write_record(folder: Path, model: str, parts: tuple[PartRecord, ...]) -> None:
    """Write import.json."""
    write_json(
        folder / NAME,
        {
            "model": model,
            "imported": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions() | {"python": platform.python_version()},
            "parts": [asdict(part) for part in parts],
        },
    )


def read_record(folder: Path) -> tuple[PartRecord, ...]:
    """Read what import.json says of each part.

    Raises
    ------
    ModelError
        If it is missing or damaged.
    """
    path = folder / NAME
    try:
        return tuple(_part(part) for part in read_json(path)["parts"])
    except (LookupError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged. Remove {folder} and import the model again") from error


def _part(part: Mapping[str, Any]) -> PartRecord:
    archives = tuple(
        ArchiveRecord(archive["origin"], FileRecord(**archive["file"]), archive["sha256_published"])
        for archive in part["archives"]
    )
    return PartRecord(part["part"], part["origin"], archives, tuple(FileRecord(**file) for file in part["files"]))
