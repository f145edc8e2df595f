"""What a model file says about published weights: archives, networks, and structures to crop to."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveId = Annotated[int, Field(ge=1, le=65535)]


class Record(BaseModel):
    """A part of a model file: unknown keys are refused, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Archive(Record):
    """A zip file with weights.

    Attributes
    ----------
    file
        Its name.
    url
        Where it is published; none where its authors hand it out on request or have not published it yet.
    bytes, sha256
        Its size and SHA-256; none where nobody has published them.
    """

    file: str = Field(pattern=r"^[A-Za-z0-9_.-]+\.zip$")
    url: str | None = Field(default=None, pattern=r"^https://[^\s]+\.zip$")
    bytes: int | None = Field(default=None, gt=0)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


class Part(Record):
    """One network of a published model; its classes are the labels with `LabelRule.part`.

    Attributes
    ----------
    name
        Name of the part, and of its folder where a model has several parts.
    dataset_id, folder
        Number and folder name under which nnU-Net knows its training data; no folder in an archive without one.
    trainer, plans, configuration
        As in nnU-Net's folder name `trainer__plans__configuration`; none where the authors take whichever is in the
        archive.
    folds
        The folds that the authors average; none for all that the archive holds.
    archives
        Its weights, in the order in which they are unpacked over each other.
    further_archives
        Whether the first archive may list further ones, with a fold each, whose names are in that list alone: they are
        taken from where the first one is.
    unused_classes
        Classes of the network that are no structure, by number, with the names they may have: their voxels become
        background.
    """

    name: str = Field(pattern=r"^[a-z0-9]+$")
    dataset_id: int | None = Field(default=None, ge=1)
    folder: str | None = Field(default=None, pattern=r"^Dataset[0-9]{3}[A-Za-z0-9_]*$")
    trainer: str | None = Field(default=None, pattern=r"^nnUNetTrainer[A-Za-z0-9_]*$")
    plans: str | None = Field(default="nnUNetPlans", pattern=r"^[A-Za-z0-9]+$")
    configuration: str | None = Field(default="3d_fullres", pattern=r"^[a-z0-9_]+$")
    folds: tuple[Annotated[str, Field(pattern=r"^([0-9]|all)$")], ...] | None = Field(default=("0",), min_length=1)
    archives: tuple[Archive, ...] = Field(min_length=1)
    further_archives: bool = False
    unused_classes: dict[PositiveId, tuple[str, ...]] = Field(default_factory=dict)


class WeightsSource(Record):
    """How a system publishes its weights.

    Attributes
    ----------
    layout
        What a zip unpacks to: `numbered_zips` one dataset's model folder, spread over several zips; `flat_zip` a model
        folder without folders around it; `dataset_zips` one dataset folder a zip, as below nnU-Net's results folder.
    environment
        Environment variables that name a folder with local copies, the first that is set wins.
    default_folder
        Where the system's own program keeps them.
    """

    layout: Literal["numbered_zips", "flat_zip", "dataset_zips"]
    environment: tuple[str, ...] = ()
    default_folder: str | None = None


class Crop(Record):
    """Part of the image that is segmented: a box around structures that another model finds first.

    Attributes
    ----------
    model
        The rough model.
    structures
        Structures of that model that the box encloses.
    margin_mm
        Added on every side.
    keep_within, keep_within_mm
        Structures of that model that labels must lie in, or at most so far from; all labels stay where none is named.
    """

    model: str = Field(pattern=r"^[a-z0-9]+$")
    structures: tuple[str, ...] = Field(min_length=1)
    margin_mm: float = Field(ge=0)
    keep_within: tuple[str, ...] = ()
    keep_within_mm: float = Field(default=0, ge=0)
