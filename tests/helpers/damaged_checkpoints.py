"""Checkpoints that are damaged, or made to harm whoever opens them."""

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch

START, END = b"\x80\x02", b"."


def text(value: str) -> bytes:
    """The instruction that puts a text on the stack."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def named(name: str) -> bytes:
    """The instruction that puts one of Python's objects on the stack."""
    module, _, attribute = name.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def entry(value: bytes) -> bytes:
    """A pickle of a dictionary with one entry, `trainer_name`."""
    return START + b"}" + text("trainer_name") + value + b"s" + END


def torch_zip(path: Path, data: bytes, records: Mapping[str, bytes] | None = None) -> Path:
    """Write a pickle and records as `torch.save` arranges them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {"data.pkl": data, "version": b"3\n", **(records or {})}.items():
            archive.writestr(f"archive/{name}", content)
    return path


def tensor(numbers: int, *, shape: tuple[int, ...] = (2,), stride: tuple[int, ...] = (1,), offset: int = 0) -> bytes:
    """A pickle of a tensor whose storage, record `0`, is said to hold `numbers`."""
    storage = b"(" + text("storage") + named("torch.FloatStorage") + text("0") + text("cpu") + _number(numbers) + b"tQ"
    lengths = b"".join(b"(" + b"".join(map(_number, values)) + b"t" for values in (shape, stride))
    arguments = b"(" + storage + _number(offset) + lengths + b"\x89N" + b"t"
    return entry(named("torch._utils._rebuild_tensor_v2") + arguments + b"R")


def _number(value: int) -> bytes:
    content = pickle.encode_long(value)
    return b"\x8a" + bytes([len(content)]) + content


def huge_text_type() -> bytes:
    """A pickle of one numpy scalar, a text of 2 GB of which it holds none."""
    kind = named("numpy.dtype") + text("S2147483647") + b"\x89\x88\x87R"
    content = named("_codecs.encode") + text("") + text("latin1") + b"\x86R"
    return entry(named("numpy._core.multiarray.scalar") + kind + content + b"\x86R")


def huge_bytearray() -> bytes:
    """A pickle that makes 2 GB of zeros."""
    return entry(named("builtins.bytearray") + _number(2**31 - 1) + b"\x85R")


def script() -> bytes:
    """A TorchScript program."""
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1)), file)
    return file.getvalue()


def legacy() -> bytes:
    """A checkpoint as torch wrote it before version 1.6."""
    file = io.BytesIO()
    torch.save({"trainer_name": "x"}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()
