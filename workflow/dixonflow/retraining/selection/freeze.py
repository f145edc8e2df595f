"""The frozen test participants: chosen once, before anything is trained, and never changed."""

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from dixonflow.cohort.table import read_scans
from dixonflow.cohort.withdrawn import read_withdrawn
from dixonflow.retraining.cases import withdrawn_participants
from dixonflow.retraining.leakage import image_digests, raw_digests
from dixonflow.retraining.ledger import CaseSet, Entry, Step, append_to_ledger, frozen_participants, read_ledger
from dixonflow.retraining.project import TEST_ROUND, Project, RetrainingError
from dixonflow.retraining.selection.candidates import digests_of, find_candidates
from dixonflow.retraining.selection.strata import Stratum, even_order, strata_of
from dixonflow.system.atomic import write_bytes
from dixonflow.vocabulary import ScanId

_FILE = "frozen.csv"


def freeze_participants(
    project: Project, *, count: int | None = None, named: Path | None = None, by: Sequence[Stratum] = ()
) -> list[str]:
    """Choose the test participants and write all their scans to the ledger; called again, it completes that.

    Parameters
    ----------
    count
        How many to draw, evenly from the groups in `by`.
    named
        File with their ids, one per line, in place of a draw.

    Returns
    -------
    list of str
        Their ids, sorted.

    Raises
    ------
    RetrainingError
        If other participants are frozen already, ids are unknown, or fewer are left for training than there are folds.
    ConfigError
        If the file of ids cannot be read.
    """
    candidates = find_candidates(project)
    path = project.round(TEST_ROUND) / _FILE
    ledger = read_ledger(project.ledger)
    frozen = frozen_participants(ledger) - withdrawn_participants(project)
    if path.is_file() or frozen:
        chosen = _read(path) if path.is_file() else sorted(frozen)
        if frozen - set(chosen):
            raise RetrainingError(f"{path} does not name all test participants of the ledger: restore it from a backup")
        if (named and sorted(read_withdrawn(named)) != chosen) or (count is not None and count != len(chosen)):
            raise RetrainingError(f"{path}: other test participants are frozen already, and stay")
    else:
        chosen = sorted(read_withdrawn(named)) if named else _drawn(project, candidates, count or 0, by)
        known = {scan.participant for scan in candidates}
        if unknown := sorted(set(chosen) - known):
            raise RetrainingError(
                f"{len(unknown)} participants have no scan with the status ok: {', '.join(unknown[:5])}"
            )
        if not chosen:
            raise RetrainingError("name at least one test participant: without them no round can be compared")
        if len(known) - len(chosen) < project.settings.folds:
            raise RetrainingError(f"fewer than {project.settings.folds} participants are left for as many folds")
    if in_training := {entry.scan.participant for entry in ledger if entry.set is CaseSet.TRAIN} & set(chosen):
        raise RetrainingError(f"{len(in_training)} of these participants were selected for training: they cannot test")
    if not path.is_file():
        _write(path, chosen)
    entries = [
        Entry(Step.FROZEN, TEST_ROUND, CaseSet.TEST, scan, digests=digests_of(project, candidate))
        for scan, candidate in candidates.items()
        if scan.participant in set(chosen)
    ]
    append_to_ledger(project.ledger, entries)
    freeze_new_scans(project)
    return chosen


def freeze_new_scans(project: Project) -> None:
    """Add all scans of test participants that the ledger does not know yet: later visits, and other sequences.

    Under another id they are recognised by that. Scans that were excluded are known by their raw data.

    Raises
    ------
    RetrainingError, TableError, ConfigError
        If an image or a list cannot be read, or the list is that of another run.
    """
    entries = read_ledger(project.ledger)
    people = frozen_participants(entries) - withdrawn_participants(project)
    known = {entry.scan for entry in entries if any(each.startswith("voxels:") for each in entry.digests)}
    rows = list(read_scans(project.results.scans))
    frozen = {digest for entry in entries if entry.scan.participant in people for digest in entry.digests}
    if frozen and frozen.isdisjoint(digest for row in rows for digest in raw_digests(row.entry.raw_key, row.images)):
        raise RetrainingError(
            f"{project.results.scans} has no scan of the test participants: call this where snakemake was called for "
            "the run of this project"
        )
    added = []
    for row in rows:
        if row.scan is None or row.scan.participant not in people or row.scan in known:
            continue
        paths = [project.results.stitched(row.scan, contrast) for contrast in row.scan.sequence.contrasts]
        digests = raw_digests(row.entry.raw_key, row.images) + image_digests(path for path in paths if path.is_file())
        added.append(Entry(Step.FROZEN, TEST_ROUND, CaseSet.TEST, row.scan, digests=digests))
    append_to_ledger(project.ledger, added)


def check_frozen(project: Project) -> None:
    """Check that all test participants are in the ledger. Raises RetrainingError."""
    path = project.round(TEST_ROUND) / _FILE
    if not path.is_file():
        raise RetrainingError("no test participants are frozen yet: call dixonflow retrain start")
    known = frozen_participants(read_ledger(project.ledger)) | withdrawn_participants(project)
    if set(_read(path)) - known:
        raise RetrainingError("not all test participants are in the ledger yet: repeat dixonflow retrain start")


def forget_frozen(project: Project, withdrawn: Collection[str]) -> None:
    """Take participants out of the list of test participants."""
    path = project.round(TEST_ROUND) / _FILE
    if path.is_file() and set(_read(path)) & set(withdrawn):
        _write(path, [participant for participant in _read(path) if participant not in withdrawn])


def _drawn(project: Project, scans: Iterable[ScanId], count: int, by: Sequence[Stratum]) -> list[str]:
    first = {scan.participant: scan for scan in sorted(scans, reverse=True)}
    strata = strata_of(project.results.tables, first.values(), by)
    return sorted(scan.participant for scan in even_order(strata, project.settings.seed)[:count])


def _read(path: Path) -> list[str]:
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    return sorted(row[0] for row in rows[1:] if row)


def _write(path: Path, participants: Iterable[str]) -> None:
    write_bytes(path, ("participant_id\n" + "".join(f"{participant}\n" for participant in participants)).encode())
