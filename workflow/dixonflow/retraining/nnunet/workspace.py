"""Where a training lies: nnU-Net's three folders in one, without environment variables of the user."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dixonflow.retraining.nnunet.settings import TrainingSettings, read_kept
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.system.file_lock import locked_file

CONFIGURATION = "3d_fullres"
PLANS = "nnUNetPlans"
TRAINER = "nnUNetTrainerNoMirroring"
_FINAL = "final"
_FIRST_ID = 900


@dataclass(frozen=True)
class Workspace:
    """Folder of a training.

    Attributes
    ----------
    root
        All that it writes lies below.
    number
        Round whose cases are trained on; tells trainings apart where logs name nnU-Net's data set.
    """

    root: Path
    number: int

    @property
    def settings_file(self) -> Path:
        """Settings of this training."""
        return self.root / "training.json"

    @property
    def settings(self) -> TrainingSettings:
        """As the training was planned. Raises RetrainingError."""
        return read_kept(self.settings_file)

    @property
    def dataset_id(self) -> int:
        """nnU-Net's number of the data set."""
        return _FIRST_ID + self.number

    @property
    def dataset_name(self) -> str:
        """nnU-Net's name of the data set."""
        return f"Dataset{self.dataset_id}_Round{self.number:02d}"

    @property
    def raw(self) -> Path:
        """What nnU-Net takes for its raw data: a description that names the files, and copies made by deformation."""
        return self.root / "raw" / self.dataset_name

    @property
    def preprocessed(self) -> Path:
        """nnU-Net's plans, splits and preprocessed cases."""
        return self.root / "preprocessed" / self.dataset_name

    @property
    def cases(self) -> Path:
        """Preprocessed cases."""
        return self.preprocessed / f"{PLANS}_{CONFIGURATION}"

    @property
    def results(self) -> Path:
        """nnU-Net's folder of the trained networks."""
        return self.root / "results" / self.dataset_name / f"{TRAINER}__{PLANS}__{CONFIGURATION}"

    @property
    def plans_file(self) -> Path:
        """nnU-Net's plans."""
        return self.preprocessed / f"{PLANS}.json"

    @property
    def dataset_file(self) -> Path:
        """Description of the data set, without its files: what a network needs."""
        return self.preprocessed / "dataset.json"

    @property
    def splits_file(self) -> Path:
        """Cases that each fold trains on and validates on."""
        return self.preprocessed / "splits_final.json"

    @property
    def planned_file(self) -> Path:
        """Written when plan and preprocessing are complete: what they were made from."""
        return self.root / "planned.json"

    def fold(self, fold: str) -> Path:
        """Folder of a fold."""
        return self.results / f"fold_{fold}"

    def checkpoint(self, fold: str) -> Path:
        """Weights of a fold whose training is over."""
        return self.fold(fold) / "checkpoint_final.pth"

    def latest(self, fold: str) -> Path:
        """Checkpoint that a training resumes from."""
        return self.fold(fold) / "checkpoint_latest.pth"

    def export_environment(self) -> None:
        """Tell nnunetv2 about the folders in this process and its children; it reads environment variables only."""
        for name in ("raw", "preprocessed", "results"):
            folder = self.root / name
            folder.mkdir(parents=True, exist_ok=True)
            os.environ[f"nnUNet_{name}"] = str(folder.resolve())


def workspace_of(project: Project, round_number: int, *, final: bool = False) -> Workspace:
    """Workspace of the training of a round, or of the final model on the cases of all rounds up to it."""
    folder = project.root / _FINAL if final else project.round(round_number) / "network"
    return Workspace(folder, round_number)


def folds_of(settings: TrainingSettings, folds: int) -> tuple[str, ...]:
    """Names of the folds that are trained, of a project with so many folds."""
    return ("all",) if settings.folds == "all" else tuple(str(fold) for fold in range(folds))


@contextmanager
def sole_job(folder: Path) -> Iterator[None]:
    """Keep a second job from training the same fold, and plan from changing what it reads; ends with the process.

    Raises
    ------
    RetrainingError
        If another job trains it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = RetrainingError(f"another job trains {folder}: wait until it has ended")
    with locked_file(folder / "training.lock", "trains this fold", held):
        yield


def checked_fold(settings: TrainingSettings, folds: int, fold: str) -> str:
    """Name of a fold that is trained: nnU-Net splits the cases at random, participants or not, for one that is not.

    Raises
    ------
    RetrainingError
        If the training has no such fold.
    """
    names = folds_of(settings, folds)
    if fold not in names:
        raise RetrainingError(f"--fold {fold!r}: this training has {', '.join(names)}")
    return fold
