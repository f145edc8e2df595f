"""The body plan: where reference anatomy lies in one participant.

All reference coordinates are millimetres of a person of 170 cm and BMI 22, RAS: x to the right, y to the front, z
upwards, with the origin midway between the hip joints. `BodyPlan` scales them to a participant and gives the hulls
(skin, muscle, cavity, limbs).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from dixonflow.phantom.anatomy.participant import Participant
from dixonflow.phantom.anatomy.shapes import Stack

SIDES = {"left": -1, "right": 1}

# z, half-axis x, half-axis y, centre y of the muscle hull of the trunk
_TRUNK = np.array(
    [
        (-75, 150, 88, -6),
        (-50, 158, 98, -8),
        (0, 158, 106, -14),
        (50, 151, 103, -14),
        (100, 140, 97, -10),
        (170, 132, 97, -8),
        (250, 140, 106, -10),
        (350, 150, 110, -12),
        (430, 162, 106, -14),
        (480, 166, 92, -18),
        (515, 150, 74, -24),
        (545, 92, 66, -28),
        (575, 62, 62, -28),
        (680, 60, 62, -26),
    ],
    float,
)
# z, half-axis x, front and back of the cavity that inner fat and organs fill; below 170 the pelvis
_CAVITY = np.array(
    [
        (-45, 26, 24, -30),
        (-30, 46, 42, -40),
        (0, 60, 56, -50),
        (40, 72, 66, -56),
        (90, 112, 74, -60),
        (130, 116, 76, -62),
        (170, 117, 76, -66),
        (250, 123, 82, -80),
        (350, 131, 82, -90),
        (430, 130, 76, -88),
        (480, 108, 58, -76),
        (515, 74, 34, -62),
        (542, 40, 10, -50),
    ],
    float,
)
# z, centre x, half-axis x, half-axis y, centre y of the muscle hull of a leg
_LEG = np.array(
    [
        (-720, 80, 44, 50, -14),
        (-560, 80, 47, 54, -12),
        (-470, 84, 47, 50, -6),
        (-400, 88, 53, 52, 0),
        (-340, 88, 54, 58, -2),
        (-200, 88, 66, 72, -4),
        (-100, 88, 74, 80, -6),
        (-50, 86, 76, 84, -8),
        (0, 84, 70, 80, -10),
        (30, 84, 56, 60, -10),
    ],
    float,
)
# z, centre y of the vertebral bodies
_COLUMN_Y = np.array(
    [(90, -36), (150, -29), (200, -29), (260, -36), (340, -47), (430, -49), (500, -43), (560, -33), (700, -26)], float
)
# z, half-axis x and y of the vertebral bodies
_BODY_RADII = np.array(
    [(90, 28, 21.5), (200, 27, 21), (300, 23, 19), (450, 20, 17.5), (560, 18, 16), (700, 18, 15)], float
)
# z, smallest centre x, muscle radius of an arm
_ARM = np.array(
    [
        (-95, 205, 22),
        (-40, 205, 25),
        (30, 205, 27),
        (120, 205, 31),
        (210, 200, 35),
        (300, 195, 39),
        (400, 180, 43),
        (460, 165, 46),
        (498, 158, 45),
        (515, 156, 40),
    ],
    float,
)

# how far organs go with the diaphragm
_WITH_DIAPHRAGM = {
    "liver": 1.0,
    "spleen": 1.0,
    "stomach": 0.9,
    "heart": 0.8,
    "kidney_right": 0.6,
    "kidney_left": 0.6,
    "pancreas": 0.6,
}


@dataclass(frozen=True)
class BodyPlan:
    """Geometry of one participant; `breathing_mm` moves the diaphragm and what hangs on it, positive upwards."""

    participant: Participant
    breathing_mm: float = 0.0

    @property
    def height_scale(self) -> float:
        """Scale along z."""
        return self.participant.scale

    @property
    def width_scale(self) -> float:
        """Scale along x and y: half of the height's variation, and the breadth of the skeleton."""
        return float(np.sqrt(self.participant.scale)) * self.participant.breadth

    def point(self, x: float, y: float, z: float) -> NDArray[np.float64]:
        """Reference point in this participant, mm."""
        w = self.width_scale
        return np.array([x * w, y * w, z * self.height_scale])

    def points(
        self, rows: NDArray[np.float64] | list[tuple[float, float, float]], side: int = 1
    ) -> NDArray[np.float64]:
        """Reference points (n, 3), mirrored to the left where side is -1."""
        w = self.width_scale
        return np.asarray(rows, float) * [side * w, w, self.height_scale]

    def size(self, *values: float) -> list[float]:
        """Reference lengths, such as radii, scaled isotropically."""
        factor = (self.width_scale**2 * self.height_scale) ** (1 / 3)
        return [v * factor for v in values]

    def organ(self, name: str, x: float, y: float, z: float) -> NDArray[np.float64]:
        """Reference point inside a movable organ, displaced with it."""
        return self.point(x, y, z) + self.displacement(name)

    def displacement(self, name: str) -> NDArray[np.float64]:
        """Displacement of a movable organ: its own, and what it shares with the diaphragm, breathing included."""
        share = _WITH_DIAPHRAGM.get(name, 0.0)
        offset = np.array(self.participant.organ_offset_mm[name])
        diaphragm = self.participant.organ_offset_mm["diaphragm"][2] + self.breathing_mm
        if name == "diaphragm":
            offset[2] = diaphragm
        elif share:
            offset[2] = share * diaphragm + (0.55 if share >= 0.8 else 0.75) * offset[2]
        return offset

    def organ_size(self, name: str, *values: float) -> list[float]:
        """Reference lengths of a movable organ, scaled with body and organ size."""
        return self.size(*(v * self.participant.organ_size[name] ** (1 / 3) for v in values))

    def _region(self, z: NDArray[np.float64], low: float, high: float, width: float = 45.0) -> NDArray[np.float64]:
        """Smooth weight along reference z, 1 between low and high."""
        rise = np.clip((z - low) / width + 0.5, 0, 1)
        fall = np.clip((high - z) / width + 0.5, 0, 1)
        return rise * rise * (3 - 2 * rise) * fall * fall * (3 - 2 * fall)

    @cached_property
    def trunk_muscle(self) -> Stack:
        """Outer surface of the trunk's muscles."""
        z, rx, ry, cy = _TRUNK.T
        female = self.participant.sex == "female"
        shoulder, hip = (0.95, 1.03) if female else (1.03, 0.99)
        shape = 1 + (shoulder - 1) * self._region(z, 380, 600) + (hip - 1) * self._region(z, -200, 90)
        belly = self.participant.visceral_mm * self._region(z, 90, 340, 80)
        muscle = 6 * (self.participant.muscularity - 1) / 0.1 * 0.5
        w = self.width_scale
        profile = [
            z * self.height_scale,
            0 * z,
            cy * w + belly * 0.45,
            rx * shape * w + belly * 0.7 + muscle,
            ry * w + belly * 0.9 + muscle,
        ]
        return Stack(np.stack(profile, axis=1), 2.35)

    @cached_property
    def trunk_skin(self) -> Stack:
        """Outer surface of the trunk."""
        z, cx, cy, rx, ry = self.trunk_muscle.profile.T
        reference = z / self.height_scale
        t = self.participant.subcutaneous_mm
        side = (
            0.62
            + 0.38 * self._region(reference, -250, 230, 120)
            + 0.25 * self._region(reference, -120, 60, 80)
            - 0.2 * self._region(reference, 530, 900, 60)
        )
        front = np.maximum(8, t * (side - 0.12))
        back = np.maximum(8, t * (side - 0.08))
        flank = np.maximum(8, t * side)
        return Stack(np.stack([z, cx, cy + (front - back) / 2, rx + flank, ry + (front + back) / 2], axis=1), 2.35)

    @cached_property
    def cavity(self) -> Stack:
        """Inner surface of the trunk wall."""
        z, rx, front, back = _CAVITY.T
        w = self.width_scale
        shoulder = 0.97 if self.participant.sex == "female" else 1.02
        belly = self.participant.visceral_mm * self._region(z, 90, 340, 80)
        rx = rx * w * (1 + (shoulder - 1) * self._region(z, 380, 600)) + belly * 0.7
        front = front * w + belly * 1.35
        back = back * w - belly * 0.45
        return Stack(np.stack([z * self.height_scale, 0 * z, (front + back) / 2, rx, (front - back) / 2], axis=1), 2.35)

    @cached_property
    def organ_space(self) -> Stack:
        """The cavity less a layer of fat, so that abdominal organs never touch the wall."""
        z, cx, cy, rx, ry = self.cavity.profile.T
        return Stack(np.stack([z, cx, cy, rx - 7, ry - 6.5], axis=1), 2.35)

    def leg_muscle(self, side: int) -> Stack:
        """Outer surface of the muscles of a leg."""
        z, cx, rx, ry, cy = _LEG.T
        w, m = self.width_scale, self.participant.muscularity
        return Stack(np.stack([z * self.height_scale, side * cx * w, cy * w, rx * w * m, ry * w * m], axis=1), 2.0)

    def leg_skin(self, side: int) -> Stack:
        """Outer surface of a leg."""
        z, cx, cy, rx, ry = self.leg_muscle(side).profile.T
        reference = z / self.height_scale
        t = np.maximum(7, self.participant.subcutaneous_mm * (0.32 + 0.48 * self._region(reference, -260, 200, 260)))
        return Stack(np.stack([z, cx, cy, rx + t, ry + t], axis=1), 2.0)

    def arm_muscle(self, side: int) -> Stack:
        """Outer surface of the muscles of an arm; it hangs next to the trunk, without touching it below the armpit."""
        z, cx, r = _ARM.T
        w, m = self.width_scale, self.participant.muscularity
        height = z * self.height_scale
        trunk = np.maximum(
            self.trunk_skin.at(height)[2], self.leg_skin(1).at(height)[0] + self.leg_skin(1).at(height)[2]
        )
        radius = r * w * m
        clearance = (trunk + radius + self.arm_fat_mm + 6) * (z < 390)
        x = np.maximum(cx * w, clearance)
        return Stack(np.stack([height, side * x, 0 * z - 22 * w, radius, radius * 1.08], axis=1), 2.0)

    @property
    def arm_fat_mm(self) -> float:
        """Thickness of the subcutaneous fat of an arm."""
        return max(6.5, 0.42 * self.participant.subcutaneous_mm)

    def arm_skin(self, side: int) -> Stack:
        """Outer surface of an arm."""
        z, cx, cy, rx, ry = self.arm_muscle(side).profile.T
        t = self.arm_fat_mm
        return Stack(np.stack([z, cx, cy, rx + t, ry + t], axis=1), 2.0)

    def column(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Centre x, centre y, half-axis x, half-axis y of the vertebral bodies at heights z in mm, shape (4, n)."""
        reference = z / self.height_scale
        w = self.width_scale
        x = (
            self.participant.scoliosis_mm
            * np.sin(np.clip((reference - 95) / 480, 0, 1) * 2 * np.pi)
            * np.clip((reference - 95) / 60, 0, 1)
        )
        y = PchipInterpolator(_COLUMN_Y[:, 0], _COLUMN_Y[:, 1])(np.clip(reference, 90, 700)) * w
        radii = PchipInterpolator(_BODY_RADII[:, 0], _BODY_RADII[:, 1:])(np.clip(reference, 90, 700)) * w
        return np.stack([x, y, radii[:, 0], radii[:, 1]])

    def column_front(self, z: float) -> tuple[float, float]:
        """Centre x and front y of the vertebral column at one height in mm."""
        x, y, _, ry = self.column(np.array([z]))[:, 0]
        return float(x), float(y + ry)
