"""Model folders with random weights, their plans as nnU-Net's planner writes them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dixonflow.checkpoint.export import export_checkpoint
from dixonflow.models.anatomy import structures
from dixonflow.segment.architecture import read_architecture
from dixonflow.vocabulary import Contrast

CONFIGURATION = "3d_fullres"
_MODULE = "torch.nn.modules"


@dataclass(frozen=True)
class Plan:
    """What a network is.

    Attributes
    ----------
    residual
        ResEnc encoder instead of nnU-Net's default plain one.
    features
        Of each stage.
    blocks, decoder_blocks
        Convolutions (plain) or residual blocks of each stage of the encoder, convolutions of each of the decoder.
    patch
        Voxels along (z, y, x).
    spacing_mm
        Along (z, y, x).
    classes
        With background.
    """

    residual: bool
    features: Sequence[int]
    blocks: Sequence[int]
    decoder_blocks: Sequence[int]
    patch: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    classes: int = 73


DEFAULT = Plan(False, (32, 64, 128, 256, 320, 320), (2,) * 6, (2,) * 5, (128, 128, 128), (1.5, 1.5, 1.5))
"""Stages, features and convolutions as nnunetv2's default planner gives them; the patch is a choice."""

RESENC_L = Plan(True, (32, 64, 128, 256, 320, 320), (1, 3, 4, 6, 6, 6), (1,) * 5, (160, 160, 160), (1.5, 1.5, 1.5))
"""Blocks as nnunetv2's planners for residual encoders give them; the larger patch is a choice."""

NARROW = Plan(False, (4, 8), (1, 1), (1,), (128, 128, 128), (1.5, 1.5, 1.5))
"""Few features, so that a CPU gets through a whole image; patch, spacing and classes of a large model, which is what
memory hangs on."""

TINY = Plan(False, (4, 8), (1, 1), (1,), (32, 32, 32), (9.0, 9.0, 9.0), classes=5)
"""To try things."""

TINY_RESIDUAL = Plan(True, (4, 8), (1, 1), (1,), (32, 32, 32), (9.0, 9.0, 9.0), classes=5)


def plans_json(plan: Plan) -> dict[str, Any]:
    """plans.json."""
    stages = len(plan.features)
    architecture = {
        "n_stages": stages,
        "features_per_stage": list(plan.features),
        "conv_op": f"{_MODULE}.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * stages,
        "strides": [[1, 1, 1], *[[2, 2, 2]] * (stages - 1)],
        "n_blocks_per_stage" if plan.residual else "n_conv_per_stage": list(plan.blocks),
        "n_conv_per_stage_decoder": list(plan.decoder_blocks),
        "conv_bias": True,
        "norm_op": f"{_MODULE}.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    kind = "ResidualEncoderUNet" if plan.residual else "PlainConvUNet"
    resampling = "resample_data_or_seg_to_shape"
    arguments = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(plan.patch),
        "spacing": list(plan.spacing_mm),
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": resampling,
        "resampling_fn_seg": resampling,
        "resampling_fn_probabilities": resampling,
        "resampling_fn_data_kwargs": arguments,
        "resampling_fn_seg_kwargs": {**arguments, "is_seg": True, "order": 1},
        "resampling_fn_probabilities_kwargs": {**arguments, "order": 1},
        "architecture": {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{kind}",
            "arch_kwargs": architecture,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": True,
    }
    intensities = ("max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std")
    return {
        "dataset_name": "Dataset001_Benchmark",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(plan.spacing_mm),
        "original_median_shape_after_transp": [128, 128, 128],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {CONFIGURATION: configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": dict.fromkeys(intensities, 1.0)},
    }


def structure_names(plan: Plan) -> list[str]:
    """Names of the labels from 1 on, of the vocabulary: other ones are refused."""
    return sorted(structures())[: plan.classes - 1]


def write_model_folder(folder: Path, plan: Plan, seed: int = 0) -> Path:
    """Write a model folder with random weights; gives the folder."""
    plans = plans_json(plan)
    dataset = {
        "channel_names": {"0": "MR"},
        "labels": {"background": 0} | {name: label for label, name in enumerate(structure_names(plan), start=1)},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    torch.manual_seed(seed)
    network = read_architecture(plans, dataset, CONFIGURATION).build()
    for name, parameter in network.named_parameters():
        if name.endswith("weight") and "seg_layers" in name:
            torch.nn.init.normal_(parameter, std=0.5)  # so that many classes win somewhere
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (source / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
    checkpoint = {
        "network_weights": network.state_dict(),
        "init_args": {"configuration": CONFIGURATION, "fold": 0},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": None,
    }
    torch.save(checkpoint, source / "checkpoint.pth")
    export_checkpoint(source / "checkpoint.pth", source / "plans.json", source / "dataset.json", folder / "model")
    return folder / "model"


def write_model_file(path: Path, plan: Plan, weights: Path, contrasts: Sequence[Contrast]) -> None:
    """Write the model file `<name>.yaml` that goes with a model folder."""
    rule = {"group": "all", "max_components": 1, "single_piece": True, "drop_mm3_per_contrast": 0, "drop_mm3": 0}
    names = [contrast.value for contrast in contrasts]
    content = {
        "name": path.stem,
        "title": "random weights",
        "description": "For benchmarks.",
        "licence": "Apache-2.0",
        "citation": "none",
        "weights": str(weights.resolve()),
        "input_contrasts": names,
        "resampling": "nnunet",
        "group_order": ["all"],
        "group_contrasts": {"all": names},
        "labels": {label: {"name": name, **rule} for label, name in enumerate(structure_names(plan), start=1)},
        "sources": {},
    }
    path.write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML
