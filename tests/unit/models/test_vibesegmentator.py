"""VIBESegmentator's model compared with its own steps, written out: resampling as its program's library TPTBox does by
scipy, reflected voxels, nnU-Net's own predictor with all folds, labels back by nearest neighbour.
"""

from pathlib import Path

import numpy as np
import pytest
from imported_system import (
    Array,
    ImportedSystem,
    assert_measured,
    differing,
    nnunet_labels_of,
    phantom_scan,
    segmented,
)
from nnunet_reference import body
from scipy import ndimage

from dixonflow.imaging.nifti import read_nifti
from dixonflow.vocabulary import Contrast

pytestmark = pytest.mark.usefixtures("alone")

ONE_IN = 10_000
"""One voxel in so many may differ: images are resampled in single precision, and random weights make much of that."""

SPACING = (10.0, 8.0, 9.0)  # of the network's axes, z, y, x
TURNED = (slice(None, None, -1), slice(None, None, -1), slice(None))  # RAS to LPS, and back


TRANSPOSED = {
    "vibesegmentator100": (0, 1, 2),
    "vibesegmentator99": (2, 0, 1),
    "vibesegmentator540": (2, 0, 1),
}
"""Order of the network's axes in the plans: those of models 99 and 540 are not in the image's (mhalle/haversack,
src/haversack/data/totalvibe_weights.json and the code that reads it)."""


@pytest.fixture(scope="module", params=TRANSPOSED)
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ImportedSystem:
    """Trained on LPS, so that nothing fits that ignores what dataset.json says."""
    folder, axes = tmp_path_factory.mktemp("imported"), TRANSPOSED[request.param]
    spacing = tuple(SPACING[axis] for axis in axes)
    return ImportedSystem(request.param, folder, orientation="LPS", spacing=spacing, transpose=axes)


def of_the_authors(system: ImportedSystem, image: Array, spacing_mm: tuple[float, ...]) -> Array:
    """Labels (x, y, z) by the steps of TPTBox/segmentation/VibeSeg/inference_nnunet.py (11e4e8a6).

    The resampled image is in half precision there; here only what becomes 0 by that is. The class that its networks
    have for CT only is left out.
    """
    (training,), (part,) = system.trainings.values(), system.model.parts
    old, new = np.array(spacing_mm), np.array(SPACING[::-1])
    shape = tuple(np.rint(np.array(image.shape) * old / new).astype(int))
    turned = ndimage.affine_transform(
        image[TURNED].astype(float), np.diag(new / old), output_shape=shape, order=3, mode="nearest"
    )
    turned[turned.astype(np.float16) == 0] = 0
    padded = np.pad(turned, 5, mode="reflect").transpose(2, 1, 0)[None]
    labels = nnunet_labels_of(training, padded, SPACING).transpose(2, 1, 0)[5:-5, 5:-5, 5:-5]
    labels = np.where(np.isin(labels, list(part.unused_classes)), 0, labels)
    back = ndimage.affine_transform(labels, np.diag(old / new), output_shape=image.shape, order=0, mode="nearest")
    return back[TURNED]


def test_labels_of_every_contrast_are_those_of_the_authors_steps(imported: ImportedSystem, tmp_path: Path) -> None:
    assert (imported.model.orientation, imported.model.spacing_mm) == ("LPS", SPACING[::-1])
    spacing_mm = (5.6, 6.1, 7.8)  # no voxel lies halfway between two of the network's
    images = {
        contrast: body((19, 16, 18), seed, border=1 + seed)
        for seed, contrast in enumerate(imported.model.input_contrasts)
    }
    ours = segmented(imported.model, images, spacing_mm, tmp_path)
    several = len(imported.model.labels) > 1
    assert list(ours) == [Contrast.WATER, *([Contrast.IN_PHASE, Contrast.OPPOSED_PHASE] if several else [])]
    for contrast, data in images.items():
        theirs = of_the_authors(imported, data, spacing_mm)
        assert differing(ours[contrast], theirs, 6 if several else 2) <= theirs.size / ONE_IN
    # each of these steps matters here
    for change in ({"pad_voxels": 0}, {"orientation": "RAS"}, {"resampling": "first_zoom"}):
        other = imported.model.model_copy(update=change | {"input_contrasts": (Contrast.WATER,)})
        first = segmented(other, images, spacing_mm, tmp_path)[Contrast.WATER]
        assert np.count_nonzero(first != ours[Contrast.WATER]) > first.size / 100, change


def test_a_phantom_scan_and_a_real_image_too(imported: ImportedSystem, tmp_path: Path, shared_data: Path) -> None:
    """The spacing is a little off the round one, so that no voxel lies halfway between two of the network's."""
    scan, _ = phantom_scan()
    real = read_nifti(shared_data / "totalsegmentator" / "example_mr_sm.nii.gz").data[30:60, 30:56, :18]
    contrasts = imported.model.input_contrasts
    sources = {
        "phantom": ({contrast: scan[contrast] for contrast in contrasts}, (7.9, 8.3, 9.1)),
        "real": ({contrast: real * factor for factor, contrast in enumerate(contrasts, 1)}, (3.1, 2.9, 3.07)),
    }
    for name, (images, spacing_mm) in sources.items():
        ours = segmented(imported.model, images, spacing_mm, tmp_path / name)
        theirs = {contrast: of_the_authors(imported, data, spacing_mm) for contrast, data in images.items()}
        # over the contrasts: single voxels of random networks are ties, which processors decide differently
        voxels = sum(each.size for each in theirs.values())
        assert (
            sum(
                differing(ours[contrast], each, min(4, 1 + len(imported.model.labels)))
                for contrast, each in theirs.items()
            )
            <= voxels / ONE_IN
        )


def test_a_raw_scan_is_measured_to_the_end(imported: ImportedSystem, tmp_path: Path) -> None:
    ((part, training),) = imported.trainings.items()
    folds = len(list(training.glob("fold_*")))
    assert folds == (3 if imported.model.name == "vibesegmentator100" else 1)
    assert_measured(imported.model, tmp_path, {part: folds})
