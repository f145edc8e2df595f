"""Which backends have given the labels of torch with the weights of a model: backends.json in their folder.

It is a file of its own because metadata.json enters the content key of every scan: a backend that gives the same labels
must give the same key.
"""

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dixonflow.errors import ModelError
from dixonflow.models.model import Model
from dixonflow.models.nnunet_files import read_json
from dixonflow.system.atomic import write_json
from dixonflow.system.documents import one_line
from dixonflow.vocabulary import Backend

NAME = "backends.json"

VOXELS_PER_DIFFERENCE = 100_000
"""Of so many voxels of the compared images, the labels of at most one may differ."""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Environment:
    """What the numbers of a backend depend on besides weights and image.

    Attributes
    ----------
    backend, version
        Which one, and its version.
    torch
        Version of torch, whose labels are the reference, without the name of its build.
    instructions
        Instruction set of the processor that torch uses, such as AVX2 or AVX512.
    """

    backend: Backend
    version: str
    torch: str
    instructions: str


class BackendRecord(BaseModel):
    """Comparison of a backend with torch, on one processor with one thread.

    Attributes
    ----------
    backend, version, torch, instructions
        See `Environment`.
    voxels, differing
        Voxels of the compared images, and how many of them have another label.
    seconds, torch_seconds
        Processor time of the backend and of torch for them (s).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: Backend
    version: str = Field(min_length=1)
    torch: str = Field(min_length=1)
    instructions: str = Field(min_length=1)
    voxels: int = Field(gt=0)
    differing: int = Field(ge=0)
    seconds: Seconds
    torch_seconds: Seconds

    @model_validator(mode="after")
    def _part_of_all(self) -> "BackendRecord":
        if self.differing > self.voxels:
            raise ValueError("more voxels differ than there are")
        return self

    @property
    def environment(self) -> Environment:
        """Where it was made."""
        return Environment(self.backend, self.version, self.torch, self.instructions)

    @property
    def passed(self) -> bool:
        """Whether the labels are as good as those of torch."""
        return self.differing * VOXELS_PER_DIFFERENCE <= self.voxels

    @property
    def is_faster(self) -> bool:
        """Whether the backend took less time than torch."""
        return self.seconds < self.torch_seconds


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    weights_sha256: str
    records: tuple[BackendRecord, ...]


def read_backend_records(model: Model) -> tuple[BackendRecord, ...]:
    """Read what backends.json says of the weights that a model has now; nothing where they were compared with none.

    Raises
    ------
    ModelError
        If the file is damaged.
    """
    path = model.weights / NAME
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    content = _content(path, found.st_mtime_ns, found.st_size, found.st_ino)
    return content.records if content.weights_sha256 == model.weights_hash else ()


@lru_cache(maxsize=16)
def _content(path: Path, *state: int) -> _File:
    """Read the file, once in each state: every scan's content key may ask."""
    try:
        return _File.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ModelError(f"{path}: {one_line(where)}: {one_line(first['msg'])}. Remove the file") from error


def write_backend_record(model: Model, record: BackendRecord) -> None:
    """Add a comparison to those of the model's weights; it replaces one that was made in the same environment."""
    others = [each for each in read_backend_records(model) if each.environment != record.environment]
    content = _File(weights_sha256=model.weights_hash, records=(*others, record))
    write_json(model.weights / NAME, content.model_dump(mode="json"))


def gives_labels_of_torch(model: Model, backend: Backend) -> bool:
    """Whether a backend has been compared for the weights of a model, and has passed wherever it was.

    Raises
    ------
    ModelError
        If the file is damaged.
    """
    if backend == "torch":
        return True
    of_backend = [record for record in read_backend_records(model) if record.backend == backend]
    return bool(of_backend) and all(record.passed for record in of_backend)


def installed_version(backend: Backend) -> str | None:
    """Version of an installed backend; None where it is not installed. Imports none."""
    try:
        return version(backend) if importlib.util.find_spec(backend) else None
    except PackageNotFoundError:
        return None
