"""Locks on files that end with their process, however that ends."""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


def try_lock(descriptor: int, kind: int, danger: str) -> bool | None:
    """Take a POSIX lock without waiting: it works over NFS, and the system frees it when the process ends.

    Parameters
    ----------
    descriptor
        Of the open file; the lock goes when any descriptor of the file is closed in this process.
    kind
        `fcntl.LOCK_EX` or `fcntl.LOCK_SH`.
    danger
        What must not happen meanwhile, for the warning where the file system has no locks.

    Returns
    -------
    bool or None
        False where another process holds it; None where the file system has no locks.
    """
    try:
        fcntl.lockf(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            return False
        log.warning("this file system does not support locks: make sure that nobody else %s", danger)
        return None
    return True


@contextmanager
def locked_file(path: Path, danger: str, held: Exception) -> Iterator[None]:
    """Hold a lock of its own file, which stays; it ends with the process, however that ends.

    Parameters
    ----------
    path
        The file; its folder must be there.
    danger
        As `try_lock` takes it.
    held
        Raised where another process holds the lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if try_lock(descriptor, fcntl.LOCK_EX, danger) is False:
            raise held
        yield
    finally:
        os.close(descriptor)
