"""Label maps of spines whose truth is known, for tests of levels."""

from dataclasses import dataclass

import numpy as np

from dixonflow.measure.field_of_view import StationBox
from dixonflow.models.comparison import vertebrae_of
from dixonflow.models.load import MODELS, load_model
from dixonflow.phantom.anatomy.participant import draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.anatomy.vertebrae import vertebra_truth

MODEL = load_model(MODELS / "totalsegmentatorvertebraemr.yaml")
LABEL = {vertebra: labels[0] for vertebra, labels in vertebrae_of(MODEL).items()}
"""Label of each vertebra id in this model."""


@dataclass(frozen=True)
class Spine:
    """Label map in the numbers of `MODEL`, its affine, and the truth."""

    labels: np.ndarray
    affine: np.ndarray
    ends_mm: dict[int, tuple[float, float]]

    def box(self, low_mm: float | None = None, high_mm: float | None = None) -> list[StationBox]:
        """One station over the whole grid, or only from and to a height."""
        spacing = np.diag(self.affine)[:3]
        low = self.affine[:3, 3] - spacing / 2
        high = low + spacing * self.labels.shape
        low[2] = low[2] if low_mm is None else low_mm
        high[2] = high[2] if high_mm is None else high_mm
        return [StationBox(0, tuple(low.tolist()), tuple(high.tolist()))]

    def renamed(self, names: dict[int, int]) -> np.ndarray:
        """The label map with some vertebrae under the names of others; 0 removes."""
        table = np.arange(256, dtype=np.uint8)
        for vertebra, name in names.items():
            table[LABEL[vertebra]] = LABEL[name] if name else 0
        return table[self.labels]


def phantom_spine(spacing_mm: float = 3.0) -> Spine:
    """Column of a phantom: sacrum, 14 vertebrae from L5 up, and one that the upper edge cuts."""
    participant = draw_participant(0)
    anatomy = render_anatomy(participant, spacing_mm)
    truth = vertebra_truth(participant, anatomy)
    table = np.zeros(256, np.uint8)
    for vertebra, label in LABEL.items():
        table[vertebra] = label
    labels = table[truth.labels]
    affine = anatomy.affine.copy()
    for axis in (0, 1):  # the column is a small part of the body
        filled = np.flatnonzero(labels.any(axis=tuple({0, 1, 2} - {axis})))
        labels = labels.take(range(filled[0] - 2, filled[-1] + 3), axis)
        affine[axis, 3] += spacing_mm * (filled[0] - 2)
    return Spine(labels, affine, truth.ends_mm)
