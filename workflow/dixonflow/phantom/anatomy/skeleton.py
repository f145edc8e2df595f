"""Bones, discs and the spinal canal."""

import numpy as np

from dixonflow.phantom.anatomy.body_plan import SIDES, BodyPlan
from dixonflow.phantom.anatomy.shapes import Canvas, Capsule, Ellipsoid, Region, Stack, fan, smooth_path, tube
from dixonflow.phantom.anatomy.structures import Structure

VERTEBRA_PITCH_MM = 37.0
"""Distance between vertebrae of the reference body, disc included. About 15 larger ones stand for the 20 between neck
and sacrum, so that discs keep two voxels of 5 mm."""
DISC_SHARE = 0.27
"""Part of the pitch that the disc takes: 10 mm."""
COLUMN_BASE_MM = 96.0
"""Reference height of the top of the sacrum, on which the lowest disc lies."""

CREST = [(46, -70, 92), (60, -68, 116), (84, -52, 132), (108, -22, 138), (121, 10, 128), (120, 36, 104), (112, 46, 82)]
"""Iliac crest from the sacroiliac joint to the anterior superior spine, right side."""


def crest_path(plan: BodyPlan, side: int, pieces: int = 22) -> np.ndarray:
    """Points along the iliac crest, (pieces + 1, 3) in mm."""
    return smooth_path(plan.points(np.array(CREST, float), side), [1] * len(CREST), pieces)[0]


def paint_pelvis(canvas: Canvas, plan: BodyPlan) -> None:
    """Sacrum, hip bones and femora with their joints."""
    for name, side in SIDES.items():
        hip = Structure[f"HIP_{name.upper()}"]
        crest = crest_path(plan, side)
        share = np.linspace(0, 1, len(crest))[:, None]
        foot = plan.points([(84, -20, 18)], side) * (1 - share) + plan.points([(94, 14, 18)], side) * share
        canvas.paint(hip, fan(foot, crest, *plan.size(13, 9.5)))
        canvas.paint(hip, Ellipsoid(plan.points([(88, -2, 2)], side)[0], plan.size(35, 35, 35)))
        pubis, symphysis, ischium = plan.points([(84, 20, 6), (15, 44, -26), (62, -46, -60)], side)
        canvas.paint(hip, Capsule(pubis, symphysis, *plan.size(12, 11)))
        canvas.paint(hip, Capsule(symphysis - [0, 0, 4], ischium, *plan.size(9.5, 10)))
        canvas.paint(hip, Capsule(plan.points([(90, -22, -4)], side)[0], ischium, *plan.size(19, 17)))
    middle = plan.point(0, 44, -28)
    box = np.stack([middle - np.array([4, 30, 30]), middle + np.array([4, 30, 30])])
    canvas.paint(
        Structure.MUSCLE, Region(box, lambda x, y, z: np.abs(x) < 4), over=[Structure.HIP_LEFT, Structure.HIP_RIGHT]
    )
    z, cy, rx, ry = np.array(
        [(-20, -62, 11, 8), (0, -70, 22, 12), (40, -72, 42, 18), (75, -60, 52, 24), (96, -47, 48, 26)], float
    ).T
    w = plan.width_scale
    canvas.paint(Structure.SACRUM, Stack(np.stack([z * plan.height_scale, 0 * z, cy * w, rx * w, ry * w], axis=1), 2.4))
    for name, side in SIDES.items():
        femur = Structure[f"FEMUR_{name.upper()}"]
        head, trochanter, shaft, knee, flare = plan.points(
            [(89, 0, 0), (124, -8, -8), (118, -6, -45), (90, 0, -345), (89, -2, -385)], side
        )
        canvas.paint(femur, Ellipsoid(head, plan.size(24.5, 24.5, 24.5)))
        canvas.paint(femur, Capsule(head, trochanter, *plan.size(16, 17)))
        canvas.paint(femur, Ellipsoid(trochanter, plan.size(19, 20, 24)))
        canvas.paint(femur, Capsule(trochanter, shaft, *plan.size(19, 17)))
        canvas.paint(femur, Capsule(shaft, knee, *plan.size(17, 16)))
        canvas.paint(femur, Capsule(knee, flare, *plan.size(16, 27)))
        for x in (72, 107):
            canvas.paint(femur, Ellipsoid(plan.points([(x, -8, -400)], side)[0], plan.size(23, 29, 21)))


def paint_limb_bones(canvas: Canvas, plan: BodyPlan) -> None:
    """Humeri, and the bones of forearm, lower leg and knee as other bone."""
    for name, side in SIDES.items():
        arm = plan.arm_muscle(side)
        h = plan.height_scale

        def axis(z: float, dx: float = 0.0, arm: Stack = arm, h: float = h) -> np.ndarray:
            cx, cy = arm.at(np.array([z * h]))[:2, 0]
            return np.array([cx + dx, cy, z * h])

        heights = [498, 470, 420, 360, 300, 250, 222]
        humerus = Structure[f"HUMERUS_{name.upper()}"]
        canvas.paint(humerus, tube([axis(z) for z in heights], plan.size(23, 19, 14, 13, 13, 15, 19)))
        for dx in (-12.5, 12.5):
            heights = [188, 120, 60, 0]
            canvas.paint(
                Structure.BONE_OTHER, tube([axis(z, dx * plan.width_scale) for z in heights], plan.size(12, 9.5, 9, 9))
            )
        tibia, mid, end, patella = plan.points([(88, -4, -445), (84, -2, -500), (78, -2, -720), (89, 40, -392)], side)
        canvas.paint(Structure.BONE_OTHER, Ellipsoid(tibia, plan.size(38, 28, 17), 2.6))
        canvas.paint(
            Structure.BONE_OTHER, [Capsule(tibia, mid, *plan.size(26, 17)), Capsule(mid, end, *plan.size(17, 14))]
        )
        canvas.paint(Structure.BONE_OTHER, Ellipsoid(patella, plan.size(20, 11, 20)))


def paint_chest_bones(canvas: Canvas, plan: BodyPlan) -> None:
    """Ribs, sternum, clavicles and scapulae, all as other bone, inside the trunk wall."""
    h, w = plan.height_scale, plan.width_scale
    muscle, cavity = plan.trunk_muscle, plan.cavity

    def wall(angle: float, z: float, depth: float) -> np.ndarray:
        """Point in the wall: 0 at the cavity, 1 at the muscle's surface; angle 0 at the right, 90 in front."""
        direction = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        ends = []
        for stack in (cavity, muscle):
            cx, cy, rx, ry = stack.at(np.array([z]))[:, 0]
            r = (np.abs(direction[0] / rx) ** stack.exponent + np.abs(direction[1] / ry) ** stack.exponent) ** (
                -1 / stack.exponent
            )
            ends.append(np.array([cx, cy]) + r * direction)
        return np.array([*(ends[0] * (1 - depth) + ends[1] * depth), z])

    for side in SIDES.values():
        for i in range(8):
            back = (300 + 29 * i) * h
            angles = np.linspace(-72, 62 if i else 40, 13)
            path = [wall(a, back - (a + 72) / 134 * (44 - 2 * i) * h, 0.42) for a in angles]
            canvas.paint(
                Structure.BONE_OTHER,
                tube([p * [side, 1, 1] for p in path], [6.5 * w] * len(path), 26),
                over=[Structure.MUSCLE],
            )
        collar = [
            wall(72, 500 * h, 0.5) * [side, 1, 1],
            plan.points([(90, 6, 512)], side)[0],
            plan.points([(142, -18, 522)], side)[0],
        ]
        canvas.paint(Structure.BONE_OTHER, tube(collar, plan.size(9.5, 8, 9)), over=[Structure.MUSCLE])
        angle = np.radians(-28 * side)
        axes = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        blade = wall(-52, 432 * h, 0.62) * [side, 1, 1]
        canvas.paint(Structure.BONE_OTHER, Ellipsoid(blade, plan.size(36, 9.5, 62), 2.4, axes), over=[Structure.MUSCLE])
        joint = plan.points([(128, -40, 495)], side)[0]
        canvas.paint(
            Structure.BONE_OTHER,
            Capsule(joint, blade + np.array([0, 0, 35 * h]), *plan.size(12, 9)),
            over=[Structure.MUSCLE],
        )
    rows = []
    for z in (345, 400, 450, 500):
        cy = wall(90, z * h, 0.45)[1]
        rows.append((z * h, 0.0, cy, (16 if z < 480 else 22) * w, 7.5 * w))
    canvas.paint(Structure.BONE_OTHER, Stack(np.array(rows), 3.0), over=[Structure.MUSCLE, Structure.INNER_FAT])


def paint_column(canvas: Canvas, plan: BodyPlan, top_mm: float) -> None:
    """Vertebrae, discs, posterior elements, spinal canal and cord, from the sacrum to `top_mm`."""
    h, w = plan.height_scale, plan.width_scale
    pitch = VERTEBRA_PITCH_MM * h
    base = COLUMN_BASE_MM * h
    count = int(np.ceil((top_mm - base) / pitch)) + 1
    z = np.linspace(40 * h, base + count * pitch, 60)
    cx, cy, rx, ry = plan.column(z)
    sacral = np.interp(z / h, [40, 96], [-72, -47 - 10]) * w
    canal_y = np.where(z < base, sacral, cy - ry - 11 * w)
    canal_y = np.convolve(np.pad(canal_y, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    top = z >= base - 1
    bodies = Stack(np.stack([z, cx, cy, rx, ry], axis=1)[top], 2.3)
    canal = np.stack([z, cx, canal_y, 0 * z + 12.5 * w, 0 * z + 10.5 * w], axis=1)
    canvas.paint(Structure.VERTEBRA_BODY, bodies)
    waist = Stack(bodies.profile * [1, 1, 1, 0.97, 0.97], 2.3)
    for i in range(count):
        foot = base + i * pitch
        slab = np.array([[-80, -140, foot], [80, 80, foot + DISC_SHARE * pitch]])
        canvas.paint(Structure.DISC, Region(slab, waist.contains), over=[Structure.VERTEBRA_BODY])
        middle = foot + (0.5 + DISC_SHARE / 2) * pitch
        x, y = (np.interp(middle, z, v) for v in (cx, canal_y))
        ring = np.array(
            [[x - 30 * w, y - 30 * w, middle - 0.40 * pitch], [x + 30 * w, y + 8 * w, middle + 0.36 * pitch]]
        )
        canvas.paint(
            Structure.POSTERIOR_ELEMENTS,
            Region(ring, Stack(canal + np.array([0, 0, -1.0, 8.5, 9.0]) * w, 2.0).contains),
            over=[Structure.MUSCLE, Structure.INNER_FAT, Structure.AUTOCHTHON_LEFT, Structure.AUTOCHTHON_RIGHT],
        )
        for side in SIDES.values():
            near = np.array([x + side * 15 * w, y - 2 * w, middle])
            canvas.paint(
                Structure.POSTERIOR_ELEMENTS, Capsule(near, near + np.array([side * 22 * w, -5 * w, 0]), 9 * w, 8 * w)
            )
        spine = np.array([x, y - 14 * w, middle - 2 * h])
        length = float(np.interp(middle / h, [100, 200, 350, 500, 600], [24, 26, 22, 18, 16])) * w
        canvas.paint(Structure.POSTERIOR_ELEMENTS, Capsule(spine, spine + np.array([0, -length, -7 * h]), 8 * w, 8 * w))
    canvas.paint(Structure.SPINAL_CANAL, Stack(canal, 2.0))
    cord = canal[z >= 205 * h] * [1, 1, 1, 0, 0] + np.array([0, 0, 0, 6.4, 6.0]) * w
    canvas.paint(Structure.SPINAL_CORD, Stack(cord, 2.0))
