"""TotalSegmentator's models compared with its own steps, written out: resampling by scipy.ndimage.zoom, nnU-Net's own
predictor, parts over each other, labels back by scipy.ndimage.zoom.

The networks are small and hardly trained, so that their labels mean nothing; but no voxel keeps its label where image,
parts or label table are not as the system's authors have them.
"""

from pathlib import Path

import numpy as np
import pytest
from imported_system import (
    ImportedSystem,
    assert_measured,
    differing,
    phantom_scan,
    segmented,
)
from nnunet_reference import body
from totalsegmentator_reference import ONE_IN, of_the_authors

from dixonflow.imaging.nifti import NiftiImage, read_nifti
from dixonflow.vocabulary import Contrast, MergeStrategy

pytestmark = pytest.mark.usefixtures("alone")

PARTS = {
    "totalsegmentatormr": ("organs", "muscles"),
    "totalsegmentatormr3mm": ("total",),
    "totalsegmentatortissuemr": ("tissue",),
    "totalsegmentatorbonesmr": ("bones",),
    "totalsegmentatormusclesmr": ("muscles",),
    "totalsegmentatorfacemr": ("face",),
    "totalsegmentatorct": ("organs", "vertebrae", "cardiac", "muscles", "ribs"),
    "totalsegmentatorct3mm": ("total",),
    "totalsegmentatortissuect": ("tissue",),
    "totalsegmentatortissue4ct": ("tissue",),
    "totalsegmentatorbodyct": ("body",),
    "totalsegmentatorvertebrabodyct": ("spine",),
    "totalsegmentatorfacect": ("face",),
}


AS_TISSUE_MR = (
    *("totalsegmentatorfacemr", "totalsegmentatortissuect", "totalsegmentatortissue4ct", "totalsegmentatorbodyct"),
    *("totalsegmentatorvertebrabodyct", "totalsegmentatorfacect"),
)
"""One network with the same steps as that of tissue in MR."""


_PARAMETERS = [pytest.param(name, marks=pytest.mark.slow) if name in AS_TISSUE_MR else name for name in PARTS]


@pytest.fixture(scope="module", params=_PARAMETERS)
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ImportedSystem:
    return ImportedSystem(request.param, tmp_path_factory.mktemp("imported"))


@pytest.fixture(scope="module")
def real(shared_data: Path, imported: ImportedSystem) -> NiftiImage:
    """A part of the real image."""
    name = "example_ct_sm.nii.gz" if imported.model.modality == "ct" else "example_mr_sm.nii.gz"
    image = read_nifti(shared_data / "totalsegmentator" / name)
    return NiftiImage(image.data[40:58, 35:50, :16], image.affine)


def test_labels_are_those_of_the_authors_steps(imported: ImportedSystem, tmp_path: Path, real: NiftiImage) -> None:
    """On an asymmetric image, coarser than the network's grid and finer, a part of a phantom scan, and a real image; a
    CT goes below 0.
    """
    (contrast,) = imported.model.input_contrasts
    synthetic = body((15, 12, 11)) - (700 if contrast is Contrast.CT else 0)
    scan, spacing_of_scan = phantom_scan()
    phantom = scan[contrast][8:20, 8:18, 6:15] if contrast is Contrast.CT else scan[contrast][9:21, 9:19, 4:13]
    images = {
        "synthetic": (synthetic, (2.232, 1.4, 3.1)),
        "phantom": (phantom, (8.0, 8.0, 8.0) if contrast is Contrast.CT else spacing_of_scan),
        "real": (real.data, real.spacing_mm),
    }
    assert tuple(part.name for part in imported.model.parts) == PARTS[imported.model.name]
    enough = min(len(imported.model.labels), 6 if len(imported.model.labels) > 5 else 3)
    for data, spacing_mm in images.values():
        ours = segmented(imported.model, {contrast: data}, spacing_mm, tmp_path)[contrast]
        theirs = of_the_authors(imported, data, spacing_mm)
        assert differing(ours, theirs, enough) <= ours.size / ONE_IN
        of_parts = {imported.model.labels[label].part for label in np.unique(ours) if label}
        assert of_parts == (set(PARTS[imported.model.name]) if len(imported.model.parts) > 1 else {None})


def test_a_raw_scan_is_measured_to_the_end_by_two_networks(tmp_path: Path) -> None:
    """Coarser than published, to be quick, and by the mean scores of two contrasts, which are compared too."""
    contrasts = ["in_phase", "water"]
    change = {"spacing_mm": [8.0] * 3, "input_contrasts": contrasts, "group_contrasts": {"all": contrasts}}
    system = ImportedSystem("totalsegmentatormr", tmp_path, change)
    of_segment = assert_measured(
        system.model, tmp_path / "scan", {"organs": 1, "muscles": 1}, MergeStrategy.MEAN_SCORES
    )
    agreement = of_segment["contrast_agreement"]
    assert set(agreement) == set(system.model.structures)
    assert len({value for value in agreement.values() if value}) > 3
    ((_, of_image),) = of_segment["images"].items()
    assert set(of_image) == {"organs", "muscles"}
