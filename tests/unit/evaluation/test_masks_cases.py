"""Where the label maps of cases are found: folders and tables in the forms that people have."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dixonflow.evaluation.masks.case_files import find_cases
from dixonflow.evaluation.masks.case_table import read_case_table
from dixonflow.evaluation.masks.mapping_files import named_mapping
from dixonflow.evaluation.masks.problem import EvaluationError
from dixonflow.vocabulary import ScanId, ScanSequence


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def found(folder, mapping="amos15"):
    return {case.name: case for case in find_cases(folder, named_mapping(mapping))}


def test_a_flat_folder_has_a_case_for_each_file(tmp_path):
    cases = found(touch(tmp_path, "amos_0507.nii.gz", "amos_0508.nii", "notes.txt", ".hidden.nii.gz"))
    assert list(cases) == ["amos_0507", "amos_0508"]
    case = cases["amos_0507"]
    assert (case.participant, case.session, case.scan, case.problem) == ("amos_0507", "", None, "")
    assert case.files.label_map == tmp_path / "amos_0507.nii.gz"


def test_names_of_scans_give_participant_session_and_sequence(tmp_path):
    touch(tmp_path, "sub-0012_ses-2_dseg.nii.gz", "sub-0012_ses-3_acq-haste_seg-manual_dseg.nii.gz")
    cases = found(tmp_path)
    assert {case.scan for case in cases.values()} == {
        ScanId("0012", "2"),
        ScanId("0012", "3", ScanSequence.HASTE),
    }
    assert {case.participant for case in cases.values()} == {"0012"}


def test_in_a_bids_data_set_images_are_no_label_maps_and_the_mapping_chooses_the_model(tmp_path):
    place = "sub-1/ses-2/anat/sub-1_ses-2"
    touch(tmp_path, f"{place}_acq-water_desc-stitched_VIBE.nii.gz", f"{place}_seg-demo_dseg.nii.gz")
    assert found(tmp_path)["sub-1_ses-2"].problem == ""
    touch(tmp_path, f"{place}_seg-mrsegmentator_dseg.nii.gz")
    assert found(tmp_path)["sub-1_ses-2"].problem == "2 label maps of the same case"
    chosen = found(tmp_path, "mrsegmentator")["sub-1_ses-2"]
    assert chosen.files.label_map.name == "sub-1_ses-2_seg-mrsegmentator_dseg.nii.gz"


def test_a_folder_of_masks_is_a_case_and_the_image_next_to_it_no_label_map(tmp_path):
    touch(tmp_path, "s0001/mri.nii.gz", "s0001/segmentations/liver.nii.gz", "s0001/segmentations/kidney_left.nii.gz")
    touch(tmp_path, "s0002/segmentations/intervertebral_discs.nii.gz")
    cases = found(tmp_path, "totalsegmentatormr")
    assert list(cases) == ["s0001", "s0002"]
    assert cases["s0001"].files.structures == {"liver", "kidney_left"}
    assert cases["s0001"].image == tmp_path / "s0001/mri.nii.gz"
    assert cases["s0002"].files.structures == {"IVD"}


def test_a_mask_of_an_unknown_name_is_a_problem_of_its_case_alone(tmp_path):
    touch(tmp_path, "a/liver.nii.gz", "a/livre.nii.gz", "b/liver.nii.gz")
    cases = found(tmp_path, "vocabulary")
    assert "livre" in cases["a"].problem
    assert cases["b"].problem == ""


def test_equal_file_names_in_folders_take_the_name_of_the_folder(tmp_path):
    touch(tmp_path, "one/label.nii.gz", "two/label.nii.gz")
    assert list(found(tmp_path)) == ["one", "two"]


def test_images_next_to_label_maps_are_no_second_truth(tmp_path):
    touch(tmp_path, *(f"{place}/{case}.nii.gz" for place in ("imagesTr", "labelsTr") for case in ("a", "b")))
    assert {case.problem for case in found(tmp_path).values()} == {"2 label maps of the same case"}
    assert {case.problem for case in found(tmp_path / "labelsTr").values()} == {""}


def test_links_are_followed_and_circles_are_not(tmp_path):
    touch(tmp_path / "elsewhere", "liver.nii.gz")
    (tmp_path / "r").mkdir()
    (tmp_path / "r/a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/again").symlink_to(tmp_path / "elsewhere")
    cases = find_cases(tmp_path / "r", named_mapping("vocabulary"))
    assert [case.files.structures for case in cases] == [{"liver"}]


def test_endings_of_label_maps_are_no_part_of_the_name(tmp_path):
    assert list(found(touch(tmp_path, "x_seg.nii.gz", "y_dseg.nii.gz", "z.nii.gz"))) == ["y"]  # BIDS names win
    assert list(found(touch(tmp_path / "other", "x_seg.nii.gz", "z.nii.gz"))) == ["x", "z"]


def test_a_case_with_two_label_maps_has_none(tmp_path):
    cases = found(touch(tmp_path, "x.nii.gz", "x.nii", "y.nii.gz"))
    assert cases["x"].problem == "2 label maps of the same case"
    assert cases["y"].problem == ""


def test_the_lookup_table_of_a_label_map_names_its_labels(tmp_path):
    touch(tmp_path, "x_dseg.nii.gz")
    assert "no lookup table" in found(tmp_path, "vocabulary")["x"].problem
    (tmp_path / "dseg.tsv").write_text("index\tname\n5\tliver\n")
    case = found(tmp_path, "vocabulary")["x"]
    assert (case.problem, case.files.structures) == ("", {"liver"})
    (tmp_path / "x_dseg.tsv").write_text("index\tname\n5\tspleen\n")
    assert found(tmp_path, "vocabulary")["x"].files.structures == {"spleen"}
    (tmp_path / "x_dseg.tsv").write_text("index\tname\n5\tsplen\n")
    assert "is splen spleen" in found(tmp_path, "vocabulary")["x"].problem


def test_folders_without_label_maps_are_refused(tmp_path):
    with pytest.raises(EvaluationError, match="no NIfTI file"):
        found(touch(tmp_path, "notes.txt"))
    with pytest.raises(EvaluationError, match="no folder"):
        found(tmp_path / "none")


def table(tmp_path, rows, name="cases.csv"):
    path = tmp_path / name
    frame = pd.DataFrame(rows)
    if name.endswith(".parquet"):
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")
    return path


@pytest.mark.parametrize("name", ["cases.csv", "cases.tsv", "cases.parquet"])
def test_a_table_names_cases_files_and_images(tmp_path, name):
    touch(tmp_path, "r/1.nii.gz", "p/1.nii.gz", "i/1.nii.gz", "m/liver.nii.gz")
    rows = [
        {"participant_id": "007", "session_id": "2", "sequence": "", "reference": "r/1.nii.gz", "image": "i/1.nii.gz"},
        {"participant_id": "007", "session_id": "3", "sequence": "haste", "reference": "m", "image": ""},
        {"participant_id": "8", "session_id": "3", "sequence": "", "reference": "r/none.nii.gz", "image": ""},
        {"participant_id": "9", "session_id": "3", "sequence": "", "reference": "", "image": ""},
    ]
    cases = read_case_table(table(tmp_path, rows, name), "reference", named_mapping("amos15"))
    by_name = {case.name: case for case in cases}
    first = by_name["sub-007_ses-2"]
    assert first.scan == ScanId("007", "2")
    assert (first.files.label_map, first.image) == (tmp_path / "r/1.nii.gz", tmp_path / "i/1.nii.gz")
    assert by_name["sub-007_ses-3_acq-haste"].files.structures == {"liver"}
    assert by_name["sub-8_ses-3"].problem == "its file does not exist"
    assert by_name["sub-9_ses-3"].problem == "the table names no file"


def test_cases_of_a_table_may_be_named_freely_and_share_a_participant(tmp_path):
    touch(tmp_path, "a.nii.gz")
    rows = [{"case": each, "participant_id": "p1", "session_id": "", "reference": "a.nii.gz"} for each in ("x", "y")]
    cases = read_case_table(table(tmp_path, rows), "reference", named_mapping("amos15"))
    assert [(case.name, case.participant) for case in cases] == [("x", "p1"), ("y", "p1")]


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([{"case": "a", "prediction": "x"}], "no column reference"),
        ([{"reference": "x"}], "needs a column case"),
        ([{"case": "a", "reference": "x"}, {"case": "a", "reference": "y"}], "line 3 twice"),
        ([{"case": "", "reference": "x"}], "line 2 names no case"),
        ([{"participant_id": "a/b", "session_id": "1", "reference": "x"}], "alphanumeric"),
        ([{"participant_id": "a", "session_id": "1", "sequence": "mprage", "reference": "x"}], "mprage"),
        ([{"case": "sub-a_ses-1", "participant_id": "b", "session_id": "1", "reference": "x"}], "another scan"),
        ([], "has no rows"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, rows, what):
    with pytest.raises(EvaluationError, match=what):
        read_case_table(table(tmp_path, rows), "reference", named_mapping("amos15"))


def test_files_that_are_no_tables_are_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "a.csv").write_bytes(np.arange(200, 255, dtype=np.uint8).tobytes())
    for name in ("a.parquet", "a.csv", "none.csv"):
        with pytest.raises(EvaluationError, match=r"cannot be read|there is no table"):
            read_case_table(tmp_path / name, "reference", named_mapping("amos15"))
