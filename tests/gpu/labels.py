"""Labels of the device against the CPU's: voxels that differ, as the pipeline computes and in other precisions."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from dixonflow.vocabulary import Contrast
from gpu.inputs import CONTRASTS, Inputs
from gpu.record import Budget, Row

SECTION = "labels"

GROSS = 0.01
"""Part of all voxels above which the labels are wrong, whatever rounding does to near ties."""


class InPrecision(nn.Module):
    """A network in a given precision, wherever it is called: torch's autocast, or float32 where it is None.

    In float32 products are not rounded to TF32, which is torch's default for convolutions.
    """

    def __init__(self, network: nn.Module, device: str, precision: torch.dtype | None) -> None:
        super().__init__()
        self.network, self.kind, self.precision = network, device, precision

    def forward(self, tile: torch.Tensor) -> torch.Tensor:
        with (
            torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
            torch.autocast(self.kind, dtype=self.precision, enabled=self.precision is not None),
        ):
            scores: torch.Tensor = self.network(tile)
        return scores.float()


PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}
"""Other precisions than the pipeline's, which is float16 by autocast on CUDA and float32 elsewhere."""


def check(inputs: Inputs, budget: Budget) -> Iterator[Row]:
    """Compare the labels of the demo network and of networks of published size."""
    cases = [(network, CONTRASTS[0]) for network in ("demo", *inputs.plans)]
    cases += [("demo", contrast) for contrast in CONTRASTS[1:] if not inputs.setting.small]
    for network, contrast in cases:
        if budget.left:
            yield from _compare(inputs, network, contrast)
        else:
            yield Row(SECTION, network, contrast.value, "skipped", note="out of time")


def _compare(inputs: Inputs, network: str, contrast: Contrast) -> Iterator[Row]:
    image = inputs.image(contrast, network)
    wanted = inputs.predictor(network, "cpu").predict(image.voxels, image.spacing_mm)
    predictor = inputs.predictor(network, inputs.device)
    first = predictor.predict(image.voxels, image.spacing_mm)
    yield _row(network, f"{contrast.value}, as in the pipeline", wanted, first, GROSS)
    predictor.predict(image.voxels[:, :, : image.voxels.shape[2] // 2], image.spacing_mm)
    again = predictor.predict(image.voxels, image.spacing_mm)
    yield _row(network, f"{contrast.value}, again after another image", first, again, 0.0)
    networks = predictor._networks
    for name, precision in PRECISIONS.items():
        predictor._networks = tuple(InPrecision(each, inputs.device, precision) for each in networks)
        labels = predictor.predict(image.voxels, image.spacing_mm)
        yield _row(network, f"{contrast.value}, {name}", wanted, labels, GROSS)


def _row(network: str, case: str, wanted: np.ndarray, labels: np.ndarray, allowed: float) -> Row:
    different = int(np.count_nonzero(wanted != labels))
    values = {
        "differing_voxels": different,
        "voxels": wanted.size,
        "differing_share": different / wanted.size,
        "labels": len(np.unique(labels)),
    }
    found = len(np.unique(wanted)) > 1
    note = "" if found else "the CPU found no structure: nothing is compared"
    passed = found and different <= allowed * wanted.size
    return Row.checked(SECTION, network, case, passed, values, note)
