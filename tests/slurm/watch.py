"""Somebody who looks at a results folder all the time and sees every file that is not whole."""

import gzip
import hashlib
import json
import os
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

_SECONDS = 0.005
_NOT_WATCHED = {"logs", "run.lock"}
"""Logs grow while a job runs, and the lock is never read."""


@dataclass(frozen=True)
class _Seen:
    """A file as it was when it was first seen. It is kept open, so that no other file gets its inode."""

    file: BinaryIO
    inode: int
    size: int
    date: int
    digest: str


class Watch:
    """Looks at every file below `root` in a thread, from the beginning to the end of a context.

    A file is partial if it cannot be read when it is first seen, or if it changes in place afterwards: a file that
    appears by rename is whole from its first moment, and what replaces it is another file.

    Attributes
    ----------
    files
        Number of files that were seen; one that replaced another counts again.
    partial
        Files that somebody could have read too early, with what was wrong.
    """

    def __init__(self, root: Path) -> None:
        self.files = 0
        self.partial: list[str] = []
        self._root = root
        self._seen: dict[str, _Seen] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_all_the_time, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        for seen in self._seen.values():
            seen.file.close()

    def _look_all_the_time(self) -> None:
        while not self._ended.wait(_SECONDS):
            self._look(str(self._root))
        self._look(str(self._root))

    def _look(self, folder: str) -> None:
        try:
            entries = list(os.scandir(folder))
        except OSError:
            return  # not there yet, or gone this moment
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _NOT_WATCHED:
                continue  # temporary names start with a dot
            try:
                if entry.is_dir(follow_symlinks=False):
                    self._look(entry.path)
                else:
                    self._look_at(entry.path)
            except FileNotFoundError:
                continue  # gone this moment

    def _look_at(self, path: str) -> None:
        before, now = self._seen.get(path), os.stat(path)  # noqa: PTH116  a path object each time would cost too much
        if before is not None and before.inode == now.st_ino:
            if (before.size, before.date) != (now.st_size, now.st_mtime_ns):
                self._see(path)
                if self._seen[path].digest != before.digest:  # Snakemake gives a job's outputs the date of its end
                    self.partial.append(f"{path}: changed in place")
            return
        content = self._see(path)
        self.files += 1
        wrong = _damage(path, content)
        if wrong:
            self.partial.append(f"{path}: {wrong}")

    def _see(self, path: str) -> bytes:
        file = Path(path).open("rb")  # noqa: SIM115  it stays open
        state = os.fstat(file.fileno())
        if path in self._seen:
            self._seen[path].file.close()
        content = file.read()
        digest = hashlib.sha256(content).hexdigest()
        self._seen[path] = _Seen(file, state.st_ino, state.st_size, state.st_mtime_ns, digest)
        return content


def _damage(path: str, content: bytes) -> str:
    """What is wrong with the content of a file; empty if nothing is."""
    try:
        if path.endswith(".gz"):
            gzip.decompress(content)
        elif path.endswith(".json"):
            json.loads(content)
        elif path.endswith(".parquet"):
            pq.read_table(pa.BufferReader(content))
    except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException) as error:
        return f"{type(error).__name__}: {error}"
    return ""
