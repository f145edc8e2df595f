"""Tables of contents of zips of others: never more is read or parsed than an honest zip needs."""

import errno
import io
import struct
import zipfile
from typing import BinaryIO

MAX_SIZE = 1 << 40
"""No file of a scan or of a network has a terabyte; larger numbers come from damage."""

_LOCAL_HEADER_BYTES = 30
"""The fixed part of what precedes each member's data."""


class ZipContentsError(Exception):
    """The table of contents of a zip is missing, damaged or not plausible. The message has no names of members."""


class BoundedReader(io.RawIOBase):
    """A seekable file that refuses a single read of more than `max_bytes`.

    `zipfile` reads a table of contents in one go, of whatever size the file says.

    Attributes
    ----------
    failure
        The error of the disk that the last read ended with: `zipfile` says of some that the file is no zip.
    """

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self.failure: OSError | None = None

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes, or to the end. Raises ZipContentsError if these are more than allowed."""
        if size is None or size < 0:
            size = self._max_bytes
        if size > self._max_bytes:
            raise ZipContentsError(f"its table of contents declares {size} bytes, more than {self._max_bytes}")
        try:
            return self._file.read(size)
        except OSError as error:
            self.failure = error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Position in the file."""
        return self._file.tell()

    def seekable(self) -> bool:
        """Whether positions can be set."""
        return True

    def readable(self) -> bool:
        """Whether it can be read."""
        return True


def read_contents(file: BinaryIO, *, max_bytes: int = 4 << 20, max_entries: int = 50_000) -> list[zipfile.ZipInfo]:
    """Parse the table of contents of a zip.

    Parameters
    ----------
    file
        The zip, seekable; stays open, at any position.
    max_bytes
        Largest table of contents that is read.
    max_entries
        Most entries that are accepted.

    Returns
    -------
    list of zipfile.ZipInfo
        Every name is non-empty, and every local header and its compressed data lie within the file. `file_size` is what
        the zip claims, below `MAX_SIZE`.

    Raises
    ------
    ZipContentsError
        For every kind of damage.
    OSError
        If the file cannot be read.
    """
    reader = BoundedReader(file, max_bytes)
    try:
        with zipfile.ZipFile(reader) as contents:
            infos = contents.infolist()
        size = file.seek(0, io.SEEK_END)
    except UnicodeError as error:
        raise ZipContentsError("a name in its table of contents is not UTF-8") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: a damaged table of contents led to a position before the file's start
            raise
        raise ZipContentsError("its table of contents points outside the file") from error
    except (
        *(zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, struct.error),
        *(ValueError, EOFError, LookupError, ArithmeticError, TypeError, AttributeError),
    ) as error:
        if reader.failure is not None:
            raise reader.failure from None
        raise ZipContentsError(str(error) or type(error).__name__) from error
    if len(infos) > max_entries:
        raise ZipContentsError(f"it lists {len(infos)} files, more than {max_entries}")
    for info in infos:
        _check(info, size)
    return infos


def _check(info: zipfile.ZipInfo, size: int) -> None:
    # zipfile cuts a name at a zero byte
    if not info.filename:
        raise ZipContentsError("it has a file without a name")
    if not 0 <= info.file_size < MAX_SIZE:
        raise ZipContentsError(f"it has a file that declares {info.file_size} bytes")
    end = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size
    if info.header_offset < 0 or info.compress_size < 0 or end > size:
        raise ZipContentsError("it has a file outside the zip")
