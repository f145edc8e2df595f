"""The step `propagate`: corrected label maps on the grids of other sequences of the same session.

The contrasts of a Dixon scan share one grid and one label map; nothing has to be resampled for them. Other sequences
take the label map by nearest neighbour, by what the headers of both say; their images are cropped to what the Dixon
images show.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import find_objects

from dixonflow.cohort.table import CohortScan, read_scans
from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_header, read_labels, read_nifti, write_labels, write_nifti
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.rawdata.reader import scan_rotation
from dixonflow.resample.label_maps import labels_by_headers
from dixonflow.retraining.annotation.export import copy_whole
from dixonflow.retraining.cases import Case, all_cases, case_name, propagated_file, propagated_note
from dixonflow.retraining.leakage import check_may_join, image_digests, raw_digests
from dixonflow.retraining.ledger import Entry, Step, append_to_ledger, read_ledger
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.vocabulary import ScanId, ScanSequence


@dataclass(frozen=True)
class Propagated:
    """What became of a case; `reason` is empty where its label map was propagated."""

    case: str
    reason: str = ""


class _NotAlignedError(Exception):
    """The message says why a label map cannot be brought onto another sequence."""


def propagate_labels(project: Project, round_number: int, sequence: ScanSequence) -> Iterator[Propagated]:
    """Bring the corrected label maps of a round onto another sequence, case after case.

    Parameters
    ----------
    sequence
        Of which the session must have a scan in the results.

    Raises
    ------
    RetrainingError
        If the sequence is Dixon itself, the network takes channels, or nothing came back.
    TableError
        If the list of scans cannot be read.
    LeakageError
        If the other scan is in a set under another id.
    """
    if sequence is ScanSequence.DIXON:
        raise RetrainingError("the contrasts of a Dixon scan share its label map: nothing is to be propagated")
    if project.settings.channels:
        raise RetrainingError("the network takes the Dixon contrasts together: it cannot learn from other sequences")
    cases = [case for case in all_cases(project) if case.round == round_number and case.labels is not None]
    cases = [case for case in cases if case.scan.sequence is ScanSequence.DIXON]
    if not cases:
        raise RetrainingError("no corrected case is in this round: call dixonflow retrain return first")
    rows = {row.scan: row for row in read_scans(project.results.scans) if row.scan}
    for case in cases:
        try:
            _propagate(project, case, rows, ScanId(case.scan.participant, case.scan.session, sequence))
        except _NotAlignedError as error:
            yield Propagated(case.name, str(error))
        except ScanExcluded as error:
            yield Propagated(case.name, error.message)
        else:
            yield Propagated(case.name)


def _propagate(project: Project, case: Case, rows: dict[ScanId, CohortScan], scan: ScanId) -> None:
    assert case.labels is not None
    contrast = scan.sequence.contrasts[0]
    image = project.results.stitched(scan, contrast)
    if scan not in rows or not image.is_file():
        raise _NotAlignedError(f"the session has no image of the sequence {scan.sequence}")
    if case.scan not in rows:
        raise _NotAlignedError("its Dixon scan is not in the list of scans of the run any more")
    raw = raw_digests(rows[scan].entry.raw_key, rows[scan].images)
    digests = (*raw, *image_digests([image]))
    check_may_join(read_ledger(project.ledger), scan, case.set, digests)
    labels, affine = read_labels(case.labels)
    shape, own_affine = read_header(image)
    turn = np.eye(4)
    turn[:3, :3] = _rotation(rows[case.scan]) @ _rotation(rows[scan]).T
    to_labels = np.linalg.inv(affine) @ turn @ own_affine
    # what the Dixon images do not show has no labels: a network would learn that there is nothing
    box = find_objects(labels_by_headers(np.ones_like(labels), to_labels, shape))
    if not box:
        raise _NotAlignedError("its image shows another part of the body, or has another origin")
    found = labels_by_headers(labels, to_labels, shape)[box[0]]
    if not found.any():
        raise _NotAlignedError("no structure lies in its image")
    name = case_name(int(case.name.split("_")[1]), scan)
    target = propagated_file(project, case.round, name, contrast.value)
    if found.shape == shape:
        copy_whole(image, target)
    else:
        own_affine = own_affine.copy()
        own_affine[:3, 3] += own_affine[:3, :3] @ [side.start for side in box[0]]
        write_nifti(target, read_nifti(image).data[box[0]], own_affine)
        digests = tuple(dict.fromkeys((*digests, *image_digests([target]))))
        check_may_join(read_ledger(project.ledger), scan, case.set, digests)
    write_labels(propagated_file(project, case.round, name, "labels"), found, own_affine)
    note = propagated_note(case.labels)
    append_to_ledger(
        project.ledger, [Entry(Step.PROPAGATED, case.round, case.set, scan, name, digests=digests, note=note)]
    )


def _rotation(row: CohortScan) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Rotation from the headers' space to that of the stitched image. Raises _NotAlignedError."""
    if not isinstance(row.entry, RawScan):
        raise _NotAlignedError("its raw data has no name")
    try:
        return scan_rotation(row.entry)
    except OSError as error:
        raise _NotAlignedError(f"its raw data cannot be read: {error.strerror}") from error
