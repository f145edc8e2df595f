"""The step `export`: images, proposal and label table of each case, in folders that hold no participant id."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_header, read_labels, write_labels
from dixonflow.imaging.types import Labels
from dixonflow.retraining.annotation.label_files import itksnap_labels, label_table, slicer_colours
from dixonflow.retraining.cases import exported_image, proposal_of, withdrawn_participants
from dixonflow.retraining.ledger import Entry, Step, append_to_ledger
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.retraining.selection.select import SelectedScan, read_selected, selected_as_it_is
from dixonflow.system.atomic import atomic_path, write_if_changed, write_json
from dixonflow.system.documents import DocumentError, read_json_file
from dixonflow.system.regular_file import sha256_of
from dixonflow.vocabulary import ScanId

PROPOSAL = "proposal.nii.gz"
CASE_FILE = "case.json"
MONAI_LABEL = "monai_label"
_LABEL_FILES = {
    "labels_itksnap.txt": itksnap_labels,
    "labels_slicer.ctbl": slicer_colours,
    "labels.tsv": label_table,
}


@dataclass(frozen=True)
class ExportedCase:
    """What lies in the export folder of a case, as its case.json says.

    Attributes
    ----------
    case
        Its name.
    images
        SHA-256 of the file of each contrast.
    proposal_sha256
        SHA-256 of the file of the proposal.
    proposed_by
        Model, or what was done to the image for it.
    """

    case: str
    images: Mapping[str, str]
    proposal_sha256: str
    proposed_by: str


class Proposer(Protocol):
    """Proposes label maps in place of those of the run."""

    @property
    def description(self) -> str:
        """How they come about."""

    def propose(self, scan: ScanId) -> Labels:
        """Label map of a scan on its stitched grid, in the project's numbers."""


def export_cases(project: Project, round_number: int, proposer: Proposer | None = None) -> Iterator[str]:
    """Export the cases of a round that are not there yet, one after another, and give their names.

    Each case is whole once its case.json is there; a case that was cut off is exported again.

    Parameters
    ----------
    proposer
        Proposes label maps; by default they are those of the run.

    Raises
    ------
    RetrainingError
        If nothing is selected, or an image or label map is not there or not as it was when the scan was selected.
    ModelError
        If the model that proposes is not there.
    """
    rows = read_selected(project, round_number)
    if not rows:
        raise RetrainingError("nothing is selected in this round: call dixonflow retrain select")
    withdrawn = withdrawn_participants(project)
    for name, make in _LABEL_FILES.items():
        write_if_changed(project.export(round_number) / name, make(project.settings.labels))
    for row in rows:
        if row.scan.participant in withdrawn:
            continue
        if read_case_file(project, round_number, row.case) is None:
            _export(project, round_number, row, proposer)
            yield row.case
        exported = read_case_file(project, round_number, row.case)
        if exported is not None:
            entry = Entry(Step.EXPORTED, round_number, row.set, row.scan, row.case)
            note = f"proposed by {exported.proposed_by}"
            append_to_ledger(project.ledger, [replace(entry, file_sha256=exported.proposal_sha256, note=note)])


def read_case_file(project: Project, round_number: int, case: str) -> ExportedCase | None:
    """Read the case.json of an exported case; None where it is not there yet.

    Raises
    ------
    RetrainingError
        If it is damaged.
    """
    return parse_case_file(project.export(round_number) / case / CASE_FILE)


def parse_case_file(path: Path) -> ExportedCase | None:
    """Read a case.json; None where there is none. Raises RetrainingError where it is damaged."""
    try:
        content: Any = read_json_file(path)
        images = {str(name): str(digest) for name, digest in content["images"].items()}
        return ExportedCase(str(content["case"]), images, str(content["proposal_sha256"]), str(content["proposed_by"]))
    except FileNotFoundError:
        return None
    except (OSError, DocumentError, KeyError, TypeError, AttributeError) as error:
        raise RetrainingError(f"{path} is damaged: remove it and repeat dixonflow retrain export") from error


def _as_it_is(project: Project, round_number: int, row: SelectedScan) -> SelectedScan:
    """`selected_as_it_is`, with the case in what it refuses."""
    try:
        return selected_as_it_is(project, round_number, row)
    except RetrainingError as error:
        if row.case in str(error):
            raise
        raise type(error)(f"{row.case}: {error}") from error


def _export(project: Project, round_number: int, row: SelectedScan, proposer: Proposer | None) -> None:
    folder = project.export(round_number) / row.case
    try:
        _check_not_edited(folder / PROPOSAL, proposal_of(project, round_number, row.case))
        row = _as_it_is(project, round_number, row)
        images = {}
        for contrast in project.settings.contrasts:
            target = exported_image(project, round_number, row.case, contrast)
            copy_whole(project.results.stitched(row.scan, contrast), target)
            images[contrast.value] = sha256_of(target)
        shape, affine = read_header(exported_image(project, round_number, row.case, project.settings.contrasts[0]))
        proposal = proposal_of(project, round_number, row.case)
        if proposer is None:
            _write_proposal(project, row, proposal)
        else:
            write_labels(proposal, in_smallest_type(proposer.propose(row.scan)), affine)
        own_shape, own_affine = read_header(proposal)
        if own_shape != shape or not np.allclose(own_affine, affine):
            raise RetrainingError(f"{row.case}: its label map is not on the grid of its images: run the workflow again")
        copy_whole(proposal, folder / PROPOSAL)
        for_monai = project.export(round_number) / MONAI_LABEL
        first = exported_image(project, round_number, row.case, project.settings.contrasts[0])
        copy_whole(first, for_monai / f"{row.case}.nii.gz")
        copy_whole(proposal, for_monai / "labels" / "original" / f"{row.case}.nii.gz")
        (for_monai / "labels" / "final").mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        kept = "keep.stitched must be true; lost files are rebuilt by a run with verify=true"
        raise RetrainingError(f"{row.case}: an image or label map of its scan is missing: {kept}") from error
    except ScanExcluded as error:
        raise RetrainingError(f"{row.case}: {error.message}") from error
    content = {
        "case": row.case,
        "images": images,
        "proposal_sha256": sha256_of(proposal),
        "proposed_by": proposer.description if proposer else row.model,
        "shape": list(shape),
        "affine": affine.tolist(),
        "labels": dict(sorted(project.settings.labels.items(), key=lambda item: item[1])),
    }
    write_json(folder / CASE_FILE, content)


def _check_not_edited(exported: Path, kept: Path) -> None:
    """Check that a proposal which is about to be written once more is nobody's work. Raises RetrainingError."""
    if exported.is_file() and not (kept.is_file() and sha256_of(exported) == sha256_of(kept)):
        raise RetrainingError(
            f"{exported} was edited, and its case.json is gone: keep it elsewhere as {exported.parent.name}.nii.gz, "
            "remove it here, repeat dixonflow retrain export, and return the file"
        )


def _write_proposal(project: Project, row: SelectedScan, target: Path) -> None:
    """The model's label map in the project's numbers: byte for byte where these are the same."""
    source = project.results.labels(row.scan, row.model)
    model = project.model(row.model).structures
    labels, affine = read_labels(source)
    lookup = np.zeros(max(int(labels.max(initial=0)), *model.values()) + 1, np.uint16)
    for name, number in model.items():
        lookup[number] = project.settings.labels.get(name, 0)
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=1))
    if np.array_equal(lookup[present], present):
        copy_whole(source, target)
        return
    write_labels(target, in_smallest_type(lookup[labels]), affine)


def in_smallest_type(labels: Labels) -> Labels:
    """Labels as uint8, or uint16 where one is above 255."""
    return labels.astype(np.uint8 if labels.max(initial=0) <= 255 else np.uint16)


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file byte for byte, whole or not at all. Raises OSError."""
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
