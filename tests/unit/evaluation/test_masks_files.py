"""Label maps of other programs: their types, grids and masks, and what is refused of them."""

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest
from reference_masks import BOXES, SHAPE, SPACING_MM, affine_of, label_map, write

from dixonflow.evaluation.masks.label_files import LabelFiles, read_structures
from dixonflow.evaluation.masks.mapping import structure_ids
from dixonflow.evaluation.masks.mapping_files import named_mapping
from dixonflow.evaluation.masks.preparation import on_grid
from dixonflow.evaluation.masks.problem import CaseProblem

AMOS = {"spleen": 1, "kidney_right": 2, "kidney_left": 3, "liver": 6, "pancreas": 10}


def read(path, mapping="amos15"):
    return read_structures(LabelFiles(named_mapping(mapping), path))


def masks(tmp_path, names, mapping="vocabulary", **arrays):
    paths = {}
    for name in names:
        data = arrays.get(name, label_map({name: 1}) if name in BOXES else None)
        paths[name] = write(tmp_path / f"{name}.nii.gz", data)
    return LabelFiles(named_mapping(mapping), None, paths)


def expected():
    return label_map({name: structure_ids()[name] for name in AMOS})


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "int64", "float32", "float64"])
def test_labels_may_have_any_type(tmp_path, dtype):
    found = read(write(tmp_path / "a.nii.gz", label_map(AMOS).astype(dtype)))
    np.testing.assert_array_equal(found.ids, expected())


def test_labels_may_be_scaled_by_the_header(tmp_path):
    path = write(tmp_path / "a.nii", label_map(AMOS))
    raw = bytearray(path.read_bytes())
    struct.pack_into("<ff", raw, 112, 2.0, 0.0)
    path.write_bytes(raw)
    doubled = {2: "spleen", 4: "kidney_right", 6: "kidney_left", 12: "liver", 20: "pancreas"}
    table = tmp_path / "own.csv"
    table.write_text("label,structure\n" + "".join(f"{label},{name}\n" for label, name in doubled.items()))
    np.testing.assert_array_equal(read(path, str(table)).ids, expected())


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "LAS", "PIR", "SAL"])
def test_the_patients_right_kidney_is_right_in_every_orientation_of_the_file(tmp_path, orientation):
    found = read(write(tmp_path / "a.nii.gz", label_map(AMOS), orientation=orientation))
    np.testing.assert_array_equal(found.ids, expected())
    right = np.argwhere(found.ids == structure_ids()["kidney_right"]).mean(axis=0)
    left = np.argwhere(found.ids == structure_ids()["kidney_left"]).mean(axis=0)
    assert right[0] > left[0], "RAS+: x grows towards the patient's right"
    np.testing.assert_allclose(found.affine, affine_of())


def replaced(value):
    labels = label_map(AMOS).astype(np.float32)
    labels[0, 0, 0] = value
    return labels


@pytest.mark.parametrize(
    ("value", "what"),
    [(0.5, "whole numbers"), (np.nan, "not finite"), (np.inf, "not finite"), (-1, "-1"), (1e6, "1e\\+06"), (99, "99")],
)
def test_values_that_are_no_labels_are_refused(tmp_path, value, what):
    with pytest.raises(CaseProblem, match=what):
        read(write(tmp_path / "a.nii.gz", replaced(value)))


def test_damaged_files_are_refused(tmp_path):
    path = write(tmp_path / "a.nii.gz", label_map(AMOS))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CaseProblem, match="damaged or cut off"):
        read(path)
    path.write_bytes(b"not an image")
    with pytest.raises(CaseProblem, match="unreadable_file"):
        read(path)
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:3000]))
    with pytest.raises(CaseProblem, match="truncated_pixels"):
        read(path)
    path.unlink()
    with pytest.raises(CaseProblem, match=r"cannot be read|unreadable"):
        read(path)


def test_contradictory_and_missing_geometry_is_refused(tmp_path):
    image = nib.Nifti1Image(label_map(AMOS), affine_of())
    image.set_sform(affine_of(), 1)
    image.set_qform(affine_of(origin=(10, 0, 0)), 1)
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(CaseProblem, match="contradictory_headers"):
        read(tmp_path / "a.nii.gz")
    image.set_sform(affine_of(), 0)
    image.set_qform(affine_of(), 0)
    nib.save(image, tmp_path / "b.nii.gz")
    with pytest.raises(CaseProblem, match="no orientation"):
        read(tmp_path / "b.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.uint8), affine_of()), tmp_path / "c.nii.gz")
    with pytest.raises(CaseProblem, match="one 3D image"):
        read(tmp_path / "c.nii.gz")


def test_masks_of_structures_are_one_map_and_any_value_marks_a_mask(tmp_path):
    files = masks(tmp_path, AMOS, liver=label_map({"liver": 255}), spleen=label_map({"spleen": 1}).astype(np.float64))
    np.testing.assert_array_equal(read_structures(files).ids, expected())
    assert files.structures == set(AMOS)


def test_masks_that_overlap_are_refused_by_name(tmp_path):
    spleen = label_map({"spleen": 1})
    spleen[BOXES["liver"]][:2, 0, 0] = 1
    with pytest.raises(CaseProblem, match=r"liver and spleen|spleen and liver") as found:
        read_structures(masks(tmp_path, AMOS, spleen=spleen))
    assert "2 voxels" in str(found.value)


def test_a_part_may_lie_in_its_whole(tmp_path):
    both = label_map({"kidney_left": 1}) + label_map({"kidney_right": 1})
    found = read_structures(masks(tmp_path, ["kidney_left", "kidneys"], kidneys=both)).ids
    left, whole = structure_ids()["kidney_left"], structure_ids()["kidneys"]
    np.testing.assert_array_equal(found, label_map({"kidney_left": left, "kidney_right": whole}))


def test_masks_with_several_values_or_on_several_grids_are_refused(tmp_path):
    with pytest.raises(CaseProblem, match="liver holds several labels"):
        read_structures(masks(tmp_path, ["liver"], liver=label_map(AMOS)))
    files = masks(tmp_path, ["liver", "spleen"])
    write(files.masks["spleen"], label_map({"spleen": 1}), affine_of(origin=(0, 0, 0)))
    with pytest.raises(CaseProblem, match="another grid"):
        read_structures(files)


def test_an_empty_mask_is_a_structure_that_is_not_there(tmp_path):
    files = masks(tmp_path, ["liver", "spleen"], spleen=np.zeros(SHAPE, np.uint8))
    assert files.structures == {"liver", "spleen"}
    assert set(np.unique(read_structures(files).ids)) == {0, structure_ids()["liver"]}


def test_a_prediction_on_another_grid_is_moved_to_the_references(tmp_path):
    reference = read(write(tmp_path / "a.nii.gz", label_map(AMOS)))
    fine = np.repeat(np.repeat(np.repeat(label_map(AMOS), 2, 0), 2, 1), 2, 2)
    half = tuple(each / 2 for each in SPACING_MM)
    origin = affine_of()[:3, 3] - np.array(half) / 2
    prediction = read(write(tmp_path / "b.nii.gz", fine, affine_of(half, origin), orientation="LPS"))
    ids, change = on_grid(prediction, reference)
    assert (change.resampled, change.outside_percent) == (True, 0)
    np.testing.assert_array_equal(ids, reference.ids)


def test_the_share_of_the_reference_outside_the_prediction_is_known(tmp_path):
    reference = read(write(tmp_path / "a.nii.gz", label_map({"liver": 6})))
    prediction = read(write(tmp_path / "b.nii.gz", label_map({"liver": 6})[:17]))  # half of the liver's 8 columns
    ids, change = on_grid(prediction, reference)
    assert change.resampled
    assert change.outside_percent == pytest.approx(50)
    np.testing.assert_array_equal(ids[:17], reference.ids[:17])
    assert not ids[17:].any()


def test_grids_without_overlap_are_refused(tmp_path):
    reference = read(write(tmp_path / "a.nii.gz", label_map(AMOS)))
    away = read(write(tmp_path / "b.nii.gz", label_map(AMOS), affine_of(origin=(100, 0, 0))))
    with pytest.raises(CaseProblem, match="do not overlap"):
        on_grid(away, reference)
