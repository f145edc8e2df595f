"""Training of one fold, from its start or from its last checkpoint."""

import fcntl
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from dixonflow.errors import ModelError
from dixonflow.retraining.nnunet.settings import TrainingSettings
from dixonflow.retraining.nnunet.trainer import RoundTrainer, computing
from dixonflow.retraining.nnunet.workspace import Workspace
from dixonflow.retraining.project import RetrainingError
from dixonflow.system.file_lock import try_lock

log = logging.getLogger(__name__)


def train_fold(workspace: Workspace, fold: str, seed: int) -> Path:
    """Train one fold; a finished one is left as it is.

    Parameters
    ----------
    workspace
        Planned and preprocessed.
    fold
        A number, or `all`.
    seed
        Of all that is drawn.

    Returns
    -------
    Path
        nnU-Net's final checkpoint.

    Raises
    ------
    RetrainingError
        If the workspace is not planned, the fold is being trained by another job, or there is no such GPU.
    ModelError
        If the checkpoint to resume from is damaged.
    """
    final = workspace.checkpoint(fold)
    if final.exists():
        log.info("fold %s is trained already", fold)
        return final
    settings = workspace.settings
    if not workspace.planned_file.exists():
        raise RetrainingError(f"{workspace.root} is not preprocessed: call dixonflow retrain plan")
    device = _device(settings)
    workspace.export_environment()
    with _sole_job(workspace.fold(fold)), computing(settings), _quiet():
        trainer = RoundTrainer.create(workspace, fold, seed, device)
        trainer.resume()
        trainer.run_training()
    if not final.exists():
        raise ModelError(f"the training of fold {fold} left no {final}: see the log in {final.parent}")
    return final


def _device(settings: TrainingSettings) -> torch.device:
    there = torch.cuda.is_available()
    if settings.device == "cuda" and not there:
        raise RetrainingError("training.yaml: device: cuda: torch finds no GPU here; use auto, or a node that has one")
    return torch.device("cuda" if there and settings.device != "cpu" else "cpu")


@contextmanager
def _sole_job(folder: Path) -> Iterator[None]:
    """Keep a second job from training the same fold; ends with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "training.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if try_lock(descriptor, fcntl.LOCK_EX, "trains this fold") is False:
            raise RetrainingError(f"another job trains {folder}: wait until it has ended")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _quiet() -> Iterator[None]:
    """Send what nnunetv2 prints to nowhere: it keeps a log of its own in the folder of the fold."""
    standard = sys.stdout
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        sys.stdout = nowhere
        try:
            yield
        finally:
            sys.stdout = standard
