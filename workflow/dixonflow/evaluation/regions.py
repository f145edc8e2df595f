"""What is evaluated: structures, and composites of structures."""

from dataclasses import dataclass

from dixonflow.models.model import Model


@dataclass(frozen=True)
class Region:
    """A structure, or a composite of structures, that is evaluated as one.

    Attributes
    ----------
    name
        Structure or composite.
    labels
        Its label ids. It is the union of their voxels.
    composite
        Whether it combines structures; composites have all metrics and do not enter means over structures.

    Raises
    ------
    ValueError
        If it has no labels, or one that is not above 0 (background).
    """

    name: str
    labels: tuple[int, ...]
    composite: bool = False

    def __post_init__(self) -> None:
        if not self.labels or min(self.labels) < 1:
            raise ValueError(f"the labels of {self.name} must be ids above 0, not {self.labels}")


def regions_of(model: Model) -> list[Region]:
    """Return every structure of the model, then every composite."""
    ids = model.structures
    single = [Region(name, (label,)) for name, label in ids.items()]
    combined = [Region(name, tuple(ids[part] for part in parts), True) for name, parts in model.composites.items()]
    return single + combined
