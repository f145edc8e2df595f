"""The labels of a model and the rules of their groups, as a model file has them."""

from pydantic import Field

from dixonflow.models.weights_source import PositiveId, Record
from dixonflow.vocabulary import Contrast

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


class AcceptedSequence(Record):
    """What a model takes of scans of another sequence.

    Attributes
    ----------
    contrasts
        Images that are segmented, one by one.
    labels
        Labels that the network has on such scans alone; their classes are `unused_classes` of their part else.
    """

    contrasts: tuple[Contrast, ...] = Field(min_length=1)
    labels: dict[PositiveId, LabelRule] = Field(default_factory=dict)
