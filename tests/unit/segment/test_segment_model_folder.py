"""Import of checkpoints and reading of model folders: right ones load exactly, wrong ones say what is wrong."""

import copy
import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import CONFIGURATION, TinyModel, random_weights, tiny_dataset, tiny_plans, write_checkpoint

from dixonflow.checkpoint.export import export_checkpoint
from dixonflow.errors import ModelError
from dixonflow.segment import load_model_folder
from dixonflow.segment.architecture import read_architecture


@pytest.fixture
def model(tmp_path: Path) -> TinyModel:
    return TinyModel(tmp_path, tiny_plans(), tiny_dataset(), folds=2)


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _replace_weights(model: TinyModel, tensors: dict[str, torch.Tensor]) -> None:
    path = model.folder / "fold_0" / "weights.safetensors"
    save_file(tensors, path)
    hashes = json.loads((model.folder / "metadata.json").read_text())["weights_sha256"]
    _edit(model.folder / "metadata.json", weights_sha256=hashes | {"0": hashlib.sha256(path.read_bytes()).hexdigest()})


def test_loaded_networks_hold_the_checkpoints_weights(model: TinyModel) -> None:
    loaded = load_model_folder(model.folder)
    assert loaded.folds == ("0", "1")
    for network, weights in zip(loaded.networks, model.weights, strict=True):
        state = network.state_dict()
        assert state.keys() == weights.keys()
        assert all(torch.equal(state[name], weights[name]) for name in state)
        assert not network.training
        assert network.decoder.deep_supervision is False


def test_each_parameter_is_stored_once(model: TinyModel) -> None:
    stored = load_file(model.folder / "fold_0" / "weights.safetensors")
    parameters = sum(parameter.numel() for parameter in model.architecture.build().parameters())
    assert sum(tensor.numel() for tensor in stored.values()) == parameters
    assert sum(tensor.numel() for tensor in model.weights[0].values()) > parameters


def test_half_precision_folder_gives_float32_networks(model: TinyModel, tmp_path: Path) -> None:
    target = tmp_path / "half"
    export_checkpoint(
        tmp_path / "checkpoint.pth", tmp_path / "plans.json", tmp_path / "dataset.json", target, half_precision=True
    )
    (network,) = load_model_folder(target).networks
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, model.weights[1][name].half().float())


def test_only_the_folds_asked_for_are_loaded(model: TinyModel) -> None:
    (model.folder / "fold_0" / "weights.safetensors").unlink()
    assert load_model_folder(model.folder, ("1",)).folds == ("1",)
    with pytest.raises(ModelError, match=r"fold_0.*No such file"):
        load_model_folder(model.folder)
    with pytest.raises(ModelError, match="no fold '7'"):
        load_model_folder(model.folder, ("7",))
    with pytest.raises(ModelError, match="at least one fold"):
        load_model_folder(model.folder, ())


def test_changed_weights_are_refused_before_they_are_opened(model: TinyModel) -> None:
    path = model.folder / "fold_0" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="SHA-256"):
        load_model_folder(model.folder)


@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "metadata.json"])
def test_missing_or_damaged_json_is_named(model: TinyModel, name: str) -> None:
    content = (model.folder / name).read_text()
    (model.folder / name).write_text(content[: len(content) // 2])
    with pytest.raises(ModelError, match=rf"{name} is not valid JSON"):
        load_model_folder(model.folder)
    (model.folder / name).unlink()
    with pytest.raises(ModelError, match=rf"cannot read .*{name}"):
        load_model_folder(model.folder)


def test_wrong_metadata_is_refused(model: TinyModel) -> None:
    _edit(model.folder / "metadata.json", configuration="2d")
    with pytest.raises(ModelError, match="2d"):
        load_model_folder(model.folder)
    _edit(model.folder / "metadata.json", configuration=CONFIGURATION, inference_allowed_mirroring_axes=[3])
    with pytest.raises(ModelError, match="inference_allowed_mirroring_axes"):
        load_model_folder(model.folder)
    with pytest.raises(ModelError, match="does not exist"):
        load_model_folder(model.folder / "nowhere")


def test_weights_of_another_network_are_refused(model: TinyModel) -> None:
    tensors = load_file(model.folder / "fold_0" / "weights.safetensors")
    name = next(iter(tensors))
    _replace_weights(model, {key: tensor for key, tensor in tensors.items() if key != name})
    with pytest.raises(ModelError, match="is missing"):
        load_model_folder(model.folder)
    _replace_weights(model, tensors | {"encoder.more": torch.zeros(1)})
    with pytest.raises(ModelError, match=r"encoder\.more"):
        load_model_folder(model.folder)
    _replace_weights(model, tensors | {name: torch.zeros(2, 2)})
    with pytest.raises(ModelError, match="shape"):
        load_model_folder(model.folder)
    _replace_weights(model, tensors | {name: tensors[name] * torch.inf})
    with pytest.raises(ModelError, match="not finite"):
        load_model_folder(model.folder)
    _replace_weights(model, tensors | {name: tensors[name].int()})
    with pytest.raises(ModelError, match="int32"):
        load_model_folder(model.folder)


def test_a_file_that_is_no_safetensors_is_refused(model: TinyModel) -> None:
    path = model.folder / "fold_0" / "weights.safetensors"
    path.write_bytes(pickle.dumps({"a": 1}))
    _edit(model.folder / "metadata.json", weights_sha256={"0": hashlib.sha256(path.read_bytes()).hexdigest()})
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_model_folder(model.folder)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"background": 0, "whole": [1, 2], "part": 2}, "region-based|regions"),
        ({"background": 0, "liver": 2}, "without gaps"),
        ({"liver": 1}, "[Bb]ackground"),
    ],
)
def test_unsupported_labels_are_refused(labels: dict[str, Any], message: str) -> None:
    dataset = tiny_dataset() | {"labels": labels, "regions_class_order": [1, 2]}
    with pytest.raises(ModelError, match=message):
        read_architecture(tiny_plans(), dataset, CONFIGURATION)


def test_voxels_left_out_of_training_are_no_class() -> None:
    dataset = tiny_dataset() | {"labels": {"background": 0, "liver": 1, "spleen": 2, "ignore": 3}}
    assert read_architecture(tiny_plans(), dataset, CONFIGURATION).classes == 3


def test_a_network_class_that_has_moved_is_found() -> None:
    plans = tiny_plans()
    architecture = plans["configurations"][CONFIGURATION]["architecture"]
    architecture["network_class_name"] = "dynamic_network_architectures.architectures.residual_unet.ResidualEncoderUNet"
    architecture["arch_kwargs"]["n_blocks_per_stage"] = architecture["arch_kwargs"].pop("n_conv_per_stage")
    network = read_architecture(plans, tiny_dataset(), CONFIGURATION).build()
    assert type(network).__name__ == "ResidualEncoderUNet"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"previous_stage": "3d_lowres"}, "cascaded"),
        ({"patch_size": [16, 16]}, "2D"),
        ({"spacing": [0.0, 1.0, 1.0]}, "positive"),
        ({"preprocessor_name": "Other"}, "preprocessor"),
        ({"resampling_fn_data": "resample_torch_fornnunet"}, "resampling_fn_data"),
        ({"normalization_schemes": ["Unheard"]}, "Unheard"),
        ({"use_mask_for_norm": [False, False]}, "1 channels"),
        ({"architecture": {"network_class_name": "os.system"}}, r"os\.system"),
        ({"architecture": {"network_class_name": "dynamic_network_architectures.no.Net"}}, r"no\.Net"),
    ],
)
def test_unsupported_plans_are_refused(changes: dict[str, Any], message: str) -> None:
    plans = tiny_plans()
    plans["configurations"][CONFIGURATION] |= changes
    with pytest.raises(ModelError, match=message):
        read_architecture(plans, tiny_dataset(), CONFIGURATION)


@pytest.mark.parametrize(
    "key", ["patch_size", "spacing", "resampling_fn_data", "architecture", "normalization_schemes"]
)
def test_a_missing_entry_of_the_plans_is_named(key: str) -> None:
    plans = tiny_plans()
    del plans["configurations"][CONFIGURATION][key]
    with pytest.raises(ModelError, match=key if key != "architecture" else "UNet_class_name"):
        read_architecture(plans, tiny_dataset(), CONFIGURATION)


def test_plans_cannot_name_a_function_to_call() -> None:
    plans = tiny_plans()
    plans["configurations"][CONFIGURATION]["architecture"]["arch_kwargs"]["nonlin"] = "builtins.exec"
    with pytest.raises(ModelError, match=r"builtins\.exec"):
        read_architecture(plans, tiny_dataset(), CONFIGURATION)


def test_a_real_trainers_checkpoint_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(tmp_path / name))
    plans, dataset = tiny_plans(), tiny_dataset()
    (tmp_path / "plans.json").write_text(json.dumps(plans))
    (tmp_path / "dataset.json").write_text(json.dumps(dataset))
    trainer = nnUNetTrainer(
        copy.deepcopy(plans) | {"continue_training": False}, CONFIGURATION, 3, dataset, torch.device("cpu")
    )
    # Deep supervision on, as in training; an optimizer step and a logged epoch fill the rest of the checkpoint.
    trainer.network = trainer.build_network_architecture(
        trainer.plans_manager, trainer.configuration_manager, 1, 4, enable_deep_supervision=True
    )
    trainer.optimizer, _ = trainer.configure_optimizers()
    sum(output.sum() for output in trainer.network(torch.randn(1, 1, 16, 16, 16))).backward()
    trainer.optimizer.step()
    trainer.logger.log("mean_fg_dice", np.float64(0.5), 0)
    trainer.logger.log("dice_per_class_or_region", [np.float32(0.5)] * 3, 0)
    trainer._best_ema = np.float64(0.5)
    trainer.inference_allowed_mirroring_axes = (0, 1, 2)
    trainer.save_checkpoint(str(tmp_path / "checkpoint_final.pth"))
    with pytest.raises(pickle.UnpicklingError):  # so the allow-list is what lets it in
        torch.load(tmp_path / "checkpoint_final.pth", weights_only=True)

    path = export_checkpoint(
        tmp_path / "checkpoint_final.pth", tmp_path / "plans.json", tmp_path / "dataset.json", tmp_path / "model"
    )
    assert path == tmp_path / "model" / "fold_3" / "weights.safetensors"
    loaded = load_model_folder(tmp_path / "model")
    assert loaded.metadata.trainer_name == "nnUNetTrainer"
    assert loaded.metadata.inference_allowed_mirroring_axes == (0, 1, 2)
    expected = trainer.network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.networks[0].state_dict().items())
    written = sorted(item.name for item in (tmp_path / "model").iterdir())
    assert written == ["dataset.json", "fold_3", "metadata.json", "plans.json"]


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("evil",)


def test_a_checkpoint_with_code_is_refused_and_not_run(
    model: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"network_weights": {}, "extra": _Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match=r"posix\.mkdir"):
        export_checkpoint(tmp_path / "evil.pth", tmp_path / "plans.json", tmp_path / "dataset.json", tmp_path / "new")
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "new").exists()


def test_broken_or_foreign_checkpoints_are_refused(model: TinyModel, tmp_path: Path) -> None:
    def export(name: str) -> None:
        export_checkpoint(tmp_path / name, tmp_path / "plans.json", tmp_path / "dataset.json", model.folder)

    (tmp_path / "cut.pth").write_bytes((tmp_path / "checkpoint.pth").read_bytes()[:500])
    with pytest.raises(ModelError, match="cannot be read as a checkpoint"):
        export("cut.pth")
    torch.save({"a": 1}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="init_args"):
        export("other.pth")
    write_checkpoint(tmp_path / "mirrored.pth", model.weights[0], 2, (0,))
    with pytest.raises(ModelError, match="another training"):
        export("mirrored.pth")
    untied = dict(model.weights[0])
    untied[next(name for name in untied if name.startswith("decoder.encoder"))] += 1
    write_checkpoint(tmp_path / "untied.pth", untied, 2, None)
    with pytest.raises(ModelError, match="different values"):
        export("untied.pth")
    (tmp_path / "plans.json").write_text(json.dumps(tiny_plans(spacing=(2.0, 3.0, 3.0))))
    write_checkpoint(tmp_path / "third.pth", random_weights(model.architecture, 9), 2, None)
    with pytest.raises(ModelError, match="differ"):
        export("third.pth")
    assert load_model_folder(model.folder).folds == ("0", "1")
