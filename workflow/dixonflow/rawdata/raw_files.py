"""Files of a raw scan, wherever they are: members of zips and files in folders, read in the same way."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dixonflow.rawdata.manifest import MAX_MANIFEST_BYTES, Manifest, is_manifest, read_manifest
from dixonflow.rawdata.other_files import is_sidecar
from dixonflow.rawdata.zip_archive import (
    MAX_MEMBER_BYTES,
    MAX_MEMBERS,
    MAX_TOTAL_BYTES,
    open_archive,
    unreadable,
)
from dixonflow.system.regular_file import open_regular, read_regular


class RawStream(Protocol):
    """A file that is read from its beginning, as far as needed."""

    def read(self, count: int, /) -> bytes:
        """Up to `count` bytes, fewer at the end of the file. Raises ScanExcluded(UNREADABLE_FILE), OSError."""

    def close(self) -> None:
        """Say that no more is read."""


class RawFile(Protocol):
    """A file of a raw scan.

    Attributes
    ----------
    name
        How messages call it: by number, because its own name is whatever somebody typed.
    own_name
        Name in its folder or zip. Never shown.
    size
        Bytes, inflated.
    container
        Number of the zip or folder of the scan that holds it, from 0.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def own_name(self) -> str: ...  # noqa: D102

    @property
    def size(self) -> int: ...  # noqa: D102

    @property
    def container(self) -> int: ...  # noqa: D102

    def stream(self) -> RawStream:
        """Open it for reading. Raises ScanExcluded(UNREADABLE_FILE), OSError."""

    def read(self) -> bytes:
        """Read it whole and verify its checksum, if it has one. Raises ScanExcluded(UNREADABLE_FILE), OSError."""


@dataclass(frozen=True, slots=True)
class LooseFile:
    """A file in a folder; attributes as in `RawFile`."""

    path: Path
    name: str
    size: int
    container: int = 0

    @property
    def own_name(self) -> str:
        """Name in its folder."""
        return self.path.name

    def stream(self) -> RawStream:
        """Open it."""
        return open_regular(self.path)

    def read(self) -> bytes:
        """Read it whole."""
        with open_regular(self.path) as file:
            content = file.read(self.size + 1)
        if len(content) != self.size:
            raise unreadable(f"{self.name}: its size changed while it was read")
        return content


def loose_paths(path: Path, recursive: bool = True) -> list[Path]:
    """Files of a folder by relative path, or the file itself; files known to be no images left out.

    Links to files are followed, links to folders are not: they may lead back.

    Parameters
    ----------
    recursive
        Whether those in its subfolders too.

    Raises
    ------
    OSError
        If a folder cannot be listed.
    """
    if not path.is_dir():
        return [path]
    found = []
    for folder, subfolders, names in os.walk(path, onerror=_raise):
        subfolders[:] = [name for name in subfolders if recursive and not is_sidecar(name)]
        found += [Path(folder) / name for name in names if not is_sidecar(name)]
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


@dataclass(frozen=True)
class OpenScan:
    """The open files of a scan.

    Attributes
    ----------
    files
        By their names; those that are known to be no images are left out.
    manifests
        Manifests by the number of the zip or folder that holds them; without rows where they cannot be read.
    """

    files: list[RawFile] = field(default_factory=list)
    manifests: dict[int, Manifest] = field(default_factory=dict)


@contextmanager
def open_raw_files(paths: Sequence[Path], recursive: bool = True) -> Iterator[OpenScan]:
    """Open the zips and folders of a scan.

    Parameters
    ----------
    paths
        Zips, folders of files, or single files.
    recursive
        Whether files in subfolders belong to it.

    Raises
    ------
    ScanExcluded
        `unreadable_file` if a zip is damaged or all together claim more than a scan can hold.
    OSError
        If a file or folder cannot be opened.
    """
    with ExitStack() as stack:
        scan = OpenScan()
        for number, path in enumerate(paths, 1):
            if path.suffix.lower() == ".zip" and path.is_file():
                archive = stack.enter_context(open_archive(path))
                where = "the zip" if len(paths) == 1 else f"zip {number} of {len(paths)}"
                scan.files.extend(archive.members(where, number - 1))
                for info in archive.sidecars:
                    if is_manifest(info.filename):
                        readable = info.file_size <= MAX_MANIFEST_BYTES
                        content = archive.read(info, "the manifest") if readable else b""
                        scan.manifests[number - 1] = read_manifest(content)
            else:
                where = "the folder" if len(paths) == 1 else f"folder {number} of {len(paths)}"
                scan.files.extend(_loose_files(loose_paths(path, recursive), where, number - 1))
                for manifest in filter(lambda each: is_manifest(each.name), path.iterdir() if path.is_dir() else ()):
                    scan.manifests[number - 1] = Manifest(())
                    with suppress(OSError):  # of a file that is too large too
                        scan.manifests[number - 1] = read_manifest(read_regular(manifest, MAX_MANIFEST_BYTES))
        size = sum(file.size for file in scan.files)
        if len(scan.files) > MAX_MEMBERS or size > MAX_TOTAL_BYTES:
            raise unreadable(f"{len(scan.files)} files of {size} bytes are too many for a scan")
        yield scan


def _loose_files(found: Sequence[Path], where: str, container: int) -> list[LooseFile]:
    files = []
    for number, each in enumerate(found, 1):
        size = each.stat().st_size
        if size > MAX_MEMBER_BYTES:
            raise unreadable(f"file {number} of {len(found)} in {where} has {size} bytes, more than a slice can have")
        files.append(LooseFile(each, f"file {number} of {len(found)} in {where}", size, container))
    return files
