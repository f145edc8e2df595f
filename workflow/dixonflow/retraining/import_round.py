"""A trained round becomes a model: a folder among the weights that a configuration names like any other model."""

import json
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dixonflow.checkpoint.export import export_checkpoint
from dixonflow.config.read import OWN_MODEL
from dixonflow.importing.lock import import_lock
from dixonflow.importing.record import FileRecord, PartRecord, read_record, write_record
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.model import Model
from dixonflow.models.nnunet_files import read_json
from dixonflow.retraining.ledger import CaseSet, Entry, Step, append_to_ledger, ledger_sha256, read_ledger
from dixonflow.retraining.nnunet.training_cases import check_not_withdrawn, trained_cases
from dixonflow.retraining.nnunet.workspace import Workspace, folds_of
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.segment.network import load_model_folder
from dixonflow.system.atomic import write_bytes
from dixonflow.system.regular_file import sha256_of
from dixonflow.system.versions import versions

log = logging.getLogger(__name__)

_NETWORK = "network"
_REST = "rest"
_NOT_OURS = {"part", "network_class", "published", "also_published", "published_dice"}


@dataclass(frozen=True)
class ImportedRound:
    """A model that a round gave.

    Attributes
    ----------
    model
        As it is loaded by its name.
    new
        False if it had been imported before.
    """

    model: Model
    new: bool


def model_name(round_number: int, *, final: bool) -> str:
    """Name of the model of a round where the user gives none."""
    return "retrainedfinal" if final else f"retrained{round_number:02d}"


def checked_name(name: str) -> str:
    """Name of a user's own model, which is a folder among the weights.

    Raises
    ------
    RetrainingError
        If it is no name of a model, or that of one that ships with DixonFlow.
    """
    if not re.fullmatch("[a-z0-9]+", name):
        raise RetrainingError(f"--name {name!r}: the name of a model is lower-case letters and digits")
    if (MODELS / f"{name}.yaml").exists():
        raise RetrainingError(f"{name} is a model that ships with DixonFlow: choose another name with --name")
    return name


def import_trained(project: Project, workspace: Workspace, name: str, *, final: bool = False) -> ImportedRound:
    """Import the networks of a finished training as a model, and note in the ledger what it has learnt from.

    The folder appears whole or not at all; the weights are read without running anything that the checkpoints hold.

    Parameters
    ----------
    name
        Of the model, as configurations will name it.
    final
        Whether this is the final model, trained from random weights on all corrected cases.

    Raises
    ------
    RetrainingError
        If a fold is not trained, or a model of this name exists that is another one.
    LeakageError
        If a participant who has withdrawn since is in the training.
    ModelError
        If a checkpoint is not what nnU-Net's trainer writes.
    """
    weights = project.config.segment.weights
    folder = weights / checked_name(name)
    check_not_withdrawn(project, workspace)
    checkpoints = _checkpoints(project, workspace)
    files = tuple(_record(path) for path in checkpoints.values())
    weights.mkdir(parents=True, exist_ok=True)
    with import_lock(weights / f".{name}.lock"):
        if folder.exists():
            _check_same(folder, name, files)
            new = False
        else:
            _write_folder(project, workspace, folder, checkpoints, files, final)
            new = True
    _note_trained(project, workspace)
    return ImportedRound(load_model(folder / OWN_MODEL, weights), new)


def check_is_of(project: Project, workspace: Workspace, name: str) -> None:
    """Check that an imported model is what a training gave.

    Raises
    ------
    RetrainingError
        If it is not imported, or has other weights.
    ModelError
        If the record of its import is damaged.
    """
    folder = project.config.segment.weights / checked_name(name)
    if not (folder / OWN_MODEL).is_file():
        raise RetrainingError(f"{name} is not imported: call dixonflow retrain import")
    files = tuple(_record(path) for path in _checkpoints(project, workspace).values())
    if [part.files for part in read_record(folder)] != [files]:
        raise RetrainingError(
            f"{folder} is not what {workspace.root} has trained: name the model that dixonflow retrain import made of "
            "it with --name"
        )


def _checkpoints(project: Project, workspace: Workspace) -> dict[str, Path]:
    found = {fold: workspace.checkpoint(fold) for fold in folds_of(workspace.settings, project.settings.folds)}
    lacking = [fold for fold, path in found.items() if not path.exists()]
    if lacking:
        raise RetrainingError(f"fold {', '.join(lacking)} is not trained: call dixonflow retrain train")
    return found


def _record(path: Path) -> FileRecord:
    return FileRecord(f"{path.parent.name}/{path.name}", path.stat().st_size, sha256_of(path))


def _check_same(folder: Path, name: str, files: tuple[FileRecord, ...]) -> None:
    if [part.files for part in read_record(folder)] != [files]:
        raise RetrainingError(f"{folder} is another model: remove it, or choose another name than {name} with --name")


def _write_folder(
    project: Project,
    workspace: Workspace,
    folder: Path,
    checkpoints: dict[str, Path],
    files: tuple[FileRecord, ...],
    final: bool,
) -> None:
    staging = folder.with_name(f".{folder.name}.import")
    shutil.rmtree(staging, ignore_errors=True)  # of an import that was killed
    try:
        network = staging / _NETWORK
        for fold, checkpoint in checkpoints.items():
            export_checkpoint(checkpoint, workspace.plans_file, workspace.dataset_file, network, fold=fold)
        load_model_folder(network)
        content = model_content(project, workspace, folder.name, final=final)
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
        write_bytes(staging / OWN_MODEL, text.encode())
        load_model(staging / OWN_MODEL)
        write_record(staging, folder.name, (PartRecord(folder.name, workspace.dataset_name, (), files),))
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def model_content(project: Project, workspace: Workspace, name: str, *, final: bool) -> dict[str, Any]:
    """Content of the model file: rules of the structures as the proposing model has them, inputs as it was trained.

    Raises
    ------
    RetrainingError
        If the training's classes are not the project's structures.
    """
    settings, base = project.settings, project.model()
    planned = read_json(workspace.planned_file)
    classes = set(read_json(workspace.dataset_file)["labels"]) - {"background"}
    if classes != set(settings.labels):
        raise RetrainingError(
            f"{workspace.dataset_file} has other structures than retraining.yaml: plan and train again"
        )
    contrasts = settings.contrasts[:1] if settings.channels else settings.contrasts
    rules = {rule.name: rule for rule in base.labels.values()}
    labels: dict[int, dict[str, Any]] = {}
    for structure, number in sorted(settings.labels.items(), key=lambda item: item[1]):
        rule = rules.get(structure)
        kept = rule.model_dump(mode="json", exclude=_NOT_OURS, exclude_defaults=True) if rule else {}
        labels[number] = {"name": structure, "group": _REST, **kept}
    groups = {rule["group"] for rule in labels.values()}
    order = [group for group in base.group_order if group in groups]
    order += sorted(groups - set(order))
    of_groups = {}
    for group in order:
        published = [contrast for contrast in base.group_contrasts.get(group, ()) if contrast in contrasts]
        of_groups[group] = [contrast.value for contrast in published or contrasts]
    what = "all corrected cases, from random weights" if final else f"round {workspace.number}"
    composites = {
        composite: list(parts) for composite, parts in base.composites.items() if set(parts) <= set(settings.labels)
    }
    return {
        "name": name,
        "title": f"Retrained network ({what})",
        "description": (
            f"nnU-Net trained on corrected label maps of {planned['cases']} cases of {planned['participants']} "
            f"participants ({what}). Rules of its structures are those of {base.name}."
        ),
        "licence": "Yours; the terms of the data and of the model that proposed the label maps hold for it as well",
        "citation": "Trained with nnU-Net (Isensee et al., Nat Methods 2021) by dixonflow retrain",
        "references": ["isensee2021nnunet"],
        "weights": _NETWORK,
        "input_contrasts": [contrast.value for contrast in contrasts],
        "channels": [contrast.value for contrast in settings.contrasts] if settings.channels else [],
        "merge": "mean_scores",
        "orientation": planned["orientation"],
        "resampling": "nnunet",
        "tile_step": 0.5,
        "interpolate": "scores",
        "keep_largest": base.keep_largest,
        "group_order": order,
        "group_contrasts": of_groups,
        "labels": labels,
        "composites": composites,
        "sources": {
            "training": f"{planned['cases']} cases, {planned['copies_and_ct']} copies and CT cases; {what}",
            "data_sha256": planned["data"],
            "ledger_sha256": ledger_sha256(project.ledger),
            "nnunetv2": versions().get("nnunetv2", "unknown"),
            "settings": json.dumps(workspace.settings.content(), sort_keys=True),
        },
    }


def _note_trained(project: Project, workspace: Workspace) -> None:
    """Note every case of the training in the ledger; repeated calls add nothing."""
    entries = read_ledger(project.ledger)
    names = set(trained_cases(workspace))
    known = {entry.case: entry for entry in entries if entry.step in {Step.SELECTED, Step.PROPAGATED}}
    used = [
        entry for case, entry in known.items() if any(name == case or name.startswith(f"{case}_") for name in names)
    ]
    append_to_ledger(
        project.ledger, [Entry(Step.TRAINED, workspace.number, CaseSet.TRAIN, each.scan, each.case) for each in used]
    )
