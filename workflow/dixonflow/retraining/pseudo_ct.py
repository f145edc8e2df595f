"""First proposals by a network for CT, on MR images that are made to look like CT: inverted, histogram equalised.

VIBESegmentator's first label maps came from TotalSegmentator's CT network on water images that were changed to resemble
CT (Graf et al. 2025, Eur Radiol, doi 10.1007/s00330-025-12035-9). The range of values is DixonFlow's choice. Such
proposals are rough: they spare the drawing of structures that no network for MR knows.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dixonflow.config import SegmentConfig
from dixonflow.errors import ModelError, ScanExcluded
from dixonflow.imaging.nifti import NiftiImage, read_nifti
from dixonflow.imaging.types import Floats32, Labels, Mask
from dixonflow.models.model import Model
from dixonflow.models.runnable import check_runnable
from dixonflow.retraining.harmonise import body_mask
from dixonflow.retraining.project import Project, RetrainingError
from dixonflow.segment.networks import HelperNetwork
from dixonflow.vocabulary import Contrast, ScanId

AIR_HU = -1000.0
BODY_HU = (-150.0, 250.0)
"""From fat to enhanced vessels and spongy bone (Hounsfield units): what networks for CT distinguish tissue by."""


def pseudo_ct(image: NDArray[Any], body: Mask) -> Floats32:
    """Make an MR image resemble CT.

    Ranks of the values in the body are spread evenly over `BODY_HU`, the darkest on top: cortical bone, dark in MR,
    becomes bright. Around the body there is air.

    Parameters
    ----------
    image
        Shape (x, y, z), in arbitrary units.
    body
        Where the body is.

    Returns
    -------
    In Hounsfield units, float32.
    """
    found = np.full(image.shape, AIR_HU, np.float32)
    if body.any():
        _, place, counts = np.unique(image[body], return_inverse=True, return_counts=True)
        # equal values share the middle of their ranks
        share = (np.cumsum(counts) - counts / 2) / counts.sum()
        low, high = BODY_HU
        found[body] = (high - (high - low) * share)[place]
    return found


class CtProposer:
    """Proposes label maps with a network for CT.

    Parameters
    ----------
    project
        The project: its numbers of structures are those of the proposals.
    model
        Model for CT, imported.
    contrast
        Which image is made to resemble CT.

    Raises
    ------
    RetrainingError
        If the model is not for CT, or has none of the project's structures.
    ModelError, ConfigError
        If it is not imported or cannot be run.
    """

    def __init__(self, project: Project, model: Model, contrast: Contrast = Contrast.WATER) -> None:
        self.model = model
        self._project, self._contrast = project, contrast
        self._lookup = _lookup(model, project.settings.labels)
        self._network = _load(model, project)

    @property
    def description(self) -> str:
        """How the proposals came about, for case.json and the ledger."""
        return f"{self.model.name} on inverted, histogram equalised {self._contrast}"

    def propose(self, scan: ScanId) -> Labels:
        """Label map of a scan on its stitched grid, in the project's numbers.

        Raises
        ------
        RetrainingError
            If the image cannot be read.
        """
        try:
            image = read_nifti(self._project.results.stitched(scan, self._contrast))
        except ScanExcluded as error:
            raise RetrainingError(error.message) from error
        as_ct = NiftiImage(pseudo_ct(image.data, body_mask([image.data])), image.affine)
        found: Labels = self._lookup[self._network.labels([as_ct])]
        return found


def _lookup(model: Model, labels: dict[str, int]) -> NDArray[np.uint16]:
    if model.modality != "ct":
        raise RetrainingError(f"{model.name} is no model for CT: run the workflow with it, and select with --model")
    if not set(model.structures) & set(labels):
        raise RetrainingError(f"{model.name} has none of the structures of the project")
    lookup = np.zeros(max(model.structures.values()) + 1, np.uint16)
    for name, number in model.structures.items():
        lookup[number] = labels.get(name, 0)
    return lookup


def _load(model: Model, project: Project) -> HelperNetwork:
    check_runnable(model, project.config)
    if model.crop is not None:
        raise ModelError(f"model {model.name} crops images by another model first: name one that takes the whole image")
    segment: SegmentConfig = project.config.segment
    return HelperNetwork(model, segment)
