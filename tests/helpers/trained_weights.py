"""Trainings as nnU-Net's own trainer leaves them: tiny networks, plans of every age, checkpoints with all in them."""

import copy
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_model import CONFIGURATION, tiny_dataset, tiny_plans


def trained(
    results: Path,
    plans: dict[str, Any],
    dataset: dict[str, Any],
    *,
    folds: Iterable[str] = ("0",),
    configuration: str = CONFIGURATION,
    mirroring: bool = False,
    trainer_name: str | None = None,
) -> Path:
    """Have nnU-Net's unmodified trainer write a training below its results folder; give the training's folder.

    One optimizer step and one logged epoch fill all that a checkpoint holds. `trainer_name` gives the trainer another
    name: some systems used variants that differ in epochs or augmentation only.
    """
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import (
        nnUNetTrainerNoMirroring,
    )

    with pytest.MonkeyPatch.context() as patch, Path(os.devnull).open("w") as quiet, redirect_stdout(quiet):
        for name in ("nnUNet_raw", "nnUNet_preprocessed"):
            patch.setenv(name, str(results / name))
        patch.setenv("nnUNet_results", str(results))
        kind = nnUNetTrainer if mirroring else nnUNetTrainerNoMirroring
        kind = kind if trainer_name in {None, kind.__name__} else type(str(trainer_name), (kind,), {})
        for number, fold in enumerate(folds):
            torch.manual_seed(number)
            trainer = kind(
                copy.deepcopy(plans) | {"continue_training": False},
                configuration,
                fold if fold == "all" else int(fold),
                dataset,
                torch.device("cpu"),
            )
            trainer.network = trainer.build_network_architecture(
                trainer.plans_manager,
                trainer.configuration_manager,
                len(dataset["channel_names"]),
                trainer.label_manager.num_segmentation_heads,
                enable_deep_supervision=True,
            )
            for name, parameter in trainer.network.named_parameters():
                # scores far apart, by the image and not by the class: no label hangs on a rounding
                torch.nn.init.normal_(parameter, std=0.1 if name.endswith("bias") else 1.0)
            trainer.initial_lr = 1e-6  # a step that fills the optimizer and leaves the weights as wild as they are
            trainer.optimizer, _ = trainer.configure_optimizers()
            image = torch.randn(1, len(dataset["channel_names"]), 16, 16, 16)
            sum(output.mean() for output in trainer.network(image)).backward()  # the scores stay finite
            trainer.optimizer.step()
            trainer.logger.log("mean_fg_dice", np.float64(0.5), 0)
            trainer._best_ema = np.float64(0.5)
            if mirroring:
                trainer.inference_allowed_mirroring_axes = (0, 1, 2)
            target = Path(trainer.output_folder) / "checkpoint_final.pth"
            trainer.save_checkpoint(str(target))
    folder = target.parent.parent
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    return folder


def residual_plans(**options: Any) -> dict[str, Any]:
    """Plans of a network with residual encoder, as nnU-Net's newer planners write them; options of `tiny_plans`."""
    plans = tiny_plans(**options) | {"dataset_name": "Dataset100_Vibe", "plans_name": "nnUNetPlannerResEncL"}
    architecture = plans["configurations"][CONFIGURATION]["architecture"]
    architecture["network_class_name"] = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
    architecture["arch_kwargs"]["n_blocks_per_stage"] = architecture["arch_kwargs"].pop("n_conv_per_stage")
    return plans


def old_plans(dataset_name: str) -> dict[str, Any]:
    """Plans as nnU-Net wrote them before version 2.4: no architecture, but what it was made from."""
    plans = tiny_plans() | {"dataset_name": dataset_name}
    configuration = plans["configurations"][CONFIGURATION]
    del configuration["architecture"]
    configuration |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 8,
        "n_conv_per_stage_encoder": [1, 1],
        "n_conv_per_stage_decoder": [1],
        "num_pool_per_axis": [1, 1, 1],
        "pool_op_kernel_sizes": [[1, 1, 1], [2, 2, 2]],
        "conv_kernel_sizes": [[3, 3, 3], [3, 3, 3]],
    }
    return plans


def inherited_plans() -> dict[str, Any]:
    """Plans with a configuration that differs from another by its batch size only, as MRSegmentator's."""
    plans = tiny_plans() | {"dataset_name": "Dataset410_MRSegmentator"}
    plans["configurations"]["3d_fullres_bs8"] = {"inherits_from": CONFIGURATION, "batch_size": 8}
    return plans


def dataset_of(names: Mapping[int, str], **more: Any) -> dict[str, Any]:
    """dataset.json with these classes."""
    return tiny_dataset() | {"labels": {"background": 0} | {name: number for number, name in names.items()}} | more
