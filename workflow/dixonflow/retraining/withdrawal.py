"""Takes withdrawn participants out of a retraining project: images, label maps, and ids in its lists."""

import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from dixonflow.retraining.cases import is_ct, withdrawn_participants
from dixonflow.retraining.ledger import WITHDRAWN, Step, read_ledger, rewrite_ledger
from dixonflow.retraining.nnunet.training_cases import networks_with
from dixonflow.retraining.project import MAX_ROUNDS, TEST_ROUND, Project
from dixonflow.retraining.selection.freeze import forget_frozen
from dixonflow.retraining.selection.select import read_selected, write_selected
from dixonflow.vocabulary import ScanId


@dataclass(frozen=True)
class Forgotten:
    """What was removed, and what stays.

    Attributes
    ----------
    cases
        Names of the cases.
    files
        Number of files that were removed.
    networks
        Those that have learnt from them, finished or not: weights are not changed by removing files.
    """

    cases: tuple[str, ...]
    files: int
    networks: tuple[str, ...]


def forget_withdrawn(project: Project) -> Forgotten:
    """Remove all that the project holds of participants on the run's list; a call that is cut off is completed.

    Lines of the ledger stay, with `withdrawn` in place of the participant and without what identifies the scan: case
    names stay unique, and how many cases a round had stays known.

    Raises
    ------
    RetrainingError, ConfigError
        If ledger, lists or configuration cannot be read.
    OSError
        If a file cannot be removed.
    """
    withdrawn = withdrawn_participants(project) - {WITHDRAWN}
    entries = read_ledger(project.ledger)
    own = [entry for entry in entries if entry.scan.participant in withdrawn]
    cases = {entry.case for entry in own if entry.case}
    of_rounds = {number: read_selected(project, number) for number in range(TEST_ROUND, MAX_ROUNDS + 1)}
    cases |= {row.case for rows in of_rounds.values() for row in rows if row.scan.participant in withdrawn}
    files = sum(_remove(path) for case in sorted(cases) for path in _named(project.root, case))
    for number, rows in of_rounds.items():
        if any(row.scan.participant in withdrawn for row in rows):
            redacted = [
                replace(row, scan=_nobody(row.scan), digests=()) if row.scan.participant in withdrawn else row
                for row in rows
            ]
            write_selected(project, number, redacted)
    forget_frozen(project, withdrawn)
    if own:
        rewrite_ledger(
            project.ledger,
            [replace(each, scan=_nobody(each.scan), digests=()) if each in own else each for each in entries],
        )
    trained = sorted({entry.round for entry in own if entry.step is Step.TRAINED})
    gone = cases | {entry.case for entry in entries if entry.case and entry.scan.participant == WITHDRAWN}
    networks = dict.fromkeys([*(f"round {number}" for number in trained), *networks_with(project, gone)])
    return Forgotten(tuple(sorted(cases)), files, tuple(networks))


def _nobody(scan: ScanId) -> ScanId:
    return ScanId(WITHDRAWN, "0", scan.sequence)


def _named(root: Path, case: str) -> list[Path]:
    """Files and folders of a case anywhere in the project, propagated ones and those of training included."""
    # the names of two CT cases may begin alike: of `ct_a` are `ct_a_0000.nii.gz` and `ct_a_seg.b2nd`, not `ct_a_b.pkl`
    ending = r"(_[0-9]{4}|_seg)?(\..*)?" if is_ct(case) else "(?![0-9]).*"
    own = re.compile(rf"\.?(?:[0-9a-f]+\.)?{re.escape(case)}{ending}")
    return sorted(path for path in root.rglob(f"*{case}*") if own.fullmatch(path.name))


def _remove(path: Path) -> int:
    """Remove a file or a folder with all in it; the number of files."""
    if path.is_dir() and not path.is_symlink():
        count = sum(each.is_file() for each in path.rglob("*"))
        shutil.rmtree(path)
        return count
    if not path.exists():
        return 0  # it was in a folder of the case
    path.unlink()
    return 1
