"""Weights that are damaged or made to harm: one line each, at once, and without their weight in memory."""

import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damaged_checkpoints import (
    END,
    START,
    entry,
    huge_bytearray,
    huge_text_type,
    legacy,
    named,
    script,
    tensor,
    text,
    torch_zip,
)
from published_weights import MRSEG, models

from dixonflow.errors import ModelError
from dixonflow.importing.install import import_model

pytestmark = pytest.mark.usefixtures("alone")


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def _refused(weights: Path, given: Path, message: str) -> str:
    """Import fails with one line, with 300 MB at most."""
    model = models(weights)[MRSEG]
    peak = _peak_bytes()
    with pytest.raises(ModelError, match=message) as caught:
        import_model(model, (str(given),))
    assert _peak_bytes() - peak < 300 << 20
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert not model.weights.exists()
    return str(caught.value)


@pytest.fixture
def training(trainings: dict[str, Path], tmp_path: Path) -> Path:
    """A training that a test may spoil."""
    return Path(shutil.copytree(trainings[MRSEG], tmp_path / "training"))


CHECKPOINTS: dict[str, tuple[bytes, str]] = {
    "a text type of 2 GB": (huge_text_type(), "is damaged"),
    "2 GB of zeros": (huge_bytearray(), r"holds the Python object builtins\.bytearray, which is not allowed"),
    "a numpy array": (entry(named("numpy._core.multiarray._reconstruct")), "holds the Python object numpy"),
    "a storage larger than its record": (tensor(2**40), "describes 1099511627776 numbers in 8 bytes"),
    "a storage smaller than its record": (tensor(1), "describes 1 numbers in 8 bytes"),
    "a negative storage": (tensor(-2), "describes -2 numbers"),
    "a tensor larger than its storage": (tensor(2, shape=(3,)), "is damaged"),
    "a tensor that repeats its storage": (tensor(2, shape=(2**40,), stride=(0,)), "is damaged"),
    "a tensor beyond its storage": (tensor(2, offset=1), "is damaged"),
    "a tensor before its storage": (tensor(2, offset=-1), "is damaged"),
    "a tensor with a negative shape": (tensor(2, shape=(-1,)), "is damaged"),
    "tensors of 9 axes": (tensor(2, shape=(1,) * 9, stride=(1,) * 9), "is damaged"),
    "no nnU-Net checkpoint": (tensor(2), "not an nnU-Net checkpoint: no entry 'init_args'"),
    "a list": (START + b"]" + END, "is not an nnU-Net checkpoint"),
    "a list nested deeply": (START + b"(" * 100_000 + b"t" * 100_000 + END, "is not an nnU-Net checkpoint"),
    "many dictionaries": (START + b"}" * 5_000_000 + END, "holds more values than a network has"),
    "a copy that is asked for again and again": (
        START + text("x" * 1_000_000) + b"q\0" + named("_codecs.encode") + b"q\1" + b"h\1h\0\x85R" * 5000 + END,
        "is damaged",
    ),
    "a place beyond the memo": (START + b"r\xff\xff\xff\xff" + END, "is damaged"),
    "a text that is cut off": (START + b"X\xff\xff\xff\x7fabc", "is damaged"),
    "a number of 2 GB": (START + b"\x8b\xff\xff\xff\x7f" + END, "is damaged"),
    "a key that is a list": (START + b"}]Ns" + END, "is damaged"),
    "an instruction of protocol 4": (START + b"\x8f" + END, "values other than tensors and plain values"),
    "an object's own state": (START + named("torch.device") + text("x") + b"b" + END, "is damaged"),
    "a call of a text": (START + text("a") + b")R" + END, "is damaged"),
    "nothing": (b"", "is damaged"),
}


@pytest.mark.parametrize(("content", "message"), CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_a_checkpoint_that_is_damaged_or_harmful_is_refused(
    training: Path, weights: Path, content: bytes, message: str
) -> None:
    torch_zip(training / "fold_0" / "checkpoint_final.pth", content, {"data/0": bytes(8)})
    _refused(weights, training, rf"fold_0/checkpoint_final\.pth .*{message}.*use the published weights")


def test_the_checkpoint_with_a_text_type_of_2_gb_is_small(tmp_path: Path) -> None:
    assert torch_zip(tmp_path / "small.pth", huge_text_type()).stat().st_size < 600


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (script, "is a TorchScript program, not a checkpoint"),
        (legacy, r"in the format of torch before 1\.6"),
        (lambda: bytes(257) + b"ustar" + bytes(300), r"in the format of torch before 1\.6"),
        (lambda: b"", "cannot be read as a checkpoint"),
        (lambda: b"<html>", "cannot be read as a checkpoint"),
    ],
    ids=["TorchScript", "legacy", "tar", "empty", "page"],
)
def test_another_format_is_refused_in_our_words(
    training: Path, weights: Path, content: Callable[[], bytes], message: str
) -> None:
    path = training / "fold_0" / "checkpoint_final.pth"
    path.write_bytes(content())
    _refused(weights, training, message)


@pytest.mark.parametrize("position", [0.3, 0.9, 0.9999])
def test_a_checkpoint_that_is_cut_off_is_refused(training: Path, weights: Path, position: float) -> None:
    path = training / "fold_0" / "checkpoint_final.pth"
    content = path.read_bytes()
    path.write_bytes(content[: int(position * len(content))])
    _refused(weights, training, "cannot be read as a checkpoint")


def test_a_changed_number_of_a_checkpoint_is_noticed(training: Path, weights: Path) -> None:
    path = training / "fold_0" / "checkpoint_final.pth"
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = max(archive.infolist(), key=lambda item: item.file_size)
    content[info.header_offset + 30 + len(info.filename) + info.file_size // 2] ^= 1
    path.write_bytes(content)
    _refused(weights, training, "wrong checksum of a record")


def test_a_fifo_and_a_device_in_place_of_a_zip_are_refused(tmp_path: Path, weights: Path) -> None:
    os.mkfifo(tmp_path / "weights.zip")
    _refused(weights, tmp_path / "weights.zip", "neither a folder nor a regular file")
    _refused(weights, tmp_path, "no folder with plans.json")
    (tmp_path / "weights.zip").unlink()
    (tmp_path / "weights.zip").symlink_to("/dev/zero")
    _refused(weights, tmp_path / "weights.zip", "neither a folder nor a regular file")
    _refused(weights, tmp_path, "no folder with plans.json")


def test_a_fifo_and_a_device_in_place_of_a_checkpoint_are_refused(training: Path, weights: Path) -> None:
    path = training / "fold_0" / "checkpoint_final.pth"
    path.unlink()
    os.mkfifo(path)
    _refused(weights, training, "fold 0 is missing")
    path.unlink()
    path.symlink_to("/dev/zero")
    _refused(weights, training, "fold 0 is missing")


def test_a_sparse_file_that_claims_a_table_of_900_gb_is_refused(tmp_path: Path, weights: Path) -> None:
    path, table_bytes = tmp_path / "weights.zip", 900 * 10**9
    with path.open("wb") as file:
        file.truncate(table_bytes)
        file.seek(0, os.SEEK_END)
        file.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, table_bytes, 0))
        file.write(struct.pack("<4sLQL", b"PK\6\7", 0, table_bytes, 1))
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))
    _refused(weights, path, r"weights\.zip is not a complete zip file .*declares 900000000000 bytes")


DOCUMENTS: dict[str, tuple[str, bytes, str]] = {
    "nested": ("plans.json", b"[" * 100_000, "nested too deeply"),
    "nested objects": ("dataset.json", b'{"a":' * 100_000, "nested too deeply"),
    "not UTF-8": ("dataset.json", b'{"labels": "\xff"}', "not in UTF-8"),
    "a list": ("dataset.json", b"[]", "does not hold what nnU-Net writes"),
    "a list of labels": ("dataset.json", b'{"labels": []}', "has no labels"),
    "a number of 5,000 digits": ("dataset.json", b'{"labels": {"a": ' + b"1" * 5000 + b"}}", "not valid JSON"),
    "an infinite label": ("dataset.json", b'{"labels": {"a": 1e999}}', "not one number"),
    "too large": ("dataset.json", b" " * (5 << 20), "more than"),
    "configurations that are a list": ("plans.json", b'{"configurations": []}', "plans.json"),
    "configurations in a circle": (
        "plans.json",
        b'{"configurations": {"3d_fullres_bs8": {"inherits_from": "3d_fullres_bs8"}}}',
        "plans.json",
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_json_that_is_damaged_is_refused(
    training: Path, weights: Path, name: str, content: bytes, message: str
) -> None:
    (training / name).write_bytes(content)
    _refused(weights, training, message)


@pytest.mark.parametrize("key", ["nonlin", "norm_op", "conv_op"])
def test_a_name_that_leads_out_of_the_layers_is_refused_and_not_called(
    training: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.chdir(training)
    path = training / "plans.json"
    plans = json.loads(path.read_text())
    changes: dict[str, Any] = {key: "torch.nn.modules.module.torch.os.mkdir", f"{key}_kwargs": {"path": "evil"}}
    path.write_text(json.dumps(_changed(plans, **changes)))
    _refused(weights, training, f"plans.json: {key} 'torch.nn.modules.module.torch.os.mkdir' is not a layer")
    plans = _changed(plans, nonlin="torch.nn.LeakyReLU")
    plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = (
        "dynamic_network_architectures.architectures.unet.torch.os.mkdir"
    )
    path.write_text(json.dumps(plans))
    _refused(weights, training, "network class .* is not supported")
    assert not (training / "evil").exists()


def _changed(plans: dict[str, Any], **changes: Any) -> dict[str, Any]:
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"] |= changes
    return plans


@pytest.mark.parametrize(
    "changes",
    [
        {"features_per_stage": [2**40, 2**41]},
        {"features_per_stage": [60_000, 60_000]},
        {"features_per_stage": [-4, 8]},
        {"features_per_stage": [0, 0]},
        {"features_per_stage": "ab"},
        {"n_stages": 10**9},
        {"n_conv_per_stage": [10**6, 1]},
        {"n_conv_per_stage": [[], {}]},
        {"kernel_sizes": [[3, 3, 3]] * 5000},
        {"kernel_sizes": [[60_001] * 3] * 2},
        {"conv_op": "torch.nn.nothing"},
        {"norm_op_kwargs": []},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_network_that_nobody_could_build_is_refused(training: Path, weights: Path, changes: dict[str, Any]) -> None:
    path = training / "plans.json"
    path.write_text(json.dumps(_changed(json.loads(path.read_text()), **changes)))
    _refused(weights, training, "plans.json|has shape|is missing|are not of this network")
