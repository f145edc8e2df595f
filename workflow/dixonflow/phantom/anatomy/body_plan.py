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
from scipy.special import gamma

from dixonflow.phantom.anatomy.hulls import ARM, BODY_RADII, CAVITY, COLUMN_Y, LEG, TRUNK
from dixonflow.phantom.anatomy.participant import Participant
from dixonflow.phantom.anatomy.shapes import Stack

SIDES = {"left": -1, "right": 1}

# how far organs go with the diaphragm; kidneys 0.6 to 0.7 (Song et al., J Magn Reson Imaging 2011, 33:143-148)
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
    """Geometry of one participant."""

    participant: Participant

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
        """Displacement of a movable organ: its own, and what it shares with the diaphragm."""
        share = _WITH_DIAPHRAGM.get(name, 0.0)
        offset = np.array(self.participant.organ_offset_mm[name])
        diaphragm = self.participant.organ_offset_mm["diaphragm"][2]
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

    def _in_belly(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of the movement of the abdominal wall at reference z."""
        return self._region(z, 90, 340, 80)

    def _breath(self, z: NDArray[np.float64], half_width: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far the front of a hull around the cavity moves at reference z: it gains the area that the cavity gains.

        Areas of superellipses go with the product of their half-axes; the back and the sides stay.
        """
        if not self.participant.belly_mm:
            return 0 * z
        inner = self.cavity.at(z * self.height_scale)[2]
        return np.asarray(self.participant.belly_mm * self._in_belly(z) * inner / half_width)

    def belly_volume_per_mm(self) -> float:
        """Volume that the cavity gains per mm of the wall's movement, in mm3."""
        z = np.arange(0, 440, dtype=float)
        n = self.cavity.exponent
        area = 4 * gamma(1 + 1 / n) ** 2 / gamma(1 + 2 / n)  # of a superellipse of half-axes 1
        inner = self.cavity.at(z * self.height_scale)[2]
        return float(np.sum(area * inner * self._in_belly(z) / 2) * self.height_scale)

    @cached_property
    def trunk_muscle(self) -> Stack:
        """Outer surface of the trunk's muscles."""
        z, rx, ry, cy = TRUNK.T
        female = self.participant.sex == "female"
        shoulder, hip = (0.95, 1.03) if female else (1.03, 0.99)
        shape = 1 + (shoulder - 1) * self._region(z, 380, 600) + (hip - 1) * self._region(z, -200, 90)
        belly = self.participant.visceral_mm * self._region(z, 90, 340, 80)
        muscle = 6 * (self.participant.muscularity - 1) / 0.1 * 0.5
        w = self.width_scale
        half_width = rx * shape * w + belly * 0.7 + muscle
        forward = self._breath(z, half_width) / 2
        profile = [
            z * self.height_scale,
            0 * z,
            cy * w + belly * 0.45 + forward,
            half_width,
            ry * w + belly * 0.9 + muscle + forward,
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
        # its fat keeps its area where the wall below moves
        moved = self._breath(reference, rx)
        forward = (self._breath(reference, rx + flank) - moved) / 2
        ys = cy + (front - back) / 2 + forward, rx + flank, ry + (front + back) / 2 + forward
        return Stack(np.stack([z, cx, *ys], axis=1), 2.35)

    @cached_property
    def cavity(self) -> Stack:
        """Inner surface of the trunk wall."""
        z, rx, front, back = CAVITY.T
        w = self.width_scale
        shoulder = 0.97 if self.participant.sex == "female" else 1.02
        belly = self.participant.visceral_mm * self._region(z, 90, 340, 80)
        rx = rx * w * (1 + (shoulder - 1) * self._region(z, 380, 600)) + belly * 0.7
        front = front * w + belly * 1.35 + self.participant.belly_mm * self._in_belly(z)
        back = back * w - belly * 0.45
        return Stack(np.stack([z * self.height_scale, 0 * z, (front + back) / 2, rx, (front - back) / 2], axis=1), 2.35)

    @cached_property
    def organ_space(self) -> Stack:
        """The cavity less a layer of fat, so that abdominal organs never touch the wall."""
        z, cx, cy, rx, ry = self.cavity.profile.T
        return Stack(np.stack([z, cx, cy, rx - 7, ry - 6.5], axis=1), 2.35)

    def leg_muscle(self, side: int) -> Stack:
        """Outer surface of the muscles of a leg."""
        z, cx, rx, ry, cy = LEG.T
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
        z, cx, r = ARM.T
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
        y = PchipInterpolator(COLUMN_Y[:, 0], COLUMN_Y[:, 1])(np.clip(reference, 90, 700)) * w
        radii = PchipInterpolator(BODY_RADII[:, 0], BODY_RADII[:, 1:])(np.clip(reference, 90, 700)) * w
        return np.stack([x, y, radii[:, 0], radii[:, 1]])

    def column_front(self, z: float) -> tuple[float, float]:
        """Centre x and front y of the vertebral column at one height in mm."""
        x, y, _, ry = self.column(np.array([z]))[:, 0]
        return float(x), float(y + ry)
