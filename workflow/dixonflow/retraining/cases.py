"""Cases: scans with a name that says nothing of the participant, their images, and their corrected label maps."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dixonflow.cohort.withdrawn import read_withdrawn
from dixonflow.retraining.ledger import WITHDRAWN, CaseSet, Entry, Step, read_ledger
from dixonflow.retraining.project import TEST_ROUND, Project, RetrainingError
from dixonflow.vocabulary import Contrast, ScanId

CASE_NAME = re.compile(r"case_[0-9]{4,}(_[a-z0-9]+)?")
_CT = "ct_"


@dataclass(frozen=True)
class Case:
    """A scan in the project.

    Attributes
    ----------
    name
        `case_0001`; `case_0001_haste` for another sequence that took its label map.
    scan
        Whose it is.
    round
        Round that it was selected for; `TEST_ROUND` for those of frozen test participants.
    set
        What it serves.
    images
        Image of each contrast, all on one grid, RAS+.
    labels
        Corrected label map on the same grid, in the numbers of the project's settings; None while it is open.
    """

    name: str
    scan: ScanId
    round: int
    set: CaseSet
    images: Mapping[Contrast, Path]
    labels: Path | None = None


def case_name(number: int, scan: ScanId | None = None) -> str:
    """Name of a case by its number, with the sequence of a scan that took its label map."""
    return f"case_{number:04d}" + (f"_{scan.sequence.acq}" if scan else "")


def ct_case_name(name: str) -> str:
    """Name of a CT case that is mixed into a training, by the name that its list has for it."""
    return f"{_CT}{name}"


def is_ct(case: str) -> bool:
    """Whether a name is that of a CT case."""
    return case.startswith(_CT)


def accepted_labels(project: Project, round_number: int, case: str, file_sha256: str) -> Path:
    """Where an accepted label map lies: each one stays, also after a later one took its place."""
    return project.returned(round_number) / "accepted" / f"{case}_{file_sha256[:12]}.nii.gz"


def exported_image(project: Project, round_number: int, case: str, contrast: Contrast) -> Path:
    """An image in the export folder."""
    return project.export(round_number) / case / f"{contrast.value}.nii.gz"


def proposal_of(project: Project, round_number: int, case: str) -> Path:
    """The proposal as it was exported, where no annotator changes it."""
    return project.round(round_number) / "proposals" / f"{case}.nii.gz"


def propagated_file(project: Project, round_number: int, case: str, name: str) -> Path:
    """An image, by its contrast, or the `labels` of a case that took its label map from another sequence."""
    return project.propagated(round_number) / case / f"{name}.nii.gz"


def propagated_note(labels: Path) -> str:
    """What the ledger says of a case that took the label map in a file."""
    return f"from {labels.name.removesuffix('.nii.gz')}"


def all_cases(project: Project) -> list[Case]:
    """All cases that were selected, in the order of their names; `labels` is None where none was accepted yet.

    Participants who have withdrawn since are left out.

    Raises
    ------
    RetrainingError, ConfigError
        If ledger, configuration or the list of withdrawn participants cannot be read.
    """
    entries = read_ledger(project.ledger)
    withdrawn = withdrawn_participants(project)
    accepted = _accepted(entries)
    cases: dict[str, Case] = {}
    for entry in entries:
        if entry.scan.participant in withdrawn:
            continue
        if entry.step is Step.SELECTED:
            cases[entry.case] = _selected(project, entry, accepted.get(entry.case))
        elif entry.step is Step.PROPAGATED:
            cases[entry.case] = _propagated(project, entry, cases)
    return [cases[name] for name in sorted(cases)]


def _accepted(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Last accepted label map of each case since it was selected, or exported with new images."""
    accepted: dict[str, Entry] = {}
    digests: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        if entry.step is Step.ACCEPTED:
            accepted[entry.case] = entry
        elif entry.step is Step.SELECTED:
            if digests.setdefault(entry.case, entry.digests) != entry.digests:
                accepted.pop(entry.case, None)
            digests[entry.case] = entry.digests
    return accepted


def training_cases(project: Project, round_number: int) -> list[Case]:
    """Corrected cases of all rounds up to this one that may be trained on.

    Raises
    ------
    RetrainingError
        If a file of one of them is missing, or as `all_cases`.
    """
    return _corrected(
        [case for case in all_cases(project) if case.set is CaseSet.TRAIN and 1 <= case.round <= round_number]
    )


def test_cases(project: Project) -> list[Case]:
    """Cases of frozen test participants whose label maps are there: the reference masks. Raises as `training_cases`."""
    return _corrected([case for case in all_cases(project) if case.set is CaseSet.TEST])


def withdrawn_participants(project: Project) -> frozenset[str]:
    """Participants who have withdrawn, as the run's configuration says now, and `WITHDRAWN`. Raises ConfigError."""
    path = project.config.cohort.withdrawn
    return (read_withdrawn(path) if path else frozenset()) | {WITHDRAWN}


def _selected(project: Project, entry: Entry, accepted: Entry | None) -> Case:
    labels = accepted_labels(project, entry.round, entry.case, accepted.file_sha256) if accepted else None
    images = {each: exported_image(project, entry.round, entry.case, each) for each in project.settings.contrasts}
    return Case(entry.case, entry.scan, entry.round, entry.set, images, labels)


def _propagated(project: Project, entry: Entry, cases: Mapping[str, Case]) -> Case:
    """Case of another sequence; it is open again once the label map that it took has been corrected once more."""
    contrast = entry.scan.sequence.contrasts[0]
    image = propagated_file(project, entry.round, entry.case, contrast.value)
    labels = propagated_file(project, entry.round, entry.case, "labels")
    source = cases.get(entry.case.rsplit("_", 1)[0])
    is_current = source is not None and source.labels is not None and entry.note == propagated_note(source.labels)
    return Case(entry.case, entry.scan, entry.round, entry.set, {contrast: image}, labels if is_current else None)


def _corrected(cases: list[Case]) -> list[Case]:
    corrected = [case for case in cases if case.labels is not None]
    for case in corrected:
        if case.set is CaseSet.TEST and case.round != TEST_ROUND:
            raise RetrainingError(
                f"{case.name} is of a test participant but in round {case.round}: the ledger is wrong"
            )
        for path in (*case.images.values(), case.labels):
            if path is None or not path.is_file():
                raise RetrainingError(
                    f"{case.name}: {path} is missing: call dixonflow retrain export, or return it again"
                )
    return corrected
