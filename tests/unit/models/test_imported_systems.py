"""Imported models on a scan, from the raw data to the measurements, compared with nnU-Net's own predictor.

The networks are small and hardly trained, so that their labels mean nothing; but no voxel keeps its label where image,
orientation, folds or label table are not as the system's authors have them.
"""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from imported_system import (
    SCAN,
    Array,
    ImportedSystem,
    assert_measured,
    differing,
    nnunet_labels_of,
    phantom_scan,
    segmented,
)
from nnunet_reference import body

from dixonflow.imaging.nifti import read_nifti
from dixonflow.paths import Results
from dixonflow.vocabulary import Contrast

pytestmark = pytest.mark.usefixtures("alone")

ONE_IN = 100_000


def of_the_authors(system: ImportedSystem, image: Path) -> Array:
    """Labels (x, y, z) as MRSegmentator makes them: SimpleITK turns the image to LPS and the labels back.

    Source: hhaentze/MRSegmentator, src/mrsegmentator/inference.py and utils.py (read as shared facts have it).
    """
    (training,) = system.trainings.values()
    read = SimpleITK.ReadImage(str(image), SimpleITK.sitkFloat32)
    turned = SimpleITK.DICOMOrient(read, "LPS")
    labels = nnunet_labels_of(training, SimpleITK.GetArrayFromImage(turned)[None], turned.GetSpacing()[::-1])
    result = SimpleITK.GetImageFromArray(labels.astype(np.uint8))
    result.CopyInformation(turned)
    code = SimpleITK.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(read.GetDirection())
    return SimpleITK.GetArrayFromImage(SimpleITK.DICOMOrient(result, code)).transpose(2, 1, 0)


BODY = pytest.param("mrsegmentatorbody", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=["mrsegmentator", BODY])
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ImportedSystem:
    return ImportedSystem(request.param, tmp_path_factory.mktemp("imported"))


def test_labels_are_those_of_the_authors_steps(imported: ImportedSystem, tmp_path: Path, shared_data: Path) -> None:
    """On an asymmetric image, on a phantom scan and on the real one."""
    real = read_nifti(shared_data / "totalsegmentator" / "example_mr_sm.nii.gz")
    scan, spacing_of_scan = phantom_scan()
    images = {
        "synthetic": (body((33, 28, 30)), (3.0, 3.0, 3.0)),
        "phantom": (scan[Contrast.IN_PHASE], spacing_of_scan),
        "real": (real.data, real.spacing_mm),
    }
    for data, spacing_mm in images.values():
        ours = segmented(imported.model, {Contrast.IN_PHASE: data}, spacing_mm, tmp_path)[Contrast.IN_PHASE]
        theirs = of_the_authors(imported, Results(tmp_path).stitched(SCAN, Contrast.IN_PHASE))
        assert differing(ours, theirs, 5) <= ours.size / ONE_IN


def test_a_raw_scan_is_measured_to_the_end(imported: ImportedSystem, tmp_path: Path) -> None:
    ((part, training),) = imported.trainings.items()
    assert_measured(imported.model, tmp_path, {part: len(list(training.glob("fold_*")))})
