"""Compartments of a phantom's fine grid: fat and muscle between the true ends of its vertebrae, without its arms."""

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Mask
from dixonflow.measure.compartments.compartment import SOURCES, NamedRange
from dixonflow.measure.compartments.landmark import Landmark, Position
from dixonflow.models.anatomy import parts, vertebra_of
from dixonflow.phantom.anatomy.body_plan import SIDES, BodyPlan
from dixonflow.phantom.anatomy.participant import Participant
from dixonflow.phantom.anatomy.render import Anatomy
from dixonflow.phantom.anatomy.structures import Structure
from dixonflow.phantom.anatomy.vertebrae import vertebra_truth


def true_compartments(participant: Participant, anatomy: Anatomy) -> dict[tuple[str, str], float]:
    """Volume in mL, or area in cm2, of each compartment, by name and measure.

    Ends are those of the body plan, and bones' the extent of their fine-grid voxels; the end slices count by their
    share. Arms are what the body plan draws as arms outside trunk and legs.
    """
    labels, spacing = anatomy.labels, anatomy.spacing_mm
    ends = vertebra_truth(participant, anatomy).ends_mm
    bottom = float(anatomy.affine[2, 3])
    of = {each.published_name: int(each) for each in Structure}
    counts = np.zeros((256, labels.shape[2]))
    arms = _arms(participant, anatomy)
    for plane in range(labels.shape[2]):
        counts[:, plane] = np.bincount(labels[:, :, plane][~arms[:, :, plane]], minlength=256)

    def bone_mm(names: tuple[str, str], place: Position) -> float:
        sides = []
        for name in names:
            planes = np.flatnonzero((labels == of[name]).any(axis=(0, 1)))
            end = planes[0] - 0.5 if place is Position.INFERIOR_ENDPLATE else planes[-1] + 0.5
            sides.append(bottom + spacing * float(end))
        return sum(sides) / 2

    bones = {
        "hips": bone_mm(("hip_left", "hip_right"), Position.INFERIOR_ENDPLATE),
        "femurs": bone_mm(("femur_left", "femur_right"), Position.SUPERIOR_ENDPLATE),
    }

    def height(landmark: Landmark) -> float:
        vertebra = vertebra_of(landmark.structure)
        if vertebra is None:
            return bones[landmark.structure] + landmark.offset_mm
        lower, upper = ends[vertebra]
        return {
            Position.INFERIOR_ENDPLATE: lower,
            Position.CENTRE: (lower + upper) / 2,
            Position.SUPERIOR_ENDPLATE: upper,
        }[landmark.place]

    def weights(where: NamedRange) -> NDArray[np.float64]:
        place = np.arange(labels.shape[2])
        low, high = ((height(each) - bottom) / spacing for each in (where.lower, where.upper))
        if where.is_level:
            return np.asarray(np.maximum(1 - np.abs(place - low), 0))
        return np.asarray(np.clip(np.minimum(place + 0.5, high) - np.maximum(place - 0.5, low), 0, 1))

    found = {}
    for tissue, (_, sources, ranges) in SOURCES.items():
        names = [each.published_name for each in Structure if _is_in(each.published_name, sources)]
        profile = counts[[of[name] for name in names]].sum(axis=0)
        for where in ranges:
            total = float(profile @ weights(where))
            measure = "area" if where.is_level else "volume"
            found[f"{tissue}_{where.name}", measure] = total * (
                spacing**2 / 100 if where.is_level else spacing**3 / 1000
            )
    return found


def _arms(participant: Participant, anatomy: Anatomy) -> Mask:
    plan = BodyPlan(participant)
    axes = [
        (anatomy.affine[axis, 3] + anatomy.spacing_mm * np.arange(size)).astype(np.float32)
        for axis, size in enumerate(anatomy.labels.shape)
    ]
    grid = axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]
    arms = np.zeros(anatomy.labels.shape, bool)
    for side in SIDES.values():
        arms |= plan.arm_skin(side).contains(*grid)
    for part in (plan.trunk_skin, *map(plan.leg_skin, SIDES.values())):
        arms &= ~part.contains(*grid)
    return arms


def _is_in(name: str, sources: tuple[str, ...]) -> bool:
    """Whether a structure is one of these, or a part of one."""
    return any(name == source or name in _all_parts(source) for source in sources)


def _all_parts(name: str) -> set[str]:
    direct = {part for division in parts(name).values() for part in division}
    return direct.union(*(_all_parts(part) for part in direct)) if direct else direct
