"""Finds copies of weights that other programs have left on this machine."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from dixonflow.errors import ModelError
from dixonflow.importing.check import check_training
from dixonflow.importing.files import FolderFiles
from dixonflow.importing.training import NoTrainingError, Training, find_training
from dixonflow.models.model import Model
from dixonflow.models.weights_source import Part, WeightsSource

log = logging.getLogger(__name__)

_NNUNET = "nnUNet_results"
_BELOW = "nnunet/results"
"""Where TotalSegmentator keeps weights below the folder that TOTALSEG_HOME_DIR names."""


def find_local(model: Model, part: Part) -> Training | None:
    """Find a part among the local copies; none where there is none, or none that is what the model file describes.

    Where they are looked for: `local_folders`.
    """
    if model.source is None:
        return None
    for folder in local_folders(model.source):
        for candidate in _with_children(folder):
            try:
                training = find_training(FolderFiles(candidate), part, best_as_well=takes_best(model.source))
                check_training(training, model, part)
            except NoTrainingError:
                continue
            except ModelError as error:
                log.warning("ignoring a local copy: %s", error)
            else:
                return training
    return None


def local_folders(source: WeightsSource) -> list[Path]:
    """Existing folders where copies may lie: those of the system's variables, its default folder, nnU-Net's results."""
    names = [*source.environment, *(() if _NNUNET in source.environment else (_NNUNET,))]
    named = {name: os.environ.get(name) for name in names}
    folders = [Path(value) for name, value in named.items() if value and name != _NNUNET]
    if source.default_folder is not None:
        folders.append(Path(source.default_folder))
    if named[_NNUNET]:
        folders.append(Path(str(named[_NNUNET])))
    return [folder for folder in (folder.expanduser() for folder in folders) if folder.is_dir()]


def takes_best(source: WeightsSource | None) -> bool:
    """Whether the authors' program takes checkpoint_best.pth where there is no final one: VIBESegmentator's does."""
    return source is not None and source.layout == "numbered_zips"


def _with_children(folder: Path) -> Iterator[Path]:
    for base in (folder, folder / _BELOW):
        if base.is_dir():
            yield base
            try:
                yield from sorted(
                    child for child in base.iterdir() if child.is_dir() and not child.name.startswith(".")
                )
            except OSError as error:
                log.warning("ignoring a local copy: cannot read %s: %s", base, error.strerror)
