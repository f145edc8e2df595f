"""Thoracic and abdominal organs."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from scipy import ndimage

from dixonflow.imaging.types import Floats32, Mask
from dixonflow.phantom.anatomy.body_plan import SIDES, BodyPlan
from dixonflow.phantom.anatomy.shapes import Canvas, Capsule, Ellipsoid, Region, tube
from dixonflow.phantom.anatomy.structures import Structure

_INTESTINE = (
    [(58, 26, 172), (20, 30, 180), (-25, 34, 176), (-62, 24, 166)],
    [(-58, 36, 140), (-20, 48, 146), (25, 44, 142), (52, 38, 132)],
    [(50, 40, 108), (15, 52, 112), (-22, 48, 108), (-50, 38, 100)],
    [(-30, 40, 76), (0, 48, 78), (30, 40, 74)],
)
_COLON = (
    [(92, 14, 160), (94, 10, 135), (90, 10, 104)],
    [(-92, 12, 172), (-94, 4, 135), (-88, 6, 100), (-56, 2, 84), (-14, -22, 66), (2, -34, 30), (0, -36, -8)],
)


_LUNG_APEX = 536.0
"""Reference height of the top of the lungs."""


def paint_lungs(canvas: Canvas, plan: BodyPlan) -> None:
    """Two left and three right lobes between chest wall, mediastinum and diaphragm.

    Fissures lie at fixed fractions of the lung's own height and depth; lower lobes carry more signal, as dependent
    lung does.
    """
    h, w = plan.height_scale, plan.width_scale
    lift = plan.displacement("diaphragm")[2]
    apex = _LUNG_APEX * h
    for name, side in SIDES.items():
        dome = (338 if side > 0 else 324) * h + lift
        low, high = sorted((0.0, side * 200.0))
        box = np.array([[low, -140, 225 * h], [high, 140, apex]])
        upper = Structure[f"LUNG_UPPER_LOBE_{name.upper()}"]
        lower = Structure[f"LUNG_LOWER_LOBE_{name.upper()}"]
        canvas.paint(upper, Region(box, partial(_in_lung, plan, side, dome)))
        # the oblique fissure: 62 % of the lung's height at the back, below the dome in front
        slope = -0.78 * (apex - dome) / (156 * w)
        canvas.paint(lower, Region(box, partial(_below, dome + 0.62 * (apex - dome), slope, -80 * w)), over=[upper])
        if side > 0:
            horizontal = dome + 0.36 * (apex - dome)
            canvas.paint(Structure.LUNG_MIDDLE_LOBE_RIGHT, Region(box, partial(_below, horizontal, 0, 0)), over=[upper])


def _in_lung(plan: BodyPlan, side: int, dome_mm: float, x: Floats32, y: Floats32, z: Floats32) -> Mask:
    """Inside the chest wall, above the dome of the diaphragm and next to the mediastinum, which narrows upwards."""
    w = plan.width_scale
    half_width = plan.cavity.at(z.ravel())[2].astype(np.float32)[None, None, :]
    floor = dome_mm - 62 * w * ((x - side * 62 * w) / (72 * w)) ** 2 - 62 * w * ((y - 8 * w) / (88 * w)) ** 2
    medial = (0.26 if side > 0 else 0.33) * half_width + 3 * w
    return np.asarray(plan.cavity.contains(x, y, z) & (z > floor) & (side * x > medial))


def _below(height_mm: float, slope: float, from_y_mm: float, x: Floats32, y: Floats32, z: Floats32) -> Mask:
    """Below a plane that is `height_mm` high at `from_y_mm` and changes by `slope` per mm towards the front."""
    return np.asarray((z < np.float32(height_mm) + np.float32(slope) * (y - np.float32(from_y_mm))) & np.isfinite(x))


def paint_heart(canvas: Canvas, plan: BodyPlan) -> None:
    """Heart, its long axis to the left, front and down; it pushes into both lungs, more into the left."""
    axis = np.array([-0.62, 0.45, -0.64])
    axis /= np.linalg.norm(axis)
    second = np.cross(axis, [0, 1, 0])
    second /= np.linalg.norm(second)
    axes = np.stack([axis, second, np.cross(axis, second)], axis=1)
    centre = plan.organ("heart", -16, 22, 386)
    radii = plan.organ_size("heart", 64, 50, 44)
    lungs = [s for s in Structure if s.name.startswith("LUNG")]
    canvas.paint(Structure.INNER_FAT, Ellipsoid(centre, [r + 6 for r in radii], 2.0, axes), over=lungs)
    canvas.paint(
        Structure.HEART, Ellipsoid(centre, radii, 2.0, axes), over=[Structure.INNER_FAT], within=plan.organ_space
    )


def paint_abdomen(canvas: Canvas, plan: BodyPlan) -> None:
    """Intestine, liver, spleen, stomach, kidneys, pancreas and bladder, each in a layer of inner fat."""
    size = plan.organ_size
    visceral = plan.participant.visceral_mm
    loops = [
        *((loop, 16.5, 0.005, 0.6, 14) for loop in _INTESTINE),
        *((c, 18.5, 0.006, 0.3, 6 * (len(c) - 1)) for c in _COLON),
    ]
    for loop, radius, spread, forward, pieces in loops:
        path = [plan.organ("intestine", x * (1 + spread * visceral), y + forward * visceral, z) for x, y, z in loop]
        parts = tube(path, size("intestine", *[radius] * len(path)), pieces)
        canvas.paint(Structure.INTESTINE, parts, over=[Structure.INNER_FAT], within=plan.organ_space)
    right_lobe = Ellipsoid(plan.organ("liver", 68, 2, 256), size("liver", 56, 73, 74), 2.2)
    left_lobe = Ellipsoid(plan.organ("liver", 6, 36, 284), size("liver", 62, 36, 36))
    _embed(canvas, plan, Structure.LIVER, [right_lobe, left_lobe])
    _embed(canvas, plan, Structure.SPLEEN, [Ellipsoid(plan.organ("spleen", -87, -30, 256), size("spleen", 27, 41, 50))])
    stomach = [plan.organ("stomach", *p) for p in [(-54, 16, 292), (-54, 26, 262), (-42, 42, 232), (-4, 50, 220)]]
    _embed(canvas, plan, Structure.STOMACH, tube(stomach, size("stomach", 33, 36, 27, 17), 12))
    for side, x, z in (("right", 82, 188), ("left", -80, 198)):
        name = f"kidney_{side}"
        kidney = Ellipsoid(plan.organ(name, x, -28, z), size(name, 27, 25, 52))
        _embed(canvas, plan, Structure[name.upper()], [kidney])
    pancreas = [
        plan.organ("pancreas", *p) for p in [(34, 16, 196), (30, 24, 212), (2, 26, 218), (-30, 10, 222), (-54, -4, 234)]
    ]
    _embed(canvas, plan, Structure.PANCREAS, tube(pancreas, size("pancreas", 17, 18, 15, 14, 13), 14))
    _embed(
        canvas,
        plan,
        Structure.URINARY_BLADDER,
        [Ellipsoid(plan.organ("bladder", 0, 26, 10), size("bladder", 37, 30, 30))],
    )
    _keep_one_piece(canvas, Structure.INTESTINE)


_NECK_MM = 8.0
"""Pieces of bowel that hang together by less are two: a scan could not show the bridge."""


def _keep_one_piece(canvas: Canvas, structure: Structure) -> None:
    """Turn what other organs cut off into inner fat: bowel is one piece, and rules for it count on that."""
    box = ndimage.find_objects(canvas.labels)[structure - 1]
    labels = canvas.labels[box]
    mask = labels == structure
    steps = round(_NECK_MM / 2 / canvas.spacing_mm)
    core = ndimage.binary_erosion(mask, iterations=steps) if steps else mask
    pieces, _ = ndimage.label(core)
    largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    whole = ndimage.binary_dilation(largest, iterations=steps + 1, mask=mask)
    labels[mask & ~whole] = Structure.INNER_FAT


_YIELDING = (Structure.INTESTINE, Structure.LIVER, Structure.SPLEEN, Structure.STOMACH)


def _embed(
    canvas: Canvas, plan: BodyPlan, organ: Structure, parts: Sequence[Ellipsoid | Capsule], layer_mm: float = 5.0
) -> None:
    """Paint an organ over inner fat, pushing yielding organs out of a fat layer around it, so that its whole surface
    can be seen.
    """
    grown: list[Ellipsoid | Capsule] = []
    for part in parts:
        if isinstance(part, Capsule):
            grown.append(Capsule(part.start, part.end, part.start_radius + layer_mm, part.end_radius + layer_mm))
        else:
            grown.append(Ellipsoid(part.centre, [r + layer_mm for r in part.radii], part.exponent, part.axes))
    canvas.paint(Structure.INNER_FAT, grown, over=[o for o in _YIELDING if o is not organ])
    canvas.paint(organ, parts, over=[Structure.INNER_FAT], within=plan.organ_space)
