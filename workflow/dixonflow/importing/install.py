"""Imports a model: obtains each part, converts it in a folder aside, and puts the whole in its place by one rename."""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dixonflow.checkpoint.export import export_checkpoint
from dixonflow.errors import ModelError
from dixonflow.importing.check import check_configuration
from dixonflow.importing.lock import import_lock
from dixonflow.importing.record import ArchiveRecord, FileRecord, PartRecord, write_record
from dixonflow.importing.space import require_space
from dixonflow.importing.training import Training
from dixonflow.importing.weight_sources import WeightSources, obtain
from dixonflow.models.model import Model
from dixonflow.models.nnunet_files import trained_orientation, trained_spacing_mm
from dixonflow.models.weights_source import Part
from dixonflow.segment import load_model_folder
from dixonflow.segment.network import read_metadata, weights_path
from dixonflow.system.atomic import write_bytes
from dixonflow.system.regular_file import sha256_of

log = logging.getLogger(__name__)

_JSON_FILES = ("plans.json", "dataset.json", "inference_config.json", "version.json")
"""nnU-Net's two, and those that VIBESegmentator and MRSegmentator add."""


def import_model(model: Model, given: Sequence[str] = (), *, consent: bool = False) -> bool:
    """Import the published weights of a model into its folder.

    Downloaded files stay until the import is done, so that the same command resumes after any failure. The folder
    appears whole or not at all; copying it to another machine is as good as importing there.

    Parameters
    ----------
    model
        Its folders are where its weights belong.
    given
        Where to take the weights from: a folder (nnU-Net's results folder, a dataset's or a training's folder, or one
        with the published zips), zip files, or addresses (of zips, or of the folder that holds them). Where nothing is
        given: a copy of another program on this machine, else where they are published.
    consent
        Whether the user agrees to what `model.consent` says.

    Returns
    -------
    bool
        False if the model had been imported before.

    Raises
    ------
    ModelError
        One line that names the file and what to do. Nothing is left in the model's folder.
    """
    if model.source is None:
        raise ModelError(f"model {model.name} ships with DixonFlow: there is nothing to import")
    if model.consent is not None and not consent:
        raise ModelError(f"model {model.name} has conditions: {model.consent.rstrip('.')}. Agree with --consent")
    sources = WeightSources.of(given, model)
    parent, name = model.weights.parent, model.weights.name
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(f"segment.weights: {parent} cannot be made: {error.strerror}") from error
    with import_lock(parent / f".{name}.lock"):
        if model.weights.exists():
            check_imported(model)
            return False
        staging, downloads = parent / f".{name}.import", parent / f".{name}.download"
        _remove(staging)  # of an import that was killed
        try:
            _import_parts(model, sources, staging, downloads)
        except OSError as error:
            raise ModelError(
                f"{error.filename or staging}: {error.strerror or error}. Fix this and run the same command again"
            ) from error
        finally:
            _remove(staging)
            if model.weights.exists() or not any(path.is_file() for path in downloads.rglob("*")):
                _remove(downloads)
            else:
                log.info("downloaded files stay in %s for the next attempt; remove them to start over", downloads)
    return True


def check_imported(model: Model) -> None:
    """See whether an imported model is whole: every part and fold there, and its weights as they were imported.

    Raises
    ------
    ModelError
        Naming what is missing or changed.
    """
    remedy = f"Remove {model.weights} and import model {model.name} again"
    for folder in model.folders.values():
        try:
            hashes = read_metadata(folder).weights_sha256
            for fold, expected in hashes.items():
                path = weights_path(folder, fold)
                if sha256_of(path) != expected:
                    raise ModelError(f"{path} differs from its import: damaged or replaced")
        except ModelError as error:
            raise ModelError(f"{error}. {remedy}") from error
        except OSError as error:
            raise ModelError(f"cannot read {error.filename}: {error.strerror}. {remedy}") from error


def _import_parts(model: Model, sources: WeightSources, staging: Path, downloads: Path) -> None:
    finished, scratch = staging / "model", staging / "scratch"
    for folder in (finished, scratch, downloads):
        folder.mkdir(parents=True, exist_ok=True)
    records = []
    for part in model.parts:
        target = finished / model.folders[part.name].relative_to(model.weights)
        with obtain(model, part, sources, downloads) as (training, archives):
            records.append(_convert(training, archives, model, part, target, scratch))
        log.info("model %s: converting %s", model.name, part.name)
    write_record(finished, model.name, tuple(records))
    finished.rename(model.weights)
    _flush(model.weights.parent)


def _convert(
    training: Training, archives: tuple[ArchiveRecord, ...], model: Model, part: Part, target: Path, scratch: Path
) -> PartRecord:
    """Write the model folder of one training."""
    records = []
    for name in filter(training.has, _JSON_FILES):
        content = training.read(name)
        write_bytes(target / name, content)
        records.append(_record(training, name, len(content), hashlib.sha256(content).hexdigest()))
    for fold, checkpoint in training.checkpoints.items():
        size = training.files.sizes[checkpoint]
        with training.files.local(checkpoint, scratch / "checkpoint.pth") as path:
            require_space(scratch, size, f"the weights of {checkpoint}")
            names = {path: f"{training.files}: {checkpoint}", target: training.origin}
            with _published_names(str(checkpoint), names):
                export_checkpoint(path, target / "plans.json", target / "dataset.json", target, fold=fold)
            digest = sha256_of(path)
        records.append(_record(training, str(checkpoint.relative_to(training.folder)), size, digest))
        load_model_folder(target, (fold,))
    trained = read_metadata(target)
    check_configuration(training.read_json("plans.json"), trained.configuration, part, training.origin)
    with _published_names(training.origin, {target: training.origin}):
        if model.orientation == "dataset":
            trained_orientation(target)
        if model.spacing_mm == "plans":
            trained_spacing_mm(target)
    if part.trainer not in {None, trained.trainer_name}:
        log.warning(
            "%s was trained with %s, the model file says %s", training.origin, trained.trainer_name, part.trainer
        )
    return PartRecord(part.name, training.origin, archives, tuple(records))


@contextmanager
def _published_names(what: str, names: Mapping[Path, str]) -> Iterator[None]:
    """Have errors name what was published, not the copy of it that is about to go."""
    try:
        yield
    except ModelError as error:
        text = str(error)
        for copy, published in names.items():
            text = text.replace(str(copy), published)
        where = "" if what in text else f"{what}: "
        raise ModelError(f"{where}{text}. Nothing was imported: use the published weights") from error


def _record(training: Training, name: str, size: int, digest: str) -> FileRecord:
    return FileRecord(str(training.folder / name), size, digest)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
