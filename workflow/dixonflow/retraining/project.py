"""A retraining project: a folder of its own, outside the results, with its settings and where each thing lies in it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from dixonflow.config import Config, read_config
from dixonflow.config.fields import NamedPath, Section
from dixonflow.errors import DixonflowError, ModelError
from dixonflow.models.anatomy import known_structures
from dixonflow.models.load import load_model, model_file
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.retraining.harmonise import HarmoniseSettings
from dixonflow.system.atomic import write_if_changed
from dixonflow.system.documents import DocumentError, one_line, read_yaml_file
from dixonflow.system.file_lock import locked_file
from dixonflow.vocabulary import Contrast

SETTINGS = "retraining.yaml"
MAX_ROUNDS = 99
TEST_ROUND = 0
"""Number of the cases of frozen test participants, which belong to no round of training."""


class RetrainingError(DixonflowError):
    """A step of retraining cannot be done. The message says what to do."""


class Settings(Section):
    """What stays the same over all rounds; `retraining.yaml`, written once.

    Attributes
    ----------
    config
        Configuration of the run whose scans are used: `results/config.json`.
    model
        Model whose label maps are proposed where a round names no other.
    contrasts
        Images of a case, each on the stitched grid.
    channels
        Whether the network takes them together, as channels of one case; else each contrast is a case of its own.
    labels
        Number of each structure in proposals, returned label maps and reference masks. 0 is background.
    orientation
        In which images and label maps are written for training, as an existing network wants it; RAS or LPS, say.
    folds
        Folds of the cross-validation.
    harmonise
        Corrections of the label maps that are trained on.
    seed
        Of all random choices.
    """

    config: NamedPath
    model: Annotated[str, Field(pattern=r"^[a-z0-9]+$")]
    contrasts: tuple[Contrast, ...] = Field(min_length=1)
    channels: bool = False
    labels: dict[str, Annotated[int, Field(ge=1, le=65535)]] = Field(min_length=1)
    orientation: Annotated[str, Field(pattern=r"^[RL][AP][SI]$")] = "RAS"
    folds: Literal[3, 5] = 5
    harmonise: HarmoniseSettings = HarmoniseSettings()
    seed: int = Field(default=0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.contrasts)) != len(self.contrasts):
            raise ValueError("a contrast is named twice")
        if len(set(self.labels.values())) != len(self.labels):
            raise ValueError("two structures have the same number")
        if unknown := sorted(self.harmonise.structures - set(self.labels)):
            raise ValueError(f"harmonise names structures without a label: {one_line(', '.join(unknown))}")
        if unknown := sorted(set(self.labels) - known_structures()):
            raise ValueError(f"not in the vocabulary of structures: {one_line(', '.join(unknown))}")
        return self


@dataclass(frozen=True)
class Project:
    """A retraining project.

    Attributes
    ----------
    root
        Its folder.
    settings
        As `retraining.yaml` has them.
    """

    root: Path
    settings: Settings

    @cached_property
    def config(self) -> Config:
        """Configuration of the run. Raises ConfigError."""
        return read_config(self.settings.config)

    @property
    def results(self) -> Results:
        """Results of the run."""
        return self.config.paths

    def model(self, name: str | None = None) -> Model:
        """Load the file of a model, by default the one that proposes. Raises ModelError."""
        weights, wanted = self.config.segment.weights, name or self.settings.model
        path = model_file(wanted, weights)
        model = load_model(path, weights)
        if model.name != wanted:
            raise ModelError(f"model file {path}: name must be {wanted}, as its folder")
        return model

    @property
    def ledger(self) -> Path:
        """Which participant was in which set in which round."""
        return self.root / "ledger.csv"

    def round(self, number: int) -> Path:
        """Folder of a round; `TEST_ROUND` for that of the frozen test participants."""
        return self.root / ("test" if number == TEST_ROUND else f"round_{number:02d}")

    def selected(self, number: int) -> Path:
        """Scans that were selected for a round, each with its case name and why."""
        return self.round(number) / "selected.csv"

    def export(self, number: int) -> Path:
        """Folder that goes to the annotators."""
        return self.round(number) / "export"

    def returned(self, number: int) -> Path:
        """Folder of what came back."""
        return self.round(number) / "returned"

    def propagated(self, number: int) -> Path:
        """Folder of cases that took their label map from that of another sequence."""
        return self.round(number) / "propagated"

    def dataset(self, number: int) -> Path:
        """Folder of the raw data in nnU-Net's format."""
        return self.round(number) / "dataset"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from changing the project meanwhile; ends with the process, however that ends.

        Raises
        ------
        RetrainingError
            If another command is at it.
        """
        held = RetrainingError(f"another command is changing {self.root}: wait until it has ended")
        with locked_file(self.root / "retraining.lock", "changes this retraining project", held):
            yield


def project_labels(model: Model, structures: Sequence[str], added: Sequence[str]) -> dict[str, int]:
    """Number of each structure of a project: those of the model; new structures have the next ones.

    Parameters
    ----------
    structures
        Which of the model's; all by default.
    added
        Structures that the model does not have.

    Raises
    ------
    RetrainingError
        If the model does not have a structure, or has an added one.
    """
    known = model.structures
    if unknown := sorted(set(structures) - set(known)):
        raise RetrainingError(f"{model.name} has no {', '.join(unknown)}: name new ones with --add-structure")
    if twice := sorted(set(added) & set(known)):
        raise RetrainingError(f"{model.name} has {', '.join(twice)} already")
    free = max(known.values()) + 1
    numbers = {name: free + place for place, name in enumerate(dict.fromkeys(added))}
    return {name: known[name] for name in structures or known} | numbers


def start_project(root: Path, settings: Settings) -> Project:
    """Write the settings of a new project; the same settings again change nothing. They are final with the ledger.

    Raises
    ------
    RetrainingError
        If the folder has a project with other settings.
    """
    if (root / SETTINGS).exists() and Project(root, settings).ledger.exists():
        project = open_project(root)
        if project.settings != settings:
            raise RetrainingError(f"{root} is a retraining project with other settings: name another folder")
        return project
    content = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_if_changed(root / SETTINGS, content.encode())
    return Project(root, settings)


def open_project(root: Path) -> Project:
    """Read the settings of a project.

    Raises
    ------
    RetrainingError
        If there is none, or its settings are wrong: the message names the key.
    """
    path = root / SETTINGS
    try:
        return Project(root, Settings.model_validate(read_yaml_file(path)))
    except FileNotFoundError as error:
        raise RetrainingError(f"{root} is no retraining project: call dixonflow retrain start") from error
    except OSError as error:
        raise RetrainingError(f"{path} cannot be read: {error.strerror}") from error
    except DocumentError as error:
        raise RetrainingError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise RetrainingError(f"{path}: {one_line(where)}: {one_line(first['msg'])}") from error
