"""What torch.save writes is read as torch itself reads it."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dixonflow.checkpoint.torch_archive import StoredTensor, TorchArchive
from dixonflow.errors import ModelError

KEYS = st.text(max_size=10) | st.integers(-(2**59), 2**59) | st.booleans()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**400), 2**400) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=20,
)


def _read(path: Path, content: Any) -> Any:
    torch.save(content, path)
    with TorchArchive(path) as archive:
        return archive.values()


def _tensors(path: Path, content: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    torch.save(content, path)
    with TorchArchive(path) as archive:
        return {name: archive.tensor(stored) for name, stored in archive.values().items()}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES)
def test_plain_values_are_read(tmp_path: Path, value: Any) -> None:
    assert _read(tmp_path / "a.pth", value) == value


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1", ">f8"])
def test_a_number_of_numpy_is_read_as_a_number(tmp_path: Path, kind: str) -> None:
    value = np.array([1], kind)[0]
    assert _read(tmp_path / "a.pth", {"a": [value]}) == {"a": [value.item()]}


def test_what_nnunet_puts_beside_numbers_is_read(tmp_path: Path) -> None:
    content = {"device": torch.device("cuda", 1), "dtype": torch.float16, "size": torch.Size([1, 2]), "empty": ()}
    values = _read(tmp_path / "a.pth", OrderedDict(content))
    assert values == {"device": "cuda", "dtype": "torch.float16", "size": (1, 2), "empty": ()}


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool),
    ],
)
def test_a_tensor_of_each_kind_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = (torch.arange(24).reshape(2, 3, 4) % 2).to(dtype)
    found = _tensors(tmp_path / "a.pth", {"a": tensor})["a"]
    assert found.dtype == dtype
    assert torch.equal(found, tensor)


def test_views_parameters_and_empty_tensors_are_read(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    content = {
        "whole": whole,
        "part": whole[1:3, ::2],
        "turned": whole.T,
        "one": whole[2, 3],
        "parameter": torch.nn.Parameter(whole[0]),
        "empty": torch.zeros(0, 3),
    }
    found = _tensors(tmp_path / "a.pth", content)
    for name, tensor in content.items():
        assert torch.equal(found[name], tensor), name
    assert found["whole"].data_ptr() == found["turned"].data_ptr()  # read once


def test_only_the_tensors_that_are_asked_for_are_read(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(3), "b": torch.zeros(1000)}, tmp_path / "a.pth")
    content = bytearray((tmp_path / "a.pth").read_bytes())
    content[content.index(bytes(4000)) + 100] = 1  # the other one is damaged
    (tmp_path / "a.pth").write_bytes(content)
    with TorchArchive(tmp_path / "a.pth") as archive:
        values = archive.values()
        assert isinstance(values["b"], StoredTensor)
        assert torch.equal(archive.tensor(values["a"]), torch.ones(3))
        with pytest.raises(ModelError, match="wrong checksum"):
            archive.tensor(values["b"])


def test_an_expanded_tensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is damaged"):
        _read(tmp_path / "a.pth", {"a": torch.zeros(1).expand(1000)})
