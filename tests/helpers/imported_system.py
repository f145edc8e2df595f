"""A published model with tiny networks in the layout of its system, imported, and what nnU-Net makes of the same."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import yaml
from published_weights import pinned, publish_model, train_model

from dixonflow.config import Config, demo_config
from dixonflow.imaging.nifti import read_labels, write_nifti
from dixonflow.importing.install import import_model
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.scanner.acquisition import acquire
from dixonflow.phantom.scanner.ct import ct_image
from dixonflow.phantom.scanner.protocol import Protocol, StationGeometry
from dixonflow.phantom.writers.bids import write_bids
from dixonflow.rawdata.nifti.bids import session_fingerprint
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.stages.context import StageContext, stage_work
from dixonflow.stitch.scan import stitch
from dixonflow.vocabulary import DIXON, SHARD_STAGES, Contrast, Layout, MergeStrategy, ScanId, ScanSequence, Stage

Array = np.ndarray[Any, Any]

SCAN = ScanId("0042", "2")


class ImportedSystem:
    """The model, ready to run, and the trainings that it is from, by part.

    Parameters
    ----------
    name
        Of the model.
    folder
        Where it all goes.
    change
        What its model file should say instead.
    training
        For `train_model`.
    """

    def __init__(self, name: str, folder: Path, change: Mapping[str, Any] = MappingProxyType({}), **training: Any):
        content = yaml.safe_load((MODELS / f"{name}.yaml").read_text(encoding="utf-8"))
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content | dict(change), sort_keys=False), encoding="utf-8")
        published = load_model(path)
        self.trainings = train_model(published, folder / "results", **training)
        publish_model(published, self.trainings, folder / "archives")
        archives = str(folder / "archives")
        import_model(pinned(published, folder / "archives"), (archives,), consent=published.consent is not None)
        self.model: Model = load_model(path)


def nnunet_labels_of(training: Path, channels: Array, spacing: tuple[float, ...], tile_step: float = 0.5) -> Array:
    """Classes (z, y, x) that nnU-Net's own predictor gives with all folds of a training.

    Parameters
    ----------
    channels
        (channel, z, y, x).
    spacing
        In mm (z, y, x).
    tile_step
        Step between patches as a part of the patch.
    """
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans, dataset = (json.loads((training / name).read_text()) for name in ("plans.json", "dataset.json"))
    checkpoints = [
        torch.load(path, weights_only=False)  # our own
        for path in sorted(training.glob("fold_*/checkpoint_final.pth"))
    ]
    configuration = PlansManager(plans).get_configuration(checkpoints[0]["init_args"]["configuration"])
    network = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        len(channels),
        len(dataset["labels"]),
        deep_supervision=False,
    )
    predictor = nnUNetPredictor(
        tile_step_size=tile_step, use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False
    )
    weights = [checkpoint["network_weights"] for checkpoint in checkpoints]
    predictor.manual_initialization(
        network, PlansManager(plans), configuration, weights, dataset, "nnUNetTrainer", None
    )
    image = np.ascontiguousarray(channels, np.float32)
    labels: Array = predictor.predict_single_npy_array(image, {"spacing": list(spacing)})
    return labels


def context_of(model: Model, results: Results, strategy: MergeStrategy = MergeStrategy.PRIORITY) -> StageContext:
    """The demo's configuration with another model and strategy."""
    content = demo_config().model_dump()
    content["merge"]["strategy"] = strategy
    return StageContext(Config.model_validate(content), (model,), model, results, "shard")


def segmented(
    model: Model, images: Mapping[Contrast, Array], spacing_mm: tuple[float, ...], folder: Path
) -> dict[Contrast, Array]:
    """Label map of each contrast from the stages resample and segment; contrasts not given look like the first."""
    results = Results(folder)
    others = dict.fromkeys(DIXON, next(iter(images.values()))) if model.sequence is ScanSequence.DIXON else {}
    for contrast, data in {**others, **images}.items():
        write_nifti(results.stitched(SCAN, contrast), data.astype(np.float32), np.diag([*spacing_mm, 1.0]))
    entry = RawScan(SCAN, Layout.BIDS, folder, "0" * 64)
    for stage in (Stage.RESAMPLE, Stage.SEGMENT):
        stage_work(stage, context_of(model, results)).by_hand(entry)
    return {
        contrast: read_labels(results.contrast_labels("shard", SCAN, model.name, contrast))[0]
        for contrast in model.input_contrasts
    }


_STATIONS = tuple(StationGeometry((32, 28, 12), (8.0, 8.0, 9.0), depth) for depth in (250.0, 340.0))


@cache
def phantom_scan() -> tuple[dict[Contrast, Array], tuple[float, ...]]:
    """Stitched contrasts of two small stations of the phantom, and a CT of its trunk under `Contrast.CT`; spacing
    (mm) of the contrasts, 8 mm of the CT.
    """
    participant = draw_participant(31)
    stitched = stitch(acquire(participant, render_anatomy(participant, 4.0), Protocol("small", _STATIONS)))
    x, y, z = np.diag(stitched.affine)[:3].tolist()
    anatomy = render_anatomy(participant, 8.0)
    ct = ct_image(participant, anatomy)
    middle = tuple(slice(size // 2 - half, size // 2 + half) for size, half in zip(ct.shape, (15, 13, 10), strict=True))
    return {**stitched.images, Contrast.CT: ct[middle]}, (x, y, z)


def measured(model: Model, folder: Path, strategy: MergeStrategy) -> tuple[Results, dict[str, Any]]:
    """All stages on a raw scan of the phantom, from the stitching to the measurements, which it gives."""
    participant = draw_participant(31)
    raw = write_bids(
        folder / "raw", SCAN, acquire(participant, render_anatomy(participant, 4.0), Protocol("small", _STATIONS))
    )
    results = Results(folder / "results")
    entry = RawScan(SCAN, Layout.BIDS, raw.parent, session_fingerprint(raw.parent, ScanSequence.DIXON))
    for stage in SHARD_STAGES:
        done = stage_work(stage, context_of(model, results, strategy)).by_hand(entry)
    measurements: dict[str, Any] = done.payload["measurements"]
    return results, measurements


def assert_measured(
    model: Model, folder: Path, weights: Mapping[str, int], strategy: MergeStrategy = MergeStrategy.PRIORITY
) -> dict[str, Any]:
    """A raw scan comes to the end with labels and volumes of the model, and its sidecar says by which weights.

    Parameters
    ----------
    weights
        Number of folds of each part.

    Returns
    -------
    What the sidecar says of the segmentation.
    """
    results, measurements = measured(model, folder, strategy)
    assert set(measurements["model"]) == {model.name}
    labels, _ = read_labels(results.labels(SCAN, model.name))
    assert set(np.unique(labels)) - {0} <= set(model.labels)
    rows = zip(*(measurements[name] for name in ("structure", "measure", "value")), strict=True)
    volumes = {structure: value for structure, measure, value in rows if measure == "volume" and value}
    assert len(volumes) > min(3, len(model.labels) - 1)
    sidecar: dict[str, Any] = json.loads(results.labels_sidecar(SCAN, model.name).read_text())["segment"]
    assert {part: len(folds) for part, folds in sidecar["weights_sha256"].items()} == weights
    return sidecar


def differing(ours: Array, theirs: Array, labels: int = 6) -> int:
    """Number of voxels with another label, of label maps that hold enough labels to tell."""
    assert ours.shape == theirs.shape
    assert len(np.unique(theirs)) >= labels
    return int(np.count_nonzero(ours != theirs))
