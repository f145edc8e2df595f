"""Takes everything that results hold of withdrawn participants out of them, and computes nothing again."""

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from dixonflow.cohort.shards import Shard, read_shard_names, read_shards, shard_of
from dixonflow.paths import Results
from dixonflow.privacy.rating_lines import is_of_rater, without_ratings
from dixonflow.privacy.traces import (
    IMAGES,
    Ids,
    files_below,
    folders_below,
    in_content,
    traces,
    without_lines,
    without_rows,
)
from dixonflow.report.contact_sheet import sheet_name
from dixonflow.system.atomic import write_bytes, write_json
from dixonflow.vocabulary import Stage

_LOGS = (".snakemake/log", ".snakemake/slurm_logs")
_UNFINISHED = re.compile(r"\.[0-9a-f]{12}\.")
"""Begin of the names of temporary files (`system.atomic`)."""

_REMADE = ("analyses", "exports", "releases")
"""Folders, next to the tables, of what was made of all participants together: it is made again without them."""


@dataclass
class Certificate:
    """What a withdrawal has removed, and what stays.

    Attributes
    ----------
    removed
        Number of files, rows and lines, by kind.
    participants
        Number of participants on the list.
    left
        Files of the results that still hold an id, beyond those that must; `(id)` stands for the id.
    """

    participants: int
    removed: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)

    def content(self) -> dict[str, Any]:
        """Plain content, without ids."""
        return {
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "participants_on_the_list": self.participants,
            "removed": dict(sorted(self.removed.items())),
            "stays": [
                "the ids in the list of withdrawn participants",
                "one row without values in the table scans for each scan that still lies in a raw folder",
                "the raw folders and other files that the configuration names: they are the cohort's",
            ],
            "files_that_still_hold_an_id": self.left,
        }


def withdraw(results: Results, withdrawn: frozenset[str], project: Path, listed: Path) -> Certificate:
    """Take withdrawn participants out of all results. A call that is cut off is finished by the next one.

    Parameters
    ----------
    results
        Of which no run is active.
    withdrawn
        All participants on the list.
    project
        Folder that the workflow is called in, for Snakemake's logs.
    listed
        File with the list, which stays.

    Returns
    -------
    Certificate
        Its `left` names what could not be cleaned.
    """
    ids = Ids(withdrawn)
    certificate = Certificate(len(withdrawn))
    if not results.root.is_dir():
        return certificate
    write_bytes(results.withdrawing, b"dixonflow withdraw\n")
    _remove_unfinished(results)
    shards = read_shards(results.shards)
    touched = [shard for shard in shards if any(entry.scan.participant in withdrawn for entry in shard.scans)]
    _remove_images(results, withdrawn, touched, certificate)
    _remove_what_is_remade(results, certificate)
    for shard in touched:
        _rename_shard(results, shard, ids, certificate)
    _forget_digest(results, certificate)
    # who opens and closes the lock of the run in this process loses it
    stays = {listed.resolve(), results.run_lock.resolve()}
    folders = [folder for folder in (results.root, *(project / name for name in _LOGS)) if folder.is_dir()]
    _remove_named_folders(results, ids, listed, certificate)
    for folder in folders:
        for path in list(files_below(folder)):
            if path.resolve() not in stays:
                _clean(path, ids, certificate)
    for folder in folders:
        certificate.left += [ids.masked(str(path.relative_to(folder))) for path in traces(folder, ids, stays)]
    # what has new names is looked at again by the next run: the records say that it is done, and what has changed
    results.look_again.unlink(missing_ok=True)
    results.withdrawing.unlink()
    return certificate


def write_certificate(results: Results, certificate: Certificate) -> Path:
    """Write a certificate under a name of its own."""
    content = certificate.content()
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    path = results.root / "withdrawals" / f"{content['made'][:10]}_{digest}.json"
    write_json(path, content)
    return path


def _remove_images(
    results: Results, withdrawn: frozenset[str], shards: Iterable[Shard], certificate: Certificate
) -> None:
    for participant in sorted(withdrawn):
        for prefixed in (False, True):
            folder = results.participant_placed(participant, prefixed=prefixed)
            if folder.is_dir():
                folder = folder.resolve()
                kinds = Counter("images" if path.name.endswith(IMAGES) else "sidecars" for path in files_below(folder))
                shutil.rmtree(folder)
                certificate.removed.update(kinds)
                if prefixed and not any(folder.parent.iterdir()):
                    folder.parent.rmdir()
    for shard in shards:
        for entry in shard.scans:
            if entry.scan.participant in withdrawn and entry.raw_key:
                picture = results.contact_sheets / sheet_name(entry.scan, entry.raw_key)
                if picture.exists():
                    picture.unlink()
                    certificate.removed["pictures"] += 1


def _remove_what_is_remade(results: Results, certificate: Certificate) -> None:
    """Studies, exports, the report's page and its close-ups: the next run and the same commands make them again."""
    for name in _REMADE:
        folder = results.root / name
        if folder.is_dir():
            certificate.removed[name] += sum(1 for _ in files_below(folder))
            _empty(folder)
    if results.close_ups.is_dir():
        certificate.removed["pictures"] += sum(1 for _ in files_below(results.close_ups))
        _empty(results.close_ups)
    for path in results.report.glob("*.html"):
        path.unlink()
        certificate.removed["report"] += 1


def _empty(folder: Path) -> None:
    """Remove all that is in a folder, which may be a link, and the folder or the link."""
    shutil.rmtree(folder.resolve())
    if folder.is_symlink():
        folder.unlink()


def _remove_unfinished(results: Results) -> None:
    """Remove temporary files of writers that were killed: no run is active, and nothing else knows them."""
    for path in files_below(results.root):
        if _UNFINISHED.match(path.name):
            path.unlink()


def _rename_shard(results: Results, shard: Shard, ids: Ids, certificate: Certificate) -> None:
    """Give the other members of a shard a list and files of their own, of the same dates: no job runs again for them.

    The name of a shard follows from its members. Its old list goes last, so that a call which is cut off is repeated.
    """
    stay = [entry for entry in shard.scans if entry.scan.participant not in ids.participants]
    certificate.removed["scans_in_shard_lists"] += len(shard.scans) - len(stay)
    old_list = results.shard(shard.name)
    new = shard_of(stay) if stay else None
    if new is not None:  # first: a call that is cut off and made again with a longer list finds both
        content = json.loads(old_list.read_text(encoding="utf-8"))
        names = {(entry.scan.participant, entry.scan.session) for entry in stay}
        scans = [each for each in content["scans"] if (each["participant"], each["session"]) in names]
        target = results.shard(new.name)
        date = old_list.stat()
        write_json(target, {"shard": new.name, "scans": scans})
        os.utime(target, ns=(date.st_atime_ns, date.st_mtime_ns))
    for path in _files_of(results, shard.name):
        if path.is_dir():  # what jobs that were killed have left of scans, finished ones too
            _clean_folder(path, ids, certificate)
        else:
            _clean(path, ids, certificate)
        if new is None:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        elif path.exists():
            path.replace(path.with_name(path.name.replace(shard.name, new.name, 1)))
    _replace_name(results, shard.name, new.name if new is not None else None)
    old_list.unlink()


def _files_of(results: Results, shard: str) -> list[Path]:
    """Files and folders of a shard, by its name, but for its list."""
    folders = [results.root / stage.value for stage in Stage] + [results.root / "retry", results.root / "temporary"]
    folders += [path for path in (results.root / "records").rglob("*") if path.is_dir()]
    folders += [path for path in (results.root / "logs").rglob("*") if path.is_dir()]
    found = [path for folder in dict.fromkeys(folders) if folder.is_dir() for path in folder.glob(f"{shard}*")]
    return sorted(found)


def _replace_name(results: Results, old: str, new: str | None) -> None:
    names = [name for name in read_shard_names(results.shards) if name != old]
    names = sorted({*names, new}) if new else names
    write_bytes(results.shard_names, "".join(f"{name}\n" for name in names).encode())


def _forget_digest(results: Results, certificate: Certificate) -> None:
    """The digest of the list of scans goes: the next run rebuilds the tables."""
    if results.found_digest.exists():
        results.found_digest.unlink()
        certificate.removed["digests"] += 1


def _remove_named_folders(results: Results, ids: Ids, listed: Path, certificate: Certificate) -> None:
    """Remove folders that are named by participants, empty ones too: files in them need not say whose they are.

    Such are left of shards that no list knows any more. A session is no participant, even where it is written alike.
    """
    for path in list(folders_below(results.root)):
        named = ids.in_name(path.name) and not path.name.startswith("ses-")
        if not named or not path.is_dir() or listed.resolve().is_relative_to(path.resolve()):
            continue
        if path.is_symlink():  # what it leads to may be the cohort's
            path.unlink()
        else:
            shutil.rmtree(path)
        certificate.removed["folders_named_by_participants"] += 1


def _clean_folder(folder: Path, ids: Ids, certificate: Certificate) -> None:
    """Take files and folders that are named by participants out of a folder."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if ids.in_name(path.name):
            certificate.removed["temporary_files"] += 1
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _clean(path: Path, ids: Ids, certificate: Certificate) -> None:
    """Take what holds an id out of a file, with its dates kept; a file named by one goes as a whole."""
    if is_of_rater(path):  # named by its rater
        if in_content(path, ids):
            certificate.removed["ratings"] += without_ratings(path, ids.participants.__contains__, ids.in_text)
        return
    if ids.in_name(path.name):
        path.unlink()
        certificate.removed["files_named_by_participants"] += 1
        return
    if path.suffix == ".json" or not in_content(path, ids):
        return  # a line less would break it: what is left is told
    date = path.stat()
    if path.suffix == ".parquet":
        try:
            certificate.removed["rows"] += without_rows(path, ids)
        except (pa.ArrowException, OSError):  # damaged: the next run makes it again
            path.unlink()
            certificate.removed["damaged_files"] += 1
            return
    else:
        certificate.removed["lines"] += without_lines(path, ids)
    os.utime(path, ns=(date.st_atime_ns, date.st_mtime_ns))
