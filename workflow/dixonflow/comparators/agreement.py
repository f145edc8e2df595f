"""Agreement of the label maps of a run with those of another program, scan by scan.

Both are compared where both have an image: what lies outside the field of view of the other program is no disagreement.
"""

import hashlib
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from dixonflow.comparators.agreement_table import AGREEMENT, Presence
from dixonflow.evaluation.masks.label_files import LabelFiles, StructureMap, read_structures
from dixonflow.evaluation.masks.preparation import on_grid
from dixonflow.evaluation.masks.problem import CaseProblem
from dixonflow.evaluation.masks.shared_regions import shared_regions
from dixonflow.evaluation.metrics.compare import compare
from dixonflow.evaluation.metrics.overlap import Presence as PairPresence
from dixonflow.imaging.types import Labels
from dixonflow.resample.label_maps import labels_by_headers
from dixonflow.vocabulary import ScanId

log = logging.getLogger(__name__)

_PRESENCE = {
    PairPresence.BOTH: Presence.BOTH,
    PairPresence.MISSED: Presence.RUN_ONLY,
    PairPresence.INVENTED: Presence.COMPARATOR_ONLY,
    PairPresence.NEITHER: Presence.NEITHER,
}


@dataclass(frozen=True)
class ScanTask:
    """What a process needs to compare a scan.

    Attributes
    ----------
    scan
        The scan.
    model, label_map_key
        Model of the run, and what identifies its label map.
    own, other
        Labels of the run and of the comparator; a text for the comparator says why it has none.
    files_key
        Identifies the comparator's files and what their labels mean: others have to be compared again. Empty where
        there is none.
    """

    scan: ScanId
    model: str
    label_map_key: str
    own: LabelFiles
    other: LabelFiles | str
    files_key: str


def scan_task(scan: ScanId, model: str, label_map_key: str, own: LabelFiles, other: LabelFiles | str) -> ScanTask:
    """Give the task of a scan, with the state of the comparator's files before they are read."""
    return ScanTask(scan, model, label_map_key, own, other, "" if isinstance(other, str) else _files_key(other))


def _files_key(files: LabelFiles) -> str:
    digest = hashlib.sha256(repr((files.mapping.ranges, sorted(files.mapping.files.items()))).encode())
    paths = {"": files.label_map} if files.label_map is not None else files.masks
    for name, path in sorted(paths.items()):
        try:
            state = path.stat()
        except OSError:
            return ""
        digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def agreement_rows(task: ScanTask) -> list[dict[str, Any]]:
    """Compare a scan: rows of `AGREEMENT`. Whatever goes wrong costs this scan alone, and is its row."""
    try:
        if isinstance(task.other, str):
            raise CaseProblem(task.other)
        return _compared(task, task.other)
    except CaseProblem as problem:
        return [_row(task, problem=str(problem))]
    except OSError as error:
        return [_row(task, problem=f"a file cannot be read: {error.strerror}")]
    except MemoryError:
        return [_row(task, problem="memory ran out: use fewer --jobs")]
    except Exception as error:
        log.debug("unexpected error", exc_info=True)
        return [_row(task, problem=f"unexpected error {type(error).__name__}: DIXONFLOW_LOG=DEBUG shows it")]


def lost_row(task: ScanTask) -> dict[str, Any]:
    """Give the row of a scan whose process died."""
    return _row(task, problem="its process ended without a result: is memory short?")


def _compared(task: ScanTask, other: LabelFiles) -> list[dict[str, Any]]:
    if task.own.shares_file(other):
        raise CaseProblem("the label map of the comparator is the file of the run")
    regions, _ = shared_regions(task.own.structures, {"comparator": other.structures})
    if not regions:
        raise CaseProblem("no structure is in both label maps")
    own, theirs = read_structures(task.own), read_structures(other)
    moved, change = on_grid(theirs, own)
    ids = own.ids
    if change.resampled and change.outside_percent > 0:
        ids = ids * _seen(theirs, own)
    spacing = np.linalg.norm(own.affine[:3, :3], axis=0).tolist()
    found = compare(moved, ids, spacing, regions, surfaces=False)
    return [
        _row(
            task,
            structure=row["structure"],
            dice=None if np.isnan(row["dice"]) else row["dice"],
            presence=_PRESENCE[PairPresence(row["presence"])].value,
            run_ml=row["reference_ml"],
            comparator_ml=row["predicted_ml"],
            resampled=change.resampled,
            outside_fraction=change.outside_percent / 100,
        )
        for row in found.to_dict("records")
    ]


def _seen(theirs: StructureMap, own: StructureMap) -> Labels:
    """Voxels of the run's label map that lie in the comparator's field of view."""
    everywhere = np.ones(theirs.ids.shape, np.uint8)
    return labels_by_headers(everywhere, np.linalg.inv(theirs.affine) @ own.affine, own.ids.shape)


def _row(task: ScanTask, **values: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(AGREEMENT.names)
    row |= {
        "participant_id": task.scan.participant,
        "session_id": task.scan.session,
        "sequence": task.scan.sequence.value,
        "structure": "",
        "model": task.model,
        "resampled": False,
        "label_map_key": task.label_map_key,
        "files_key": task.files_key,
        "problem": "",
    }
    return row | values
