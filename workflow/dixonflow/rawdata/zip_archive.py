"""Read members of a zip: no more of a member than is asked for, and never more than the zip may honestly hold.

Nothing is ever extracted to disk. Inflating is isal's.
"""

import hashlib
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from isal import isal_zlib

from dixonflow.errors import ScanExcluded
from dixonflow.rawdata.content import ImageContents
from dixonflow.rawdata.other_files import is_sidecar
from dixonflow.system.inflation import InflationLimit
from dixonflow.system.regular_file import open_regular
from dixonflow.system.zip_contents import ZipContentsError, read_contents
from dixonflow.vocabulary import Reason

# A whole-body scan has about 1,500 slices of 100 to 300 KB. Deflate can grow data 1032-fold (RFC 1951), images do so
# by 2 to 4; only zips beyond a size that any machine can take have to show a plausible ratio.
MAX_MEMBERS = 50_000
MAX_MEMBER_BYTES = 1 << 30  # one file may hold all slices of all contrasts of a composed scan
MAX_TOTAL_BYTES = 8 << 30
LIMIT = InflationLimit(ratio=100, free_bytes=1 << 30)

CHUNK_BYTES = 4 << 10
_LOCAL_HEADER = struct.Struct("<4s22xHH")


def unreadable(message: str) -> ScanExcluded:
    """Exclusion of a scan whose files cannot be opened."""
    return ScanExcluded(Reason.UNREADABLE_FILE, message)


class Archive:
    """An open zip whose table of contents was found to be plausible. Made by `open_archive`."""

    def __init__(self, file: BinaryIO, infos: list[zipfile.ZipInfo]) -> None:
        self._file = file
        self.images = sorted(
            (info for info in infos if not info.is_dir() and not is_sidecar(info.filename)),
            key=lambda info: (info.filename, info.CRC, info.header_offset),
        )
        self.sidecars = [info for info in infos if not info.is_dir() and is_sidecar(info.filename)]

    def members(self, where: str = "the zip", container: int = 0) -> list["ZipMember"]:
        """Members that may be images, by name.

        Parameters
        ----------
        where
            How messages call the zip.
        container
            Number of the zip.
        """
        return [
            ZipMember(self, info, f"file {number} of {len(self.images)} in {where}", container)
            for number, info in enumerate(self.images, 1)
        ]

    def read(self, info: zipfile.ZipInfo, name: str) -> bytes:
        """Inflate a whole member and verify its checksum.

        Parameters
        ----------
        info
            The entry itself: several may have one name.
        name
            How messages call it.

        Raises
        ------
        ScanExcluded
            `unreadable_file`.
        """
        stream = self.stream(info, name)
        data = stream.read(info.file_size + 1)
        if len(data) != info.file_size or not stream.ended:
            raise unreadable(f"{name}: cut off inside the zip")
        if isal_zlib.crc32(data) != info.CRC:
            raise unreadable(f"{name}: wrong checksum")
        return data

    def stream(self, info: zipfile.ZipInfo, name: str) -> "MemberStream":
        """Open a member for reading piece by piece. Raises ScanExcluded(UNREADABLE_FILE)."""
        if info.flag_bits & 1:
            raise unreadable(f"{name}: encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise unreadable(f"{name}: compression method {info.compress_type} is not supported")
        self._file.seek(info.header_offset)
        head = self._file.read(_LOCAL_HEADER.size)
        if len(head) < _LOCAL_HEADER.size or head[:4] != b"PK\x03\x04":
            raise unreadable(f"{name}: its position differs from the table of contents of the zip")
        _, name_length, extra_length = _LOCAL_HEADER.unpack(head)
        return MemberStream(
            self._file, info, name, info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        )


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A file in a zip; attributes as in `RawFile`."""

    archive: Archive
    info: zipfile.ZipInfo
    name: str
    container: int = 0

    @property
    def own_name(self) -> str:
        """Name in the zip."""
        return self.info.filename

    @property
    def size(self) -> int:
        """Bytes, inflated."""
        return self.info.file_size

    def stream(self) -> "MemberStream":
        """Open it. Raises ScanExcluded(UNREADABLE_FILE)."""
        return self.archive.stream(self.info, self.name)

    def read(self) -> bytes:
        """Read it whole and verify its checksum. Raises ScanExcluded(UNREADABLE_FILE)."""
        return self.archive.read(self.info, self.name)


class MemberStream:
    """A member as a file that is inflated only as far as it is read."""

    def __init__(self, file: BinaryIO, info: zipfile.ZipInfo, name: str, start: int) -> None:
        self._file = file
        self._name = name
        self._size = info.file_size
        self._next = start
        self._end = start + info.compress_size
        self._inflater = None if info.compress_type == zipfile.ZIP_STORED else isal_zlib.decompressobj(wbits=-15)
        self._taken = b""  # compressed bytes that were read and not inflated yet
        self._holds_output = False  # whether the inflater has more to give without any
        self._data = bytearray()
        self._position = 0

    @property
    def ended(self) -> bool:
        """Whether all compressed data was taken and its end mark seen."""
        all_taken = self._next >= self._end and not self._taken and not self._holds_output
        return all_taken and (self._inflater is None or bool(self._inflater.eof))

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, fewer at the end of the member. Raises ScanExcluded(UNREADABLE_FILE)."""
        if self._position + count > len(self._data):
            self._fill(self._position + count)
        data = bytes(self._data[self._position : self._position + count])
        self._position += len(data)
        return data

    def close(self) -> None:
        """Forget what was inflated."""
        self._data = bytearray()

    def _fill(self, wanted: int) -> None:
        # a whole member is read in one go, a header chunk by chunk
        step = max(CHUNK_BYTES, self._end - self._next if wanted >= self._size else 0)
        while len(self._data) < wanted and (self._taken or self._holds_output or self._next < self._end):
            chunk, self._taken = self._taken, b""
            if not chunk and not self._holds_output:
                self._file.seek(self._next)
                chunk = self._file.read(min(step, self._end - self._next))
                if not chunk:
                    raise unreadable(f"{self._name}: the zip ends inside this file")
                self._next += len(chunk)
            if self._inflater is None:
                self._data += chunk
            else:
                try:
                    # no more than is asked for, and of a member that lies about its size one byte more than it has
                    most = max(1, min(wanted, self._size + 1) - len(self._data))
                    inflated = self._inflater.decompress(chunk, most)
                    self._taken = b"" if self._inflater.eof else self._inflater.unconsumed_tail
                    self._holds_output = len(inflated) == most and not self._inflater.eof
                    self._data += inflated
                    if chunk and not inflated and self._taken == chunk:
                        raise unreadable(f"{self._name}: damaged inside the zip (no end)")
                except (isal_zlib.error, ValueError, OverflowError) as error:  # type: ignore[misc]  # untyped in isal
                    raise unreadable(f"{self._name}: damaged inside the zip ({error})") from error
            if len(self._data) > self._size:
                raise unreadable(f"{self._name}: longer than the table of contents of the zip says")


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a zip for reading.

    Raises
    ------
    ScanExcluded
        `unreadable_file` if it is no zip, is cut off, or claims more than a scan can hold.
    OSError
        If the file itself cannot be opened or read.
    """
    with open_regular(path) as file:
        infos = _plainly_named(_contents(file))
        _check_claims(infos)
        yield Archive(file, infos)


def _contents(file: BinaryIO) -> list[zipfile.ZipInfo]:
    try:
        return read_contents(file, max_entries=MAX_MEMBERS)
    except ZipContentsError as error:
        raise unreadable(f"not a readable zip: {error}") from error


def _plainly_named(infos: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    r"""Give names one form: some tools write `.\scan\1.dcm` for `scan/1.dcm`.

    Nothing is extracted: where `..` leads plays no part.
    """
    for info in infos:
        if "\\" in info.filename or "./" in info.filename:
            *parts, last = info.filename.replace("\\", "/").split("/")
            info.filename = "/".join([*(part for part in parts if part not in (".", "..")), last])
            if not last:
                info.filename = f"{info.filename.rstrip('/')}/"
    return infos


def _check_claims(infos: list[zipfile.ZipInfo]) -> None:
    for info in infos:
        if info.file_size > MAX_MEMBER_BYTES and not is_sidecar(info.filename):
            raise unreadable(f"a file in the zip declares {info.file_size} bytes, more than a slice can have")
    total = sum(info.file_size for info in infos)
    compressed = sum(info.compress_size for info in infos)
    if total > min(MAX_TOTAL_BYTES, LIMIT.most(compressed)):
        raise unreadable(f"the zip declares {total} bytes in {compressed}")


def zip_fingerprint(path: Path, contents: ImageContents | None = None) -> str:
    """SHA-256 over names, sizes and checksums in a zip's table of contents: cheap, free of dates and of order.

    Parameters
    ----------
    contents
        Its images are added to these.

    Raises
    ------
    ScanExcluded
        As `open_archive`; the caller may then use `damaged_fingerprint`.
    """
    with open_regular(path) as file:
        infos = _contents(file)
    if not infos:
        raise unreadable("the zip is empty")
    lines = sorted(f"{info.filename}\0{info.file_size}\0{info.CRC:08x}\n" for info in infos)
    if len({info.filename for info in infos}) < len(infos):
        lines.append("members by entry\n")  # earlier versions mixed up members of one name: what they made is void
    if contents is not None:
        images = [info for info in _plainly_named(infos) if not info.is_dir() and not is_sidecar(info.filename)]
        sha256 = partial(_member_sha256, path, images[-1]) if images else bytes
        for info in images:
            contents.add(info.file_size, info.CRC, sha256)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _member_sha256(path: Path, info: zipfile.ZipInfo) -> bytes:
    """SHA-256 of a member; empty where it is damaged."""
    with open_regular(path) as file, suppress(ScanExcluded):
        return hashlib.sha256(Archive(file, [info]).read(info, "")).digest()
    return b""
