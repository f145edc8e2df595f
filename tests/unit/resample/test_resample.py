from pathlib import Path

import nibabel as nib
import nibabel.processing
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.preprocessing.resampling import default_resampling as nnunet
from numpy.typing import NDArray
from scipy import ndimage

from dixonflow.imaging.nifti import read_nifti
from dixonflow.resample.volume import labels_to_grid, resample_image, resample_to_spacing, separate_axis


def smooth(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float64]:
    """Noise with structure of a few voxels and sharp edges, range about 0 to 1200."""
    noise = np.random.default_rng(seed).normal(size=shape)
    blurred = ndimage.gaussian_filter(noise, [0] * (len(shape) - 3) + [1.5] * 3)
    scaled = np.clip(blurred / np.abs(blurred).max() * 1200 + 300, 0, None)
    return scaled + 200 * (blurred > 0)


SIZES = st.tuples(*[st.integers(4, 24)] * 3)


@settings(max_examples=25, deadline=None)
@given(shape=SIZES, new_shape=SIZES, separate=st.sampled_from([None, 0, 1, 2]), order=st.sampled_from([1, 3]))
def test_image_equals_nnunet(
    shape: tuple[int, int, int], new_shape: tuple[int, int, int], separate: int | None, order: int
) -> None:
    data = smooth(shape)
    expected = nnunet.resample_data_or_seg(
        data[None], new_shape, is_seg=False, axis=separate, order=order, do_separate_z=separate is not None, order_z=0
    )[0]
    span = float(np.ptp(data))
    for dtype, tolerance in ((np.float64, 1e-9), (np.float32, 1e-4)):
        for given_ in (data, np.asfortranarray(data)):
            found = resample_image(given_, new_shape, separate=separate, order=order, dtype=dtype)
            assert found.dtype == dtype
            assert found.shape == new_shape
            assert np.abs(found - expected).max() <= tolerance * span


def test_real_image_equals_nnunet_at_both_precisions(shared_data: Path) -> None:
    image = read_nifti(shared_data / "totalsegmentator" / "example_mr_sm.nii.gz")
    spacing, new_spacing = image.spacing_mm, (1.40625, 1.40625, 2.2)
    new_shape = tuple(nnunet.compute_new_shape(image.data.shape, spacing, new_spacing))
    expected = nnunet.resample_data_or_seg_to_shape(
        image.data[None].astype(float), new_shape, spacing, new_spacing, force_separate_z=None
    )[0]
    span = float(np.ptp(image.data))
    assert np.abs(resample_image(image.data, new_shape) - expected).max() <= 1e-5 * span
    assert np.abs(resample_image(image.data, new_shape, dtype=np.float64) - expected).max() <= 1e-10 * span


@settings(max_examples=200)
@given(
    spacing=st.tuples(*[st.sampled_from([0.7, 1.0, 1.40625, 2.232, 3.0, 4.5, 6.0])] * 3),
    new_spacing=st.tuples(*[st.sampled_from([0.7, 1.0, 1.40625, 2.232, 3.0, 4.5, 6.0])] * 3),
)
def test_separate_axis_equals_nnunet(
    spacing: tuple[float, float, float], new_spacing: tuple[float, float, float]
) -> None:
    do_separate, axis = nnunet.determine_do_sep_z_and_axis(None, spacing, new_spacing)
    assert separate_axis(spacing, new_spacing) == (axis if do_separate else None)


def test_equal_shape_is_a_copy_and_values_stay_in_range() -> None:
    data = smooth((12, 11, 10))
    same = resample_image(data, data.shape)
    np.testing.assert_array_equal(same, data.astype(np.float32))
    same[:] = 0
    assert data.any()
    step = np.zeros((10, 10, 10))
    step[5:] = 100
    finer = resample_image(step, (33, 10, 10), dtype=np.float64)
    assert finer.min() == 0  # a spline overshoots beside an edge
    assert finer.max() == 100
    with pytest.raises(ValueError, match="cannot resample"):
        resample_image(data, (0, 5, 5))


def test_resampling_to_a_spacing_equals_nibabel() -> None:
    data = smooth((30, 26, 20))
    affine = np.diag([2.232, 2.232, 3.0, 1.0])
    affine[:3, 3] = [-30, -25.5, 12]
    found, new_affine = resample_to_spacing(data, affine, (1.40625, 1.40625, 5.0), "RAS")
    assert found.dtype == np.float32
    assert found.shape == (48, 41, 12)
    np.testing.assert_allclose(np.diag(new_affine)[:3], (1.40625, 1.40625, 5.0))
    np.testing.assert_allclose(new_affine[:3, 3], affine[:3, 3])
    expected = nibabel.processing.resample_from_to(
        nib.Nifti1Image(data, affine), (found.shape, new_affine), order=3, mode="nearest"
    ).get_fdata()
    assert np.abs(found - expected).max() <= 1e-5 * np.ptp(data)


def test_as_much_of_an_image_of_large_values_becomes_nothing_as_of_one_that_is_scaled() -> None:
    image = np.zeros((60, 5, 5), np.float32)
    image[28:32] = 30_000
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    large, scaled, small = (
        resample_to_spacing(values, affine, (1.5, 2.0, 2.0), "RAS")[0] != 0
        for values in (image, image / 30, image / 3.1)
    )
    assert np.array_equal(large, scaled)
    assert small.sum() > scaled.sum()


def test_equal_spacing_is_left_alone_and_wrong_grids_are_refused() -> None:
    data, affine = smooth((8, 8, 8)), np.diag([1.4, 1.4, 3.0, 1.0])
    found, new_affine = resample_to_spacing(data, affine, (1.4004, 1.4, 3.0), "RAS")
    np.testing.assert_array_equal(found, data.astype(np.float32))
    np.testing.assert_array_equal(new_affine, affine)
    assert resample_to_spacing(data, affine, (1.40625, 1.4, 3.0), "RAS")[1][0, 0] == 1.40625
    with pytest.raises(ValueError, match="not a spacing"):
        resample_to_spacing(data, affine, (1.4, 0, 3), "RAS")
    with pytest.raises(ValueError, match="not those of RAS"):
        resample_to_spacing(data, np.diag([-1.4, 1.4, 3.0, 1.0]), (1.0, 1.0, 1.0), "RAS")


@settings(max_examples=30, deadline=None)
@given(spacing=st.tuples(*[st.floats(0.8, 6.0)] * 3))
def test_labels_there_and_back(spacing: tuple[float, float, float]) -> None:
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = [5, -7, 100]
    labels = np.zeros((30, 26, 20), np.uint8)
    labels[15:, :, :] = 3
    labels[:, 13:, :] += 1
    image, there = resample_to_spacing(labels, affine, spacing, "RAS")
    fine = labels_to_grid(labels, affine, image.shape, there)
    back = labels_to_grid(fine, there, labels.shape, affine)
    assert back.dtype == np.uint8
    # away from the borders between labels every voxel has its label again, at the outermost planes too
    reach = np.ceil(1.5 * np.array(spacing) / [2, 2, 3]).astype(int) * 2 + 1
    footprint = np.ones(reach)
    inner = ndimage.minimum_filter(labels, footprint=footprint, mode="nearest") == ndimage.maximum_filter(
        labels, footprint=footprint, mode="nearest"
    )
    assert inner.mean() > 0.1
    assert (back == labels)[inner].all()


def test_labels_outside_the_box_are_background() -> None:
    labels, affine = np.ones((4, 4, 4), np.uint8), np.eye(4)
    wide = np.eye(4)
    wide[:3, 3] = -4
    found = labels_to_grid(labels, affine, (12, 12, 12), wide)
    assert found.sum() == 6**3  # the box and the voxel that it is continued by
    assert not found[:3].any()
