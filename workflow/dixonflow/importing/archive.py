"""Zip files of others: looked through before anything in them is read, and refused where they could do harm.

Nothing is ever unpacked to a path that an archive names: single entries are read, or written to a path of ours. Names
that try to leave their folder are refused all the same: an honest archive of weights has none.
"""

import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO, Self

from dixonflow.errors import ModelError
from dixonflow.importing.space import readable
from dixonflow.system.documents import MAX_JSON_BYTES, one_line
from dixonflow.system.inflation import InflationLimit
from dixonflow.system.regular_file import open_regular
from dixonflow.system.zip_contents import BoundedReader, ZipContentsError, read_contents

_MAX_ENTRIES = 10_000
_ENTRY_LIMIT = InflationLimit(ratio=200, free_bytes=16 << 20)
"""A published checkpoint shrinks by a tenth, a list of labels to a twentieth; deflate can reach 1,032."""
_ARCHIVE_LIMIT = InflationLimit(ratio=20, free_bytes=64 << 20)
_CHUNK = 2**20
_MAX_READ = 4 * 2**20
_MAX_NAME = 500
_MAX_PARTS = 12
"""Parts of a name; nnU-Net's have four."""
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, RuntimeError),
    *(ValueError, LookupError, OverflowError, ZipContentsError),
)
"""What the standard library raises for damaged entries."""
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


class ZipArchive:
    """A zip file whose list of entries has been checked.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    path
        The file.
    entries
        Its files by name.

    Raises
    ------
    ModelError
        If it is no whole zip file, or an entry has a dangerous name or kind, or it unpacks to far more than it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open_regular(path)
        except OSError as error:
            raise _not_whole(path, error.strerror or str(error)) from error
        try:
            self.entries = _check(path, _contents(path, self._file))
            self._zip = zipfile.ZipFile(BoundedReader(self._file, _MAX_READ))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()

    def read(self, name: PurePosixPath) -> bytes:
        """Read a small entry whole.

        Raises
        ------
        ModelError
            If it is damaged, or larger than a JSON file of a network can be.
        """
        info = self.entries[name]
        if info.file_size > MAX_JSON_BYTES:
            raise ModelError(f"{self.path}: {name} of {readable(info.file_size)} is too large for a JSON file")
        return b"".join(self._chunks(info))

    def extract(self, name: PurePosixPath, target: Path) -> None:
        """Write an entry to a path of the caller's.

        Raises
        ------
        ModelError
            If it is damaged or larger than the archive says.
        OSError
            If it cannot be written.
        """
        with target.open("wb") as file:
            for chunk in self._chunks(self.entries[name]):
                file.write(chunk)

    def _chunks(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        left = info.file_size
        try:
            with self._zip.open(info) as stream:
                while chunk := stream.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        break
                    yield chunk
        except _DAMAGE as error:
            raise ModelError(
                f"{self.path}: {info.filename} is damaged ({one_line(error)}). Remove the archive and download it again"
            ) from error
        if left:
            raise ModelError(f"{self.path}: {info.filename} does not have the declared size: refused")


def _not_whole(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path} is not a complete zip file ({why}): interrupted download or wrong file. Remove it and download again"
    )


def _contents(path: Path, file: BinaryIO) -> list[zipfile.ZipInfo]:
    try:
        return read_contents(file)
    except ZipContentsError as error:
        raise _not_whole(path, str(error)) from error


def _check(path: Path, infos: list[zipfile.ZipInfo]) -> dict[PurePosixPath, zipfile.ZipInfo]:
    if len(infos) > _MAX_ENTRIES:
        raise ModelError(f"{path} has {len(infos)} entries, more than {_MAX_ENTRIES}: refused as a zip bomb")
    _check_sizes(path, infos)
    seen: dict[str, bool] = {}  # is it a folder
    entries: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for info in infos:
        # zipfile cuts a name at a zero byte; the name before that is what other programs see.
        problem = None if len(info.orig_filename) <= _MAX_NAME else "has a longer name than any file of a network"
        problem = problem or _problem_of_name(info.orig_filename) or _problem_of_kind(info)
        if problem:
            raise ModelError(
                f"{path}: entry {info.orig_filename[:_MAX_NAME]!r} {problem}: refused. Published weights have none"
            )
        key = _folded(info.orig_filename.rstrip("/"))
        if key in seen and not (info.is_dir() and seen[key]):
            raise ModelError(f"{path}: entry {info.orig_filename!r} occurs twice: refused")
        seen[key] = info.is_dir()
        if not info.is_dir():
            entries[PurePosixPath(info.orig_filename)] = info
    for name in entries:
        folded = _folded(str(name))
        within = next(
            (end for end, letter in enumerate(folded) if letter == "/" and seen.get(folded[:end]) is False), 0
        )
        if within:
            raise ModelError(f"{path}: entry '{name}' lies within {folded[:within]!r}, which is a file: refused")
    return entries


def _folded(name: str) -> str:
    # as file systems compare that ignore case and ways to write an accent
    return unicodedata.normalize("NFC", name).casefold()


def _check_sizes(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    size = path.stat().st_size
    for info in infos:
        if info.file_size > _ENTRY_LIMIT.most(info.compress_size):
            raise ModelError(
                f"{path}: entry {info.orig_filename!r} unpacks from {readable(info.compress_size)} to "
                f"{readable(info.file_size)}: refused as a zip bomb"
            )
    # entries that share their data, as the bombs do that unpack in one pass, together claim more than there is
    if sum(info.compress_size for info in infos) > size:
        raise ModelError(f"{path}: its entries declare more data than the file has: refused as a zip bomb")
    total = sum(info.file_size for info in infos)
    if total > _ARCHIVE_LIMIT.most(size):
        raise ModelError(f"{path} unpacks from {readable(size)} to {readable(total)}: refused as a zip bomb")


def _problem_of_name(name: str) -> str | None:
    parts = (name[:-1] if name.endswith("/") else name).split("/")
    if name.startswith(("/", "~")) or re.match(r"^[A-Za-z]:", name):
        return "is an absolute path"
    if ".." in parts:
        return "leads out of its folder"
    if "\\" in name or not name.isprintable():
        return "has a backslash or a control character in its name"
    if any(part in {"", "."} or part != part.rstrip(". ") for part in parts) or len(parts) > _MAX_PARTS:
        return "has an empty or ambiguous part in its name, or too many"
    if any(_DEVICES.fullmatch(part) for part in parts):
        return "has the name of a device"
    return None


def _problem_of_kind(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a link"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR} or (info.is_dir() and info.file_size):
        return "is neither file nor folder"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return "is compressed in an unusual way"
    return None
