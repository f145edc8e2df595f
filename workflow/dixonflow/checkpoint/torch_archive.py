"""Reads what `torch.save` wrote, without torch's own loader: plain values, and tensors only once they are asked for.

The file is a zip (since torch 1.6) with a pickle, `data.pkl`, and the numbers of each tensor in a record of its own.
Sizes are compared with the records before anything is allocated, so that nothing takes more memory than the file.
"""

import math
import struct
import zipfile
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from dixonflow.checkpoint.plain_pickle import Constructor, PickleRefusedError, read_pickle
from dixonflow.errors import ModelError
from dixonflow.system.regular_file import open_regular
from dixonflow.system.zip_contents import ZipContentsError, read_contents

_MAX_PICKLE_BYTES = 64 << 20
"""The log of 8,000 epochs with 100 structures takes half of it."""
_VALUES_BYTES = 256 << 20
"""Memory for plain values, beyond the size of the file."""

_MAX_COPIED = 64
"""Letters or items that a call may copy: a pickle can ask for the same copy again with six bytes."""

_LOCAL_HEADER = struct.Struct("<4s22x2H")
_LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch's number for its first format, as a pickle
_TAR_MARK = slice(257, 262)

_STORAGES = {
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Double": torch.float64,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
_NUMBERS = {np.dtype(name).str[1:]: np.dtype(name) for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1")}


@dataclass(frozen=True)
class Storage:
    """The numbers of one or more tensors."""

    record: zipfile.ZipInfo
    dtype: torch.dtype
    numbers: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that is not read yet: it lies within its storage and has no more elements than that."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class _NumberType:
    """A numpy dtype of plain numbers: no other is ever made."""

    dtype: np.dtype[Any]

    def with_state(self, state: tuple[Any, ...]) -> "_NumberType":
        """Take on the byte order, the only part of the state that plain numbers have."""
        if state[1] not in {"<", ">", "|", "="}:
            raise ValueError
        return _NumberType(self.dtype.newbyteorder(state[1]))


class TorchArchive:
    """An open checkpoint.

    Raises
    ------
    ModelError
        If it is not in torch's zip format, or is damaged.
    OSError
        If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open_regular(path)
        self._read: dict[str, bytearray] = {}
        try:
            self._size = self._file.seek(0, 2)
            self._records = self._find_records()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def values(self) -> Any:
        """Read the pickle: plain values, with a `StoredTensor` for each tensor.

        Raises
        ------
        ModelError
            If it holds anything else, or describes tensors that the file does not hold.
        """
        data = bytes(self._content(self._records["data.pkl"], _MAX_PICKLE_BYTES))
        try:
            return read_pickle(data, _ALLOWED, self._storage, max_bytes=self._size + _VALUES_BYTES)
        except PickleRefusedError as error:
            raise ModelError(f"{self._path} {error}") from error

    def tensor(self, stored: StoredTensor) -> torch.Tensor:
        """Read a tensor; those that share a storage share memory.

        Raises
        ------
        ModelError
            If its record is damaged.
        """
        record, dtype = stored.storage.record, stored.storage.dtype
        if record.filename not in self._read:
            self._read[record.filename] = self._content(record, self._size)
        content = self._read[record.filename]
        if not content:
            return torch.empty(stored.shape, dtype=dtype)
        if dtype == torch.bool:  # other bytes than 0 and 1 would be neither true nor false
            numbers = torch.frombuffer(content, dtype=torch.uint8).ne(0)
        else:
            numbers = torch.frombuffer(content, dtype=dtype)
        return numbers.as_strided(stored.shape, stored.stride, stored.offset)

    def _find_records(self) -> dict[str, zipfile.ZipInfo]:
        """List the records by their name below the folder that all of them lie in."""
        self._file.seek(0)
        start = self._file.read(512)
        if start.startswith(_LEGACY_START) or start[_TAR_MARK] == b"ustar":
            raise ModelError(
                f"{self._path} is in the format of torch before 1.6, which is not read: save it with a newer torch"
            )
        try:
            infos = read_contents(self._file)
        except ZipContentsError as error:
            raise self._unreadable(str(error)) from error
        within = {info.filename.partition("/")[2] for info in infos}
        if "constants.pkl" in within or any(name.startswith("code/") for name in within):
            raise ModelError(f"{self._path} is a TorchScript program, not a checkpoint: programs are never run")
        records: dict[str, zipfile.ZipInfo] = {}
        folder = infos[0].filename.partition("/")[0] if infos else ""
        for info in infos:
            if not info.filename.startswith(f"{folder}/") or info.filename in records:
                raise self._unreadable("its records are not in one folder or not unique")
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.file_size != info.compress_size:
                raise self._unreadable("its records are compressed or encrypted, unlike those of torch")
            records[info.filename.removeprefix(f"{folder}/")] = info
        if len(records) < len(infos) or sum(info.compress_size for info in infos) > self._size:
            raise self._unreadable("its records declare more data than the file holds")
        if "data.pkl" not in records:
            raise self._unreadable("it has no data.pkl")
        if "byteorder" in records and self._content(records["byteorder"], 16) != b"little":
            raise self._unreadable("its numbers are not in the byte order of this machine")
        return records

    def _content(self, record: zipfile.ZipInfo, max_bytes: int) -> bytearray:
        if record.file_size > max_bytes:
            raise self._unreadable(f"a record of {record.file_size} bytes, more than {max_bytes}")
        self._file.seek(record.header_offset)
        head = self._file.read(_LOCAL_HEADER.size)
        if len(head) < _LOCAL_HEADER.size or not head.startswith(b"PK\x03\x04"):
            raise self._unreadable("the position of a record differs from the table of contents")
        _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(head)
        self._file.seek(name_bytes + extra_bytes, 1)
        content = bytearray(record.file_size)
        if self._file.readinto(content) != len(content):
            raise self._unreadable("it is cut off")
        if zlib.crc32(content) != record.CRC:
            raise self._unreadable("wrong checksum of a record")
        return content

    def _storage(self, described: Any) -> Storage:
        """Find the record of a storage, which must have just the bytes that the storage is said to have."""
        kind, dtype, key, _, numbers = described
        record = self._records.get(f"data/{key}") if type(key) is str else None
        if kind != "storage" or type(dtype) is not torch.dtype or type(numbers) is not int or record is None:
            raise self._unreadable("it refers to numbers that do not exist")
        if record.file_size != numbers * dtype.itemsize:
            raise self._unreadable(f"it describes {numbers} numbers in {record.file_size} bytes")
        return Storage(record, dtype, numbers)

    def _unreadable(self, why: str) -> ModelError:
        return ModelError(f"{self._path} cannot be read as a checkpoint: {why}")


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> StoredTensor:
    """Describe a tensor, if it lies within its storage and no element of that is in it twice."""
    if type(storage) is not Storage or type(shape) is not tuple or type(stride) is not tuple:
        raise TypeError
    if (
        len(shape) != len(stride)
        or len(shape) > 8
        or any(type(n) is not int or n < 0 for n in (offset, *shape, *stride))
    ):
        raise ValueError
    elements = math.prod(shape)
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) if elements else 0
    if elements > storage.numbers or (elements and last >= storage.numbers):
        raise ValueError
    return StoredTensor(storage, offset if elements else 0, shape, stride if elements else (0,) * len(shape))


def _dictionary() -> OrderedDict[str, Any]:
    return OrderedDict()  # its entries follow as instructions of their own


def _parameter(tensor: Any, *_: Any) -> StoredTensor:
    if type(tensor) is not StoredTensor:
        raise TypeError
    return tensor


def _number_type(name: Any, *_: Any) -> _NumberType:
    return _NumberType(_NUMBERS[name])


def _number(kind: Any, content: Any) -> Any:
    if type(kind) is not _NumberType or type(content) is not bytes or len(content) != kind.dtype.itemsize:
        raise TypeError
    return np.frombuffer(content, kind.dtype)[0].item()


def _bytes(text: Any, encoding: Any = "latin1") -> bytes:
    if type(text) is not str or len(text) > _MAX_COPIED or encoding != "latin1":
        raise TypeError
    return text.encode("latin1")


def _text(value: Any = "", *_: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _tuple(values: Any = (), *_: Any) -> tuple[Any, ...]:
    if type(values) not in {tuple, list} or len(values) > _MAX_COPIED:
        raise TypeError
    return tuple(values)


# nnU-Net's trainer keeps its best score and its log as numpy scalars, and older ones the device. numpy 2 renamed the
# module that older checkpoints name.
_ALLOWED: dict[str, Any] = {
    "collections.OrderedDict": Constructor(_dictionary, 640),
    "torch._utils._rebuild_tensor_v2": Constructor(_tensor, 640),
    "torch._utils._rebuild_tensor": Constructor(_tensor, 640),
    "torch._utils._rebuild_parameter": Constructor(_parameter),
    "torch.device": Constructor(_text),
    "torch.Size": Constructor(_tuple, 640),
    "numpy.dtype": Constructor(_number_type),
    "numpy._core.multiarray.scalar": Constructor(_number),
    "numpy.core.multiarray.scalar": Constructor(_number),
    "_codecs.encode": Constructor(_bytes),
    **{f"torch.{name}Storage": dtype for name, dtype in _STORAGES.items()},
    **{str(dtype): str(dtype) for dtype in _STORAGES.values()},
}
