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
from dixonflow.models.label_rule import AcceptedSequence, LabelRule
from dixonflow.models.model_checks import check_contrasts, check_labels, check_parts
from dixonflow.models.nnunet_files import is_imported, read_json
from dixonflow.models.weights_source import Crop, Part, PositiveId, Record, WeightsSource
from dixonflow.system.documents import MAX_JSON_BYTES
from dixonflow.system.regular_file import read_regular
from dixonflow.vocabulary import Contrast, Interpolate, MergeStrategy, Modality, ScanSequence


class Model(Record):
    """A model: its networks, its inputs, its labels and their rules.

    Attributes
    ----------
    name
        As in `segment.model` and in file names.
    citation, references
        What to cite, for a person, and as keys of report/references.bib.
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
    merge
        How the predictions of the contrasts are merged where the configuration names no strategy.
    crop
        Structures that are found first, and the box around them.
    finds_swaps
        Whether its labels are no structures but say which of water and fat its first channel shows, 1 or 2: a witness
        of swaps for other models.
    accepts
        What it takes of scans of other sequences than its own, which is Dixon, or CT for that modality.
    """

    name: str = Field(pattern=r"^[a-z0-9]+$")
    title: str
    description: str
    licence: str
    consent: str | None = None
    citation: str
    references: tuple[str, ...] = ()
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
    merge: MergeStrategy = MergeStrategy.MEAN_SCORES
    crop: Crop | None = None
    finds_swaps: bool = False
    accepts: dict[ScanSequence, AcceptedSequence] = Field(default_factory=dict)
    keep_largest: bool = True
    group_order: tuple[str, ...]
    group_contrasts: dict[str, tuple[Contrast, ...]]
    labels: dict[PositiveId, LabelRule]
    composites: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    sources: dict[str, str]
    _rough: "Model | None" = PrivateAttr(default=None)
    _swaps: "Model | None" = PrivateAttr(default=None)
    _sequence: ScanSequence | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_labels(self)
        check_contrasts(self)
        check_parts(self)
        return self

    def labels_of(self, part: Part) -> list[tuple[int, LabelRule]]:
        """Labels that a part predicts, with their ids."""
        return [(label, rule) for label, rule in self.labels.items() if rule.part in (None, part.name)]

    def classes_of(self, part: Part) -> dict[int, int]:
        """Label id of each class of a part's network, in ascending order; 0 for unused classes and background."""
        classes = {rule.network_class or label: label for label, rule in self.labels_of(part)}
        return dict(sorted({**dict.fromkeys((0, *part.unused_classes), 0), **classes}.items()))

    def published_names_of(self, part: Part) -> dict[int, tuple[str, ...]]:
        """Names that each class of a part's network may have in its dataset.json, background left out."""
        names = {
            rule.network_class or label: (rule.published_name, *rule.also_published)
            for label, rule in self.labels_of(part)
        }
        return dict(sorted({**names, **part.unused_classes}.items()))

    @property
    def own_sequence(self) -> ScanSequence:
        """Sequence of the scans that its file describes."""
        return ScanSequence.CT if self.modality == "ct" else ScanSequence.DIXON

    @property
    def sequence(self) -> ScanSequence:
        """Sequence of the scans that it is used on."""
        return self._sequence or self.own_sequence

    def check_accepted(self) -> None:
        """Check the model as it is used on scans of each sequence. Raises ValueError."""
        for sequence in self.accepts:
            if self._rough is not None and not self._rough.takes(sequence):
                raise ValueError(f"accepts: {sequence} is not taken by the rough model {self._rough.name}")
            used = self.for_sequence(sequence)
            check_labels(used)
            check_contrasts(used)
            check_parts(used)

    def takes(self, sequence: ScanSequence) -> bool:
        """Whether it can be used on scans of a sequence."""
        return sequence is self.own_sequence or sequence in self.accepts

    def for_sequence(self, sequence: ScanSequence) -> "Model":
        """Give the model as it is used on scans of a sequence: itself on those of its own.

        Raises
        ------
        KeyError
            If it does not take them.
        """
        if sequence is self.own_sequence:
            return self
        accepted = self.accepts[sequence]
        # the Dice that its authors published is that of its own sequence
        labels = {number: rule.model_copy(update={"published_dice": None}) for number, rule in self.labels.items()}
        parts = tuple(
            part.model_copy(
                update={
                    "unused_classes": {
                        number: names for number, names in part.unused_classes.items() if number not in accepted.labels
                    }
                }
            )
            for part in self.parts
        )
        used = self.model_copy(
            update={
                **{"modality": sequence.modality, "input_contrasts": accepted.contrasts, "contrast_weights": {}},
                **{"channels": (), "accepts": {}, "parts": parts, "labels": {**labels, **accepted.labels}},
                "group_contrasts": dict.fromkeys(self.group_order, accepted.contrasts),
            }
        )
        used._sequence = sequence
        used._rough = self._rough.for_sequence(sequence) if self._rough is not None else None
        used._swaps = None  # they have no water and fat to be swapped
        return used

    def with_labels_for(self, sequence: ScanSequence) -> "Model":
        """Give the model as its label maps are used on scans of another sequence, which it does not segment."""
        used = self.model_copy(update={"accepts": {sequence: AcceptedSequence(contrasts=sequence.contrasts[:1])}})
        used._rough = None  # which need not take the sequence
        return used.for_sequence(sequence)

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
    def swaps(self) -> "Model | None":
        """The network that looks for swapped water and fat in the same images."""
        return self._swaps

    def with_swaps(self, witness: "Model") -> "Model":
        """Give the model with a network that looks for swaps, which Dixon scans alone have.

        Raises
        ------
        ValueError
            If the network does something else.
        """
        if not witness.finds_swaps or len(witness.channels) < 2 or not {1, 2} <= set(witness.labels):
            raise ValueError(f"{witness.name} does not look for swaps of water and fat")
        if self.sequence is not ScanSequence.DIXON:
            return self
        used = self.model_copy()
        used._swaps = witness
        return used

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
