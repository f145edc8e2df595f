"""Cases in nnU-Net's raw format, read and checked before anything is planned from them.

The cases stay where `dixonflow retrain dataset` wrote them; nnU-Net's description of the data set names their files.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import aff2axcodes

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_header
from dixonflow.imaging.orientation import orientation_flips
from dixonflow.retraining.project import RetrainingError
from dixonflow.system.documents import DocumentError, read_json_file

ENDING = ".nii.gz"
_IMAGE = re.compile(r"(.+)_([0-9]{4})\.nii\.gz")
_GRID_MM = 1e-3
"""By how much image and label map may lie apart."""


@dataclass(frozen=True)
class CaseFiles:
    """A case as nnU-Net takes it.

    Attributes
    ----------
    images
        One for each channel, on one grid.
    labels
        Label map in consecutive classes on that grid.
    """

    images: tuple[Path, ...]
    labels: Path


@dataclass(frozen=True)
class RawData:
    """Cases of a data set in nnU-Net's format.

    Attributes
    ----------
    description
        dataset.json, without its list of files.
    cases
        By name.
    splits
        Names that each fold trains on (`train`) and validates on (`val`).
    orientation
        Of all images as they are stored, like RAS: nnU-Net does not look at it.
    """

    description: dict[str, Any]
    cases: Mapping[str, CaseFiles]
    splits: tuple[dict[str, list[str]], ...]
    orientation: str


def read_raw_data(folder: Path) -> RawData:
    """Read a folder in nnU-Net's format and check that it is complete.

    Raises
    ------
    RetrainingError
        If it is missing, a file lacks its counterpart, or the splits do not go with the cases.
    """
    remedy = "call dixonflow retrain dataset again"
    try:
        description, splits = (read_json_file(folder / name) for name in ("dataset.json", "splits_final.json"))
        names = sorted(path.name for path in (folder / "imagesTr").iterdir() if not path.name.startswith("."))
        labels = {path.name for path in (folder / "labelsTr").iterdir() if not path.name.startswith(".")}
    except FileNotFoundError as error:
        raise RetrainingError(f"{error.filename} is missing: {remedy}") from error
    except (OSError, DocumentError) as error:
        raise RetrainingError(f"{folder} cannot be read ({error}): {remedy}") from error
    channels = len(description.get("channel_names", {})) if isinstance(description, dict) else 0
    found: dict[str, dict[int, Path]] = {}
    for name in names:
        match = _IMAGE.fullmatch(name)
        if match is None:
            raise RetrainingError(f"{folder / 'imagesTr' / name} is not named as nnU-Net names images: {remedy}")
        found.setdefault(match[1], {})[int(match[2])] = folder / "imagesTr" / name
    for case, images in found.items():
        if sorted(images) != list(range(channels)) or f"{case}{ENDING}" not in labels:
            raise RetrainingError(f"{folder}: {case} lacks a channel or its label map: {remedy}")
    if labels != {f"{case}{ENDING}" for case in found}:
        raise RetrainingError(f"{folder}: a label map has no image: {remedy}")
    if not found:
        raise RetrainingError(f"{folder} has no cases: correct some first")
    cases = {
        case: CaseFiles(tuple(images[channel] for channel in sorted(images)), folder / "labelsTr" / f"{case}{ENDING}")
        for case, images in found.items()
    }
    _check_splits(splits, set(cases), folder, remedy)
    description = {key: value for key, value in description.items() if key != "dataset"}
    return RawData(description, cases, tuple(splits), _orientation(cases, remedy))


def _orientation(cases: Mapping[str, CaseFiles], remedy: str) -> str:
    codes = {}
    try:
        for name, case in cases.items():
            grids = [read_header(path) for path in (*case.images, case.labels)]
            if any(
                shape != grids[0][0] or not np.allclose(affine, grids[0][1], atol=_GRID_MM) for shape, affine in grids
            ):
                raise RetrainingError(f"{name}: image and label map are on different grids: {remedy}")
            codes["".join(aff2axcodes(grids[0][1]))] = name
    except ScanExcluded as error:
        raise RetrainingError(f"{error.message}: {remedy}") from error
    if len(codes) > 1:
        raise RetrainingError(f"the images are stored in different orientations ({', '.join(sorted(codes))}): {remedy}")
    orientation = next(iter(codes))
    try:
        orientation_flips(orientation)
    except ValueError as error:
        raise RetrainingError(
            f"the images are stored as {orientation}, and only flips of RAS are taken: {remedy}"
        ) from error
    return orientation


def _check_splits(splits: Any, cases: set[str], folder: Path, remedy: str) -> None:
    try:
        pairs = [(set(split["train"]), set(split["val"])) for split in splits]
    except (TypeError, LookupError) as error:
        raise RetrainingError(f"{folder / 'splits_final.json'} is damaged: {remedy}") from error
    for train, validation in pairs:
        if train & validation or train | validation != cases or not train:
            raise RetrainingError(f"{folder / 'splits_final.json'} does not go with the cases: {remedy}")


def description_with_files(data: RawData) -> dict[str, Any]:
    """nnU-Net's dataset.json that names the files of every case."""
    files = {
        name: {"images": [str(path.resolve()) for path in case.images], "label": str(case.labels.resolve())}
        for name, case in sorted(data.cases.items())
    }
    return {**data.description, "numTraining": len(files), "dataset": files}


def content_sha256(data: RawData) -> str:
    """SHA-256 over names, files, classes and splits: what a plan is made from."""
    digest = hashlib.sha256(json.dumps([data.description, data.splits], sort_keys=True).encode())
    for name, case in sorted(data.cases.items()):
        digest.update(f"{name} {case_sha256(case)}".encode())
    return digest.hexdigest()


def case_sha256(case: CaseFiles, further: bytes = b"") -> str:
    """SHA-256 over the files of a case, and what else decides what is made from them."""
    digest = hashlib.sha256(further)
    for path in (*case.images, case.labels):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def is_done(record: Path, key: str, files: Iterable[Path]) -> bool:
    """Whether files were made from what `key` stands for. Where not, the record is removed until they are."""
    if record.exists() and record.read_text(encoding="utf-8") == key and all(path.exists() for path in files):
        return True
    record.unlink(missing_ok=True)
    return False
