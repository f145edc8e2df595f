"""A network of nnU-Net's own kind, small enough for a unit test, with random weights; and its model folder."""

import json
from pathlib import Path
from typing import Any

import torch

from dixonflow.models.load import MODELS, load_model
from dixonflow.models.model import Model
from dixonflow.segment.architecture import Architecture, read_architecture

CONFIGURATION = "3d_fullres"


def tiny_plans(
    *,
    spacing: tuple[float, float, float] = (3.0, 3.0, 3.0),
    patch: tuple[int, int, int] = (16, 16, 16),
    transpose: tuple[int, int, int] = (0, 1, 2),
    channels: int = 1,
    mask: bool = False,
) -> dict[str, Any]:
    """plans.json as nnU-Net's planner writes it; spacing and patch on the network's axes."""
    resampling = "resample_data_or_seg_to_shape"
    data = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    module = "torch.nn.modules"
    kernels = {"n_stages": 2, "features_per_stage": [4, 8], "conv_op": f"{module}.conv.Conv3d"}
    arch = {
        **kernels,
        "kernel_sizes": [[3, 3, 3]] * 2,
        "strides": [[1, 1, 1], [2, 2, 2]],
        "n_conv_per_stage": [1, 1],
        "n_conv_per_stage_decoder": [1],
        "conv_bias": True,
        "norm_op": f"{module}.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(patch),
        "spacing": list(spacing),
        "normalization_schemes": ["ZScoreNormalization"] * channels,
        "use_mask_for_norm": [mask] * channels,
        "resampling_fn_data": resampling,
        "resampling_fn_seg": resampling,
        "resampling_fn_probabilities": resampling,
        "resampling_fn_data_kwargs": data,
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
        "resampling_fn_probabilities_kwargs": {**data, "order": 1},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": arch,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": True,
    }
    return {
        "dataset_name": "Dataset001_Tiny",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(spacing),
        "original_median_shape_after_transp": [40, 40, 40],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(transpose),
        "transpose_backward": [transpose.index(axis) for axis in range(3)],
        "configurations": {CONFIGURATION: configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(channel): {
                "max": 900.0,
                "mean": 300.0,
                "median": 280.0,
                "min": 0.0,
                "percentile_00_5": 5.0,
                "percentile_99_5": 800.0,
                "std": 120.0,
            }
            for channel in range(channels)
        },
    }


def tiny_dataset(*, classes: int = 4, channels: int = 1) -> dict[str, Any]:
    """dataset.json for the same."""
    return {
        "channel_names": {str(channel): f"image {channel}" for channel in range(channels)},
        "labels": {"background": 0} | {f"structure_{label}": label for label in range(1, classes)},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }


def random_weights(architecture: Architecture, seed: int) -> dict[str, torch.Tensor]:
    """Weights under all their names, as a trainer's checkpoint has them, of a size that gives many labels."""
    torch.manual_seed(seed)
    network = architecture.build()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def write_checkpoint(path: Path, weights: dict[str, torch.Tensor], fold: int, axes: tuple[int, ...] | None) -> None:
    """What nnU-Net's inference and our import read of a checkpoint."""
    torch.save(
        {
            "network_weights": weights,
            "init_args": {"configuration": CONFIGURATION, "fold": fold},
            "trainer_name": "nnUNetTrainerNoMirroring",
            "inference_allowed_mirroring_axes": axes,
        },
        path,
    )


class TinyModel:
    """Plans, dataset description and the weights of one or more folds, also written as a model folder."""

    def __init__(
        self,
        folder: Path,
        plans: dict[str, Any],
        dataset: dict[str, Any],
        folds: int = 1,
        axes: tuple[int, ...] | None = None,
    ) -> None:
        from dixonflow.checkpoint.export import export_checkpoint

        self.plans, self.dataset, self.axes = plans, dataset, axes
        self.architecture = read_architecture(plans, dataset, CONFIGURATION)
        self.weights = [random_weights(self.architecture, seed) for seed in range(folds)]
        self.folder = folder / "model"
        (folder / "plans.json").write_text(json.dumps(plans))
        (folder / "dataset.json").write_text(json.dumps(dataset))
        for fold, weights in enumerate(self.weights):
            write_checkpoint(folder / "checkpoint.pth", weights, fold, axes)
            export_checkpoint(folder / "checkpoint.pth", folder / "plans.json", folder / "dataset.json", self.folder)


def tiny_demo(folder: Path, **plans: Any) -> Model:
    """The demo's labels and rules on a tiny network with random weights, in a folder."""
    demo = load_model(MODELS / "demo.yaml")
    dataset = tiny_dataset(classes=len(demo.structures) + 1)
    dataset["labels"] = {"background": 0} | {name: place for place, name in enumerate(demo.structures, 1)}
    return demo.model_copy(update={"weights": TinyModel(folder, tiny_plans(**plans), dataset).folder})
