"""Backends are compared with torch on images of a body, for the weights and on the processor there are."""

import numpy as np
import pytest
import yaml
from tiny_model import TinyModel, tiny_dataset, tiny_plans
from typer.testing import CliRunner

from dixonflow.cli.networks.compare_backends import compare_backends_command
from dixonflow.importing import backend_comparison
from dixonflow.importing.backend_comparison import compare_backends
from dixonflow.models.backend_record import NAME, read_backend_records
from dixonflow.models.load import MODELS, load_model
from dixonflow.segment.backends.choice import environment_of
from dixonflow.segment.sliding_window import NonFiniteScoresError

pytest.importorskip("openvino")


@pytest.fixture
def model(tmp_path):
    """A user's own model with two structures, and random weights, in a folder of weights."""
    folder = tmp_path / "weights" / "tiny"
    folder.mkdir(parents=True)
    dataset = tiny_dataset(classes=3) | {"labels": {"background": 0, "liver": 1, "spleen": 2}}
    TinyModel(folder, tiny_plans(patch=(16, 24, 24), spacing=(6.0, 6.0, 6.0)), dataset)
    content = yaml.safe_load((MODELS / "demo.yaml").read_text())
    labels = {number: rule for number, rule in content["labels"].items() if rule["name"] in {"liver", "spleen"}}
    content |= {"name": "tiny", "weights": "model", "labels": dict(enumerate(labels.values(), 1)), "composites": {}}
    (folder / "model.yaml").write_text(yaml.safe_dump(content))
    return load_model(folder / "model.yaml")


def test_a_comparison_is_written_down_once_for_an_environment(model):
    (first,) = compare_backends(model)
    assert first.environment == environment_of("openvino")
    assert first.voxels > 50_000
    assert first.differing <= first.voxels // 1000
    compare_backends(model)
    assert len(read_backend_records(model)) == 1


def test_networks_that_differ_are_found_out(model, monkeypatch):
    labels = backend_comparison._labels
    calls = []

    def other(predictor, part):
        found, seconds = labels(predictor, part)
        if predictor.options.backend == "openvino":
            calls.append(found.labels.size)
            found.labels[:2] = 2 - found.labels[:2]
        return found, seconds

    monkeypatch.setattr(backend_comparison, "_labels", other)
    (record,) = compare_backends(model)
    assert calls and record.differing > 1000 and not record.passed


def test_a_backend_that_cannot_run_the_networks_gets_no_record(model, monkeypatch, caplog):
    def refusing(self, network, architecture, threads):
        raise RuntimeError("bad combination")

    monkeypatch.setattr("dixonflow.segment.backends.openvino.OpenVinoNetwork.__init__", refusing)
    assert compare_backends(model) == []
    assert not (model.weights / NAME).exists()
    assert "bad combination" in caplog.text


def test_networks_that_give_no_finite_scores_on_the_phantom_stay_with_torch(model, monkeypatch, caplog):
    def infinite(predictor, part):
        raise NonFiniteScoresError("the network gave scores that are infinite")

    monkeypatch.setattr(backend_comparison, "_labels", infinite)
    assert compare_backends(model) == []
    assert "no comparison on the phantom" in caplog.text


def test_the_command_says_what_auto_takes(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"cohort": {"sources": [{"layout": "bids", "folder": "."}]}, "segment": {"weights": "weights"}})
    )
    ran = CliRunner().invoke(compare_backends_command_app(), ["tiny"])
    assert ran.exit_code == 0, ran.output
    assert "tiny: openvino" in ran.output and "voxels differ from torch" in ran.output
    ran = CliRunner().invoke(compare_backends_command_app(), ["nothing"])
    assert ran.exit_code == 1 and "compare-backends: " in str(ran.exception) + ran.output


def compare_backends_command_app():
    import typer

    app = typer.Typer()
    app.command()(compare_backends_command)
    return app


def test_the_demo_ships_with_comparisons_that_passed():
    records = read_backend_records(load_model(MODELS / "demo.yaml"))
    assert {record.instructions for record in records} >= {"AVX2", "AVX512"}
    assert all(record.passed and record.is_faster for record in records)
    assert np.all([record.voxels > 300_000 for record in records])
