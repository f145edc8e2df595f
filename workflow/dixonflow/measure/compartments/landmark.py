"""Landmarks of the skeleton, and the models that have them. Light: every job of a run reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dixonflow.models.anatomy import have_single_vertebrae
from dixonflow.models.model import Model


class Position(StrEnum):
    """Where on a vertebral body, from head to foot; the measure of it is `level_<place>`."""

    SUPERIOR_ENDPLATE = "upper_end"
    CENTRE = "centre"
    INFERIOR_ENDPLATE = "lower_end"


BONES: Mapping[str, tuple[tuple[str, ...], Position]] = {
    "hips": (("hip_left", "hip_right"), Position.INFERIOR_ENDPLATE),
    "femurs": (("femur_left", "femur_right"), Position.SUPERIOR_ENDPLATE),
}
"""Landmarks that are no vertebrae: their labels and their end. Its height is the mean of both sides."""


@dataclass(frozen=True)
class Landmark:
    """A place on the skeleton.

    Attributes
    ----------
    structure
        A vertebra of the vocabulary, `vertebrae_L3`, or one of `BONES`.
    place
        Where on it; of bones their end that counts.
    offset_mm
        Distance from there, towards the head.
    """

    structure: str
    place: Position
    offset_mm: float = 0.0


def level_model(models: Sequence[Model]) -> Model | None:
    """The model whose label map says where the vertebrae are.

    The first that names them; else the first in which they can be counted from the sacrum; none where there is none.
    """
    named = [model for model in models if have_single_vertebrae(model.structures)]
    counted = [model for model in models if can_count_vertebrae(model)]
    return next(iter((*named, *counted)), None)


def landmark_models(models: Sequence[Model]) -> list[Model]:
    """The models that landmarks are taken from, the measured one being the first of `models`."""
    chosen = [level_model(models), *(with_bone(name, models) for name in BONES)]
    return [model for model in models if any(each is not None and each.name == model.name for each in chosen)]


def with_bone(name: str, models: Sequence[Model]) -> Model | None:
    """The first model that labels a bone of `BONES` on both sides."""
    return next((model for model in models if set(BONES[name][0]) <= set(model.structures)), None)


def can_count_vertebrae(model: Model) -> bool:
    """Whether a model labels what vertebrae are counted by, and not single ones."""
    return not have_single_vertebrae(model.structures) and {"sacrum", "vertebra_body", "IVD"} <= set(model.structures)
