"""The step `return`: corrected label maps come back, one by one, and each is accepted or refused with its reason."""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_labels, write_labels
from dixonflow.ratings.rating import check_rater
from dixonflow.retraining.annotation.export import (
    CASE_FILE,
    PROPOSAL,
    ExportedCase,
    copy_whole,
    parse_case_file,
)
from dixonflow.retraining.annotation.misplaced import check_place, check_sides
from dixonflow.retraining.annotation.returned_map import Proposal, ReturnRefusedError, check_own, read_returned
from dixonflow.retraining.cases import CASE_NAME, accepted_labels, proposal_of, withdrawn_participants
from dixonflow.retraining.leakage import check_may_join
from dixonflow.retraining.ledger import Entry, Step, append_to_ledger, read_ledger
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.retraining.selection.select import SelectedScan, read_selected
from dixonflow.system.atomic import write_bytes
from dixonflow.system.regular_file import sha256_of

_COLUMNS = ("when", "by", "case", "file", "sha256", "outcome", "reason")
_FILE = re.compile(rf"(?P<case>{CASE_NAME.pattern})\.nii(\.gz)?")
_IN_FOLDER = re.compile(r"(labels|proposal)\.nii(\.gz)?")


@dataclass(frozen=True)
class Returned:
    """What became of a file that came back.

    Attributes
    ----------
    case, file
        Name of the case as the file says it, and the path of the file below the folder that came back.
    reason
        Why it was refused; empty where it was accepted.
    sha256
        Of the file; empty where it cannot be read.
    """

    case: str
    file: str
    reason: str
    sha256: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether it counts as the corrected label map of its case from now on."""
        return not self.reason


def return_labels(
    project: Project, round_number: int, folder: Path, by: str, own: Collection[str] = ()
) -> Iterator[Returned]:
    """Take label maps back, file after file.

    A file belongs to a case by its name: `case_0001.nii.gz`, `case_0001/labels.nii.gz`, or a changed
    `case_0001/proposal.nii.gz`. An unchanged proposal in its own place is no correction: to accept it as it is, it is
    copied to one of the other names.

    Parameters
    ----------
    folder
        Folder that came back, or a single file.
    by
        Who corrected: letters and digits.
    own
        Names of cases that somebody has looked at: their label maps are right although they resemble another
        proposal, or once they are moved or mirrored their own, more. Left and right are checked nevertheless.

    Raises
    ------
    RetrainingError
        If there is no such folder, or nothing was exported in the round.
    RatingError
        If the name is none.
    """
    check_rater(by)
    rows = {row.case: row for row in read_selected(project, round_number)}
    if not rows:
        raise RetrainingError("nothing is selected in this round: call dixonflow retrain select")
    if not folder.exists():
        raise RetrainingError(f"there is no {folder}")
    for case, files in _files_by_case(folder).items():
        # not whole paths: folders of others may be called by participant ids
        names = ", ".join(f"{case}/{file.name}" if _IN_FOLDER.fullmatch(file.name) else file.name for file in files)
        try:
            sha256 = _take(project, round_number, rows, case, files, by, looked_at=case in own)
        except ReturnRefusedError as error:
            found = Returned(case, names, str(error), _sha256(files[-1]))
        else:
            if not sha256:
                continue
            found = Returned(case, names, "", sha256)
        _log(project, round_number, found, by)
        yield found


def _take(
    project: Project,
    round_number: int,
    rows: Mapping[str, SelectedScan],
    case: str,
    files: list[Path],
    by: str,
    *,
    looked_at: bool,
) -> str:
    """Accept the label map of a case and give its SHA-256; empty where nothing was corrected."""
    row = rows.get(case)
    exported = _refused_if_damaged(project.export(round_number) / case / CASE_FILE) if row else None
    if row is None or exported is None:
        raise ReturnRefusedError("no case of this name was exported in this round")
    if row.scan.participant in withdrawn_participants(project):
        raise ReturnRefusedError("the participant has withdrawn: delete the file")
    changed = [file for file in files if not (_is_proposal(file) and _sha256(file) == exported.proposal_sha256)]
    if not changed:
        return ""
    if len(changed) > 1:
        raise ReturnRefusedError("several label maps of one case: keep the one that is meant")
    file = changed[0]
    own = _refused_if_damaged(file.parent / CASE_FILE) if _IN_FOLDER.fullmatch(file.name) else None
    if own is not None and own != exported:
        raise ReturnRefusedError(f"its folder is of another export: case.json says {own.case}")
    try:
        sha256 = sha256_of(file)
    except OSError as error:
        raise ReturnRefusedError(f"the file cannot be read: {error.strerror}") from error
    entries = read_ledger(project.ledger)
    accepted = [entry for entry in entries if entry.step is Step.ACCEPTED and entry.case == case]
    is_earlier = any(entry.file_sha256 == sha256 for entry in accepted) and accepted[-1].file_sha256 != sha256
    if is_earlier and not looked_at:
        raise ReturnRefusedError(
            f"an earlier label map, in whose place came that of {accepted[-1].who} on {accepted[-1].when[:10]}, "
            "which counts: to go back to the earlier one, name the case with --own"
        )
    proposal = _proposal(project, round_number, case, exported)
    labels = read_returned(file, proposal, project.settings.labels.values())
    is_unchanged = np.array_equal(labels, proposal.labels)
    if is_unchanged and _is_proposal(file):
        return ""  # a program saved it again
    if not looked_at:
        check_place(labels, proposal)
        others = (name for name in rows if name != case and proposal_of(project, round_number, name).is_file())
        check_own(labels, proposal, (_proposal(project, round_number, name) for name in others))
    check_sides(labels, project.settings.labels)
    check_may_join(entries, row.scan, row.set, row.digests)
    target = accepted_labels(project, round_number, case, sha256)
    received = target.parent.parent / "received" / f"{case}_{sha256[:12]}{''.join(file.suffixes)}"
    copy_whole(file, received)
    if sha256_of(received) != sha256:
        received.unlink()
        raise ReturnRefusedError("the file changed while it was read: return it once it is saved")
    if _is_stored_alike(received, proposal):
        copy_whole(received, target)
    else:
        write_labels(target, labels, proposal.affine)
    times = sum(entry.step is Step.SELECTED and entry.case == case for entry in entries) - 1
    notes = {
        f"images renewed {times} times": times > 0,
        "unchanged": is_unchanged,
        "place and whose it is were not checked": looked_at,
    }
    note = ", ".join(word for word, holds in notes.items() if holds)
    entry = Entry(Step.ACCEPTED, round_number, row.set, row.scan, case, file_sha256=sha256, note=note, who=by)
    append_to_ledger(project.ledger, [entry])
    return sha256


def _refused_if_damaged(path: Path) -> ExportedCase | None:
    """A case.json; None where there is none. Raises ReturnRefusedError where it is damaged."""
    try:
        return parse_case_file(path)
    except RetrainingError as error:
        where = f"{path.parent.name}/{path.name}"  # not the whole path: folders of others may be called by ids
        raise ReturnRefusedError(f"{where} is damaged: remove it, and repeat dixonflow retrain export") from error


def _proposal(project: Project, round_number: int, case: str, exported: ExportedCase | None = None) -> Proposal:
    path = proposal_of(project, round_number, case)
    try:
        if exported is not None and sha256_of(path) != exported.proposal_sha256:
            raise RetrainingError(f"{path} is not what was exported any more: restore it from {case}/{PROPOSAL}")
        labels, affine = read_labels(path)
    except (ScanExcluded, OSError) as error:
        raise RetrainingError(
            f"the proposal of {case} cannot be read: remove its folder and export it again"
        ) from error
    return Proposal(case, labels, affine)


def _is_stored_alike(file: Path, proposal: Proposal) -> bool:
    """Whether the file is as DixonFlow writes label maps, so that its bytes can stay as they are."""
    try:
        labels, affine = read_labels(file)
    except ScanExcluded:
        return False
    return (
        file.name.endswith(".nii.gz")
        and labels.dtype == proposal.labels.dtype
        and bool((affine == proposal.affine).all())
    )


def _files_by_case(folder: Path) -> dict[str, list[Path]]:
    """Label maps below a folder by the case that their names say, each case with its files in order."""
    files = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*.nii*") if path.is_file())
    found: dict[str, list[Path]] = {}
    for path in files:
        match = _FILE.fullmatch(path.name)
        if match and path.parent.name not in ("original",) and not _is_image_of_monai(path):
            found.setdefault(match["case"], []).append(path)
        elif _IN_FOLDER.fullmatch(path.name) and CASE_NAME.fullmatch(path.parent.name):
            found.setdefault(path.parent.name, []).append(path)
    if not found:
        raise RetrainingError(f"{folder} holds no case_0001.nii.gz and no case_0001/labels.nii.gz")
    return dict(sorted(found.items()))


def _is_image_of_monai(path: Path) -> bool:
    """Whether a file is an image in the folder for MONAI Label, whose label maps lie in labels/final."""
    return (path.parent / "labels" / "original").is_dir()


def _is_proposal(file: Path) -> bool:
    return file.name == PROPOSAL


def _sha256(file: Path) -> str:
    try:
        return sha256_of(file)
    except OSError:
        return ""


def _log(project: Project, round_number: int, found: Returned, by: str) -> None:
    """Add a line to returned.csv, but for one that only repeats the last of its case."""
    path = project.returned(round_number) / "returned.csv"
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8")))) if path.is_file() else [list(_COLUMNS)]
    outcome = "accepted" if found.is_accepted else "refused"
    row = [by, found.case, found.file, found.sha256, outcome, found.reason]
    last = next((each[1:] for each in reversed(rows) if each[2] == found.case), None)
    if last == row:
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([*rows, [datetime.now(UTC).isoformat(timespec="seconds"), *row]])
    write_bytes(path, text.getvalue().encode())
