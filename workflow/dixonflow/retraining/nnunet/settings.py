"""How networks are trained: `training.yaml` of a retraining project, and the copy of it that a training keeps."""

import json
import logging
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from dixonflow.config.fields import NamedPath, Section
from dixonflow.retraining.project import RetrainingError
from dixonflow.system.atomic import write_bytes, write_json
from dixonflow.system.documents import DocumentError, one_line, read_json_file, read_yaml_file

log = logging.getLogger(__name__)

FILE = "training.yaml"
USUAL_EPOCHS = 1000
"""nnU-Net's own number. TotalSegmentator's first network of 3 mm was trained for 8,000: its trainer is
nnUNetTrainerV2_ep8000_nomirror (task 256; wasserth/TotalSegmentator, python_api.py of version 1)."""
_OF_MACHINES = {"processes", "job_minutes", "job_mem_mb", "job_threads", "job_attempts"}
Planner = Literal["default", "resenc_m", "resenc_l", "resenc_xl"]
Positive = Annotated[int, Field(ge=1)]


class Plan(Section):
    """What nnU-Net plans, and what overrules it on small machines.

    Attributes
    ----------
    planner
        nnU-Net's planner: the plain one, or that of residual encoders for GPUs of 8 (m), 24 (l) or 40 GB (xl).
    spacing_mm
        Voxel size (z, y, x) to train on; nnU-Net's choice where none is given.
    patch_voxels
        Patch (z, y, x); nnU-Net's choice where none is given.
    batch_size
        Patches of an iteration; nnU-Net's choice where none is given.
    features
        Channels of each resolution, at least 3, of a small network without residuals; nnU-Net's network where none is
        given.
    convolutions
        Of each resolution of that small network, in encoder and decoder.
    """

    planner: Planner = "resenc_l"
    spacing_mm: tuple[float, float, float] | None = None
    patch_voxels: tuple[Positive, Positive, Positive] | None = None
    batch_size: Positive | None = None
    features: tuple[Positive, ...] | None = Field(default=None, min_length=3)
    convolutions: int = Field(default=2, ge=1, le=8)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.spacing_mm is not None and not all(0.1 <= length <= 100 for length in self.spacing_mm):
            raise ValueError("spacing_mm must be three lengths of 0.1 to 100 mm")
        if self.features is not None:
            step = 2 ** (len(self.features) - 1)
            if self.patch_voxels is None or any(length % step for length in self.patch_voxels):
                raise ValueError(f"features need patch_voxels that {step} divides: each resolution halves the patch")
            if self.planner != "default":
                raise ValueError("features go with planner: default")
        return self


class Mixture(Section):
    """What is added to the corrected cases; never to what a fold validates on.

    Attributes
    ----------
    elastic_copies
        Deformed copies of each case, 0 or 2 to 500.
    elastic_mm
        Standard deviation of their displacement along each axis.
    low_contrast_copies
        Copies of each case with less contrast.
    ct
        Folder of CT images with label maps in the project's numbers; none for none.
    """

    elastic_copies: int = Field(default=0, ge=0, le=500)
    elastic_mm: float = Field(default=6.0, gt=0, le=50)
    low_contrast_copies: int = Field(default=0, ge=0, le=500)
    ct: NamedPath | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.elastic_copies == 1:
            raise ValueError("elastic_copies must be 0 or 2 to 500")
        return self


class TrainingSettings(Section):
    """How networks are trained.

    Attributes
    ----------
    plan, mixture
        Network and data.
    epochs
        1,000 to 8,000 for real use; fewer are for trials.
    iterations, validation_iterations
        Of an epoch.
    optimizer, learning_rate
        nnU-Net's own are sgd and 0.01; adamw with 0.003 learns faster in a short trial. Either rate falls to 0.
    folds
        `cross` for one network for each fold of the project, `all` for one network on all cases.
    deterministic
        A killed and resumed training gives the weights of an undisturbed one on the same machine.
    augmentation_processes
        Processes that augment; 0 where deterministic.
    checkpoint_epochs
        Epochs between checkpoints: what a killed training loses at most.
    processes
        That preprocess cases.
    device
        `auto` takes a GPU where there is one.
    job_minutes, job_mem_mb, job_threads
        What the job of a fold asks for; a job that its limit ends resumes in the next one.
    job_attempts
        Jobs of a fold, one after another, before it counts as failed.
    """

    plan: Plan = Plan()
    mixture: Mixture = Mixture()
    epochs: int = Field(default=USUAL_EPOCHS, ge=1, le=8000)
    iterations: int = Field(default=250, ge=1, le=10000)
    validation_iterations: int = Field(default=50, ge=1, le=10000)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(default=0.01, gt=0, le=1)
    folds: Literal["cross", "all"] = "cross"
    deterministic: bool = True
    augmentation_processes: int = Field(default=0, ge=0, le=64)
    checkpoint_epochs: int = Field(default=5, ge=1, le=1000)
    processes: int = Field(default=2, ge=1, le=64)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    job_minutes: int = Field(default=1440, ge=1, le=100000)
    job_mem_mb: int = Field(default=32000, ge=500)
    job_threads: int = Field(default=8, ge=1, le=256)
    job_attempts: int = Field(default=10, ge=1, le=100)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.deterministic and self.augmentation_processes:
            raise ValueError("augmentation_processes must be 0 where deterministic is true: they draw in any order")
        return self

    def content(self) -> dict[str, object]:
        """What stays as it is once a training has begun: all but what jobs ask for, and `processes`."""
        return self.model_dump(mode="json", exclude=_OF_MACHINES)


def read_settings(project: Path) -> TrainingSettings:
    """Read `training.yaml` of a project; the defaults where there is none.

    Raises
    ------
    RetrainingError
        If it is wrong. The message names the key.
    """
    path = project / FILE
    try:
        return _valid(read_yaml_file(path) or {}, path)
    except FileNotFoundError:
        return TrainingSettings()
    except OSError as error:
        raise RetrainingError(f"{path} cannot be read: {error.strerror}") from error
    except DocumentError as error:
        raise RetrainingError(f"{path} cannot be read: {error}") from error


def write_settings(project: Path, settings: TrainingSettings) -> None:
    """Write `training.yaml` of a project."""
    content = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
    write_bytes(project / FILE, content.encode())


def check_settings(path: Path, settings: TrainingSettings) -> None:
    """Check that a training may be planned with these settings: they stay what they are once it has begun.

    Raises
    ------
    RetrainingError
        If it has trained with others.
    """
    if settings.epochs < USUAL_EPOCHS:
        log.warning("%d epochs are fewer than nnU-Net's %d: enough for a trial only", settings.epochs, USUAL_EPOCHS)
    if path.exists() and read_kept(path).content() != settings.content():
        if any(path.parent.rglob("checkpoint_*.pth")):
            raise RetrainingError(
                f"{path.parent} was trained with other settings: put {FILE} back as it was, or remove that folder"
            )
        log.warning("%s: the settings have changed; it is planned again", path.parent)


def keep_settings(path: Path, settings: TrainingSettings) -> None:
    """Keep the settings of a training that is planned."""
    write_json(path, settings.model_dump(mode="json"))


def settings_to_train(project: Path, kept: TrainingSettings) -> TrainingSettings:
    """Settings of a training that was planned: those that it keeps, and what `training.yaml` says of machines now.

    Raises
    ------
    RetrainingError
        If `training.yaml` has changed otherwise since, or is wrong.
    """
    now = read_settings(project)
    if now.content() != kept.content():
        changed = sorted(key for key, value in kept.content().items() if value != now.content()[key])
        raise RetrainingError(
            f"{project / FILE} differs from the plan ({', '.join(changed)}): put it back, or call retrain "
            "plan, which says what can be kept"
        )
    return now


def read_kept(path: Path) -> TrainingSettings:
    """Read the settings of a training that was planned.

    Raises
    ------
    RetrainingError
        If it was not, or the file is damaged.
    """
    try:
        return _valid(read_json_file(path), path)
    except FileNotFoundError as error:
        raise RetrainingError(f"{path.parent} is not planned: call dixonflow retrain plan") from error
    except (OSError, DocumentError) as error:
        raise RetrainingError(f"{path} cannot be read: remove {path.parent} and plan again") from error


def _valid(content: object, path: Path) -> TrainingSettings:
    try:
        return TrainingSettings.model_validate_json(json.dumps(content))  # lists for tuples, as files have them
    except (ValidationError, TypeError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise RetrainingError(f"{path}: {one_line(error)}") from error
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise RetrainingError(f"{path}: {one_line(where)}: {one_line(first['msg'])}") from error
