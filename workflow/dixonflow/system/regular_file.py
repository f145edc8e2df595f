"""Open files of others: regular files only, since a FIFO makes its reader wait for ever and a device has no end."""

import errno
import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
    stat.S_IFSOCK: "a socket",
}


class NotRegularError(OSError):
    """The path leads to a FIFO, device, directory or socket. `strerror` says which; `filename` is the path."""


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file, or a link to one, for reading. Never waits for another program.

    The kind is checked after opening, so that nothing can be swapped in between.

    Raises
    ------
    NotRegularError
        If the path leads to anything else.
    OSError
        If it cannot be opened.
    """
    return open(path, "rb", opener=_open_regular)


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Read a regular file whole, if it has at most `max_bytes`.

    Raises
    ------
    NotRegularError
        If the path leads to anything else.
    OSError
        If it cannot be read, or with `errno.EFBIG` if it is larger.
    """
    with open_regular(path) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"has more than {max_bytes} bytes", str(path))
    return content


def sha256_of(path: Path) -> str:
    """SHA-256 of a regular file, in hexadecimal digits. Raises OSError as `open_regular`."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_regular(path: str, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a device without a driver
            raise _refusal(path, stat.S_IFMT(Path(path).stat().st_mode)) from error
        raise
    try:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind != stat.S_IFREG:
            raise _refusal(path, kind)
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refusal(path: str, kind: int) -> NotRegularError:
    return NotRegularError(errno.EINVAL, f"is {_KINDS.get(kind, 'of an unknown kind')}, not a regular file", path)
