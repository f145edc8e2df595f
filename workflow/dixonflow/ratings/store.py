"""The files of ratings, one per rater: a rating that was acknowledged is on the disk, whatever happens next."""

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dixonflow.ratings.rating import Rating, RatingError, check_rater
from dixonflow.system.documents import DocumentError, one_line, parse_json
from dixonflow.system.file_lock import try_lock
from dixonflow.system.regular_file import read_regular

log = logging.getLogger(__name__)

_ENDING = ".jsonl"
_MAX_BYTES = 256 << 20
"""Of a file: half a million ratings."""
_LONGEST_LINE = 64 << 10
_SECONDS_OF_WAITING, _SECONDS_BETWEEN = 20.0, 0.01

_in_this_process = threading.Lock()
"""A POSIX lock does not keep threads of one process apart, and is lost when any of them closes the file."""


class RatingStore:
    """The file of one rater, to which ratings are added; several processes and threads may add at once.

    Parameters
    ----------
    folder
        Holds the files of all raters; it is made with the first rating.
    rater
        Letters and digits.

    Raises
    ------
    RatingError
        If the name of the rater is none.
    """

    def __init__(self, folder: Path, rater: str) -> None:
        self._folder = folder
        self._rater = check_rater(rater)

    def add(self, rating: Rating) -> bool:
        """Append a rating. It is on the disk when this returns.

        Returns
        -------
        bool
            False where it was there already, by its `rating_id`.

        Raises
        ------
        RatingError
            If it is another rater's, another rating has its id, the file is damaged, or nothing can be written.
        """
        if rating.rater != self._rater:
            raise RatingError(f"a rating by {rating.rater} does not belong into the file of {self._rater}")
        path = self._folder / f"{self._rater}{_ENDING}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for other in self._folder.glob(f"*{_ENDING}"):
                if other.name != path.name and other.name.lower() == path.name.lower():
                    raise RatingError(f"there is a rater {other.stem}: write the name in the same letters")
            with locked(self._folder, self._rater):
                return _append(path, rating)
        except OSError as error:
            raise RatingError(f"ratings: {path} cannot be written, nothing was saved: {error.strerror}") from error


@contextmanager
def locked(folder: Path, rater: str) -> Iterator[None]:
    """Keep all others from writing the file of a rater meanwhile.

    Raises
    ------
    RatingError
        If somebody else does so for longer than it ever takes.
    OSError
        If the lock cannot be opened.
    """
    with _in_this_process:
        # a file of its own: whoever reads ratings in this process closes their file
        descriptor = os.open(folder / f".{rater}.lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            until = time.monotonic() + _SECONDS_OF_WAITING
            while try_lock(descriptor, fcntl.LOCK_EX, "rates by this name") is False:
                if time.monotonic() > until:
                    raise RatingError(f"ratings: another program has locked the ratings of {rater}: end it, try again")
                time.sleep(_SECONDS_BETWEEN)
            yield
        finally:
            os.close(descriptor)


def read_ratings(folder: Path) -> list[Rating]:
    """Read the ratings of all raters in time order, each once; none where there is no folder.

    A half-written last line, left by a process that was killed, is dropped with a warning: it was not acknowledged.

    Raises
    ------
    RatingError
        If a file cannot be read or is not one of ours, or a line is damaged: it names file and line.
    """
    ratings: dict[str, Rating] = {}
    for path in rating_files(folder):
        for number, rating in _ratings_of(path):
            if ratings.setdefault(rating.rating_id, rating) != rating:
                raise RatingError(
                    f"ratings: {path}, line {number}: another rating has the same rating_id: remove one of both"
                )
    return sorted(ratings.values(), key=lambda rating: rating.rated_at)


def rating_files(folder: Path) -> list[Path]:
    """List the files of all raters. Raises RatingError where the folder cannot be read."""
    try:
        names = sorted(path for path in folder.iterdir() if path.suffix == _ENDING and not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RatingError(f"ratings: {folder} cannot be read: {error.strerror}") from error
    return names


def current(ratings: Iterable[Rating]) -> list[Rating]:
    """Give the last word of each rater on each structure of each label map, without those taken back, in time order.

    Label maps are distinguished by their keys: a label map that is in force once more has its own ratings.
    """
    last: dict[tuple[object, ...], Rating] = {}
    for rating in sorted(ratings, key=lambda each: each.rated_at):
        last[rating.rater, rating.scan, rating.model, rating.structure, rating.label_map_key] = rating
    return sorted((each for each in last.values() if not each.withdrawn), key=lambda each: each.rated_at)


def line_of(rating: Rating) -> bytes:
    """Line of a rating in its file."""
    return json.dumps(rating.to_row(), sort_keys=True).encode() + b"\n"


def _append(path: Path, rating: Rating) -> bool:
    is_new = not path.exists()
    content = b"" if is_new else read_regular(path, _MAX_BYTES)
    if f'"rating_id": "{rating.rating_id}"'.encode() in content:
        for number, other in _ratings_in(path, content):
            if other.rating_id == rating.rating_id:
                if other != rating:
                    raise RatingError(f"ratings: {path}, line {number}: another rating has the same rating_id")
                return False
    end = content.rfind(b"\n") + 1
    separator = b""
    if content[end:]:
        if _is_whole(content[end:]):  # only its end is missing
            end, separator = len(content), b"\n"
        else:
            log.warning("ratings: the half-written last line of %s is removed", path)
    with path.open("xb" if is_new else "r+b", buffering=0) as file:
        file.truncate(end)
        file.seek(end)
        try:
            rest = separator + line_of(rating)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise
    if is_new:
        _sync_folder(path.parent)
        _sync_folder(path.parent.parent)  # the folder may be new, too
    return True


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ratings_of(path: Path) -> Iterator[tuple[int, Rating]]:
    """Ratings of a file, with the numbers of their lines."""
    try:
        content = read_regular(path, _MAX_BYTES)
    except OSError as error:
        raise RatingError(f"ratings: {path} cannot be read: {error.strerror}") from error
    return _ratings_in(path, content)


def _ratings_in(path: Path, content: bytes) -> Iterator[tuple[int, Rating]]:
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if number == len(lines) and not _is_whole(line):
            log.warning("ratings: the half-written last line of %s is left out", path)
            continue
        try:
            rating = _rating_of(line)
        except RatingError as error:
            raise RatingError(
                f"ratings: {path}, line {number} is damaged: {error}. Restore the file, or remove the line"
            ) from error
        if rating.rater != path.stem:
            raise RatingError(f"ratings: {path}, line {number}: a rating by {rating.rater} is in the file of another")
        yield number, rating


def _is_whole(line: bytes) -> bool:
    try:
        _rating_of(line)
    except RatingError:
        return False
    return True


def _rating_of(line: bytes) -> Rating:
    if len(line) > _LONGEST_LINE:
        raise RatingError("it is too long")
    try:
        return Rating.from_row(parse_json(line))
    except DocumentError as error:
        raise RatingError(one_line(error)) from error
