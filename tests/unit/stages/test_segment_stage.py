"""The segment stage on shards: the same scan gives the same bytes, whatever shares its shard."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import tiny_demo

from dixonflow.config import Config, MergeConfig, demo_config
from dixonflow.errors import ConfigError
from dixonflow.execution.attempt import Task
from dixonflow.execution.records import Records
from dixonflow.execution.shard import run_shard
from dixonflow.execution.steps import Step
from dixonflow.imaging.nifti import read_labels, read_nifti, write_nifti
from dixonflow.models.label_table import label_lookup
from dixonflow.paths import Results
from dixonflow.segment import PartsPredictor, Predictor, SegmentOptions
from dixonflow.stages.context import StageContext, stage_work
from dixonflow.system.atomic import write_json
from dixonflow.vocabulary import DIXON, Contrast, MergeStrategy, Reason, ScanId, Stage, Status

SCANS = {"001": (30, 25, 41), "002": (36, 28, 33), "003": (25, 25, 52), "004": (33, 30, 30)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_demo(tmp_path_factory.mktemp("model"))


@pytest.fixture
def run(tmp_path, model, make_shard_scan):
    """Segment a shard of scans in a results folder of its own; gives the records and the bytes of every label map."""

    def segment(folder: str, participants: list[str], damage=lambda path: None, model=model, **changes):
        config = demo_config().model_copy(update={"merge": MergeConfig(strategy=MergeStrategy.PRIORITY)} | changes)
        results = Results(tmp_path / folder)
        entries = [make_shard_scan(ScanId(participant, "2")) for participant in participants]
        for entry in entries:
            participant = entry.scan.participant
            rng = np.random.default_rng(int(participant))
            for contrast in DIXON:
                data = rng.integers(1, 900, SCANS[participant]).astype(np.int16)
                path = results.stitched(entry.scan, contrast)
                write_nifti(path, data, np.diag([2.5, 2.5, 3.0, 1.0]))
                damage(path)
        context = StageContext(Config.model_validate(config.model_dump()), (model,), model, results, "shard")
        upstream = {entry.scan: Task(entry, "", 1).outcome(Stage.RESAMPLE, Reason.NONE) for entry in entries}
        step = Step(stage_work(Stage.SEGMENT, context), Records(tmp_path / folder / "r.jsonl.gz"), 2)
        (records,) = run_shard([step], entries, upstream)
        maps = {path.name: path.read_bytes() for path in (tmp_path / folder / "temporary").rglob("*.nii.gz")}
        return records, maps

    return segment


@pytest.fixture
def agreement(tmp_path):
    """What a run wrote of the agreement of a scan's contrasts."""

    def read(folder: str, participant: str):
        path = Results(tmp_path / folder).segment_provenance("shard", ScanId(participant, "2"), "demo")
        return json.loads(path.read_text())["contrast_agreement"]

    return read


def test_a_device_that_is_not_there_ends_the_job_in_one_line_and_costs_no_scan_an_attempt(run, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    cuda = demo_config().segment.model_copy(update={"device": "cuda"})
    with pytest.raises(ConfigError, match=r"^device 'cuda' is not available here \(CUDA_VISIBLE_DEVICES=-1\)$"):
        run("cuda", ["001"], segment=cuda)
    records, _ = run("cuda", ["001"])
    assert [(record.outcome.status, record.outcome.attempt) for record in records] == [(Status.OK, 1)]


def test_swapped_patches_are_looked_for_whatever_the_strategy(run, tmp_path):
    def found(folder):
        path = Results(tmp_path / folder).segment_provenance("shard", ScanId("001", "2"), "demo")
        return json.loads(path.read_text())["swapped_patches"]

    run("each", ["001"])
    run("mean", ["001"], merge=MergeConfig(strategy=MergeStrategy.MEAN_SCORES))
    assert found("each") == found("mean")
    assert set(found("each")) == {"ml", "touching"}


def test_a_scan_gives_the_same_bytes_whatever_shares_its_shard(run):
    records, alone = run("alone", ["002"])
    assert [record.outcome.status for record in records] == [Status.OK]
    assert len(alone) == 3
    _, together = run("together", ["001", "002", "003", "004"])
    _, another_order = run("another order", ["004", "003", "002"])
    assert len(together) == 12
    for name, content in alone.items():
        assert together[name] == content == another_order[name]


def test_the_number_of_scans_in_hand_changes_nothing_for_mean_scores(run, tmp_path, model):
    change = {"merge": MergeConfig(strategy=MergeStrategy.MEAN_SCORES)}
    records, together = run("together", ["001", "002", "003"], **change)
    _, alone = run("alone", ["003"], **change)
    assert [record.outcome.status for record in records] == [Status.OK] * 3
    assert len(together) == 3
    assert all(together[name] == content for name, content in alone.items())
    labels, _ = read_labels(next((tmp_path / "alone").rglob("*desc-mean_dseg.nii.gz")))
    assert labels.shape == SCANS["003"]
    assert set(np.unique(labels)) <= {0, *model.labels}
    assert len(np.unique(labels)) > 3


def test_a_stitched_image_that_is_gone_or_cut_fails_its_scan_alone(run):
    def damage(path: Path) -> None:
        if "sub-002" in path.name:
            path.write_bytes(path.read_bytes()[:200])
        if "sub-003" in path.name and "water" in path.name:
            path.unlink()

    records, maps = run("damaged", ["001", "002", "003", "004"], damage)
    assert [record.outcome.status for record in records] == [Status.OK, Status.FAILED, Status.FAILED, Status.OK]
    assert "remove it and run again" in records[1].outcome.message
    assert len(maps) == 6


def test_the_stage_asks_its_device_whether_it_still_works(tmp_path, model, monkeypatch):
    config = demo_config().model_copy(update={"merge": MergeConfig(strategy=MergeStrategy.MEAN_SCORES)})
    work = stage_work(Stage.SEGMENT, StageContext(config, (model,), model, Results(tmp_path), "shard"))
    work.start()
    assert work.usable()
    # no value can be had from this device: the error is one of those that a lost CUDA context raises
    monkeypatch.setattr(PartsPredictor, "device", torch.device("meta"))
    assert not work.usable()


def set_aside(path: Path) -> None:
    """Empty the outermost voxels of the water image: its box is another one than that of the other contrasts."""
    if "acq-water" in path.name:
        image = read_nifti(path)
        data = image.data.copy()
        data[:4] = data[:, -3:] = data[:, :, :5] = 0
        write_nifti(path, data, image.affine)


def alone(model, folder, participant: str, contrasts, box_of):
    """Label map of each contrast, segmented by itself in the box of others, by nearest neighbour on its own voxels."""
    predictor = Predictor(model.weights, SegmentOptions(interpolate="nearest"))
    lookup = label_lookup(model)
    results = Results(folder)
    images = {c: read_nifti(results.stitched(ScanId(participant, "2"), c)).data for c in contrasts}
    maps = []
    for contrast in contrasts:
        together = [images[each] for each in box_of(contrast)]
        prepared = predictor.prepare(together, (2.5, 2.5, 3.0))[box_of(contrast).index(contrast)]
        maps.append(lookup[predictor.restore(prepared, predictor.infer([prepared]))])
    return maps


@pytest.mark.parametrize("interpolate", ["scores", "probabilities", "nearest"])
@pytest.mark.parametrize("strategy", [MergeStrategy.PRIORITY, MergeStrategy.MEAN_SCORES])
def test_agreement_is_that_of_the_label_maps_of_each_contrast_alone(
    strategy, interpolate, run, agreement, tmp_path, model
):
    segment = demo_config().segment.model_copy(update={"interpolate": interpolate})
    records, _ = run("here", ["001"], set_aside, merge=MergeConfig(strategy=strategy), segment=segment)
    assert [record.outcome.status for record in records] == [Status.OK]
    contrasts = list(model.input_contrasts)
    assert len(contrasts) == 3
    shared_box = strategy is MergeStrategy.MEAN_SCORES
    maps = alone(model, tmp_path / "here", "001", contrasts, lambda one: contrasts if shared_box else [one])
    found = agreement("here", "001")
    assert set(found) == set(model.structures)
    values = set()
    for name, label in model.structures.items():
        dice = []
        for one, other in itertools.combinations([each == label for each in maps], 2):
            if one.sum() + other.sum():
                dice.append(2 * (one & other).sum() / (one.sum() + other.sum()))
        # probabilities are rounded to half precision: a few voxels tie that scores tell apart
        tolerance = 0.02 if interpolate == "probabilities" else 1e-12
        assert found[name] == (pytest.approx(np.mean(dice), abs=tolerance) if dice else None), name
        values.add(found[name])
    assert len(values - {None, 0.0, 1.0}) > 3  # else nothing was compared


def test_contrasts_that_are_one_image_agree_and_the_agreement_is_of_the_scan_alone(run, agreement, tmp_path):
    def same(path: Path) -> None:
        if "sub-001" in path.name and "acq-water" not in path.name:
            results = Results(path.parents[4])
            path.write_bytes(results.stitched(ScanId("001", "2"), Contrast.WATER).read_bytes())

    mean = MergeConfig(strategy=MergeStrategy.MEAN_SCORES)
    run("together", ["001", "002"], same, merge=mean)
    assert set(agreement("together", "001").values()) <= {1.0, None}
    assert 1.0 in agreement("together", "001").values()
    run("alone", ["002"], merge=mean)
    assert agreement("together", "002") == agreement("alone", "002")


def test_one_contrast_has_nothing_to_agree_with(run, agreement, model):
    groups = dict.fromkeys(model.group_order, (Contrast.WATER,))
    single = model.model_copy(update={"input_contrasts": (Contrast.WATER,), "group_contrasts": groups})
    records, maps = run("single", ["001"], model=single)
    assert [record.outcome.status for record in records] == [Status.OK]
    assert len(maps) == 1
    assert agreement("single", "001") == dict.fromkeys(model.structures)


def test_the_agreement_reaches_the_rows_of_the_scan(tmp_path, model, make_shard_scan):
    config = demo_config()
    config = config.model_copy(update={"keep": config.keep.model_copy(update={"contact_sheets": False})})
    results, entry = Results(tmp_path), make_shard_scan(ScanId("001", "2"))
    rng = np.random.default_rng(0)
    water, fat = (rng.integers(1, 900, SCANS["001"]).astype(np.int16) for _ in range(2))
    images = dict(zip(DIXON, (water, fat, water + fat, abs(water - fat)), strict=True))
    for contrast, data in images.items():
        write_nifti(results.stitched(entry.scan, contrast), data, np.diag([2.5, 2.5, 3.0, 1.0]))
    station = {"index": 0, "low_mm": [-2.0, -2.0, -2.0], "high_mm": [80.0, 70.0, 130.0]}
    write_json(results.stitched_sidecar(entry.scan), {"stations": [station], "pairs": [], "intensity_scale": 1.0})
    context = StageContext(config, (model,), model, results, "shard")
    for stage in (Stage.SEGMENT, Stage.MERGE, Stage.POSTPROCESS, Stage.MEASURE):
        done = stage_work(stage, context).by_hand(entry)
    sidecar = json.loads(results.labels_sidecar(entry.scan, model.name).read_text())
    rows = done.payload["quality"]
    found = {
        structure: value
        for check, structure, value in zip(rows["check"], rows["structure"], rows["value"], strict=True)
        if check == "contrast_agreement"
    }
    assert found == sidecar["segment"]["contrast_agreement"]
    assert set(found) == set(model.structures)
    assert len({value for value in found.values() if value is not None}) > 3
