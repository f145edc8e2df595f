"""What the settings mix into the corrected cases: deformed copies, copies of low contrast, CT cases.

They lie in the training's own folder. None of them is ever validated on, a copy is trained on only where its original
is, and a CT case never where a scan of its participant is validated on: no participant is on both sides of a fold.
"""

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_labels, read_nifti, write_labels, write_nifti
from dixonflow.imaging.orientation import orientation_flips
from dixonflow.imaging.types import Affine, Labels
from dixonflow.retraining.cases import ct_case_name
from dixonflow.retraining.leakage import LeakageError, check_may_join, image_digests
from dixonflow.retraining.ledger import CaseSet, Entry
from dixonflow.retraining.nnunet.deform import deformed, deformed_labels, elastic_field, low_contrast
from dixonflow.retraining.nnunet.raw_data import ENDING, CaseFiles, RawData, case_sha256, is_done
from dixonflow.retraining.nnunet.settings import Mixture
from dixonflow.retraining.nnunet.training_cases import scan_of
from dixonflow.retraining.nnunet_raw import flipped
from dixonflow.retraining.project import RetrainingError
from dixonflow.system.atomic import write_bytes
from dixonflow.vocabulary import ScanId, ScanSequence

_GRID_MM = 1e-3


def add_copies(data: RawData, mixture: Mixture, seed: int, folder: Path) -> RawData:
    """Add deformed copies and copies of low contrast to the cases; those that are there are kept.

    Parameters
    ----------
    seed
        Of what is drawn; each copy has a seed of its own, which its name and this one give.
    folder
        Where copies are written.

    Raises
    ------
    RetrainingError
        If an image or label map cannot be read, or a case bears the name of a copy.
    """
    kinds = {"elastic": mixture.elastic_copies, "lowcontrast": mixture.low_contrast_copies}
    copies: dict[str, CaseFiles] = {}
    of_case: dict[str, list[str]] = {}
    for name, case in data.cases.items():
        for kind, count in kinds.items():
            for number in range(1, count + 1):
                copy = f"{name}_{kind}{number:03d}"
                if copy in data.cases:
                    raise RetrainingError(f"a case is named like a copy of another one: {copy}")
                copies[copy] = target = _written_as(copy, len(case.images), folder)
                of_case.setdefault(name, []).append(copy)
                record = folder / "cases_done" / f"{copy}.txt"
                key = case_sha256(case, f"{seed} {mixture.elastic_mm}".encode())
                if not is_done(record, key, (*target.images, target.labels)):
                    _write_copy(data, case, target, kind, mixture, _generator(seed, copy))
                    write_bytes(record, key.encode())
    splits = tuple(
        {
            "train": [*split["train"], *(copy for name in split["train"] for copy in of_case.get(name, []))],
            "val": split["val"],
        }
        for split in data.splits
    )
    return replace(data, cases={**data.cases, **copies}, splits=splits)


@dataclass(frozen=True)
class CtCase:
    """A CT image with its label map.

    Attributes
    ----------
    scan
        Whose it is.
    image, labels
        Files on one grid; labels in the numbers of the project's settings.
    """

    scan: ScanId
    image: Path
    labels: Path


def read_ct_folder(folder: Path) -> dict[str, CtCase]:
    """Read which CT cases there are: `participants.csv` (columns case, participant), `images/`, `labels/`.

    Raises
    ------
    RetrainingError
        If a file is missing or the list is wrong; the message names the line.
    """
    path = folder / "participants.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RetrainingError(f"mixture.ct: {path} cannot be read: name the participant of each case there") from error
    cases: dict[str, CtCase] = {}
    for line, row in enumerate(rows, 2):
        name, participant = (row.get("case") or "").strip(), (row.get("participant") or "").strip()
        if not name.replace("_", "").replace("-", "").isalnum() or name in cases:
            raise RetrainingError(f"{path}, line {line}: a case needs a name of letters and digits, each once")
        try:
            scan = ScanId(participant, "ct", ScanSequence.CT)
        except ValueError as error:
            raise RetrainingError(f"{path}, line {line}: the participant must be letters and digits") from error
        cases[name] = CtCase(scan, folder / "images" / f"{name}{ENDING}", folder / "labels" / f"{name}{ENDING}")
        for needed in (cases[name].image, cases[name].labels):
            if not needed.is_file():
                raise RetrainingError(f"{path}, line {line}: {needed} is missing")
    if not cases:
        raise RetrainingError(f"mixture.ct: {path} names no cases")
    return cases


def add_ct(
    data: RawData,
    ct: Mapping[str, CtCase],
    labels: Mapping[str, int],
    entries: list[Entry],
    folder: Path,
    withdrawn: frozenset[str],
) -> RawData:
    """Add CT cases, their labels turned into the classes of the data set.

    Parameters
    ----------
    ct
        As `read_ct_folder` gives them.
    labels
        Number of each structure in the label maps.
    entries
        The ledger.
    folder
        Where the cases are written.
    withdrawn
        Participants who have withdrawn.

    Raises
    ------
    LeakageError
        If a case is of a frozen test participant or of one who has withdrawn, or holds the voxels of a scan that is in
        a set.
    RetrainingError
        If the network takes several images, or a file cannot be used.
    """
    if any(len(case.images) != 1 for case in data.cases.values()):
        raise RetrainingError("mixture.ct: a network that takes several contrasts together cannot learn from CT")
    for name, case in ct.items():
        if case.scan.participant in withdrawn:
            raise LeakageError(f"CT {name}: its participant has withdrawn: take it out of participants.csv")
        check_may_join(entries, case.scan, CaseSet.TRAIN, image_digests([case.image]))
    classes = {labels[name]: number for name, number in data.description["labels"].items() if name in labels}
    added: dict[str, CaseFiles] = {}
    for name, case in ct.items():
        added[ct_case_name(name)] = target = _written_as(ct_case_name(name), 1, folder)
        record = folder / "cases_done" / f"{ct_case_name(name)}.txt"
        key = case_sha256(CaseFiles((case.image,), case.labels), repr(sorted(classes.items())).encode())
        if not is_done(record, key, (*target.images, target.labels)):
            _write_ct(data, name, case, classes, target)
            write_bytes(record, key.encode())
    splits = []
    for split in data.splits:
        held_out = {scan_of(name, entries).participant for name in split["val"]}
        fitting = [ct_case_name(name) for name, case in ct.items() if case.scan.participant not in held_out]
        splits.append({"train": [*split["train"], *fitting], "val": split["val"]})
    return replace(data, cases={**data.cases, **added}, splits=tuple(splits))


def case_scans(data: RawData, entries: list[Entry]) -> dict[str, ScanId]:
    """Scan of each case, by the ledger. Raises RetrainingError where it does not know one."""
    return {name: scan_of(name, entries) for name in data.cases}


def check_cases(data: RawData, scans: Mapping[str, ScanId], entries: list[Entry], withdrawn: frozenset[str]) -> None:
    """Check all cases once more, by the files themselves, before anything is computed from them.

    Parameters
    ----------
    scans
        Scan of each case.
    entries
        The ledger.
    withdrawn
        Participants who have withdrawn.

    Raises
    ------
    LeakageError
        If a case is of a frozen test participant or of one who has withdrawn, or holds the voxels of another scan.
    RetrainingError
        If a fold trains on a participant that it validates on, or an image cannot be read.
    """
    for name, case in data.cases.items():
        if scans[name].participant in withdrawn:
            raise LeakageError(f"{name}: its participant has withdrawn: call dixonflow retrain dataset again")
        check_may_join(entries, scans[name], CaseSet.TRAIN, image_digests(case.images))
    participants = {name: scan.participant for name, scan in scans.items()}
    for fold, split in enumerate(data.splits):
        sides = [{participants[name] for name in split[side]} for side in ("train", "val")]
        if sides[0] & sides[1]:
            raise RetrainingError(
                f"fold {fold} trains and validates on cases of one participant: call dixonflow retrain dataset again"
            )


def _written_as(name: str, channels: int, folder: Path) -> CaseFiles:
    images = tuple(folder / "imagesTr" / f"{name}_{channel:04d}{ENDING}" for channel in range(channels))
    return CaseFiles(images, folder / "labelsTr" / f"{name}{ENDING}")


def _generator(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def _write_copy(
    data: RawData, case: CaseFiles, copy: CaseFiles, kind: str, mixture: Mixture, rng: np.random.Generator
) -> None:
    images, labels, affine = _read(case)
    if kind == "elastic":
        spacing_mm = np.linalg.norm(affine[:3, :3], axis=0).tolist()
        field = elastic_field(labels.shape, spacing_mm, mixture.elastic_mm, rng)
        images, labels = [deformed(image, field) for image in images], deformed_labels(labels, field)
    else:
        images = [low_contrast(image, rng) for image in images]
    _write(copy, images, labels, affine, data.orientation)


def _write_ct(data: RawData, name: str, case: CtCase, classes: Mapping[int, int], target: CaseFiles) -> None:
    images, labels, affine = _read(CaseFiles((case.image,), case.labels))
    if unknown := sorted(set(np.unique(labels).tolist()) - set(classes) - {0}):
        raise RetrainingError(f"CT {name}: its label map has {unknown[0]}, which is no number of retraining.yaml")
    table: Labels = np.zeros(int(labels.max(initial=0)) + 1, np.min_scalar_type(max(classes.values())))
    for number, value in classes.items():
        if number < len(table):
            table[number] = value
    _write(target, images, table[labels], affine, data.orientation)


def _read(case: CaseFiles) -> tuple[list[NDArray[np.float32]], Labels, Affine]:
    """Images and label map in RAS+."""
    try:
        images = [read_nifti(path) for path in case.images]
        labels, affine = read_labels(case.labels)
    except (ScanExcluded, OSError) as error:
        message = error.message if isinstance(error, ScanExcluded) else f"{error.filename}: {error.strerror}"
        raise RetrainingError(f"a case of the mixture cannot be read: {message}") from error
    for image in images:
        if image.data.shape != labels.shape or not np.allclose(image.affine, affine, atol=_GRID_MM):
            raise RetrainingError(f"{case.labels.name}: image and label map are on different grids")
    return [np.asarray(image.data, np.float32) for image in images], labels, affine


def _write(
    case: CaseFiles, images: list[NDArray[np.float32]], labels: Labels, affine: Affine, orientation: str
) -> None:
    """Write as the other cases of the data set are stored."""
    flips = orientation_flips(orientation)
    turned = flipped(affine, labels.shape, flips)
    for path, image in zip(case.images, images, strict=True):
        write_nifti(path, np.flip(image, flips), turned)
    write_labels(case.labels, np.flip(labels, flips), turned)
