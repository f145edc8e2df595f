"""Aorta, inferior vena cava and iliac vessels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dixonflow.phantom.anatomy.body_plan import SIDES, BodyPlan
from dixonflow.phantom.anatomy.shapes import Canvas, tube
from dixonflow.phantom.anatomy.structures import Structure

AORTA_RADIUS_MM, VENA_CAVA_RADIUS_MM, ILIAC_ARTERY_RADIUS_MM, ILIAC_VEIN_RADIUS_MM = 12.0, 12.5, 6.2, 7.0
ARTERIAL_FORK, VENOUS_FORK = 140.0, 126.0
"""Reference height at which aorta and vena cava divide."""


def paint_vessels(canvas: Canvas, plan: BodyPlan) -> None:
    """Vessels in front of the vertebral column: aorta to the left of the vena cava, iliac arteries in front of their
    veins.
    """
    h, w = plan.height_scale, plan.width_scale

    def before_column(dx: float, gap: float, z: float) -> NDArray[np.float64]:
        x, front = plan.column_front(z * h)
        return np.array([x + dx * w, front + gap * w, z * h])

    def rows(points: Sequence[tuple[float, float, float]], side: int) -> list[NDArray[np.float64]]:
        return list(plan.points(np.array(points, float), side))

    heart = plan.displacement("heart") * [1, 1, 0.6]
    root = plan.point(4, 10, 412) + heart
    arch = [root, plan.point(10, 4, 440) + heart * 0.5, plan.point(2, -4, 462), plan.point(-14, -20, 458)]
    down = [
        before_column(-22, 2, 430),
        before_column(-20, 6, 380),
        before_column(-16, 12, 310),
        before_column(-13, 14, 230),
    ]
    fork_artery = before_column(-9, 14, ARTERIAL_FORK)
    fork_vein = before_column(17, 11, VENOUS_FORK)
    body = [s for s in Structure if s not in (Structure.VERTEBRA_BODY, Structure.DISC, Structure.SACRUM)]
    for name, side in SIDES.items():
        vein = rows([(20 if side > 0 else 14, -1, 100), (35, -12, 64), (45, 3, 28), (50, 24, 2), (54, 38, -22)], side)
        artery = rows([(29, 6, 104), (39, 9, 68), (51, 25, 30), (60, 43, 2), (66, 56, -22)], side)
        w_artery, w_vein = ILIAC_ARTERY_RADIUS_MM * w, ILIAC_VEIN_RADIUS_MM * w
        canvas.paint(Structure[f"ILIAC_VENA_{name.upper()}"], tube([fork_vein, *vein], [w_vein] * 6, 18), over=body)
        canvas.paint(
            Structure[f"ILIAC_ARTERY_{name.upper()}"], tube([fork_artery, *artery], [w_artery] * 6, 18), over=body
        )
    cava = [
        fork_vein,
        before_column(18, 12, 200),
        before_column(18, 14, 260),
        before_column(19, 20, 310),
        plan.point(18, 8, 372) + heart,
    ]
    canvas.paint(
        Structure.INFERIOR_VENA_CAVA,
        tube(cava, [VENA_CAVA_RADIUS_MM * w] * 5, 20),
        over=[s for s in body if s is not Structure.HEART],
    )
    radii = [15.0, 14.5, 14, 13.5, 13, 12.5, AORTA_RADIUS_MM, AORTA_RADIUS_MM, 11]
    canvas.paint(Structure.AORTA, tube([*arch, *down, fork_artery], [r * w for r in radii], 36), over=body)
