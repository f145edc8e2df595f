import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.nifti import BYTES_AT_ONCE, read_nifti, write_nifti
from dixonflow.vocabulary import Reason

AFFINE = np.array([[2.232, 0, 0, -250], [0, 2.232, 0, -190.5], [0, 0, 3.0, -1100.25], [0, 0, 0, 1]])


def ramp(dtype: str, shape: tuple[int, int, int] = (7, 5, 4)) -> NDArray[np.generic]:
    return np.random.default_rng(3).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_round_trip_keeps_dtype_values_and_place(tmp_path: Path, dtype: str) -> None:
    path, data = tmp_path / "a.nii.gz", ramp(dtype)
    write_nifti(path, data, AFFINE)
    image = read_nifti(path)
    assert image.data.dtype == dtype
    np.testing.assert_array_equal(image.data, data)
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-4)
    assert image.spacing_mm == pytest.approx((2.232, 2.232, 3.0))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.nii.gz"]  # no temporary file is left


@pytest.mark.parametrize("order", ["C", "F"])
def test_images_larger_than_what_is_inflated_at_once(tmp_path: Path, order: str) -> None:
    data = np.array(ramp("int16", (97, 61, 83)), order=order)
    assert data.nbytes > 3 * BYTES_AT_ONCE
    path = tmp_path / "a.nii.gz"
    write_nifti(path, data, AFFINE)
    np.testing.assert_array_equal(read_nifti(path).data, data)
    plain = gzip.decompress(path.read_bytes())
    assert plain[352:] == data.tobytes(order="F")
    half = len(plain) // 2
    path.write_bytes(gzip.compress(plain[:half]) + gzip.compress(plain[half:]))  # as bgzip writes
    image = read_nifti(path)
    np.testing.assert_array_equal(image.data, data)
    assert image.data.flags.writeable


def test_other_software_reads_the_same(tmp_path: Path) -> None:
    import SimpleITK

    path, data = tmp_path / "a.nii.gz", ramp("int16")
    write_nifti(path, data, AFFINE)
    image = nib.load(path)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), data)
    sform, sform_code = image.get_sform(coded=True)
    qform, qform_code = image.get_qform(coded=True)
    assert sform_code == qform_code == 1
    np.testing.assert_allclose(sform, qform, atol=1e-4)
    assert image.header.get_xyzt_units()[0] == "mm"
    itk = SimpleITK.ReadImage(path)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(itk), data.transpose(2, 1, 0))
    np.testing.assert_allclose(itk.GetOrigin(), AFFINE[:3, 3] * [-1, -1, 1], atol=1e-4)


def test_equal_input_gives_equal_bytes_in_any_memory_order(tmp_path: Path) -> None:
    data = ramp("int16")
    for name, array in (("a", data), ("b", np.asfortranarray(data)), ("c", data.copy(order="K"))):
        write_nifti(tmp_path / f"{name}.nii.gz", array, AFFINE)
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 1
    assert contents.pop()[4:8] == bytes(4)  # the time stamp of the gzip header


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(axes=st.permutations([0, 1, 2]), flips=st.tuples(*[st.booleans()] * 3), compressed=st.booleans())
def test_any_orientation_is_turned_to_ras(
    tmp_path: Path, axes: list[int], flips: tuple[bool, bool, bool], compressed: bool
) -> None:
    data = ramp("int16")
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, (world, flip) in enumerate(zip(axes, flips, strict=True)):
        affine[world, axis] = (-1 if flip else 1) * (2.0 + axis)
    affine[:3, 3] = [10, 20, 30]
    path = tmp_path / ("a.nii.gz" if compressed else "a.nii")
    nib.save(nib.Nifti1Image(data, affine), path)
    image = read_nifti(path)
    expected = nib.as_closest_canonical(nib.load(path))
    np.testing.assert_array_equal(image.data, np.asanyarray(expected.dataobj))
    np.testing.assert_allclose(image.affine, expected.affine)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")


def test_real_image_is_turned_to_ras(shared_data: Path) -> None:
    path = shared_data / "totalsegmentator" / "example_mr_sm.nii.gz"
    image = read_nifti(path)
    expected = nib.as_closest_canonical(nib.load(path))
    np.testing.assert_array_equal(image.data, np.asanyarray(expected.dataobj))
    np.testing.assert_allclose(image.affine, expected.affine)


def test_scaled_and_big_endian_values(tmp_path: Path) -> None:
    data = ramp("int16")
    header = nib.Nifti1Header(endianness=">")
    image = nib.Nifti1Image(data, AFFINE, header)
    image.header.set_data_dtype(">i2")
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / "a.nii")
    raw = (tmp_path / "a.nii").read_bytes()
    assert raw[:4] == struct.pack(">i", 348)
    back = read_nifti(tmp_path / "a.nii")
    assert back.data.dtype == np.dtype("float32")
    assert back.data.dtype.isnative
    np.testing.assert_array_equal(back.data, np.asanyarray(nib.load(tmp_path / "a.nii").dataobj).astype(np.float32))
    np.testing.assert_array_equal(back.data, data * np.float32(0.5) - 3)

    nib.save(nib.Nifti2Image(data, AFFINE), tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(read_nifti(tmp_path / "b.nii.gz").data, data)


def excluded(path: Path) -> Reason:
    with pytest.raises(ScanExcluded) as caught:
        read_nifti(path)
    assert path.name not in caught.value.message  # a participant's id may be part of it
    return caught.value.reason


def plain_bytes(tmp_path: Path) -> bytes:
    write_nifti(tmp_path / "whole.nii.gz", ramp("int16", (40, 30, 20)), AFFINE)
    return gzip.decompress((tmp_path / "whole.nii.gz").read_bytes())


def test_a_header_that_claims_gigabytes_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    import tracemalloc

    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((1000, 1000, 1000))
    header.set_sform(AFFINE, code=1)
    header["vox_offset"] = 352
    content = header.binaryblock + bytes(4)
    (tmp_path / "a.nii").write_bytes(content)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content))
    tracemalloc.start()
    for name in ("a.nii", "b.nii.gz"):
        assert excluded(tmp_path / name) is Reason.TRUNCATED_PIXELS
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_cut_off_files(tmp_path: Path) -> None:
    plain, whole = plain_bytes(tmp_path), (tmp_path / "whole.nii.gz").read_bytes()
    path = tmp_path / "cut.nii.gz"
    for length in (0, 1, 5, 30, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert excluded(path) is Reason.UNREADABLE_FILE
    path.write_bytes(gzip.compress(plain[:-1]))  # the stream is whole, its content is not
    assert excluded(path) is Reason.TRUNCATED_PIXELS
    (tmp_path / "cut.nii").write_bytes(plain[:-1])
    assert excluded(tmp_path / "cut.nii") is Reason.TRUNCATED_PIXELS


def test_damaged_files(tmp_path: Path) -> None:
    plain, whole = plain_bytes(tmp_path), bytearray((tmp_path / "whole.nii.gz").read_bytes())
    path = tmp_path / "bad.nii.gz"
    path.write_bytes(whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:])  # checksum
    assert excluded(path) is Reason.UNREADABLE_FILE
    path.write_bytes(gzip.compress(plain + bytes(2**17)))  # holds far more than its header says
    assert excluded(path) is Reason.UNREADABLE_FILE
    path.write_bytes(b"not an image" * 100)
    assert excluded(path) is Reason.UNREADABLE_FILE
    path.write_bytes(gzip.compress(b"not an image" * 100))
    assert excluded(path) is Reason.UNREADABLE_FILE
    with pytest.raises(FileNotFoundError):  # not the data's fault
        read_nifti(tmp_path / "nowhere.nii.gz")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("dim", [4, 40, 30, 4, 5, 1, 1, 1], Reason.UNEXPECTED_GEOMETRY),
        ("dim", [3, 40, 30, 0, 1, 1, 1, 1], Reason.UNEXPECTED_GEOMETRY),
        ("dim", [3, 40, -30, 20, 1, 1, 1, 1], Reason.UNEXPECTED_GEOMETRY),
        ("dim", [3, 32000, 32000, 32000, 1, 1, 1, 1], Reason.UNEXPECTED_GEOMETRY),
        ("dim", [900, 40, 30, 20, 1, 1, 1, 1], Reason.UNEXPECTED_GEOMETRY),
        ("srow_x", [0, 0, 0, 0], Reason.UNEXPECTED_GEOMETRY),
        ("srow_x", [np.nan, 0, 0, 0], Reason.UNEXPECTED_GEOMETRY),
        ("xyzt_units", 1, Reason.UNEXPECTED_GEOMETRY),
        ("datatype", 128, Reason.UNREADABLE_FILE),
        ("datatype", 12345, Reason.UNREADABLE_FILE),
        ("vox_offset", 0, Reason.TRUNCATED_PIXELS),
        ("vox_offset", 1e9, Reason.UNREADABLE_FILE),
        ("vox_offset", np.nan, Reason.UNREADABLE_FILE),
        ("magic", b"ni1", Reason.UNREADABLE_FILE),
    ],
)
def test_impossible_headers(tmp_path: Path, field: str, value: object, reason: Reason) -> None:
    plain = plain_bytes(tmp_path)
    header = nib.Nifti1Header(plain[:348], check=False)
    header.structarr[field] = value
    path = tmp_path / "bad.nii"
    path.write_bytes(header.structarr.tobytes() + plain[348:])
    assert excluded(path) is reason


def test_no_orientation_is_refused(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ramp("int16"), AFFINE)
    image.set_sform(AFFINE, code=0)
    image.set_qform(AFFINE, code=0)
    nib.save(image, tmp_path / "a.nii.gz")
    assert excluded(tmp_path / "a.nii.gz") is Reason.UNEXPECTED_GEOMETRY


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    shear = AFFINE.copy()
    shear[0, 1] = 0.5
    with pytest.raises(ValueError, match="shear"):
        write_nifti(tmp_path / "a.nii.gz", ramp("int16"), shear)
    with pytest.raises(ValueError, match="dtype int64"):
        write_nifti(tmp_path / "a.nii.gz", ramp("int64"), AFFINE)
    with pytest.raises(ValueError, match="shape"):
        write_nifti(tmp_path / "a.nii.gz", np.zeros((3, 3), np.int16), AFFINE)
    with pytest.raises(ValueError, match=r"\.nii\.gz name"):
        write_nifti(tmp_path / "a.nii", ramp("int16"), AFFINE)
    assert not list(tmp_path.iterdir())
