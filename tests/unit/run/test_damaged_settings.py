"""Configurations and model files that are damaged: one exception, one clear line, at once."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from dixonflow.config import demo_config, read_config
from dixonflow.config.documents import config_yaml
from dixonflow.errors import ConfigError, ModelError
from dixonflow.models.load import MODELS, load_model

DAMAGE = {
    "not UTF-8": (b"name: M\xfcller", "not in UTF-8"),
    "nested": (b"[" * 100_000, "nested too deeply"),
    "aliases": (b"a: &a [x]\nb: &b [" + b"*a, " * 1000 + b"]\nc: [" + b"*b, " * 1000 + b"]", "more than 50000 values"),
    "too large": (b"a: " + b"x " * 600_000, "more than 1048576 bytes"),
    "no value": (b"a: !!int ''", "a value does not fit its type"),
}


@pytest.mark.parametrize(("content", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "damaged.yaml"
    path.write_bytes(content)
    for read, kind in ((read_config, ConfigError), (load_model, ModelError)):
        with pytest.raises(kind, match=rf"damaged\.yaml cannot be read: .*{message}") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_fifo_and_a_device_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    for name, what in (("fifo.yaml", "a FIFO"), ("zero.yaml", "a device")):
        for read, kind in ((read_config, ConfigError), (load_model, ModelError)):
            with pytest.raises(kind, match=f"cannot be read: is {what}, not a regular file"):
                read(tmp_path / name)


def test_of_many_problems_the_first_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(config_yaml(demo_config()) + "".join(f"key{number}: 1\n" for number in range(1000)))
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    lines = str(caught.value).splitlines()
    assert lines[0] == "config: key0: unknown key"
    assert lines[-1] == "config: 980 more problems"
    assert len(lines) == 21


def _model(folder: Path, name: str, **changes: Any) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load((MODELS / "demo.yaml").read_text()) | changes))
    return path


def test_models_that_are_cropped_to_each_other_are_refused(tmp_path: Path) -> None:
    content = yaml.safe_load((MODELS / "demo.yaml").read_text())
    structure = next(iter(content["labels"].values()))["name"]
    for name, other in (("one", "two"), ("two", "one"), ("three", "three")):
        _model(tmp_path, name, crop={"model": other, "structures": [structure], "margin_mm": 1})
    for name in ("one", "three"):
        with pytest.raises(ModelError, match="must take one image of the same kind, uncropped"):
            load_model(tmp_path / f"{name}.yaml")


@pytest.mark.parametrize("weights", ["a\0b", "x" * 400])
def test_a_folder_that_cannot_be_is_refused(tmp_path: Path, weights: str) -> None:
    with pytest.raises(ModelError, match=r"model\.yaml: weights: "):
        load_model(_model(tmp_path, "model", weights=weights))
