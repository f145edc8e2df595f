"""The same person at another depth of breath.

With the diaphragm go liver, spleen, stomach, kidneys, pancreas and heart, each by its share. Nothing but the lungs
changes its volume: the front of the abdominal wall makes room, as it does in people.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dixonflow.phantom.anatomy.body_plan import BodyPlan
from dixonflow.phantom.anatomy.participant import Participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.anatomy.structures import Structure

MOVED = {
    "liver": Structure.LIVER,
    "spleen": Structure.SPLEEN,
    "kidney_right": Structure.KIDNEY_RIGHT,
    "kidney_left": Structure.KIDNEY_LEFT,
    "stomach": Structure.STOMACH,
    "pancreas": Structure.PANCREAS,
    "intestine": Structure.INTESTINE,
    "bladder": Structure.URINARY_BLADDER,
    "heart": Structure.HEART,
}
"""Organs that keep their volume, and what is painted of each."""
_TOLERANCE = 0.002
_STEPS = 8


def at_breath(participant: Participant, diaphragm_mm: float, spacing_mm: float = 2.0) -> Participant:
    """Move the diaphragm of a participant, upwards where positive.

    Organs cut each other where they meet, and that changes when they move: their sizes are set so that each is painted
    with its volume at rest.

    Parameters
    ----------
    spacing_mm
        Edge length of the voxels in which volumes are compared.

    Returns
    -------
    Participant
        In that resolution the volumes of organs, inner fat, muscle and subcutaneous fat are those of `participant`
        within 0.5 %.

    Raises
    ------
    ValueError
        If an organ cannot keep its volume: the others cut a loop of its bowel off.
    """
    if not diaphragm_mm:
        return participant
    rest = _volumes(participant, spacing_mm)
    x, y, z = participant.organ_offset_mm["diaphragm"]
    person = replace(participant, organ_offset_mm=participant.organ_offset_mm | {"diaphragm": (x, y, z + diaphragm_mm)})
    room = BodyPlan(participant).belly_volume_per_mm() * 1e-3  # mL per mm
    for _ in range(_STEPS):
        now = _volumes(person, spacing_mm)
        if np.all(np.abs(now / rest - 1) < _TOLERANCE):
            return person
        growth = rest / now
        sizes = {organ: person.organ_size[organ] * growth[place] for place, organ in enumerate(MOVED)}
        # what organs and inner fat lack together is what the wall has to give
        belly = person.belly_mm + float((rest - now).sum()) / room
        person = replace(person, organ_size=person.organ_size | sizes, belly_mm=belly)
    raise ValueError(f"the organs of participant {participant.seed} cut each other off at {diaphragm_mm} mm")


def _volumes(participant: Participant, spacing_mm: float) -> NDArray[np.float64]:
    """Volumes of the movable organs, then that of inner fat, in mL."""
    counts = np.bincount(render_anatomy(participant, spacing_mm).labels.ravel(), minlength=256)
    return np.asarray(counts[[*MOVED.values(), Structure.INNER_FAT]] * spacing_mm**3 * 1e-3, float)
