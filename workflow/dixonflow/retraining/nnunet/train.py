"""Training of one fold, from its start or from its last checkpoint."""

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
from dixonflow.retraining.nnunet.workspace import Workspace, sole_job
from dixonflow.retraining.project import RetrainingError
from dixonflow.system.documents import one_line

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
    if not workspace.planned_file.exists() or not workspace.splits_file.exists():
        raise RetrainingError(f"{workspace.root} is not preprocessed: call dixonflow retrain plan")
    device = _device(settings)
    workspace.export_environment()
    with sole_job(workspace.fold(fold)), computing(settings), _quiet():
        trainer = RoundTrainer.create(workspace, fold, seed, device)
        trainer.resume()
        try:
            trainer.run_training()
        except RuntimeError as error:  # torch's own: no memory, no room to write a checkpoint
            raise ModelError(f"the training of fold {fold} ended: {one_line(error)}") from error
    if not final.exists():
        raise ModelError(f"the training of fold {fold} left no {final}: see the log in {final.parent}")
    return final


def _device(settings: TrainingSettings) -> torch.device:
    there = torch.cuda.is_available()
    if settings.device == "cuda" and not there:
        raise RetrainingError("training.yaml: device: cuda: torch finds no GPU here; use auto, or a node that has one")
    return torch.device("cuda" if there and settings.device != "cpu" else "cpu")


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
