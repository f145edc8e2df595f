"""Reference outlines of trunk, cavity, limbs and vertebral column, in mm of the reference body (`body_plan`)."""

import numpy as np

# z, half-axis x, half-axis y, centre y of the muscle hull of the trunk
TRUNK = np.array(
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
CAVITY = np.array(
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
LEG = np.array(
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
COLUMN_Y = np.array(
    [(90, -36), (150, -29), (200, -29), (260, -36), (340, -47), (430, -49), (500, -43), (560, -33), (700, -26)], float
)
# z, half-axis x and y of the vertebral bodies
BODY_RADII = np.array(
    [(90, 28, 21.5), (200, 27, 21), (300, 23, 19), (450, 20, 17.5), (560, 18, 16), (700, 18, 15)], float
)
# z, smallest centre x, muscle radius of an arm
ARM = np.array(
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
