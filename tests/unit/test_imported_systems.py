"""Imported models on a scan, from the raw data to the measurements, beside nnU-Net's own predictor.

The networks are small and hardly trained, so that their labels mean nothing; but no voxel keeps its label where image,
orientation, folds or label table are not as the system's authors have them.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch
from nnunet_reference import body
from published_weights import pinned, publish_model, train_model

from dixonflow.cohort.bids import session_fingerprint
from dixonflow.cohort.shards import ShardScan
from dixonflow.config import Config, demo_config
from dixonflow.importing.install import import_model
from dixonflow.layout import Results
from dixonflow.model import Model, load_model
from dixonflow.nifti import read_labels, read_nifti, write_nifti
from dixonflow.phantom.acquisition import Protocol, StationGeometry, acquire
from dixonflow.phantom.anatomy import render_anatomy
from dixonflow.phantom.participant import draw_participant
from dixonflow.phantom.writers_bids import write_bids
from dixonflow.plan import MODELS
from dixonflow.stages import StageContext, stage_work
from dixonflow.vocabulary import Contrast, Layout, MergeStrategy, ScanId, Stage

pytestmark = pytest.mark.usefixtures("alone")

SCAN = ScanId("0042", "2")
ONE_IN = 100_000


class Imported:
    """A model with tiny networks in the layout of its system, imported, and the trainings that it is from."""

    def __init__(self, name: str, folder: Path) -> None:
        shipped = load_model(MODELS / f"{name}.yaml")
        model = shipped.model_copy(update={"weights": folder / "weights" / name})
        self.trainings = train_model(model, folder / "results")
        publish_model(model, self.trainings, folder / "archives")
        import_model(pinned(model, folder / "archives"), (str(folder / "archives"),))
        self.model: Model = model

    def of_the_authors(self, image: Path) -> np.ndarray[Any, Any]:
        """Labels (x, y, z) as MRSegmentator makes them: SimpleITK turns the image to LPS and the labels back.

        Source: hhaentze/MRSegmentator, src/mrsegmentator/inference.py and utils.py (read as shared facts have it).
        """
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
        from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        (training,) = self.trainings.values()
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
            1,
            len(dataset["labels"]),
            deep_supervision=False,
        )
        predictor = nnUNetPredictor(
            tile_step_size=0.5, use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False
        )
        weights = [checkpoint["network_weights"] for checkpoint in checkpoints]
        predictor.manual_initialization(
            network, PlansManager(plans), configuration, weights, dataset, "nnUNetTrainer", None
        )
        read = SimpleITK.ReadImage(str(image), SimpleITK.sitkFloat32)
        turned = SimpleITK.DICOMOrient(read, "LPS")
        labels = predictor.predict_single_npy_array(
            SimpleITK.GetArrayFromImage(turned)[None], {"spacing": list(turned.GetSpacing()[::-1])}
        )
        result = SimpleITK.GetImageFromArray(labels.astype(np.uint8))
        result.CopyInformation(turned)
        code = SimpleITK.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(read.GetDirection())
        return SimpleITK.GetArrayFromImage(SimpleITK.DICOMOrient(result, code)).transpose(2, 1, 0)


@pytest.fixture(scope="module", params=["mrsegmentator", "mrsegmentatorbody"])
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    return Imported(request.param, tmp_path_factory.mktemp("imported"))


def context_of(imported: Imported, results: Results) -> StageContext:
    content = demo_config().model_dump()
    content["merge"]["strategy"] = MergeStrategy.PRIORITY
    return StageContext(Config.model_validate(content), imported.model, results, "shard")


def differing(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> int:
    """Number of voxels with another label, of label maps that hold enough labels to tell."""
    assert ours.shape == theirs.shape
    assert len(np.unique(theirs)) > 5
    return int(np.count_nonzero(ours != theirs))


def test_labels_are_those_of_the_authors_steps(imported: Imported, tmp_path: Path, shared_data: Path) -> None:
    """On an asymmetric image and on the real one."""
    results = Results(tmp_path)
    entry = ShardScan(SCAN, Layout.BIDS, tmp_path, "0" * 64)
    real = read_nifti(shared_data / "totalsegmentator" / "example_mr_sm.nii.gz")
    images = {"invented": (body((33, 28, 30)), (3.0, 3.0, 3.0)), "real": (real.data, real.spacing_mm)}
    for data, spacing_mm in images.values():
        path = results.stitched(SCAN, Contrast.IN_PHASE)
        write_nifti(path, data.astype(np.float32), np.diag([*spacing_mm, 1.0]))
        stage_work(Stage.SEGMENT, context_of(imported, results)).by_hand(entry)
        ours, _ = read_labels(results.contrast_labels("shard", SCAN, Contrast.IN_PHASE))
        assert differing(ours, imported.of_the_authors(path)) <= ours.size / ONE_IN


def test_a_raw_scan_is_measured_to_the_end(imported: Imported, tmp_path: Path) -> None:
    stations = tuple(StationGeometry((32, 28, 12), (8.0, 8.0, 9.0), depth) for depth in (250.0, 340.0))
    participant = draw_participant(31)
    raw = write_bids(
        tmp_path / "raw", SCAN, acquire(participant, render_anatomy(participant, 4.0), Protocol("small", stations))
    )
    results = Results(tmp_path / "results")
    entry = ShardScan(SCAN, Layout.BIDS, raw.parent, session_fingerprint(raw.parent))
    context = context_of(imported, results)
    measured = None
    for stage in list(Stage)[1:]:
        measured = stage_work(stage, context).by_hand(entry)
    assert measured is not None
    assert set(measured.payload["measurements"]["model"]) == {imported.model.name}
    labels, _ = read_labels(results.labels(SCAN, imported.model.name))
    assert set(np.unique(labels)) - {0} <= set(imported.model.labels)
    volumes = {
        structure: value
        for structure, measure, value in zip(
            *(measured.payload["measurements"][name] for name in ("structure", "measure", "value")), strict=True
        )
        if measure == "volume" and value
    }
    assert len(volumes) > 3
    sidecar = json.loads(results.labels_sidecar(SCAN, imported.model.name).read_text())
    (training,) = imported.trainings.values()
    assert len(sidecar["segment"]["weights_sha256"]) == len(list(training.glob("fold_*")))
