"""The raw data of a round in nnU-Net's format, with folds by participant and the frozen test participants apart.

Format: nnU-Net's documentation/dataset_format.md and manual_data_splits.md (MIC-DKFZ/nnUNet, version 2.8).
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_header, read_labels, read_nifti, write_labels, write_nifti
from dixonflow.imaging.orientation import orientation_flips
from dixonflow.retraining.annotation.export import copy_whole, read_case_file
from dixonflow.retraining.annotation.returned_map import is_same_grid
from dixonflow.retraining.cases import Case, test_cases, training_cases
from dixonflow.retraining.folds import fold_note, fold_of_participants, folds_in_ledger
from dixonflow.retraining.harmonise import harmonised
from dixonflow.retraining.leakage import check_training_set
from dixonflow.retraining.ledger import CaseSet, Entry, Step, append_to_ledger, read_ledger
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.system.atomic import as_json, write_if_changed
from dixonflow.system.regular_file import sha256_of
from dixonflow.vocabulary import Contrast, ScanSequence

log = logging.getLogger(__name__)

MANIFEST = "cases.json"
_FIRST_ID = 800
"""nnU-Net's own data sets, and those of published models, have lower numbers."""
_FOLDERS = {CaseSet.TRAIN: ("imagesTr", "labelsTr"), CaseSet.TEST: ("imagesTs", "labelsTs")}


@dataclass(frozen=True)
class RawCase:
    """A case of nnU-Net: the image of a contrast, or of all of them as channels, and its label map.

    Attributes
    ----------
    name
        `case_0001_water`; `case_0001` where contrasts are channels.
    case
        The case it is of.
    contrasts
        In the order of the channels.
    fold
        Fold that it validates; None for test cases.
    """

    name: str
    case: Case
    contrasts: tuple[Contrast, ...]
    fold: int | None


@dataclass(frozen=True)
class Dataset:
    """A data set that was written.

    Attributes
    ----------
    folder
        `Dataset801_round01`.
    training, test
        Number of nnU-Net's cases in each set.
    participants
        Number of participants that are trained on.
    changed
        Voxels that each correction of label maps has changed, over all training cases.
    """

    folder: Path
    training: int
    test: int
    participants: int
    changed: Mapping[str, int]


def network_classes(labels: Mapping[str, int]) -> dict[str, int]:
    """Class of each structure in the network: 1, 2, 3 ... in the order of the labels; nnU-Net wants no gaps."""
    return {name: place for place, name in enumerate(sorted(labels, key=lambda name: labels[name]), 1)}


def dataset_folder(project: Project, round_number: int) -> Path:
    """Folder of the raw data of a round, as nnU-Net names data sets."""
    return project.dataset(round_number) / f"Dataset{_FIRST_ID + round_number}_round{round_number:02d}"


def write_dataset(project: Project, round_number: int) -> Dataset:
    """Write images, label maps, dataset.json and splits_final.json of a round; what is there already stays.

    Raises
    ------
    LeakageError
        If anything must not be trained on.
    RetrainingError
        If no case came back, there are fewer participants than folds, or a file is not there or damaged.
    """
    training, test = training_cases(project, round_number), test_cases(project)
    if not training:
        raise RetrainingError("no corrected case is there to train on: call dixonflow retrain return first")
    entries = read_ledger(project.ledger)
    check_training_set(entries, {(case.name, case.scan): case.images.values() for case in training})
    settings = project.settings
    folds = fold_of_participants(training, settings.folds, settings.seed, folds_in_ledger(entries))
    raw = [each for case in training for each in _raw_cases(project, case, folds[case.scan.participant])]
    raw += [each for case in test for each in _raw_cases(project, case, None)]
    folder = dataset_folder(project, round_number)
    manifest = {each.name: _record(project, each) for each in raw}
    earlier = _read_manifest(folder / MANIFEST)
    changed = _write_cases(project, folder, raw, manifest, earlier)
    _write_descriptions(project, folder, raw)
    recorded = {
        each.name: manifest[each.name] | {"changed": changed[each.name], "files_sha256": _digests(_files(folder, each))}
        for each in raw
    }
    write_if_changed(folder / MANIFEST, as_json(recorded))
    append_to_ledger(project.ledger, (_entry(round_number, each, manifest[each.name]) for each in raw))
    totals: dict[str, int] = {}
    for counts in changed.values():
        totals |= {name: totals.get(name, 0) + count for name, count in counts.items()}
    n_training = sum(each.fold is not None for each in raw)
    return Dataset(folder, n_training, len(raw) - n_training, len(folds), totals)


def _raw_cases(project: Project, case: Case, fold: int | None) -> list[RawCase]:
    wanted = project.settings.contrasts
    if project.settings.channels:
        if set(case.images) != set(wanted):
            raise RetrainingError(f"{case.name} does not have all channels of the network: do not propagate to it")
        return [RawCase(case.name, case, wanted, fold)]
    return [RawCase(f"{case.name}_{contrast.acq}", case, (contrast,), fold) for contrast in case.images]


def _record(project: Project, each: RawCase) -> dict[str, Any]:
    """Everything that the files of a case follow from. No participant id: the ledger has it."""
    assert each.case.labels is not None
    settings, case = project.settings, each.case
    images = [sha256_of(case.images[contrast]) for contrast in each.contrasts]
    if case.scan.sequence is ScanSequence.DIXON:
        exported = read_case_file(project, case.round, case.name)
        if exported is None or [exported.images.get(contrast.value) for contrast in each.contrasts] != images:
            raise RetrainingError(
                f"{case.name}: an image in its export folder is not as it was exported, and may not fit its label map: "
                "remove the image and case.json there, and repeat dixonflow retrain export"
            )
    return {
        "case": each.case.name,
        "round": each.case.round,
        "set": each.case.set.value,
        "fold": each.fold,
        "contrasts": [contrast.value for contrast in each.contrasts],
        "images_sha256": images,
        "labels_sha256": sha256_of(each.case.labels),
        "orientation": settings.orientation,
        "labels": settings.labels,
        "harmonise": settings.harmonise.model_dump(mode="json") if each.fold is not None else None,
    }


def _read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of an earlier call; empty where there is none, or it is damaged: then all is written again."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write_cases(
    project: Project,
    folder: Path,
    raw: Sequence[RawCase],
    manifest: Mapping[str, dict[str, Any]],
    earlier: Mapping[str, Any],
) -> dict[str, dict[str, int]]:
    """Write what differs from the earlier manifest, which is removed meanwhile, and give what corrections changed."""
    files = {each.name: _files(folder, each) for each in raw}
    kept = {
        name: earlier[name]["changed"] for name, record in manifest.items() if _is_kept(earlier, name, record, files)
    }
    wanted = {path for paths in files.values() for path in paths}
    there = {path for pair in _FOLDERS.values() for name in pair for path in (folder / name).glob("*")}
    if there - wanted or len(kept) < len(raw):
        (folder / MANIFEST).unlink(missing_ok=True)  # a call that is cut off leaves no record of what it did not do
    for path in there - wanted:
        path.unlink()
    changed = dict(kept)
    for each in raw:
        if each.name not in kept:
            changed[each.name] = _write_case(project, each, files[each.name])
            log.info("%s written", each.name)
    return changed


def _is_kept(
    earlier: Mapping[str, Any], name: str, record: Mapping[str, Any], files: Mapping[str, Sequence[Path]]
) -> bool:
    """Whether the files of a case are there as they were written, from what they would be written from now."""
    before = earlier.get(name)
    if not isinstance(before, dict) or not isinstance(before.get("changed"), dict):
        return False
    return {key: before.get(key) for key in record} == record and before.get("files_sha256") == _digests(files[name])


def _digests(files: Iterable[Path]) -> list[str | None]:
    return [sha256_of(path) if path.is_file() else None for path in files]


def _files(folder: Path, each: RawCase) -> list[Path]:
    """Files of a case: an image for each channel, then the label map."""
    images, labels = _FOLDERS[each.case.set]
    channels = [folder / images / f"{each.name}_{number:04d}.nii.gz" for number in range(len(each.contrasts))]
    return [*channels, folder / labels / f"{each.name}.nii.gz"]


def _write_case(project: Project, each: RawCase, files: Sequence[Path]) -> dict[str, int]:
    settings = project.settings
    flips = orientation_flips(settings.orientation)
    assert each.case.labels is not None
    changed: dict[str, int] = {}
    try:
        labels, affine = read_labels(each.case.labels)
        if set(np.flatnonzero(np.bincount(labels.ravel()))) - {0, *settings.labels.values()}:
            raise RetrainingError(f"{each.case.name}: {each.case.labels} holds unknown labels: return its file again")
        for contrast, target in zip(each.contrasts, files, strict=False):
            source = each.case.images[contrast]
            shape, own = read_header(source)
            if not is_same_grid(own, shape, affine, labels.shape):
                raise RetrainingError(f"{each.case.name}: its label map is not on the grid of its images")
            if flips:
                image = read_nifti(source)
                write_nifti(target, np.flip(image.data, flips), flipped(image.affine, shape, flips))
            else:
                copy_whole(source, target)
        if each.fold is not None:
            spacing = np.linalg.norm(affine[:3, :3], axis=0).tolist()
            images = (read_nifti(path).data for path in each.case.images.values())
            labels, changed = harmonised(
                labels, images, (spacing[0], spacing[1], spacing[2]), settings.harmonise, settings.labels
            )
    except ScanExcluded as error:
        raise RetrainingError(f"{each.case.name}: {error.message}") from error
    lookup = np.zeros(max(int(labels.max(initial=0)), *settings.labels.values()) + 1, np.uint8)
    for name, number in network_classes(settings.labels).items():
        lookup[settings.labels[name]] = number
    write_labels(files[-1], np.flip(lookup[labels], flips), flipped(affine, labels.shape, flips))
    return changed


def flipped(
    affine: np.ndarray[Any, np.dtype[np.float64]], shape: Sequence[int], axes: Iterable[int]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Affine of an image of which these axes were reversed."""
    turned = affine.copy()
    for axis in axes:
        turned[:3, 3] += turned[:3, axis] * (shape[axis] - 1)
        turned[:3, axis] *= -1
    return turned


def _write_descriptions(project: Project, folder: Path, raw: Sequence[RawCase]) -> None:
    settings = project.settings
    channels = [contrast.value for contrast in settings.contrasts] if settings.channels else ["mr"]
    training = [each for each in raw if each.fold is not None]
    description = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": {"background": 0} | network_classes(settings.labels),
        "numTraining": len(training),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
        "name": folder.name,
    }
    write_if_changed(folder / "dataset.json", as_json(description))
    splits = [
        {
            "train": sorted(each.name for each in training if each.fold != fold),
            "val": sorted(each.name for each in training if each.fold == fold),
        }
        for fold in range(settings.folds)
    ]
    write_if_changed(folder / "splits_final.json", as_json(splits))


def _entry(round_number: int, each: RawCase, record: Mapping[str, Any]) -> Entry:
    note = "test" if each.fold is None else fold_note(each.fold)
    case = each.case
    return Entry(
        Step.DATASET, round_number, case.set, case.scan, case.name, file_sha256=record["labels_sha256"], note=note
    )
