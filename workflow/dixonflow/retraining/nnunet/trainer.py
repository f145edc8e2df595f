"""nnunetv2's trainer without mirroring, which resumes to the same weights wherever it was killed.

What its steps do is nnunetv2's own. Added are: a seed for every epoch, so that no state of a random generator has to
survive; checkpoints that appear whole or not at all; the schedule of a project.
"""

import hashlib
import json
import logging
import os
import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import nnUNetTrainerNoMirroring

from dixonflow.errors import ModelError
from dixonflow.retraining.nnunet.settings import TrainingSettings
from dixonflow.retraining.nnunet.workspace import CONFIGURATION, Workspace
from dixonflow.system.atomic import atomic_path, remove_leftovers

log = logging.getLogger(__name__)

_ADAMW_DECAY = 1e-2
_UNREADABLE = (
    *(OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError),
    *(pickle.UnpicklingError, ImportError),
)
"""What reading a damaged checkpoint raises."""


class RoundTrainer(nnUNetTrainerNoMirroring):  # type: ignore[misc]
    """Trains one fold of a workspace."""

    workspace: Workspace
    settings: TrainingSettings
    seed: int

    @classmethod
    def create(cls, workspace: Workspace, fold: str, seed: int, device: torch.device) -> "RoundTrainer":
        """Trainer of a fold; a constructor of its own would break nnunetv2's record of its arguments."""
        settings = workspace.settings
        plans = json.loads(workspace.plans_file.read_text(encoding="utf-8"))
        dataset = json.loads(workspace.dataset_file.read_text(encoding="utf-8"))
        number: Any = fold if fold == "all" else int(fold)
        resumed = workspace.latest(fold).exists()
        # nnunetv2 takes `continue_training` out of the dictionary, and writes what is left into the checkpoint
        trainer = cls(plans | {"continue_training": resumed}, CONFIGURATION, number, dataset, device)
        trainer.my_init_kwargs = {"plans": plans, "configuration": CONFIGURATION, "fold": fold, "dataset_json": dataset}
        trainer.workspace, trainer.settings, trainer.seed = workspace, settings, seed
        trainer.num_epochs = settings.epochs
        trainer.initial_lr = settings.learning_rate
        trainer.num_iterations_per_epoch = settings.iterations
        trainer.num_val_iterations_per_epoch = settings.validation_iterations
        trainer.save_every = settings.epochs + 1  # `on_epoch_end` does it, when the best epoch is known
        return trainer

    def initialize(self) -> None:
        """Build network and optimizer, the same first weights each time."""
        self._seed("first weights")
        super().initialize()

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, PolyLRScheduler]:
        """nnunetv2's optimizer, or AdamW with the same schedule."""
        if self.settings.optimizer == "sgd":
            optimizer, schedule = super().configure_optimizers()
            return optimizer, schedule
        adamw = torch.optim.AdamW(self.network.parameters(), self.initial_lr, weight_decay=_ADAMW_DECAY)
        return adamw, PolyLRScheduler(adamw, self.initial_lr, self.num_epochs)

    def resume(self) -> None:
        """Load the last checkpoint where there is one.

        It is a file of this user that this trainer wrote; nnunetv2 reads it by unpickling, so a project folder must
        come from somebody whom one would let run programs.

        Raises
        ------
        ModelError
            If it is damaged.
        """
        path = self.workspace.latest(str(self.fold))
        remove_leftovers(path)
        if not self.was_initialized:
            self.initialize()
        if not path.exists():
            return
        try:
            self.load_checkpoint(str(path))
        except _UNREADABLE as error:
            raise ModelError(f"{path} cannot be read: remove it, and the fold is trained from its start") from error
        log.info("fold %s resumes at epoch %d of %d", self.fold, self.current_epoch, self.num_epochs)

    def on_epoch_start(self) -> None:
        """Seed what is drawn in this epoch."""
        self._seed(f"epoch {self.current_epoch}")
        super().on_epoch_start()

    def on_epoch_end(self) -> None:
        """Write the checkpoint to resume from."""
        done = self.current_epoch + 1
        is_due = done % self.settings.checkpoint_epochs == 0 or done == self.num_epochs
        with _without_drawing(self.logger) if not is_due else nullcontext():
            super().on_epoch_end()
        log.info("fold %s: epoch %d of %d is done", self.fold, done, self.num_epochs)
        if is_due and done < self.num_epochs:
            self.current_epoch -= 1  # nnunetv2 counts the epoch that it is in
            self.save_checkpoint(str(self.workspace.latest(str(self.fold))))
            self.current_epoch += 1

    def save_checkpoint(self, filename: str) -> None:
        """Write a checkpoint, whole or not at all."""
        with atomic_path(Path(filename)) as temporary:
            super().save_checkpoint(str(temporary))

    def plot_network_architecture(self) -> None:
        """Leave out nnunetv2's drawing, which needs a package that is not installed."""

    def _seed(self, moment: str) -> None:
        digest = hashlib.sha256(f"{self.seed} {self.fold} {moment}".encode()).digest()
        number = int.from_bytes(digest[:4], "little")
        random.seed(number)
        np.random.seed(number)
        torch.manual_seed(number)


RoundTrainer.__name__ = nnUNetTrainerNoMirroring.__name__
"""nnunetv2 writes it into folders and checkpoints, and its predictor looks for a trainer of that name. Inference takes
nothing but the network's construction from it, which is the same."""


@contextmanager
def _without_drawing(logger: Any) -> Iterator[None]:
    """Leave out the drawing of the progress: it takes a second, more than a short epoch."""
    logger.plot_progress_png = lambda folder: None
    try:
        yield
    finally:
        del logger.plot_progress_png


@contextmanager
def computing(settings: TrainingSettings) -> Iterator[None]:
    """Have torch and nnunetv2 compute as the settings say, and as before afterwards."""
    names = {"nnUNet_compile": "f", "nnUNet_n_proc_DA": str(settings.augmentation_processes)}
    names |= {"nnUNet_wandb_enabled": "0"}
    if settings.deterministic:
        names["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # without it torch refuses deterministic products on a GPU
    before = {name: os.environ.get(name) for name in names}
    algorithms = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    os.environ |= names
    try:
        # some of nnunetv2's operations have no deterministic form on a GPU: torch warns and names them
        torch.use_deterministic_algorithms(settings.deterministic, warn_only=True)
        torch.backends.cudnn.benchmark = not settings.deterministic
        yield
    finally:
        torch.use_deterministic_algorithms(algorithms[0], warn_only=algorithms[1])
        torch.backends.cudnn.benchmark = benchmark
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
