"""What models have in common, and what of them a run decides."""

from collections.abc import Iterable

from dixonflow.config import MergeConfig, SegmentConfig
from dixonflow.models.anatomy import have_single_vertebrae, vertebra_of
from dixonflow.models.model import Model
from dixonflow.vocabulary import Interpolate, MergeStrategy


def interpolate_of(model: Model, segment: SegmentConfig) -> Interpolate:
    """What is interpolated: what the configuration says, else the model file."""
    return segment.interpolate or model.interpolate


def merge_strategy_of(model: Model, merge: MergeConfig) -> MergeStrategy:
    """How the predictions of the contrasts are merged: what the configuration says, else the model file."""
    return merge.strategy or model.merge


def vertebrae_of(model: Model) -> dict[int, list[int]]:
    """Labels of each vertebra of a model, by vertebra id, ascending; empty for a model without single vertebrae.

    Where S1 and the rest of the sacrum are labelled apart, they are one: in other models the sacrum begins with S1.
    """
    found: dict[int, list[int]] = {}
    if have_single_vertebrae(model.structures):
        for name, number in model.structures.items():
            vertebra = vertebra_of(name)
            if vertebra is not None:
                found.setdefault(vertebra, []).append(number)
    return dict(sorted(found.items()))


def shared_structures(model: Model, models: Iterable[Model]) -> list[str]:
    """Structures and composites of a model that others of `models` have too, under the same name, in its own order."""
    others = [other.regions.keys() for other in models if other.name != model.name]
    return [name for name in model.regions if any(name in names for names in others)]


def compared_models(model: Model, models: Iterable[Model]) -> list[Model]:
    """Those of `models` that share a structure with `model`, itself left out."""
    return [other for other in models if other.name != model.name and shared_structures(model, [other])]
