"""Volumes without bias: one number for each class, added to its scores, found on participants of its own.

A voxel that a thin structure fills by less than half is never given to it, and where the network is in doubt it gives
voxels to the class that the loss likes better: such volumes are too small or too large in every scan alike. The bias of
the network's last layer is what moves an outline by the same small distance everywhere.
"""

import logging
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dixonflow.imaging.types import Affine, Floats64
from dixonflow.models.load import MODELS, load_model
from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.demo_cohort import DemoOptions
from dixonflow.phantom.truth import truth_table
from dixonflow.segment.network import LoadedModel, load_model_folder
from dixonflow.segment.preprocess import PreprocessedImage, preprocess
from dixonflow.segment.scores import ResampledLabels
from dixonflow.segment.sliding_window import SlidingWindow, run_sliding_window
from dixonflow.segment.transfer import DeviceTransfers, LabelRows
from dixonflow.system.atomic import write_json
from dixonflow.training.cases import layout_of
from dixonflow.training.export import export_model
from dixonflow.training.plan import Workspace
from dixonflow.training.scans import CLASS_OF_LABEL, CONTRASTS, simulate_scan

log = logging.getLogger(__name__)

CALIBRATION_SEEDS = range(500000, 500036)
"""A small organ's volume is off by 8 % (SD) between participants: the median of 12 is known to 3 %, that of 36 to
1.6 %. Their scores take 300 MB of memory each."""
ROUNDS = 5
_FIRST_SLOPE, _SLOPES = 0.3, (0.05, 1.5)
"""Relative change of a volume for a shift of 1: what is assumed first, and what is believed of a measured one."""
_LONGEST_STEP = 0.4

CPU = torch.device("cpu")


class _ScoreCollector:
    """Keeps the slabs that it is given."""

    def __init__(self) -> None:
        self.slabs: list[torch.Tensor] = []

    def add(self, scores: torch.Tensor) -> None:
        self.slabs.append(scores.clone())


@dataclass(frozen=True)
class ScoredScan:
    """A participant whose true volumes are known, and the network's scores.

    Attributes
    ----------
    scores
        float16 (class, a, b, c) on the network's grid, one for each contrast; 100 MB each.
    weights
        How much each contrast counts in the mean of the probabilities.
    prepared
        Of the first contrast: how the network's grid lies in the image.
    voxel_ml
        Volume of a voxel of the image.
    true_ml
        By class; 0 for the background.
    """

    scores: Sequence[NDArray[np.float16]]
    weights: Sequence[float]
    prepared: PreprocessedImage
    voxel_ml: float
    true_ml: Floats64

    def volumes_ml(self, shifts: Floats64) -> Floats64:
        """Volume of each class by the mean of the contrasts' probabilities, on the voxels of the image.

        Parameters
        ----------
        shifts
            Added to the scores of each class.
        """
        copies, classes = DeviceTransfers(CPU), len(shifts)
        labels = LabelRows(self.prepared.cropped_shape, classes, copies)
        sink = ResampledLabels(self.prepared.network_shape, self.prepared.cropped_shape, [1, 1, 1], labels)
        added = torch.from_numpy(shifts).float()[:, None, None]
        for row in range(self.prepared.network_shape[0]):
            parts = [
                weight * torch.softmax(torch.from_numpy(scores[:, row]).float() + added, dim=0)
                for weight, scores in zip(self.weights, self.scores, strict=True)
            ]
            sink.add((torch.stack(parts).sum(dim=0) / sum(self.weights))[:, None].half())
        counts = np.bincount(labels.collected().ravel(), minlength=classes)
        volumes: Floats64 = counts[:classes].astype(np.float64) * self.voxel_ml
        return volumes


def score(
    model: LoadedModel, images: Sequence[NDArray[Any]], weights: Sequence[float], affine: Affine, true_ml: Floats64
) -> ScoredScan:
    """Run a network over the contrasts of a scan.

    Parameters
    ----------
    images
        Contrasts (x, y, z), RAS+.
    weights, true_ml
        As in `ScoredScan`.
    affine
        4x4, voxel index (centre) to RAS mm.
    """
    sx, sy, sz = np.diag(affine)[:3].tolist()
    prepared = preprocess(images, (sx, sy, sz), model.architecture)
    kept = [_ScoreCollector() for _ in prepared]
    patch, classes = model.architecture.patch_size, model.architecture.classes
    window = SlidingWindow(patch, classes, tile_step=0.5, mirror_axes=(), device=CPU)
    tensors = [torch.from_numpy(one.image) for one in prepared]
    run_sliding_window(model.networks, tensors, window, _ScoreCollector(), CPU, DeviceTransfers(CPU), kept)
    scores = [torch.cat(each.slabs, dim=1).numpy() for each in kept]  # tensors would travel by shared memory
    return ScoredScan(scores, weights, prepared[0].without_image(), sx * sy * sz / 1000, true_ml)


def score_participant(model_folder: Path, seed: int) -> ScoredScan:
    """Simulate a participant and run the network of a model folder over the contrasts."""
    model = load_model_folder(model_folder)
    layout = layout_of(seed)
    scan = simulate_scan(seed, layout)
    truth = truth_table(draw_participant(seed), scan.anatomy, DemoOptions().protocol(layout))
    true_ml = np.zeros(model.architecture.classes)
    true_ml[CLASS_OF_LABEL[truth["id"].to_numpy()]] = truth["volume_in_fov_ml"].fillna(0.0)
    weights = load_model(MODELS / "demo.yaml").weights_of(CONTRASTS)
    return score(model, [scan.images[contrast] for contrast in CONTRASTS], weights, scan.affine, true_ml)


def calibrate(workspace: Workspace, workers: int) -> None:
    """Find the shifts for the latest checkpoint, from which the next export takes them.

    Raises
    ------
    ModelError
        If there is no checkpoint yet.
    """
    workspace.calibration_file.unlink(missing_ok=True)
    with TemporaryDirectory(dir=workspace.root) as name:
        folder = Path(name)
        export_model(workspace, folder)
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            scans = list(pool.map(partial(score_participant, folder), CALIBRATION_SEEDS))
    shifts, history = find_shifts(scans)
    log.info("calibrated: mean error of the volumes %s %%", ", ".join(f"{100 * error:.2f}" for error in history))
    iteration = torch.load(workspace.checkpoint_file, map_location="cpu", weights_only=False)["iteration"]
    content = {"iteration": iteration, "errors": history, "shifts": shifts.tolist()}
    write_json(workspace.calibration_file, content)


def volume_errors(scans: Iterable[ScoredScan], shifts: Floats64) -> Floats64:
    """Median over the scans of log(true / predicted volume) of each class; 0 where no scan has both."""
    logs = []
    for scan in scans:
        found = scan.volumes_ml(shifts)
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.log(scan.true_ml / found)
        logs.append(np.where(np.isfinite(log), log, np.nan))
    table = np.array(logs)
    errors = np.zeros(len(shifts))
    known = ~np.isnan(table).all(axis=0)
    errors[known] = np.nanmedian(table[:, known], axis=0)
    return errors


def find_shifts(scans: Sequence[ScoredScan], rounds: int = ROUNDS) -> tuple[Floats64, list[float]]:
    """Find what to add to the scores of each class so that the median volume is right, by secant steps.

    Returns
    -------
    The shifts, and the mean absolute error of the log volumes before each round and after the last.
    """
    classes = len(scans[0].true_ml)
    shifts, step = np.zeros(classes), np.zeros(classes)
    slope = np.full(classes, _FIRST_SLOPE)
    before = volume_errors(scans, shifts)
    history = [float(np.abs(before).mean())]
    for _ in range(rounds):
        step = np.clip(before / slope, -_LONGEST_STEP, _LONGEST_STEP)
        step[0] = 0.0
        shifts = shifts + step
        after = volume_errors(scans, shifts)
        history.append(float(np.abs(after).mean()))
        moved = np.abs(step) > 0.02  # a smaller step tells nothing: other classes have moved too
        slope[moved] = np.clip((before - after)[moved] / step[moved], *_SLOPES)
        before = after
    return shifts, history
