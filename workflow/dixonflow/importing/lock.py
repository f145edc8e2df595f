"""One import of a model at a time: a lock that ends with its process, however that ends."""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dixonflow.errors import ModelError
from dixonflow.system.file_lock import try_lock

log = logging.getLogger(__name__)

_PAUSE_S = 0.5


@contextmanager
def import_lock(path: Path) -> Iterator[None]:
    """Hold a lock file; wait, and say so, while another process holds it.

    The file stays.

    Parameters
    ----------
    path
        The lock file; made where it does not exist.

    Raises
    ------
    ModelError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise ModelError(f"{error.filename} cannot be written ({error.strerror}): no write permission") from error
    try:
        _wait(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, path: Path) -> None:
    said = False
    while try_lock(descriptor, fcntl.LOCK_EX, "imports this model") is False:
        if not said:
            log.info("another process is importing this model (%s): waiting for it", path)
            said = True
        time.sleep(_PAUSE_S)
