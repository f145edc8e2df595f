"""A segmentation model as `models/files/<name>.yaml` describes it.

The file holds what the runtime must know beyond nnU-Net's own plans: where the weights come from, what goes in and on
which grid, how the predictions of the contrasts are merged, how many components a structure may have. Numbers come from
the model's authors and carry their source in the file.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from dixonflow.errors import ModelError
from dixonflow.models.nnunet_files import is_imported, read_json
from dixonflow.models.weights_source import Crop, Part, PositiveId, Record, WeightsSource
from dixonflow.system.documents import MAX_JSON_BYTES
from dixonflow.system.regular_file import read_regular
from dixonflow.vocabulary import Contrast, Interpolate, Modality, contrasts_of

NO_LIMIT = 1_000_000
"""Number of components that stands for any number."""


class LabelRule(Record):
    """One structure of the model and the rules of its group.

    Attributes
    ----------
    name
        The structure, in the vocabulary of DixonFlow.
    published
        The authors' name of it, as their network's dataset.json has it; the same where none is given.
    also_published
        Other names that the authors use for it.
    part
        The part that predicts it; none in a model with one network.
    network_class
        Its number in that network; its label id where none is given.
    group
        Merge group; groups are filled in `Model.group_order`.
    min_components, max_components
        Allowed number of connected components after the merge.
    single_piece
        The largest component is kept in each contrast before the merge.
    drop_mm3_per_contrast, drop_mm3
        Surplus components of at most this volume are dropped, before and after the merge (mm3).
    lower_cutoff_ml
        Volume under which its segmentation counts as failed; none where nobody has published one.
    published_dice
        Published mean Dice on held-out scans; none where there is none. Which scans: in `Model.sources`.
    """

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    published: str | None = Field(default=None, min_length=1)
    also_published: tuple[str, ...] = ()
    part: str | None = None
    network_class: PositiveId | None = None
    group: str
    min_components: int = Field(default=1, ge=0)
    max_components: int = Field(default=NO_LIMIT, ge=1)
    single_piece: bool = False
    drop_mm3_per_contrast: float = Field(default=0.0, ge=0)
    drop_mm3: float = Field(default=0.0, ge=0)
    lower_cutoff_ml: float | None = Field(default=None, gt=0)
    published_dice: float | None = Field(default=None, ge=0, le=1)

    @property
    def published_name(self) -> str:
        """The authors' name of the structure."""
        return self.published or self.name


class Model(Record):
    """A model: its networks, its inputs, its labels and their rules.

    Attributes
    ----------
    name
        As in `segment.model` and in file names.
    licence, consent
        Licence of the weights; where it forbids free use, what a user must agree to, else none.
    weights
        Folder of the network, or of the folders of the parts.
    source
        How the weights are published; none for a network that ships with DixonFlow.
    parts
        The networks of a published model, in the order in which their labels are merged: later ones overwrite. None
        for one that ships with DixonFlow.
    modality
        `mr` takes Dixon contrasts, `ct` one image in Hounsfield units.
    input_contrasts
        Contrasts that are segmented, one by one; `ct` for that modality. With `channels`, the first of them alone: the
        label map of all bears its name.
    contrast_weights
        How much each contrast counts in the mean of their scores (`merge.strategy: mean_scores`), 1 by default.
    channels
        Contrasts that go into the network together, in this order; none where it takes one image.
    orientation, spacing_mm
        What the network was trained on, and the grid to resample to before it runs (x, y, z); `dataset` and `plans`:
        as its dataset.json and plans.json say, known when it is imported.
    resampling
        `nnunet` crops, normalises, then resamples. The others resample to `spacing_mm` before that, by cubic splines,
        and give labels back by nearest neighbour: `first` keeps the centre of the first voxel and the exact spacing
        (TPTBox), `first_zoom` the centres of the first and the last voxel (scipy.ndimage.zoom, TotalSegmentator).
    pad_voxels
        Voxels added on every side, by reflection, after resampling and taken off the labels.
    tile_step, mirroring
        Step between patches as a part of the patch, and whether the authors also average over mirror images.
    interpolate
        What is interpolated from the network's voxels to the image's where the two differ: `scores`, as nnU-Net does,
        `probabilities`, or `nearest` for labels.
    crop
        Structures that are found first, and the box around them.
    """

    name: str = Field(pattern=r"^[a-z0-9]+$")
    title: str
    description: str
    licence: str
    consent: str | None = None
    citation: str
    weights: Path
    source: WeightsSource | None = None
    parts: tuple[Part, ...] = ()
    modality: Modality = "mr"
    input_contrasts: tuple[Contrast, ...]
    contrast_weights: dict[Contrast, Annotated[float, Field(gt=0, le=100)]] = Field(default_factory=dict)
    channels: tuple[Contrast, ...] = ()
    orientation: str = Field(default="RAS", pattern=r"^([RL][AP][SI]|dataset)$")
    resampling: Literal["nnunet", "first", "first_zoom"]
    spacing_mm: tuple[float, float, float] | Literal["plans"] | None = None
    pad_voxels: int = Field(default=0, ge=0)
    tile_step: float = Field(default=0.5, gt=0, le=1)
    mirroring: bool = False
    interpolate: Interpolate = "scores"
    crop: Crop | None = None
    keep_largest: bool = True
    group_order: tuple[str, ...]
    group_contrasts: dict[str, tuple[Contrast, ...]]
    labels: dict[PositiveId, LabelRule]
    composites: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    sources: dict[str, str]
    _rough: "Model | None" = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [rule.name for rule in self.labels.values()]
        if len(set(names)) != len(names):
            raise ValueError("two labels have the same structure name")
        groups = {rule.group for rule in self.labels.values()}
        if groups - set(self.group_order) or len(set(self.group_order)) != len(self.group_order):
            raise ValueError("group_order must name every group of the labels once")
        if set(self.group_contrasts) != set(self.group_order):
            raise ValueError("group_contrasts must have an entry for every group in group_order")
        for group, contrasts in self.group_contrasts.items():
            if set(contrasts) - set(self.input_contrasts) or len(set(contrasts)) != len(contrasts):
                raise ValueError(f"group_contrasts of {group!r} must be a choice from input_contrasts, each once")
            if not contrasts:
                raise ValueError(f"group_contrasts of {group!r} names no contrast")
        for composite, parts in self.composites.items():
            if composite in names or set(parts) - set(names) or not parts:
                raise ValueError(f"composite {composite!r} must combine structures of the model under a new name")
        if (self.resampling == "nnunet") != (self.spacing_mm is None):
            raise ValueError("spacing_mm goes with resampling first or first_zoom, and only with them")
        if not self.input_contrasts or set(self.contrasts_read) - set(contrasts_of(self.modality)):
            raise ValueError(f"input_contrasts must name images of modality {self.modality!r}")
        if (self.source is None) != (not self.parts):
            raise ValueError("source and parts go together")
        return self

    @model_validator(mode="after")
    def _contrasts_consistent(self) -> Self:
        if self.channels and (
            len(set(self.channels)) != len(self.channels) or self.input_contrasts != self.channels[:1]
        ):
            raise ValueError("channels must be different contrasts, and input_contrasts only the first of them")
        if set(self.contrast_weights) - set(self.input_contrasts):
            raise ValueError("contrast_weights names a contrast that is not in input_contrasts")
        return self

    @model_validator(mode="after")
    def _parts_consistent(self) -> Self:
        names = [part.name for part in self.parts]
        if len(set(names)) != len(names):
            raise ValueError("two parts have the same name")
        for label, rule in self.labels.items():
            if (rule.part is None) != (len(names) < 2) or (rule.part is not None and rule.part not in names):
                raise ValueError(f"label {label}: part must be one of {names} in a model of several parts, else absent")
        for part in self.parts:
            classes = [
                *(rule.network_class or label for label, rule in self._labels_of(part)),
                *part.unused_classes,
            ]
            if sorted(classes) != list(range(1, len(classes) + 1)):
                raise ValueError(f"part {part.name}: its classes must be 1, 2, ... {len(classes)}, each once")
            published = [rule.published_name for _, rule in self._labels_of(part)]
            if len(set(published)) != len(published):
                raise ValueError(f"part {part.name}: two of its labels have the same published name")
        return self

    def _labels_of(self, part: Part) -> list[tuple[int, LabelRule]]:
        return [(label, rule) for label, rule in self.labels.items() if rule.part in (None, part.name)]

    def classes_of(self, part: Part) -> dict[int, int]:
        """Label id of each class of a part's network, in ascending order; 0 for unused classes and background."""
        classes = {rule.network_class or label: label for label, rule in self._labels_of(part)}
        return dict(sorted({**dict.fromkeys((0, *part.unused_classes), 0), **classes}.items()))

    def published_names_of(self, part: Part) -> dict[int, tuple[str, ...]]:
        """Names that each class of a part's network may have in its dataset.json, background left out."""
        names = {
            rule.network_class or label: (rule.published_name, *rule.also_published)
            for label, rule in self._labels_of(part)
        }
        return dict(sorted({**names, **part.unused_classes}.items()))

    @property
    def folders(self) -> dict[str, Path]:
        """Folder of each imported network by the name of its part; of a model with one, the weights folder itself."""
        if len(self.parts) < 2:
            return {self.parts[0].name if self.parts else self.name: self.weights}
        return {part.name: self.weights / part.name for part in self.parts}

    @property
    def is_resampled_before(self) -> bool:
        """Whether the resample stage brings its images onto its grid; where they are cropped first, it cannot yet."""
        return self.resampling != "nnunet" and self.crop is None

    @property
    def rough(self) -> "Model | None":
        """The rough model whose structures the image is cropped to."""
        return self._rough

    @property
    def contrasts_read(self) -> tuple[Contrast, ...]:
        """Contrasts whose images the model takes, together or one by one."""
        return self.channels or self.input_contrasts

    def weights_of(self, contrasts: Sequence[Contrast]) -> list[float]:
        """How much each of these contrasts counts in the mean of their scores."""
        return [self.contrast_weights.get(contrast, 1.0) for contrast in contrasts]

    def contrasts_of(self, label: int) -> tuple[Contrast, ...]:
        """Contrasts that may fill `label`, in the order in which they are tried."""
        return self.group_contrasts[self.labels[label].group]

    @property
    def structures(self) -> dict[str, int]:
        """Label id of each structure name."""
        return {rule.name: label for label, rule in sorted(self.labels.items())}

    @property
    def regions(self) -> dict[str, list[int]]:
        """Label ids of each structure, then those that each composite is the union of."""
        composites = {name: [self.structures[part] for part in parts] for name, parts in self.composites.items()}
        return {name: [label] for name, label in self.structures.items()} | composites

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 over plans, label table and the recorded hashes of the weights, which are checked when they load."""
        digest = hashlib.sha256()
        for folder in self.folders.values():
            for name in ("plans.json", "dataset.json", "metadata.json"):
                path = folder / name
                try:
                    digest.update(read_regular(path, MAX_JSON_BYTES))
                except OSError as error:
                    raise ModelError(f"model {self.name}: cannot read {path}: {error.strerror}") from error
        return digest.hexdigest()

    @cached_property
    def folds(self) -> tuple[str, ...] | None:
        """Folds of its networks in the order in which they are averaged; None where its networks have different ones.

        Raises
        ------
        ModelError
            If a network is not there.
        """
        hashes = (read_json(folder / "metadata.json").get("weights_sha256", {}) for folder in self.folders.values())
        each = {tuple(sorted(folds, key=lambda fold: (fold == "all", len(fold), fold))) for folds in hashes}
        return each.pop() if len(each) == 1 else None

    @property
    def is_imported(self) -> bool:
        """Whether the weights of all its networks are here."""
        return all(is_imported(folder) for folder in self.folders.values())
