"""Equal to the package surface-distance and to nnU-Net's own evaluation, on random and on real label maps."""

import numpy as np
import pytest
import surface_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.loadsave import load
from nibabel.nifti1 import Nifti1Image
from nnunetv2.evaluation.evaluate_predictions import compute_metrics
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from scipy.ndimage import grey_erosion

from dixonflow.evaluation.metrics.compare import compare
from dixonflow.evaluation.regions import Region

pytestmark = pytest.mark.filterwarnings(
    "ignore:Please import:DeprecationWarning"
)  # the package calls SciPy's old names

SPACINGS = [(1.0, 1.0, 1.0), (2.2, 2.2, 3.0), (1.4, 1.4, 6.0)]
EXAMPLES = ["example_seg", "example_seg_mr"]


def of_surface_distance(predicted, reference, spacing, tolerance_mm):
    """Normalised surface distance and HD95 of two masks that are not empty, by the package's own functions."""
    found = surface_distance.compute_surface_distances(reference, predicted, spacing)
    return (
        surface_distance.compute_surface_dice_at_tolerance(found, tolerance_mm),
        surface_distance.compute_robust_hausdorff(found, 95),
    )


def assert_equal_to_surface_distance(predicted, reference, spacing, regions, tolerance_mm):
    rows = compare(predicted, reference, spacing, regions, tolerance_mm=tolerance_mm).set_index("structure")
    judged = 0
    for region in regions:
        masks = [np.isin(each, region.labels) for each in (predicted, reference)]
        if all(mask.any() for mask in masks):
            expected = of_surface_distance(*masks, spacing, tolerance_mm)
            assert rows.loc[region.name, ["nsd", "hd95_mm"]].tolist() == pytest.approx(expected, abs=1e-6)
            judged += 1
    return judged


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SPACINGS), st.sampled_from([1.0, 3.05, 7.0]), st.floats(0.05, 0.95))
def test_equal_to_surface_distance_on_noise(seed, spacing, tolerance_mm, density):
    rng = np.random.default_rng(seed)
    shares = [1 - density, density / 2, density / 2]
    predicted, reference = rng.choice(3, (2, *rng.integers(1, 9, 3)), p=shares).astype(np.uint8)
    regions = [Region("one", (1,)), Region("two", (2,)), Region("union", (1, 2), composite=True)]
    assert_equal_to_surface_distance(predicted, reference, spacing, regions, tolerance_mm)


def perturbed(labels):
    """A shifted copy whose structures are cut off by erosion in a part, without one structure and with a new one."""
    shifted = np.roll(labels, (1, -2, 1), (0, 1, 2))
    half = shifted.shape[0] // 2
    shifted[:half] = np.where(grey_erosion(shifted[:half], 3) == shifted[:half], shifted[:half], 0)
    present = np.unique(labels[labels > 0])
    shifted[shifted == present[0]] = 0
    shifted[:3, :3, :3] = present[-1] + 1
    return shifted


def regions_in(labels):
    present = [int(label) for label in np.unique(labels) if label]
    single = [Region(f"structure {label}", (label,)) for label in (*present, present[-1] + 1)]
    return [*single, Region("union", tuple(present[1:6]), composite=True)]


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("spacing", [(3.0, 3.0, 3.0), (1.4, 1.4, 6.0)])
def test_equal_to_surface_distance_on_real_label_maps(shared_data, name, spacing):
    reference = np.asanyarray(load(shared_data / "totalsegmentator" / f"{name}.nii.gz").dataobj)
    regions = regions_in(reference)
    judged = assert_equal_to_surface_distance(perturbed(reference), reference, spacing, regions, 3.0)
    assert judged > 15


@pytest.mark.parametrize("name", EXAMPLES)
def test_equal_to_the_evaluation_of_nnunet(shared_data, tmp_path, name):
    path = shared_data / "totalsegmentator" / f"{name}.nii.gz"
    image = load(path)
    reference = np.asanyarray(image.dataobj)
    predicted = perturbed(reference)
    Nifti1Image(predicted, image.affine, image.header).to_filename(tmp_path / "predicted.nii.gz")
    regions = regions_in(reference)
    keys = [each.labels if each.composite else each.labels[0] for each in regions]
    theirs = compute_metrics(str(path), str(tmp_path / "predicted.nii.gz"), SimpleITKIO(), keys)["metrics"]
    spacing = [float(each) for each in image.header.get_zooms()]
    ours = compare(predicted, reference, spacing, regions, surfaces=False)
    voxel_ml = np.prod(spacing) / 1000
    for key, (_, own) in zip(keys, ours.iterrows(), strict=True):
        their = theirs[key]
        assert own["dice"] == pytest.approx(their["Dice"], abs=1e-12, nan_ok=True)
        assert own["predicted_ml"] == pytest.approx(their["n_pred"] * voxel_ml)
        assert own["reference_ml"] == pytest.approx(their["n_ref"] * voxel_ml)
        if their["n_ref"]:
            assert own["under_fraction"] == pytest.approx(their["FN"] / their["n_ref"], abs=1e-12)
            assert own["over_fraction"] == pytest.approx(their["FP"] / their["n_ref"], abs=1e-12)
    assert {"both", "missed", "invented"} <= set(ours["presence"])
