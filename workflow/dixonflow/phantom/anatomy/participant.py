"""Who is scanned: body size, organ positions and sizes, and tissue fat of a phantom participant, drawn from a seed."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

MOVABLE_ORGANS = (
    "liver",
    "spleen",
    "kidney_right",
    "kidney_left",
    "stomach",
    "pancreas",
    "intestine",
    "bladder",
    "heart",
    "diaphragm",
)
"""Organs with a position and a size of their own; everything else follows skeleton and outline."""

OFFSET_SD_MM = (6.0, 5.0, 11.0)
"""Standard deviation of an organ's offset along x, y, z: 13.5 mm in space."""

VOLUME_LOG_SD = 0.19
"""Standard deviation of the logarithm of an organ's relative volume: a coefficient of variation of about 18 %."""

KIDNEY_CORRELATION = 0.82
"""Correlation of the logarithms of both kidneys' volumes: the larger one then has 1.08 times the volume of the smaller
one in the median, as in UK Biobank (Clin Kidney J 2024, sfae068: 1.08, IQR 1.04 to 1.15).
"""


@dataclass(frozen=True)
class Participant:
    """Everything the renderer and the scanner need to know about a person.

    Attributes
    ----------
    seed
        What the participant was drawn from; also seeds texture and scanner noise.
    sex, height_cm, bmi
        Body size; BMI between 18 and 45 kg/m2.
    breadth
        Relative width of the skeleton, 1 on average.
    muscularity
        Relative muscle thickness, 1 on average.
    subcutaneous_mm
        Thickness of the subcutaneous fat at the side of the abdomen.
    visceral_mm
        Growth of the abdominal cavity by inner fat, may be slightly negative.
    scoliosis_mm
        Lateral amplitude of the vertebral column.
    organ_offset_mm
        Displacement along x, y, z for each of `MOVABLE_ORGANS`.
    organ_size
        Relative volume for each of `MOVABLE_ORGANS`.
    fat_fraction
        Signal fat fraction of tissue classes that differ between people, 0 to 1.
    signal
        Relative signal of every label id, index 0 to 72.
    table_offset_mm
        Displacement of the body from the scanner's centre line along x, y, z.
    belly_mm
        How far breath moves the front of the abdominal wall forward (`at_breath`).
    uneven
        Whether fat is unevenly spread inside liver, pancreas and muscles, as `dixonflow.phantom.anatomy.uneven` says.
    """

    seed: int
    sex: Literal["female", "male"]
    height_cm: float
    bmi: float
    breadth: float
    muscularity: float
    subcutaneous_mm: float
    visceral_mm: float
    scoliosis_mm: float
    organ_offset_mm: dict[str, tuple[float, float, float]]
    organ_size: dict[str, float]
    fat_fraction: dict[str, float]
    signal: tuple[float, ...]
    table_offset_mm: tuple[float, float, float]
    belly_mm: float = 0.0
    uneven: bool = False

    @property
    def scale(self) -> float:
        """Body height relative to the reference body of 170 cm."""
        return self.height_cm / 170


def draw_participant(seed: int) -> Participant:
    """Draw a participant; the same seed always gives the same person.

    Parameters
    ----------
    seed
        Non-negative integer. The demonstration and the tests use 0 to 9999, training 100000 and above.

    Returns
    -------
    Participant
        BMI follows a shifted gamma distribution cut to 18..45, liver fat a log-normal one cut to 1..30 %, as in
        population cohorts.
    """
    rng = np.random.default_rng([seed, 20201])

    def normal(mean: float, sd: float, low: float, high: float) -> float:
        return float(np.clip(rng.normal(mean, sd), low, high))

    sex: Literal["female", "male"] = "female" if rng.random() < 0.5 else "male"
    female = sex == "female"
    height_cm = normal(163.0, 6.5, 148, 180) if female else normal(176.0, 7.0, 160, 194)
    bmi = float(np.clip(18.5 + rng.gamma(2.4, 3.5), 18, 45)) if rng.random() < 0.8 else float(rng.uniform(18, 45))
    return Participant(
        seed=seed,
        sex=sex,
        height_cm=height_cm,
        bmi=bmi,
        breadth=normal(1.0, 0.035, 0.93, 1.07),
        muscularity=normal(0.97 if female else 1.03, 0.05, 0.88, 1.14),
        subcutaneous_mm=max(9.0, (12 + 1.15 * (bmi - 22)) * (1.2 if female else 0.92) * normal(1.0, 0.12, 0.75, 1.25)),
        visceral_mm=float(np.clip((bmi - 23) * (0.8 if female else 1.1) * normal(1.0, 0.2, 0.5, 1.5), -5, 24)),
        scoliosis_mm=normal(0.0, 4.0, -8, 8),
        organ_offset_mm={
            organ: (
                normal(0, OFFSET_SD_MM[0], -13, 13),
                normal(0, OFFSET_SD_MM[1], -11, 11),
                normal(0, OFFSET_SD_MM[2], -25, 25),
            )
            for organ in MOVABLE_ORGANS
        },
        organ_size=_with_kidneys_alike(
            {organ: float(np.exp(normal(0, VOLUME_LOG_SD, -0.42, 0.42))) for organ in MOVABLE_ORGANS}
        ),
        fat_fraction={
            "liver": float(np.clip(np.exp(rng.normal(np.log(0.045), 0.8)) + 0.002 * (bmi - 25), 0.01, 0.30)),
            "muscle": normal(0.065 + 0.0012 * (bmi - 25), 0.02, 0.03, 0.15),
            "pancreas": normal(0.10 + 0.002 * (bmi - 25), 0.04, 0.03, 0.25),
            "vertebra": normal(0.36, 0.06, 0.22, 0.52),
            "pelvis": normal(0.50, 0.05, 0.38, 0.62),
            "limb_bone": normal(0.66, 0.05, 0.52, 0.80),
            "subcutaneous": normal(0.93, 0.012, 0.89, 0.96),
            "inner": normal(0.90, 0.015, 0.85, 0.94),
        },
        signal=tuple(float(np.exp(normal(0, 0.05, -0.1, 0.1))) for _ in range(73)),
        table_offset_mm=(normal(0, 6, -12, 12), normal(0, 5, -10, 10), normal(0, 10, -18, 18)),
    )


def _with_kidneys_alike(sizes: dict[str, float]) -> dict[str, float]:
    """Relative volumes of organs, drawn independently, with those of the kidneys correlated."""
    right, own = math.log(sizes["kidney_right"]), math.log(sizes["kidney_left"])
    left = KIDNEY_CORRELATION * right + math.sqrt(1 - KIDNEY_CORRELATION**2) * own
    return {**sizes, "kidney_left": math.exp(left)}
