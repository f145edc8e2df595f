"""Named muscles. They have the signal of all other muscle, so their borders follow from bones and outline alone."""

import numpy as np

from dixonflow.phantom.anatomy.body_plan import SIDES, BodyPlan
from dixonflow.phantom.anatomy.shapes import Canvas, Stack, fan, tube
from dixonflow.phantom.anatomy.skeleton import crest_path
from dixonflow.phantom.anatomy.structures import Structure


def paint_glutei(canvas: Canvas, plan: BodyPlan) -> None:
    """Gluteus maximus from sacrum to femur, medius and minimus as layers on the outside of the iliac wing."""
    w = plan.width_scale
    for name, side in SIDES.items():
        upper = name.upper()
        origin = plan.points(np.linspace((40, -84, 100), (30, -84, -12), 9), side)
        insertion = plan.points(np.linspace((112, -46, 22), (108, -52, -85), 9), side)
        behind = np.array([0, -21 * w, 0])
        bulk = [
            *fan(origin, insertion, *plan.size(24, 27)),
            *fan(origin + behind, insertion + behind * 1.2, *plan.size(24, 27)),
        ]
        canvas.paint(Structure[f"GLUTEUS_MAXIMUS_{upper}"], bulk, over=[Structure.MUSCLE])
        crest = crest_path(plan, side, 20)[5:]
        foot = plan.points([(126, -10, 4)], side)
        outward = np.array([side * 13 * w, -2 * w, 0])
        layers = [Structure.MUSCLE, Structure[f"GLUTEUS_MAXIMUS_{upper}"]]
        rim = crest * [1, 1, 0.93] + outward
        bulk = [
            *fan(foot + 0 * crest, rim, *plan.size(22, 19)),
            *fan(foot + outward + 0 * crest, rim + outward, *plan.size(22, 19)),
        ]
        canvas.paint(Structure[f"GLUTEUS_MEDIUS_{upper}"], bulk, over=layers)
        layers.append(Structure[f"GLUTEUS_MEDIUS_{upper}"])
        low = foot * 0.42 + crest * 0.58 + outward * 0.45
        canvas.paint(
            Structure[f"GLUTEUS_MINIMUS_{upper}"],
            fan(foot + [0, 6 * w, 8] + 0 * crest, low, *plan.size(16, 16)),
            over=layers,
        )


def paint_iliopsoas(canvas: Canvas, plan: BodyPlan) -> None:
    """Psoas next to the lumbar column, iliacus inside the iliac wing, joined on the way to the lesser trochanter."""
    over = [Structure.MUSCLE, Structure.INNER_FAT]
    for name, side in SIDES.items():
        muscle = Structure[f"ILIOPSOAS_{name.upper()}"]
        path = plan.points(
            [(36, -38, 258), (43, -36, 200), (55, -24, 130), (68, 4, 75), (82, 36, 25), (92, 34, -20), (104, 2, -62)],
            side,
        )
        radii = [r * plan.participant.muscularity for r in plan.size(9, 15, 24, 24, 21, 18, 12)]
        canvas.paint(muscle, tube(path, radii, 20), over=over)
        crest = crest_path(plan, side, 20)[4:]
        inner = crest * [0.83, 0.83, 0.82]
        canvas.paint(muscle, fan(plan.points([(76, 18, 42)], side) + 0 * inner, inner, *plan.size(14, 11)), over=over)


def paint_autochthon(canvas: Canvas, plan: BodyPlan) -> None:
    """Deep back muscles: one column on each side of the spine, from the sacrum to the neck."""
    h, w = plan.height_scale, plan.width_scale
    z = np.linspace(35, 680, 40) * h
    cx, cy, _, ry = plan.column(z)
    _, hull_cy, _, hull_ry = plan.trunk_muscle.at(z)
    reference = z / h
    cover = np.interp(reference, [35, 250, 330, 680], [0, 0, 9, 7]) * w
    back = hull_cy - hull_ry + cover - np.interp(reference, [35, 90], [0, 0])
    front = np.where(reference < 96, -66 * w, cy - ry - 8 * w)
    middle, half = (front + back) / 2, np.maximum((front - back) / 2, 12 * w)
    width = (
        np.interp(reference, [35, 90, 200, 350, 520, 600, 680], [16, 22, 25, 21, 19, 16, 15])
        * w
        * plan.participant.muscularity
    )
    for name, side in SIDES.items():
        profile = np.stack([z, cx + side * (width + 1), middle, width + 1.5, half], axis=1)
        canvas.paint(
            Structure[f"AUTOCHTHON_{name.upper()}"], Stack(profile, 2.6), over=[Structure.MUSCLE, Structure.INNER_FAT]
        )
