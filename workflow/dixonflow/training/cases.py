"""Preprocessed cases: nnunetv2's own cropping, normalisation and resampling, with labels drawn afresh on the
network's grid.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from numpy.typing import NDArray

from dixonflow.phantom.truth import shares_on_grid
from dixonflow.system.atomic import atomic_path
from dixonflow.training.plan import CONFIGURATION, Workspace
from dixonflow.training.scans import CLASS_OF_LABEL, CONTRASTS, simulate_scan
from dixonflow.vocabulary import Layout

TRAINING_SEED = 100000
VALIDATION_SEED = 200000


@dataclass(frozen=True)
class Case:
    """One participant, ready for the network.

    Attributes
    ----------
    images
        float16 (contrast, z, y, x), normalised, contrasts in the order of `CONTRASTS`.
    classes
        uint8 (2, z, y, x), the two classes with the largest shares of each voxel.
    share
        uint8 (z, y, x), of the first class in what the two take of the voxel, in 255ths.
    slices
        For every class the z indices where it takes the largest share of a voxel.
    """

    images: NDArray[np.float16]
    classes: NDArray[np.uint8]
    share: NDArray[np.uint8]
    slices: dict[int, NDArray[np.intp]]


def layout_of(seed: int) -> Layout:
    """Half of the participants in either cohort."""
    return Layout.UKB if seed % 2 == 0 else Layout.NAKO


def make_case(workspace: Workspace, folder: Path, seed: int) -> Path:
    """Simulate and preprocess one participant; a case that exists is kept."""
    path = folder / f"{seed}.npz"
    if path.exists():
        return path
    plans = PlansManager(json.loads(workspace.plans_file.read_text()))
    dataset = json.loads(workspace.dataset_file.read_text())
    configuration = plans.get_configuration(CONFIGURATION)
    scan = simulate_scan(seed, layout_of(seed))
    spacing_zyx = np.diag(scan.affine)[:3][::-1]
    images, boxes = [], []
    for contrast in CONTRASTS:
        data = np.ascontiguousarray(scan.images[contrast].transpose(2, 1, 0), np.float32)[None]
        properties: dict[str, Any] = {"spacing": list(spacing_zyx)}
        prepared, _, properties = DefaultPreprocessor(verbose=False).run_case_npy(
            data, None, properties, plans, configuration, dataset
        )
        images.append(np.asarray(prepared[0], np.float16))
        boxes.append([list(b) for b in properties["bbox_used_for_cropping"]])
    if any(box != boxes[0] for box in boxes) or len({i.shape for i in images}) != 1:
        raise RuntimeError(f"the contrasts of phantom {seed} have different crops: {boxes}")
    box = np.array(boxes[0])
    shape_zyx = np.array(images[0].shape)
    low = scan.affine[:3, 3] - np.diag(scan.affine)[:3] / 2 + box[::-1, 0] * np.diag(scan.affine)[:3]
    step = ((box[:, 1] - box[:, 0]) * spacing_zyx / shape_zyx)[::-1]
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = low + step / 2
    x, y, z = (int(n) for n in shape_zyx[::-1])
    shares = shares_on_grid(scan.anatomy, (x, y, z), affine)
    classes = [CLASS_OF_LABEL[labels].transpose(2, 1, 0) for labels in (shares.first, shares.second)]
    share = np.rint(255 * shares.share).astype(np.uint8).transpose(2, 1, 0)
    with atomic_path(path) as temporary:
        np.savez(temporary, images=np.stack(images), classes=np.stack(classes), share=np.ascontiguousarray(share))
    return path


def load_case(path: Path) -> Case:
    """Read a case made by `make_case`."""
    with np.load(path) as file:
        images, classes, share = file["images"], file["classes"], file["share"]
    present = [np.unique(plane) for plane in classes[0]]
    slices: dict[int, list[int]] = {}
    for index, found in enumerate(present):
        for c in found[found > 0].tolist():
            slices.setdefault(c, []).append(index)
    return Case(images, classes, share, {c: np.array(s) for c, s in slices.items()})
