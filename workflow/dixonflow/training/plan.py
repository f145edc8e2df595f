"""nnunetv2's fingerprint and plan for the demo network."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset, plan_experiment_dataset

from dixonflow.imaging.nifti import write_labels, write_nifti
from dixonflow.phantom.anatomy.structures import Structure
from dixonflow.system.atomic import write_json
from dixonflow.training.scans import CONTRASTS, simulate_scan
from dixonflow.vocabulary import Layout

DATASET_ID = 100
DATASET_NAME = "Dataset100_DixonFlowDemo"
CONFIGURATION = "3d_fullres"
PLANS_NAME = "DixonFlowDemoPlans"
SPACING_MM = 5.0
PATCH_ZYX = (40, 80, 104)
"""200 mm of the body's length, and its whole cross-section: left and right, front and back are always in sight."""
FEATURES = (16, 32, 64, 128)
CONVOLUTIONS = (2, 1, 2, 2)
DECODER_CONVOLUTIONS = (1, 1, 2)
"""From coarse to fine. Two at full resolution on either side: where an outline runs through a voxel is decided there,
from how bright the voxel is between its neighbours, and one convolution cannot divide."""
FINGERPRINT_SEEDS = (100000, 100001, 100002, 100003)


@dataclass(frozen=True)
class Workspace:
    """Folders of a training, all under one root that git ignores."""

    root: Path

    @property
    def raw(self) -> Path:
        """nnUNet_raw."""
        return self.root / "raw"

    @property
    def preprocessed(self) -> Path:
        """nnUNet_preprocessed."""
        return self.root / "preprocessed"

    @property
    def results(self) -> Path:
        """nnUNet_results."""
        return self.root / "results"

    @property
    def cases(self) -> Path:
        """Preprocessed training cases."""
        return self.root / "cases"

    @property
    def validation_cases(self) -> Path:
        """Preprocessed held-out cases."""
        return self.root / "validation"

    @property
    def checkpoint_file(self) -> Path:
        """Checkpoint to resume from and to export."""
        return self.root / "checkpoint_latest.pth"

    @property
    def calibration_file(self) -> Path:
        """What is added to the scores of each class when the checkpoint is exported."""
        return self.root / "calibration.json"

    @property
    def plans_file(self) -> Path:
        """The plan that training uses."""
        return self.preprocessed / DATASET_NAME / f"{PLANS_NAME}.json"

    @property
    def dataset_file(self) -> Path:
        """The dataset description."""
        return self.raw / DATASET_NAME / "dataset.json"

    def export_environment(self) -> None:
        """Tell nnunetv2 about the folders; it reads environment variables only."""
        for name, path in (("raw", self.raw), ("preprocessed", self.preprocessed), ("results", self.results)):
            path.mkdir(parents=True, exist_ok=True)
            os.environ[f"nnUNet_{name}"] = str(path)


def dataset_json() -> dict[str, Any]:
    """nnU-Net's dataset description: one unnamed channel, because the network sees water, in-phase and opposed-phase
    images alike.
    """
    labels = {"background": 0} | {s.published_name: i for i, s in enumerate(Structure, start=1)}
    return {
        "channel_names": {"0": "dixon"},
        "labels": labels,
        "numTraining": len(FINGERPRINT_SEEDS) * len(CONTRASTS),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "NibabelIO",
    }


def make_plan(workspace: Workspace) -> None:
    """Write a small raw dataset, let nnunetv2 take its fingerprint and plan, and set architecture and patch for two
    CPU cores.

    nnunetv2 chooses normalisation, resampling and topology rules; patch, features and convolutions per stage are
    ours, because its defaults are sized for a GPU.
    """
    workspace.export_environment()
    folder = workspace.raw / DATASET_NAME
    for i, seed in enumerate(FINGERPRINT_SEEDS):
        scan = simulate_scan(seed, Layout.UKB if i % 2 else Layout.NAKO)
        for contrast in CONTRASTS:
            name = f"phantom{seed}{contrast.acq}"
            write_nifti(folder / "imagesTr" / f"{name}_0000.nii.gz", scan.images[contrast], scan.affine)
            write_labels(folder / "labelsTr" / f"{name}.nii.gz", scan.classes(), scan.affine)
    write_json(workspace.dataset_file, dataset_json())
    extract_fingerprint_dataset(DATASET_ID, num_processes=1, clean=True, verbose=False, show_progress_bar=False)
    plans, _ = plan_experiment_dataset(
        DATASET_ID, overwrite_target_spacing=(SPACING_MM,) * 3, overwrite_plans_name=PLANS_NAME
    )
    plans = dict(plans)
    configuration = plans["configurations"][CONFIGURATION]
    configuration.update(batch_size=1, patch_size=list(PATCH_ZYX), batch_dice=False)
    stages = len(FEATURES)
    configuration["architecture"]["arch_kwargs"].update(
        n_stages=stages,
        features_per_stage=list(FEATURES),
        n_conv_per_stage=list(CONVOLUTIONS),
        n_conv_per_stage_decoder=list(DECODER_CONVOLUTIONS),
        kernel_sizes=[[3, 3, 3]] * stages,
        strides=[[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
    )
    plans["configurations"] = {CONFIGURATION: configuration}
    write_json(workspace.plans_file, plans)
