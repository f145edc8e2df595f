"""Renders a participant into a label volume from neck to knee, arms included."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dixonflow.phantom.anatomy.body_plan import SIDES, BodyPlan
from dixonflow.phantom.anatomy.muscles import paint_autochthon, paint_glutei, paint_iliopsoas
from dixonflow.phantom.anatomy.organs import paint_abdomen, paint_heart, paint_lungs
from dixonflow.phantom.anatomy.participant import Participant
from dixonflow.phantom.anatomy.shapes import Canvas, Ellipsoid
from dixonflow.phantom.anatomy.skeleton import paint_chest_bones, paint_column, paint_limb_bones, paint_pelvis
from dixonflow.phantom.anatomy.structures import Structure
from dixonflow.phantom.anatomy.vessels import paint_vessels

TOP_REFERENCE_MM = 600.0
"""Reference height of the upper edge of the imaged region, in the neck."""
LENGTH_MM = 1150.0
MARGIN_MM = 20.0


@dataclass(frozen=True)
class Anatomy:
    """A rendered body.

    Attributes
    ----------
    labels
        uint8 (x, y, z), RAS+; 0 is air, else the id of a `Structure`.
    affine
        Voxel index to RAS mm, (4, 4); the origin lies midway between the hip joints.
    spacing_mm
        Edge length of the cubic voxels.
    top_mm
        Height at which the scanner's first station begins before the table offset is applied.
    """

    labels: NDArray[np.uint8]
    affine: NDArray[np.float64]
    spacing_mm: float
    top_mm: float


def render_anatomy(participant: Participant, spacing_mm: float) -> Anatomy:
    """Render a participant's labels.

    Parameters
    ----------
    participant
        From `draw_participant`.
    spacing_mm
        Edge length of the cubic voxels, 1 to 5 mm is sensible.

    Returns
    -------
    Anatomy
        From 20 mm above the imaged region to 1150 mm further down, wide enough for both arms.

    Raises
    ------
    ValueError
        If the spacing is not positive.
    """
    if not spacing_mm > 0:
        raise ValueError(f"spacing_mm must be positive, got {spacing_mm}")
    plan = BodyPlan(participant)
    top = TOP_REFERENCE_MM * plan.height_scale
    arm = plan.arm_skin(1).profile
    half_width = float(np.max(arm[:, 1] + arm[:, 3])) + 4
    skin = plan.trunk_skin.profile
    low_y = float(np.min(skin[:, 2] - skin[:, 4])) - 6
    high_y = float(np.max(skin[:, 2] + skin[:, 4])) + 6
    canvas = Canvas(
        (-half_width, low_y, top + MARGIN_MM - LENGTH_MM), (half_width, high_y, top + MARGIN_MM), spacing_mm
    )

    skin_parts = [plan.trunk_skin, *(part(side) for side in SIDES.values() for part in (plan.leg_skin, plan.arm_skin))]
    canvas.paint(Structure.SUBCUTANEOUS_FAT, skin_parts)
    canvas.paint(Structure.SUBCUTANEOUS_FAT, [_end(plan, side, plan.arm_fat_mm) for side in SIDES.values()])
    muscle_parts = [
        plan.trunk_muscle,
        *(part(side) for side in SIDES.values() for part in (plan.leg_muscle, plan.arm_muscle)),
    ]
    canvas.paint(Structure.MUSCLE, muscle_parts)
    canvas.paint(Structure.MUSCLE, [_end(plan, side, 0.0) for side in SIDES.values()])
    canvas.paint(Structure.INNER_FAT, plan.cavity)
    paint_autochthon(canvas, plan)
    paint_iliopsoas(canvas, plan)
    paint_glutei(canvas, plan)
    paint_lungs(canvas, plan)
    paint_heart(canvas, plan)
    paint_chest_bones(canvas, plan)
    paint_column(canvas, plan, top + MARGIN_MM)
    paint_pelvis(canvas, plan)
    paint_limb_bones(canvas, plan)
    paint_vessels(canvas, plan)
    paint_abdomen(canvas, plan)
    return Anatomy(canvas.labels, canvas.affine, spacing_mm, top)


def _end(plan: BodyPlan, side: int, grow_mm: float) -> Ellipsoid:
    """Rounded shoulder end of an arm, so that the deltoid does not stop at a plane."""
    z, cx, cy, rx, ry = plan.arm_muscle(side).profile[-2]
    return Ellipsoid((cx, cy, z), (rx + grow_mm, ry + grow_mm, 32 * plan.height_scale + grow_mm))
