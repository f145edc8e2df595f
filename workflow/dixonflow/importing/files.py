"""Folders and archives with weights, seen alike: files by name, small ones read, large ones as a path on disk."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from dixonflow.errors import ModelError
from dixonflow.importing.archive import ZipArchive
from dixonflow.importing.space import require_space
from dixonflow.system.documents import MAX_JSON_BYTES
from dixonflow.system.regular_file import read_regular

log = logging.getLogger(__name__)

_DEPTH = 4
"""Levels from nnU-Net's results folder down to a checkpoint: dataset, training, fold, file."""


class FolderFiles:
    """Files below a folder on this machine.

    Attributes
    ----------
    origin
        The folder, for messages.
    context
        Names of the folder and of the one around it, the innermost last: nnU-Net's names carry meaning.
    sizes
        Bytes of each file, by its name within the folder.
    """

    def __init__(self, folder: Path) -> None:
        folder = folder.resolve()
        self._folder = folder
        self.origin = str(folder)
        self.context = folder.parts[-2:]
        self.sizes: Mapping[PurePosixPath, int] = {
            PurePosixPath(path.relative_to(folder).as_posix()): size for path, size in _walk(folder, _DEPTH)
        }

    def read(self, name: PurePosixPath) -> bytes:
        """Read a small file whole.

        Raises
        ------
        ModelError
            If it cannot be read.
        """
        try:
            return read_regular(self._folder / name, MAX_JSON_BYTES)
        except OSError as error:
            raise ModelError(f"cannot read {error.filename}: {error.strerror}") from error

    @contextmanager
    def local(self, name: PurePosixPath, scratch: Path) -> Iterator[Path]:
        """Give the path of a file on disk; `scratch` is not used."""
        del scratch
        yield self._folder / name

    def __str__(self) -> str:
        return self.origin


class ArchiveFiles:
    """Files of one or more zip archives, as if unpacked over each other: a later one replaces an earlier one's files.

    Attributes
    ----------
    origin
        The archives, for messages.
    context
        Empty: nothing is known of the folders around them.
    sizes
        Bytes of each file, by its name.
    """

    def __init__(self, archives: Sequence[ZipArchive]) -> None:
        self.origin = ", ".join(str(archive.path) for archive in archives)
        self.context: tuple[str, ...] = ()
        self._holders: dict[PurePosixPath, ZipArchive] = {}
        for archive in archives:
            for name, info in archive.entries.items():
                earlier = self._holders.get(name)
                if earlier is not None and earlier.entries[name].CRC != info.CRC:
                    # so does the authors' own program, which unpacks them one after the other
                    log.warning("%s of %s replaces that of %s, which differs", name, archive.path, earlier.path)
                self._holders[name] = archive
        self.sizes: Mapping[PurePosixPath, int] = {
            name: archive.entries[name].file_size for name, archive in self._holders.items()
        }

    def read(self, name: PurePosixPath) -> bytes:
        """Read a small file whole.

        Raises
        ------
        ModelError
            If it is damaged or large.
        """
        return self._holders[name].read(name)

    @contextmanager
    def local(self, name: PurePosixPath, scratch: Path) -> Iterator[Path]:
        """Unpack a file to the path `scratch`, and remove it afterwards.

        Raises
        ------
        ModelError
            If it is damaged, or the disk has no room.
        """
        require_space(scratch.parent, self.sizes[name], f"unpacking {name}")
        try:
            self._holders[name].extract(name, scratch)
            yield scratch
        finally:
            scratch.unlink(missing_ok=True)

    def __str__(self) -> str:
        return self.origin


Files = FolderFiles | ArchiveFiles


def _walk(folder: Path, depth: int) -> Iterator[tuple[Path, int]]:
    """Give the regular files and their sizes."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        files = [(Path(entry.path), entry.stat().st_size) for entry in entries if entry.is_file()]
        folders = [Path(entry.path) for entry in entries if entry.is_dir()]
    except OSError as error:
        raise ModelError(f"cannot read {error.filename}: {error.strerror}") from error
    yield from files
    for inner in folders:
        # validation folders hold a file for each training case
        if depth > 1 and not inner.name.startswith((".", "validation", "crossval")):
            yield from _walk(inner, depth - 1)
