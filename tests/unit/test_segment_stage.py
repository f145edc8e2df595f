"""The segment stage on shards: the same scan gives the same bytes, whatever shares its shard."""

from pathlib import Path

import numpy as np
import pytest
from tiny_model import TinyModel, tiny_dataset, tiny_plans

from dixonflow.attempt import Task
from dixonflow.config import Config, MergeConfig, demo_config
from dixonflow.layout import Results
from dixonflow.model import load_model
from dixonflow.nifti import read_labels, write_nifti
from dixonflow.plan import MODELS
from dixonflow.records import Records
from dixonflow.shard import run_shard
from dixonflow.stages import StageContext, stage_work
from dixonflow.vocabulary import Contrast, MergeStrategy, Reason, ScanId, Stage, Status

SCANS = {"001": (30, 25, 41), "002": (36, 28, 33), "003": (25, 25, 52), "004": (33, 30, 30)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The demo's labels and rules on a tiny network with random weights."""
    demo = load_model(MODELS / "demo.yaml")
    dataset = tiny_dataset(classes=len(demo.structures) + 1)
    dataset["labels"] = {"background": 0} | {name: place for place, name in enumerate(demo.structures, 1)}
    tiny = TinyModel(tmp_path_factory.mktemp("model"), tiny_plans(), dataset)
    return demo.model_copy(update={"weights": tiny.folder})


@pytest.fixture
def run(tmp_path, model, make_shard_scan):
    """Segment a shard of scans in a results folder of its own; gives the records and the bytes of every label map."""

    def segment(folder: str, participants: list[str], damage=lambda path: None, **changes):
        config = demo_config().model_copy(update={"merge": MergeConfig(strategy=MergeStrategy.PRIORITY)} | changes)
        results = Results(tmp_path / folder)
        entries = [make_shard_scan(ScanId(participant, "2")) for participant in participants]
        for entry in entries:
            participant = entry.scan.participant
            rng = np.random.default_rng(int(participant))
            for contrast in Contrast:
                data = rng.integers(1, 900, SCANS[participant]).astype(np.int16)
                path = results.stitched(entry.scan, contrast)
                write_nifti(path, data, np.diag([2.5, 2.5, 3.0, 1.0]))
                damage(path)
        context = StageContext(Config.model_validate(config.model_dump()), model, results, "shard")
        upstream = {entry.scan: Task(entry, "", 1).outcome(Stage.RESAMPLE, Reason.NONE) for entry in entries}
        records = run_shard(
            stage_work(Stage.SEGMENT, context), entries, upstream, Records(tmp_path / folder / "r.jsonl.gz"), 2
        )
        maps = {path.name: path.read_bytes() for path in (tmp_path / folder / "temporary").rglob("*.nii.gz")}
        return records, maps

    return segment


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
