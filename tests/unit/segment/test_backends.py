"""Other backends than torch: the same labels, in a process that only takes them where they were compared."""

import json
import logging
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from nnunet_reference import body
from tiny_model import tiny_demo

from dixonflow.config import demo_config
from dixonflow.errors import ConfigError, ModelError
from dixonflow.execution.content_keys import stage_key
from dixonflow.imaging.nifti import NiftiImage
from dixonflow.models.backend_record import NAME, BackendRecord, read_backend_records, write_backend_record
from dixonflow.segment import Predictor, SegmentOptions
from dixonflow.segment.backends import choice
from dixonflow.segment.backends.openvino import OpenVinoNetwork
from dixonflow.segment.networks import HelperNetwork
from dixonflow.vocabulary import Stage

pytest.importorskip("openvino")

OPENVINO = SegmentOptions(backend="openvino")
LIMITED = {
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "DNNL_MAX_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "DEFAULT": {"ATEN_CPU_CAPABILITY": "default", "DNNL_MAX_CPU_ISA": "SSE41", "ONEDNN_MAX_CPU_ISA": "SSE41"},
}


@pytest.mark.parametrize(
    "plans",
    [
        {},
        {"patch": (32, 32, 48)},
        {"patch": (8, 40, 88)},
        {"channels": 2, "transpose": (2, 0, 1), "patch": (16, 8, 24)},
    ],
)
def test_scores_are_as_exact_as_those_of_torch(build_model, plans):
    loaded = Predictor(build_model(**plans).folder).model
    network, architecture = loaded.networks[0], loaded.architecture
    channels = [body(architecture.patch_size, seed) for seed in range(architecture.channels)]
    patch = torch.from_numpy(np.stack(channels)[None].astype(np.float32) / 100)
    ours = OpenVinoNetwork(network, architecture, 1)(patch)
    with torch.inference_mode():
        theirs = network(patch)
        exact = network.double()(patch.double())
    largest = exact.abs().max()
    assert (theirs - exact).abs().max() / largest < 1e-5
    assert (ours - exact).abs().max() / largest < 1e-5


def test_the_same_image_gives_the_same_bytes_whatever_came_before(build_model):
    folder = build_model(folds=2, axes=(0, 2)).folder
    image, other = body((24, 22, 30)), body((18, 40, 20), 3)
    options = replace(OPENVINO, mirroring=True)
    first = Predictor(folder, options).predict(image, (2.4, 3.0, 3.0))
    predictor = Predictor(folder, options)
    predictor.predict(other, (3.0, 3.0, 3.0))
    again = predictor.predict(image, (2.4, 3.0, 3.0))
    np.testing.assert_array_equal(first, again)
    by_torch = Predictor(folder, replace(options, backend="torch")).predict(image, (2.4, 3.0, 3.0))
    assert np.mean(first != by_torch) < 0.001
    assert len(np.unique(first)) >= 3


def test_what_fails_with_a_backend_is_computed_by_torch_and_says_so(build_model, monkeypatch):
    folder, image = build_model().folder, body((24, 22, 30))
    expected = Predictor(folder).predict(image, (3.0, 3.0, 3.0))
    predictor = Predictor(folder, OPENVINO)
    prepared = predictor.prepare([image], (3.0, 3.0, 3.0))
    assert predictor.infer(prepared).provenance().get("fallback") is None

    def broken(self, tile):
        raise RuntimeError("device lost")

    with monkeypatch.context() as patched:
        patched.setattr(OpenVinoNetwork, "__call__", broken)
        found = predictor.infer(prepared)
    assert found.provenance()["fallback"] == "openvino failed with RuntimeError: device lost"
    np.testing.assert_array_equal(predictor.restore(prepared[0], found), expected)
    assert not predictor.infer(prepared).fallback, "the next scan is computed as usual"


def test_a_backend_that_cannot_load_the_networks_leaves_them_to_torch(build_model, monkeypatch):
    folder, image = build_model().folder, body((24, 22, 30))

    def refusing(self, network, architecture, threads):
        raise ImportError("libtbb.so.12: cannot open shared object file")

    monkeypatch.setattr(OpenVinoNetwork, "__init__", refusing)
    predictor = Predictor(folder, OPENVINO)
    prepared = predictor.prepare([image], (3.0, 3.0, 3.0))
    found = predictor.infer(prepared)
    assert "libtbb" in found.fallback
    assert predictor.provenance()["backend"] == "torch"
    np.testing.assert_array_equal(
        predictor.restore(prepared[0], found), Predictor(folder).predict(image, (3.0, 3.0, 3.0))
    )


def test_a_network_that_helps_another_says_so_too(model, monkeypatch):
    def broken(self, tile):
        raise RuntimeError("device lost")

    image = NiftiImage(body((24, 22, 30)).astype(np.float32), np.diag([3.0, 3.0, 3.0, 1.0]))
    segment = demo_config().segment.model_copy(update={"device": "cpu"})
    expected = HelperNetwork(model, segment.model_copy(update={"backend": "torch"})).labels([image])
    helper = HelperNetwork(model, segment.model_copy(update={"backend": "openvino"}))
    helper.labels([image])
    assert helper.fallbacks == []
    monkeypatch.setattr(OpenVinoNetwork, "__call__", broken)
    np.testing.assert_array_equal(helper.labels([image]), expected)
    assert helper.fallbacks == ["openvino failed with RuntimeError: device lost"]


@pytest.mark.parametrize("instructions", LIMITED)
def test_a_processor_with_fewer_instructions_computes_all_the_same(build_model, instructions):
    model = build_model()
    script = (
        "import sys, numpy as np; from pathlib import Path; from dixonflow.segment import Predictor, SegmentOptions;"
        "from nnunet_reference import body; image = body((24, 22, 30));"
        "ours, torch = (Predictor(Path(sys.argv[1]), SegmentOptions(backend=each)).predict(image, (3.0, 3.0, 3.0))"
        " for each in ('openvino', 'torch')); print(np.mean(ours != torch) < 0.001)"
    )
    environment = os.environ | LIMITED[instructions] | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", script, str(model.folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stdout.strip() == "True", ended.stderr


def test_a_forked_process_says_so_and_does_not_wait_for_threads_that_are_not_there(build_model):
    folder, image = build_model().folder, body((24, 22, 30))
    Predictor(folder, OPENVINO).predict(image, (3.0, 3.0, 3.0))

    def use(sender):
        predictor = Predictor(folder, OPENVINO)
        sender.send(predictor.infer(predictor.prepare([image], (3.0, 3.0, 3.0))).fallback)

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=use, args=(sender,))
    child.start()
    assert receiver.poll(60)
    assert "before this process was forked" in receiver.recv()
    child.join()


@pytest.fixture
def model(tmp_path):
    return tiny_demo(tmp_path)


@pytest.fixture
def record():
    here = choice.environment_of("openvino")
    return BackendRecord(**vars(here), voxels=10**6, differing=10, seconds=1.0, torch_seconds=1.5)


def chosen(model, **segment):
    return choice.backend_of(model, demo_config().segment.model_copy(update=segment))


def test_auto_takes_what_passed_here_and_is_faster(model, record, caplog):
    caplog.set_level(logging.INFO)
    assert chosen(model) == "torch", "nothing was compared"
    write_backend_record(model, record)
    assert chosen(model) == "openvino"
    assert chosen(model, backend="torch") == "torch"
    for change in (
        {"differing": 11},
        {"seconds": 2.0},
        {"instructions": "another"},
        {"version": "0.1"},
        {"torch": "0.1"},
    ):
        (model.weights / NAME).unlink()
        write_backend_record(model, record.model_copy(update=change))
        caplog.clear()
        assert chosen(model) == "torch", change
        here = {"instructions", "version", "torch"}.isdisjoint(change)
        assert ("dixonflow compare-backends demo" in caplog.text) is not here
    write_backend_record(model, record)
    assert len(read_backend_records(model)) == 2
    assert chosen(model) == "openvino"


def test_without_openvino_all_is_as_before(model, record, monkeypatch):
    write_backend_record(model, record)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert chosen(model) == "torch"
    with pytest.raises(ConfigError, match="not installed"):
        chosen(model, backend="openvino")


def test_a_named_backend_is_compared_where_others_rely_on_it(model, record):
    assert chosen(model, backend="openvino") == "openvino", "under a key of its own"
    write_backend_record(model, record.model_copy(update={"instructions": "another"}))
    with pytest.raises(ConfigError, match="dixonflow compare-backends demo"):
        chosen(model, backend="openvino")
    write_backend_record(model, record)
    assert chosen(model, backend="openvino") == "openvino"


def test_keys_are_those_of_torch_where_labels_are(model, record):
    def key(backend):
        segment = demo_config().segment.model_copy(update={"backend": backend})
        config = demo_config().model_copy(update={"segment": segment})
        return stage_key(Stage.SEGMENT, "raw", config, model, [model])

    assert key("auto") == key("torch") != key("openvino")
    write_backend_record(model, record.model_copy(update={"differing": 11, "instructions": "another"}))
    assert key("auto") == key("torch") != key("openvino")
    (model.weights / NAME).unlink()
    write_backend_record(model, record)
    assert key("auto") == key("torch") == key("openvino")


def test_a_comparison_is_of_the_weights_it_was_made_with(model, record):
    write_backend_record(model, record)
    path = model.weights / NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": "0" * 64}))
    assert chosen(model) == "torch"


@pytest.mark.parametrize(
    "damage",
    ['{"records": []}', "[", '{"weights_sha256": "", "records": [{"backend": "tensorrt"}]}'],
)
def test_a_damaged_record_is_named(model, damage):
    (model.weights / NAME).write_text(damage)
    with pytest.raises(ModelError, match=NAME):
        chosen(model)


def test_a_device_that_is_no_cpu_is_refused_with_a_backend_for_the_cpu():
    with pytest.raises(ConfigError, match="runs on the CPU"):
        SegmentOptions(backend="openvino", device="cuda")
    with pytest.raises(ValueError, match="runs on the CPU"):
        type(demo_config().segment).model_validate({"backend": "openvino", "device": "cuda"})
