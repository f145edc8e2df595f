"""nnunetv2's trainer without mirroring, made fit for two CPU cores and a deadline.

The network, its plan, its checkpoint and its preprocessing are nnunetv2's. What differs: AdamW with a cosine schedule
over wall-clock time, a loss of Dice, cross-entropy and volumes without one-hot volumes in which the Dice loses weight
with time, patches drawn in memory, torch.compile, and an exponential moving average of the weights, which is what is
evaluated and exported.
"""

import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import nnUNetTrainerNoMirroring
from safetensors.torch import load_file
from torch import nn

from dixonflow.phantom.anatomy.structures import Structure
from dixonflow.segment.architecture import set_weights
from dixonflow.system.atomic import atomic_path
from dixonflow.training.convolution import use_fast_convolutions
from dixonflow.training.loss import deeply_supervised
from dixonflow.training.plan import CONFIGURATION, PATCH_ZYX, Workspace
from dixonflow.training.sampling import CasePool, predict_classes


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes
    ----------
    deadline
        Unix time at which the learning rate reaches 0 and training ends.
    learning_rate, weight_decay
        Of AdamW.
    warm_up_iterations
        Over which the learning rate rises.
    first_dice_weight, last_dice_weight
        Weight of the Dice in the loss at the start, and from the middle of the time on: small structures are learnt by
        it, and volumes without it.
    checkpoint_seconds, validation_seconds
        Longest time between checkpoints and between validations.
    """

    deadline: float
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    warm_up_iterations: int = 60
    first_dice_weight: float = 1.0
    last_dice_weight: float = 0.1
    checkpoint_seconds: float = 100.0
    validation_seconds: float = 900.0

    @classmethod
    def refining(cls, deadline: float) -> "Schedule":
        """For weights that are trained already: half the rate, and the Dice as light from the start as it ends."""
        return cls(deadline, learning_rate=cls.learning_rate / 2, first_dice_weight=cls.last_dice_weight)

    def dice_weight(self, progress: float) -> float:
        """Weight of the Dice when this share of the time is over: a straight line, then its last value."""
        fall = self.first_dice_weight - self.last_dice_weight
        return self.first_dice_weight - fall * min(1.0, 2 * progress)


class PhantomTrainer(nnUNetTrainerNoMirroring):  # type: ignore[misc]
    """Trains until the deadline; running it again resumes from the last checkpoint."""

    workspace: Workspace
    schedule: Schedule
    start_from: Path | None
    average: nn.Module

    @classmethod
    def create(cls, workspace: Workspace, schedule: Schedule, start_from: Path | None = None) -> "PhantomTrainer":
        """Trainer of the workspace's plan; a constructor of its own would break nnunetv2's record of its arguments.

        Parameters
        ----------
        start_from
            Exported weights (safetensors) to begin with where there is no checkpoint; none for random ones.
        """
        plans = json.loads(workspace.plans_file.read_text())
        dataset = json.loads(workspace.dataset_file.read_text())
        # nnunetv2 takes `continue_training` out of the dictionary and writes what is left into the checkpoint
        trainer = cls(plans | {"continue_training": False}, CONFIGURATION, 0, dataset, torch.device("cpu"))
        trainer.my_init_kwargs = {"plans": plans, "configuration": CONFIGURATION, "fold": 0, "dataset_json": dataset}
        trainer.workspace, trainer.schedule, trainer.start_from = workspace, schedule, start_from
        trainer.iteration, trainer.started = 0, time.time()
        trainer.checkpoint_file = workspace.checkpoint_file
        return trainer

    def initialize(self) -> None:
        """Build network, averaged network and optimizer; resume from the last checkpoint if there is one."""
        self.num_input_channels = 1
        self.network: nn.Module = self.build_network_architecture(
            self.plans_manager, self.configuration_manager, 1, self.label_manager.num_segmentation_heads, True
        )
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self.schedule.learning_rate, weight_decay=self.schedule.weight_decay
        )
        self.average = copy.deepcopy(self.network)
        cast(Any, self.average).decoder.deep_supervision = False
        use_fast_convolutions(self.network)
        if self.checkpoint_file.exists():
            state = torch.load(self.checkpoint_file, map_location="cpu", weights_only=False)
            self.network.load_state_dict(state["live_weights"])
            self.average.load_state_dict(state["network_weights"])
            self.optimizer.load_state_dict(state["optimizer_state"])
            self.iteration = state["iteration"]
            # An interrupted training keeps its schedule; a finished one that is resumed begins a new one.
            if time.time() < state.get("deadline", 0.0):
                self.started = state["started"]
            self.print_to_log_file(f"resumed at iteration {self.iteration}")
        elif self.start_from is not None:
            set_weights(self.network, load_file(self.start_from), str(self.start_from))
            self.average.load_state_dict(self.network.state_dict())
            self.print_to_log_file("started from the weights of an earlier training")
        self.was_initialized = True

    def checkpoint(self) -> dict[str, Any]:
        """A checkpoint that nnunetv2's own predictor loads: averaged weights, under the name of nnunetv2's trainer."""
        return {
            "network_weights": self.average.state_dict(),
            "live_weights": self.network.state_dict(),
            "optimizer_state": self.optimizer.state_dict(),
            "grad_scaler_state": None,
            "logging": {},
            "_best_ema": None,
            "current_epoch": self.iteration,
            "iteration": self.iteration,
            "started": self.started,
            "deadline": self.schedule.deadline,
            "init_args": self.my_init_kwargs,
            "trainer_name": nnUNetTrainerNoMirroring.__name__,
            "inference_allowed_mirroring_axes": None,
        }

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        with atomic_path(self.checkpoint_file) as temporary:
            torch.save(self.checkpoint(), temporary)

    def progress(self) -> float:
        """Share of the time from the first start to the deadline that is over."""
        return float(min(1.0, (time.time() - self.started) / max(self.schedule.deadline - self.started, 1.0)))

    def learning_rate(self) -> float:
        """Warm-up by iterations, then a cosine to 0."""
        warm = min(1.0, (self.iteration + 1) / self.schedule.warm_up_iterations)
        return float(self.schedule.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * self.progress())))

    def run_training(self) -> None:
        """Train until the deadline."""
        if not self.was_initialized:
            self.initialize()
        rng = np.random.default_rng([self.iteration, 40])
        pool, held_out = CasePool(self.workspace.cases), CasePool(self.workspace.validation_cases)
        if not pool.refresh():
            raise RuntimeError(f"no training cases under {self.workspace.cases}")
        compiled = torch.compile(self.network, dynamic=False)
        saved = validated = logged = time.time()
        losses: list[float] = []
        self.network.train()
        while time.time() < self.schedule.deadline:
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate()
            image, target = pool.draw(rng, PATCH_ZYX)
            self.optimizer.zero_grad(set_to_none=True)
            loss = deeply_supervised(compiled(image), target, self.schedule.dice_weight(self.progress()))
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.network.parameters(), 12)
            self.optimizer.step()
            self.iteration += 1
            self._average_weights()
            losses.append(float(loss.detach()))
            now = time.time()
            if self.iteration % 25 == 0:
                rate = self.optimizer.param_groups[0]["lr"]
                seconds = (now - logged) / len(losses)
                self.print_to_log_file(
                    f"iteration {self.iteration} loss {np.mean(losses):.4f} lr {rate:.5f} "
                    f"{seconds:.2f} s/it cases {len(pool.cases)}"
                )
                losses, logged = [], now
                pool.refresh()
            if now - saved > self.schedule.checkpoint_seconds:
                self.save()
                saved = time.time()
            if now - validated > self.schedule.validation_seconds:
                held_out.refresh()
                self.validate(held_out)
                validated = logged = time.time()
                losses = []
        held_out.refresh()
        self.save()
        self.validate(held_out)

    def _average_weights(self) -> None:
        # over the last tenth of the iterations, at most 500
        decay = 1 - max(0.002, 10 / (20 + self.iteration))
        with torch.no_grad():
            for mean, live in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(live, 1 - decay)

    def validate(self, held_out: CasePool) -> None:
        """Log the Dice of every structure on held-out participants, contrasts in turn, and the relative volume
        error.
        """
        self.average.eval()
        structures = list(Structure)
        dice, error = np.full((2, len(held_out.cases), len(structures)), np.nan)
        for row, case in enumerate(held_out.cases.values()):
            predicted = predict_classes(self.average, case.images[row % len(case.images)], PATCH_ZYX)
            labels = case.classes[0]
            both = np.bincount(predicted[predicted == labels], minlength=len(structures) + 1)[1:]
            found, true = (np.bincount(v.ravel(), minlength=len(structures) + 1)[1:] for v in (predicted, labels))
            with np.errstate(invalid="ignore", divide="ignore"):
                dice[row] = 2 * both / (found + true)
                error[row] = found / true - 1
        means = np.nanmean(dice, axis=0)
        worst = np.argsort(means)
        self.print_to_log_file(
            f"VALIDATION iteration {self.iteration} mean Dice {np.nanmean(means):.4f} "
            f"on {len(held_out.cases)} participants"
        )
        for i in worst:
            self.print_to_log_file(
                f"    {structures[i].published_name:30s} Dice {means[i]:.3f} "
                f"volume error {100 * np.nanmedian(error[:, i]):+.1f} %"
            )
