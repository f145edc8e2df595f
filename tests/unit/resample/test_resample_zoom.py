"""Resampling as TotalSegmentator does: the numbers and labels of scipy.ndimage.zoom, and its affine."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunet_reference import body
from scipy import ndimage

from dixonflow.imaging.nifti import read_nifti
from dixonflow.resample.volume import resample_to_spacing, zoom_labels, zoom_to_spacing

SPACINGS = st.tuples(*[st.sampled_from([0.9, 1.40625, 1.5, 2.232, 2.2321, 3.0, 4.5])] * 3)
WANTED = st.sampled_from([1.5, 3.0, 6.0])


def grid(spacing: tuple[float, ...]) -> np.ndarray[Any, Any]:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-30, 25.5, 12]
    return affine


def zoomed(data: np.ndarray[Any, Any], zoom: np.ndarray[Any, Any], order: int) -> np.ndarray[Any, Any]:
    """As TotalSegmentator calls it (totalsegmentator/resampling.py, resample_img)."""
    return ndimage.zoom(data, zoom, order=order, mode="nearest")


def without_fractions_of_one(data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What its whole numbers make 0 is 0; the rest is as it was."""
    return np.where(data.astype(np.int32) == 0, 0, data)


@settings(max_examples=30)
@given(shape=st.tuples(*[st.integers(5, 24)] * 3), spacing=SPACINGS, wanted=WANTED, seed=st.integers(0, 9))
def test_an_image_equals_scipy_and_keeps_its_corner(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], wanted: float, seed: int
) -> None:
    data = body(shape, seed, border=0) + np.float32(1000)
    found, affine = zoom_to_spacing(data, grid(spacing), (wanted,) * 3)
    expected = zoomed(data.astype(float), np.float32(spacing) / np.array([wanted] * 3), 3)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-6 * data.max()  # single precision, of values that begin at 1,000
    np.testing.assert_array_equal(affine, grid((wanted,) * 3))
    # the outermost centres stay where they are, so that their voxels keep their values
    corner = tuple(slice(None, None, max(size - 1, 1)) for size in found.shape)
    if min(found.shape) > 1:
        ends = data[:: shape[0] - 1, :: shape[1] - 1, :: shape[2] - 1]
        np.testing.assert_allclose(found[corner], ends, atol=1e-5 * np.ptp(data))


def test_the_real_image_equals_scipy(shared_data: Path) -> None:
    image = read_nifti(shared_data / "totalsegmentator" / "example_mr_sm.nii.gz")
    spacing = np.diag([*image.spacing_mm, 1.0])
    found, _ = zoom_to_spacing(image.data, spacing, (1.5, 1.5, 1.5))
    expected = zoomed(image.data.astype(float), np.float32(image.spacing_mm) / np.array([1.5] * 3), 3)
    assert found.shape == expected.shape != image.data.shape
    assert np.abs(found - without_fractions_of_one(expected)).max() <= 1e-6 * np.ptp(image.data)


@settings(max_examples=40)
@given(shape=st.tuples(*[st.integers(1, 30)] * 3), new_shape=st.tuples(*[st.integers(1, 30)] * 3))
def test_labels_come_back_as_scipy_has_them(shape: tuple[int, int, int], new_shape: tuple[int, int, int]) -> None:
    labels = np.random.default_rng(sum(shape)).integers(0, 200, shape).astype(np.uint8)
    found = zoom_labels(labels, new_shape)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, zoomed(labels, np.array(new_shape) / np.array(shape), 0))


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_what_is_empty_stays_empty(scale: float) -> None:
    """A spline leaves traces everywhere; nnU-Net would take them for the body and crop nothing."""
    data = np.zeros((60, 60, 60), np.float32)
    data[20:40, 20:40, 20:40] = 100 * scale
    expected = zoomed(data.astype(float), np.full(3, 2.0), 3)
    assert expected[:8].any()
    found, _ = zoom_to_spacing(data, grid((3.0, 3.0, 3.0)), (1.5, 1.5, 1.5))
    np.testing.assert_allclose(found, scale * without_fractions_of_one(expected / scale), atol=1e-3 * scale)
    np.testing.assert_array_equal(found != 0, without_fractions_of_one(expected / scale) != 0)


def test_what_half_precision_takes_for_nothing_is_nothing_in_the_other_chain() -> None:
    data = np.zeros((90, 9, 9), np.float32)
    data[70:] = 1000
    found, _ = resample_to_spacing(data, grid((3.0, 3.0, 3.0)), (1.5, 3.0, 3.0), "RAS")
    positions = np.arange(180) / 2
    expected = ndimage.map_coordinates(data[:, 0, 0].astype(float), [positions], order=3, mode="nearest")
    half = expected.astype(np.float16)
    assert expected[:40].all()
    assert not half[:40].any()
    np.testing.assert_array_equal(found[:, 4, 4] != 0, half != 0)


def test_an_image_of_the_wanted_spacing_is_left_alone_and_wrong_grids_are_refused() -> None:
    data = body((8, 9, 7))
    found, affine = zoom_to_spacing(data, grid((1.5, 1.5, 1.5)), (1.5, 1.5, 1.5))
    np.testing.assert_array_equal(found, data)
    np.testing.assert_array_equal(affine, grid((1.5, 1.5, 1.5)))
    found[:] = 0
    assert data.any()
    with pytest.raises(ValueError, match="not a spacing"):
        zoom_to_spacing(data, grid((1.5, 1.5, 1.5)), (1.5, -1.5, 1.5))
    with pytest.raises(ValueError, match="not those of RAS"):
        zoom_to_spacing(data, np.diag([-1.4, 1.4, 3.0, 1.0]), (1.5, 1.5, 1.5))


def test_the_voxel_that_is_first_for_the_network_keeps_its_place() -> None:
    """Turned to LPS, resampled and turned back: another grid than that of RAS, by up to a voxel."""
    data, affine, wanted = body((20, 17, 14)), grid((2.232, 2.3, 3.1)), (3.0, 3.5, 4.5)
    found, place = resample_to_spacing(data, affine, wanted, "LPS")
    turned, _ = resample_to_spacing(data[::-1, ::-1], affine, wanted, "RAS")
    np.testing.assert_allclose(found, turned[::-1, ::-1], atol=1e-5 * np.ptp(data))
    first = np.array([19, 16, 0, 1]), np.array([found.shape[0] - 1, found.shape[1] - 1, 0, 1])
    np.testing.assert_allclose(affine @ first[0], place @ first[1])
    assert (np.abs(place - resample_to_spacing(data, affine, wanted, "RAS")[1])[:2, 3] > 0.1).all()
    with pytest.raises(ValueError, match="orientation must be like"):
        resample_to_spacing(data, affine, wanted, "SPL")
