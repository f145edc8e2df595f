"""Files that appear whole or not at all: temporary name in the same folder, flush to disk, rename."""

import glob
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; on success flush it to disk and rename it to `path`.

    The temporary name keeps the suffixes of `path` (libraries choose the format by them) and starts with a dot, so
    that no listing takes it for a result. On an error it is removed and `path` stays as it was.

    Raises
    ------
    OSError
        If the folder cannot be made or the file cannot be written, for instance on a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(6)}.{path.name}")
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of `path`: its temporary files. Nobody may be writing it."""
    for leftover in path.parent.glob(f".*.{glob.escape(path.name)}"):
        leftover.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_if_changed(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically, unless that is what it holds: its date then tells when it changed."""
    if not (path.is_file() and path.read_bytes() == data):
        write_bytes(path, data)


def as_json(content: Any) -> bytes:
    """`content` as indented JSON, keys sorted. NaN is refused: it is not JSON."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def write_json(path: Path, content: Any) -> None:
    """Write `content` `as_json` atomically."""
    write_bytes(path, as_json(content))
