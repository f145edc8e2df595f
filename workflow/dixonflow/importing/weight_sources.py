"""Where the weights of a model come from: what the user gives, else a local copy, else where they are published."""

import hashlib
import logging
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Self

from dixonflow.errors import ModelError
from dixonflow.importing.archive import ZipArchive
from dixonflow.importing.check import check_training
from dixonflow.importing.download import download
from dixonflow.importing.files import ArchiveFiles, FolderFiles
from dixonflow.importing.local import find_local, local_folders, takes_best
from dixonflow.importing.record import ArchiveRecord, FileRecord
from dixonflow.importing.training import (
    Training,
    check_addenda,
    find_training,
    is_further_archive,
    with_listed_archives,
)
from dixonflow.models.model import Model
from dixonflow.models.weights_source import Archive, Part
from dixonflow.system.regular_file import sha256_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightSources:
    """What the user gives with --from.

    Attributes
    ----------
    archives
        Path or address of each archive, by its published name.
    folders
        Folders with unpacked weights.
    mirrors
        Addresses that end in a slash once the name of an archive is to be put behind them.
    """

    archives: dict[str, Path | str] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)
    mirrors: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, values: Sequence[str], model: Model) -> Self:
        """Sort out folders, zip files and addresses.

        Raises
        ------
        ModelError
            If something does not exist, or a zip file could be any of several archives.
        """
        given = cls()
        names = [archive.file for part in model.parts for archive in part.archives]
        for value in values:
            if urllib.parse.urlsplit(value).scheme in {"http", "https"}:
                name = PurePosixPath(urllib.parse.urlsplit(value).path).name
                if name.endswith(".zip"):
                    given.archives[_published_name(name, names, value, model)] = value
                elif given.mirrors:
                    raise ModelError(f"--from {value}: give one address of a folder, not also {given.mirrors[0]}")
                else:
                    given.mirrors.append(value if value.endswith("/") else value + "/")
                continue
            path = Path(value).expanduser()
            if path.is_dir():
                given.folders.append(path)
                zips = [*names, *(item.name for item in sorted(path.glob("*.zip")) if _is_further(item.name, model))]
                given.archives.update({name: path / name for name in zips if (path / name).is_file()})
            elif path.is_file():
                given.archives[_published_name(path.name, names, value, model)] = path
            elif path.exists():
                raise ModelError(f"--from {value}: neither a folder nor a regular file")
            else:
                raise ModelError(f"--from {value}: no such folder or file, and no http or https address")
        return given

    def __bool__(self) -> bool:
        return bool(self.archives or self.folders or self.mirrors)


@contextmanager
def obtain(
    model: Model, part: Part, given: WeightSources, downloads: Path
) -> Iterator[tuple[Training, tuple[ArchiveRecord, ...]]]:
    """Get a part's trained network, checked against the model file as far as that goes without its checkpoints.

    Parameters
    ----------
    model, part
        What to get.
    given
        Where from; found or downloaded if empty.
    downloads
        Folder for archives that have to be fetched; what is there already is not fetched again.

    Yields
    ------
    The training, and a record of each archive that it came in.

    Raises
    ------
    ModelError
        Naming the file, what is wrong with it, and what to do.
    """
    best = takes_best(model.source)
    if not given and (training := find_local(model, part)) is not None:
        log.info("model %s: using the local copy in %s", model.name, training.origin)
        yield training, ()
        return
    with ExitStack() as stack:
        if given.folders and not any(archive.file in given.archives for archive in part.archives):
            files: FolderFiles | ArchiveFiles = FolderFiles(_only(given.folders))
            records: tuple[ArchiveRecord, ...] = ()
        else:
            located = [(archive, _locate(archive, given, model)) for archive in part.archives]
            fetched = [_fetch(archive, place, downloads) for archive, place in located]
            opened = [stack.enter_context(_open(path, downloads)) for path, _ in fetched]
            if part.further_archives:
                part = with_listed_archives(ArchiveFiles(opened), part)
                located = [(archive, _locate(archive, given, model)) for archive in part.archives[len(opened) :]]
                more = [_fetch(archive, place, downloads) for archive, place in located]
                opened += [stack.enter_context(_open(path, downloads)) for path, _ in more]
                fetched += more
            files = ArchiveFiles(opened)
            records = tuple(record for _, record in fetched)
            check_addenda(files, part)
        training = find_training(files, part, best_as_well=best)
        check_training(training, model, part)
        yield training, records


def _open(path: Path, downloads: Path) -> ZipArchive:
    try:
        return ZipArchive(path)
    except ModelError:
        if path.is_relative_to(downloads):  # or the next try would take it for whole
            path.unlink(missing_ok=True)
        raise


def _is_further(name: str, model: Model) -> bool:
    return any(is_further_archive(name, part) for part in model.parts)


def _published_name(name: str, names: list[str], value: str, model: Model) -> str:
    if name in names or _is_further(name, model):
        return name
    if len(names) == 1:
        return names[0]
    raise ModelError(f"--from {value}: the archives of this model are {', '.join(names)}. Keep their names")


def _only(folders: list[Path]) -> Path:
    if len(folders) > 1:
        raise ModelError(f"--from: give one folder with all, not {', '.join(str(folder) for folder in folders)}")
    return folders[0]


def _locate(archive: Archive, given: WeightSources, model: Model) -> Path | str:
    if archive.file in given.archives:
        return given.archives[archive.file]
    if given.mirrors:
        return given.mirrors[0] + archive.file
    if given:
        raise ModelError(f"{archive.file} is missing: add it with --from, model {model.name} needs it too")
    if archive.url is None:
        looked = [str(folder) for folder in local_folders(model.source)] if model.source else []
        raise ModelError(
            f"{archive.file} of model {model.name} is not published at an address: get it from its authors (licence: "
            f"{model.licence}) and give the zip or the unpacked folder with --from. Searched for local copies in "
            f"{', '.join(looked) or 'no folder: none of the variables is set'}"
        )
    return archive.url


def _fetch(archive: Archive, place: Path | str, downloads: Path) -> tuple[Path, ArchiveRecord]:
    """Have an archive on disk, of the published size and SHA-256."""
    if isinstance(place, Path):
        path, remedy = place, "Fetch it again"
    else:
        # a folder for each address: what came from one is never taken for what another has
        path = downloads / hashlib.sha256(place.encode()).hexdigest()[:12] / archive.file
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            log.info("fetching %s", place)
        download(place, path, expected_bytes=archive.bytes)
        remedy = "It has been removed: run the same command again. If this fails too, it is not the published file"
    size = path.stat().st_size
    if archive.sha256 is None and archive.bytes in {None, size}:
        _open(path, downloads).close()  # before hours are spent on the hash of what only claims to be large
    digest = sha256_of(path) if archive.bytes in {None, size} else ""
    if archive.bytes not in {None, size} or archive.sha256 not in {None, digest}:
        if isinstance(place, str):
            path.unlink()
        wrong = (
            f"is {size} bytes long, the model file says {archive.bytes}"
            if archive.bytes not in {None, size}
            else f"has SHA-256 {digest}, the model file says {archive.sha256}"
        )
        which = f"{path} ({place})" if isinstance(place, str) else f"{path}"
        raise ModelError(f"{which} {wrong}: truncated, damaged or replaced. {remedy}")
    if archive.sha256 is None:
        log.warning("%s: the authors published no SHA-256 to compare with; it is %s", archive.file, digest)
    return path, ArchiveRecord(str(place), FileRecord(archive.file, size, digest), archive.sha256 is not None)
