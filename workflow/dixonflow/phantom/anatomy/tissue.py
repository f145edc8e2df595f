"""Water and fat signal of every label: a T1-weighted gradient echo at 3 T, in scanner units.

The numbers are in `tissues.csv`: signals are relative, chosen to rank tissues as such images do (fat and flowing
blood bright, muscle and marrow between, fluid, disc and lung dark), not taken from a publication. All skeletal
muscles share one tissue.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dixonflow.imaging.types import Floats32
from dixonflow.phantom.anatomy.participant import Participant
from dixonflow.phantom.anatomy.render import Anatomy
from dixonflow.phantom.anatomy.uneven import uneven_fat_fraction
from dixonflow.system.package_table import package_table

TEXTURE_AMPLITUDE = 0.03
"""Relative standard deviation of the smooth variation of signal inside tissues."""


@dataclass(frozen=True)
class TissueTable:
    """Water and fat signal by label id, each of shape (256,); air is 0."""

    water: Floats32
    fat: Floats32

    @property
    def fat_fraction(self) -> NDArray[np.float64]:
        """F / (F + W) by label id; NaN where a label does not exist."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.fat.astype(float) / (self.fat.astype(float) + self.water.astype(float)))


@cache
def _rows() -> tuple[dict[str, str], ...]:
    return tuple(package_table(__package__, "tissues.csv"))


def tissue_names() -> dict[int, str]:
    """Tissue of each label."""
    return {int(row["id"]): row["tissue"] for row in _rows()}


def tissue_table(participant: Participant) -> TissueTable:
    """Signals of one participant's tissues; labels of the same tissue get the same numbers."""
    water, fat = np.zeros(256, np.float32), np.zeros(256, np.float32)
    first: dict[str, int] = {}
    for row in _rows():
        label = int(row["id"])
        factor = participant.signal[first.setdefault(row["tissue"], label)]
        fraction = (
            participant.fat_fraction[row["fat_parameter"]] if row["fat_parameter"] else float(row["fat_fraction"])
        )
        signal = float(row["signal"]) * factor
        water[label], fat[label] = signal * (1 - fraction), signal * fraction
    return TissueTable(water, fat)


def texture(anatomy: Anatomy, seed: int) -> Floats32:
    """Smooth multiplicative variation around 1 on the fine grid, wavelengths of 18 to 45 mm; it scales water and fat
    alike.
    """
    rng = np.random.default_rng([seed, 73])
    field = np.ones(anatomy.labels.shape, np.float32)
    for _ in range(3):
        wave = []
        for axis in range(3):
            at = anatomy.spacing_mm * np.arange(anatomy.labels.shape[axis])
            wave.append(np.cos(2 * np.pi * at / rng.uniform(18, 45) + rng.uniform(0, 2 * np.pi)).astype(np.float32))
        amplitude = np.float32(TEXTURE_AMPLITUDE * np.sqrt(8 / 3))
        field += (amplitude * wave[0][:, None] * wave[1][None, :])[:, :, None] * wave[2]
    return field


def water_and_fat(
    anatomy: Anatomy, participant: Participant, *, with_texture: bool = True
) -> tuple[Floats32, Floats32]:
    """Water and fat signal on the fine grid, float32 (x, y, z)."""
    table = tissue_table(participant)
    water, fat = table.water[anatomy.labels], table.fat[anatomy.labels]
    if participant.uneven:
        muscles = [label for label, tissue in tissue_names().items() if tissue == "muscle"]
        signal, fraction = water + fat, uneven_fat_fraction(anatomy, participant, table.fat_fraction, muscles)
        water, fat = signal * (1 - fraction), signal * fraction
    if with_texture:
        field = texture(anatomy, participant.seed)
        water *= field
        fat *= field
    return water, fat
