"""Single vertebrae of the phantom, which it renders as one structure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.models.anatomy import SACRUM
from dixonflow.phantom.anatomy.body_plan import BodyPlan
from dixonflow.phantom.anatomy.participant import Participant
from dixonflow.phantom.anatomy.render import Anatomy
from dixonflow.phantom.anatomy.skeleton import COLUMN_BASE_MM, DISC_SHARE, VERTEBRA_PITCH_MM
from dixonflow.phantom.anatomy.structures import Structure

L5 = 24
"""Vertebra id of the lowest one; they are counted from there, because about 15 stand for 20."""


@dataclass(frozen=True)
class VertebraTruth:
    """The vertebrae of a rendered body.

    Attributes
    ----------
    labels
        uint8 (x, y, z), the grid of the anatomy: vertebra id (`dixonflow.models.anatomy`) of bodies and posterior
        elements and of the sacrum, 0 elsewhere.
    ends_mm
        Inferior and superior endplate of each body above sacrum, z in mm, by vertebra id. The highest may lie beyond
        the volume.
    """

    labels: NDArray[np.uint8]
    ends_mm: dict[int, tuple[float, float]]


def vertebra_truth(participant: Participant, anatomy: Anatomy) -> VertebraTruth:
    """Tell the vertebrae of a body apart: all of one, processes too, lies between two lower faces of discs."""
    scale = BodyPlan(participant).height_scale
    base, pitch = COLUMN_BASE_MM * scale, VERTEBRA_PITCH_MM * scale
    z = anatomy.affine[2, 3] + anatomy.spacing_mm * np.arange(anatomy.labels.shape[2])
    floor = np.floor((z - base) / pitch).astype(int)
    column = np.isin(anatomy.labels, (Structure.VERTEBRA_BODY, Structure.POSTERIOR_ELEMENTS))
    labels = np.where(column, np.clip(L5 - floor, 1, L5), 0).astype(np.uint8)
    labels[anatomy.labels == Structure.SACRUM] = SACRUM
    ends = {
        L5 - place: (base + (place + DISC_SHARE) * pitch, base + (place + 1) * pitch)
        for place in range(floor.max() + 1)
    }
    return VertebraTruth(labels, ends)
