"""The device of a job on a node with several GPUs: the first of those that CUDA_VISIBLE_DEVICES names."""

import logging
import os

import pytest
import torch

from dixonflow.errors import ConfigError
from dixonflow.segment.backends.device import VISIBLE, choose_device, loading_networks

GPUS = ("0", "3", "2,0", "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "MIG-1fd0d2a4-7f5e-5a5c-9d3a-1b7d4d6e4b11")
NONE = ("", "-1", "-1,0", "NoDevFiles")


@pytest.fixture
def visible(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    value: str = request.param
    monkeypatch.setenv(VISIBLE, value)
    return value


def find_gpus(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Have torch find so many GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)


@pytest.mark.parametrize("visible", GPUS, indirect=True)
def test_the_first_of_the_visible_gpus_is_taken_whatever_its_name(visible, monkeypatch, caplog):
    find_gpus(monkeypatch, len(visible.split(",")))
    with caplog.at_level(logging.INFO):
        for name in ("auto", "cuda", "cuda:0"):
            device = choose_device(name)
            assert (device.type, device.index or 0) == ("cuda", 0)
    assert os.environ[VISIBLE] == visible
    assert f"networks run on cuda ({VISIBLE}={visible})" in caplog.text
    assert "WARNING" not in caplog.text


@pytest.mark.parametrize("visible", ["3", "3,7"], indirect=True)
def test_numbers_are_those_among_the_visible_gpus(visible, monkeypatch):
    number = len(visible.split(","))
    find_gpus(monkeypatch, number)
    assert choose_device(f"cuda:{number - 1}").index == number - 1
    with pytest.raises(ConfigError, match=rf"numbered from 0 to {number - 1} \({VISIBLE}={visible}\)"):
        choose_device("cuda:3")


@pytest.mark.parametrize("visible", NONE, indirect=True)
def test_where_no_gpu_is_visible_cuda_is_refused_and_auto_takes_another_device(visible, monkeypatch, caplog):
    find_gpus(monkeypatch, 0)
    with caplog.at_level(logging.INFO):
        assert choose_device("auto").type in {"cpu", "mps"}
    assert [record.levelname for record in caplog.records] == ["INFO"], "somebody wanted it so"
    with pytest.raises(ConfigError, match=rf"'cuda' is not available here \({VISIBLE}={visible}\)"):
        choose_device("cuda")
    assert os.environ[VISIBLE] == visible


@pytest.mark.parametrize("visible", GPUS, indirect=True)
def test_a_gpu_that_torch_does_not_find_is_no_secret(visible, monkeypatch, caplog):
    find_gpus(monkeypatch, 0)
    choose_device("auto")
    assert f"{VISIBLE}={visible} names a GPU, but torch finds none" in caplog.text
    caplog.clear()
    choose_device("cpu")
    assert not caplog.records, "a CPU was asked for"


def test_networks_that_do_not_fit_end_in_one_line():
    with pytest.raises(ConfigError) as error, loading_networks(torch.device("cuda")):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.\nSee the documentation")
    assert str(error.value) == (
        "no memory is left for the networks on cuda: CUDA out of memory. Tried to allocate 2.00 MiB."
    )
    with pytest.raises(RuntimeError, match="illegal"), loading_networks(torch.device("cuda")):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
