"""Two places of a NIfTI header that say different things are never resolved in silence."""

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dixonflow.cohort.build import build_cohort
from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import read_nifti, write_nifti
from dixonflow.rawdata.raw_scan import Source
from dixonflow.vocabulary import Layout, Reason

FEW = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


class TestNifti:
    AFFINE = np.array([[-2.0, 0, 0, 30], [0, 2.5, 0, -40], [0, 0, 3.0, 11], [0, 0, 0, 1]])

    def image(self) -> nib.Nifti1Image:
        image = nib.Nifti1Image(np.arange(20 * 18 * 16, dtype=np.int16).reshape(20, 18, 16), self.AFFINE)
        image.set_qform(self.AFFINE, 1)
        image.set_sform(self.AFFINE, 1)
        return image

    def read(self, image: nib.Nifti1Image, folder: Path) -> None:
        nib.save(image, folder / "a.nii.gz")
        read_nifti(folder / "a.nii.gz")

    @FEW
    @given(
        factor=st.floats(0.3, 0.99) | st.floats(1.01, 3.0),
        axis=st.sampled_from([0, 1, 2]),
        what=st.sampled_from(["sform", "qform", "pixdim"]),
    )
    def test_another_voxel_size_in_one_place_contradicts(self, tmp_path, factor, axis, what) -> None:
        image, affine = self.image(), self.AFFINE.copy()
        affine[:3, axis] *= factor
        if what == "sform":
            image.set_sform(affine, 1)
        elif what == "qform":
            image.set_qform(affine, 1, update_affine=False)
            image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = self.AFFINE[:3]
        else:
            image.set_qform(None, 0)
            image.header["pixdim"][1 + axis] *= factor
        with pytest.raises(ScanExcluded) as excluded:
            self.read(image, tmp_path)
        assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS

    @FEW
    @given(shift=st.floats(2.0, 300), axis=st.sampled_from([0, 1, 2]), flip=st.booleans())
    def test_another_place_or_direction_contradicts(self, tmp_path, shift, axis, flip) -> None:
        image, affine = self.image(), self.AFFINE.copy()
        if flip:
            affine[axis] *= -1
        else:
            affine[axis, 3] += shift
        image.header.set_sform(affine, 1)
        with pytest.raises(ScanExcluded) as excluded:
            nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), tmp_path / "b.nii.gz")
            read_nifti(tmp_path / "b.nii.gz")
        assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS

    @FEW
    @given(error=st.floats(-1e-5, 1e-5), code=st.sampled_from([1, 2]))
    def test_rounding_is_no_contradiction(self, tmp_path, error, code) -> None:
        image = self.image()
        image.set_sform(self.AFFINE * (1 + error), code)
        self.read(image, tmp_path)

    @pytest.mark.parametrize(
        ("slope", "intercept", "ok"),
        [
            (np.nan, np.nan, True), (0.0, 0.0, True), (0.0, np.nan, True), (1.2, 0.0, True),
            (1.2, np.nan, False), (1.2, np.inf, False), (np.inf, 0.0, False), (-np.inf, np.nan, False),
        ],
    )  # fmt: skip
    def test_a_slope_without_an_intercept_is_no_scaling(self, tmp_path, slope, intercept, ok) -> None:
        path = tmp_path / "a.nii"
        nib.save(self.image(), path)
        content = bytearray(path.read_bytes())
        content[112:120] = struct.pack("<ff", slope, intercept)
        path.write_bytes(content)
        if ok:
            read_nifti(path)
        else:
            with pytest.raises(ScanExcluded) as excluded:
                read_nifti(path)
            assert excluded.value.reason is Reason.CONTRADICTORY_HEADERS

    def test_sizes_that_nobody_has_set_contradict_nothing(self, tmp_path) -> None:
        path = tmp_path / "a.nii"
        image = self.image()
        image.set_qform(None, 0)
        nib.save(image, path)
        content = bytearray(path.read_bytes())
        content[80:92] = bytes(12)
        path.write_bytes(content)
        np.testing.assert_allclose(read_nifti(path).spacing_mm, (2.0, 2.5, 3.0))

    def test_either_form_alone_is_enough(self, tmp_path) -> None:
        for form in ("set_sform", "set_qform"):
            image = self.image()
            getattr(image, form)(None, 0)
            self.read(image, tmp_path)

    def test_a_flipped_sform_beside_a_qform_is_seen_in_the_cohort(self, tmp_path) -> None:
        path = tmp_path / "sub-1" / "ses-1" / "anat" / "sub-1_ses-1_acq-water_chunk-1_VIBE.nii.gz"
        write_nifti(path, np.ones((18, 16, 5), np.int16), np.diag([2.0, 2, 3, 1]))
        image = nib.load(path)
        image.header.set_sform(np.diag([-2.0, 2, 3, 1]), 1)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), path)
        (row,) = build_cohort([Source(Layout.BIDS, tmp_path)]).scans
        assert row.reason is Reason.CONTRADICTORY_HEADERS
        assert "sub-" not in row.message
