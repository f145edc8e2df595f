"""Inputs of `dixonflow evaluate` that are wrong without looking so: each is refused or named, and no number is made."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import typer
from reference_masks import affine_of, label_map, write
from typer.testing import CliRunner, Result

from dixonflow.cli.networks.evaluate import evaluate_command

AMOS = {"spleen": 1, "kidney_right": 2, "kidney_left": 3, "liver": 6, "pancreas": 10}
MAPPINGS = ("--mapping", "amos15", "--prediction-mapping", "amos15")
QUICK = ("--pictures", "0", "--no-surfaces", "--jobs", "1")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two cases with a reference and a prediction that is one voxel off."""
    monkeypatch.chdir(tmp_path)
    for case in ("a", "b"):
        write(Path(f"r/{case}.nii.gz"), label_map(AMOS))
        write(Path(f"p/{case}.nii.gz"), label_map(AMOS, (1, 0, 0)))
    return tmp_path


def call(*arguments: object) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(evaluate_command)
    return CliRunner().invoke(app, [*map(str, arguments), *QUICK])


def case_list(folder: str = "out") -> pd.DataFrame:
    return pd.read_parquet(Path(folder) / "case_list.parquet").set_index(["case", "system"])


def test_files_that_are_of_no_evaluation_are_never_replaced_or_removed() -> None:
    Path("out").mkdir()
    mine = pd.DataFrame({"a": [1]})
    mine.to_parquet("out/mine.parquet")
    Path("out/by_hand.csv").write_text("a\n")
    for _ in range(2):  # the second time over the first
        result = call("r", "--predictions", "p", *MAPPINGS, "--output", "out")
        assert result.exit_code == 0, result.output
    assert pd.read_parquet("out/mine.parquet").equals(mine)
    assert Path("out/by_hand.csv").is_file()
    Path("other").mkdir()
    Path("other/cases.parquet").write_bytes(b"mine")
    result = call("r", "--predictions", "p", *MAPPINGS, "--output", "other")
    assert result.exit_code == 1
    assert "other has a file cases.parquet that is of no evaluation" in result.output
    assert [path.name for path in Path("other").iterdir()] == ["cases.parquet"]
    assert Path("other/cases.parquet").read_bytes() == b"mine"


def test_an_interrupted_evaluation_can_be_repeated() -> None:
    call("r", "--predictions", "p", *MAPPINGS, "--output", "out")
    for path in Path("out").glob("*"):
        if path.name not in ("cases.parquet", "evaluation.json"):
            path.unlink()
    assert call("r", "--predictions", "p", *MAPPINGS, "--output", "out").exit_code == 0
    assert json.loads(Path("out/evaluation.json").read_text())["cases"] == "2 of 2 cases compared"


@pytest.mark.parametrize(
    ("affine", "what"),
    [
        (affine_of() + np.outer([0, 1.5, 0, 0], [0, 0, 1, 0]), "reference: its grid is sheared"),
        (np.diag([0.002, 0.002, 0.003, 1]), "reference: voxels of 0.002 x 0.002 x 0.003 mm"),
        (np.diag([2000.0, 2000, 3000, 1]), "reference: voxels of 2e+03 x 2e+03 x 3e+03 mm"),
    ],
)
def test_grids_that_distances_cannot_be_measured_on_cost_their_case(affine: np.ndarray, what: str) -> None:
    for kind in ("r", "p"):
        image = nib.Nifti1Image(label_map(AMOS), affine)
        image.set_sform(affine, 1)
        image.header["qform_code"] = 0
        image.header["xyzt_units"] = 0
        nib.save(image, f"{kind}/a.nii.gz")
    result = call("r", "--predictions", "p", *MAPPINGS, "--output", "out")
    assert "1 of 2 cases compared" in result.output
    assert case_list().loc[("a", "p"), "reason"].startswith(what)


def test_the_cells_of_a_table_stay_in_their_columns() -> None:
    lines = ["case, participant_id, reference, prediction"]
    lines += [f"{case}, p1 , r/{case}.nii.gz , p/{case}.nii.gz" for case in "ab"]
    Path("spaces.csv").write_text("\n".join(lines))
    assert call("spaces.csv", *MAPPINGS, "--output", "out").exit_code == 0
    assert set(case_list()["participant_id"]) == {"p1"}, "cases of one participant stay together"
    Path("longer.csv").write_text("case,reference,prediction\n" + "a,r/a.nii.gz,p/a.nii.gz,\n")
    assert "line 2 has 4 cells, not 3" in call("longer.csv", *MAPPINGS).output
    Path("other.csv").write_text("case,participant_id,reference,prediction\nsub-1_ses-2,5,r/a.nii.gz,p/a.nii.gz\n")
    assert "line 2: case names another participant" in call("other.csv", *MAPPINGS).output


def test_reasons_that_are_printed_and_written_name_no_participant() -> None:
    labelled = Path("labelled")
    for number, names in enumerate(("1\tspleen\n6\tliver\n", "1\tspleeen\n", "1\tspleen\n")):
        write(labelled / f"sub-10012{number}_ses-2_dseg.nii.gz", label_map({"spleen": 1, "liver": 6 if number else 7}))
        (labelled / f"sub-10012{number}_ses-2_dseg.tsv").write_text(f"index\tname\n{names}")
    write(labelled / "sub-100129_ses-2/liver.nii.gz", label_map({"liver": 1}))
    write(labelled / "sub-100129_ses-2/sub-100129_ct.nii.gz", label_map({"liver": 1}))
    for number in (0, 1, 2, 9):
        write(Path(f"predicted/sub-10012{number}_ses-2.nii.gz"), label_map(AMOS))
    write(labelled / "z_dseg.nii.gz", label_map({"spleen": 1}))
    (labelled / "z_dseg.tsv").write_text("index\tname\n1\tspleen\n")
    write(Path("predicted/z.nii.gz"), label_map(AMOS))
    result = call("labelled", "--predictions", "predicted", "--prediction-mapping", "amos15", "--output", "out")
    assert "1 of 5 cases compared" in result.output
    for text in (result.output, Path("out/evaluation.json").read_text(), Path("out/not_compared.csv").read_text()):
        assert "10012" not in text
    reasons = set(case_list()["reason"])
    assert "reference: labels that the mapping dseg.tsv does not name: 7" in reasons
    assert any("mapping dseg.tsv: not in the vocabulary" in each for each in reasons)


def test_cases_without_a_reference_are_listed_of_every_system_that_has_them() -> None:
    write(Path("p/c.nii.gz"), label_map(AMOS))
    write(Path("q/c.nii.gz"), label_map(AMOS))
    for case in ("a", "b"):
        write(Path(f"q/{case}.nii.gz"), label_map(AMOS))
    call("r", "--predictions", "p", *MAPPINGS, "--against", "q", "--against-mapping", "amos15", "--output", "out")
    listed = case_list()
    assert set(listed[listed["reason"].eq("no reference")].index) == {("c", "p"), ("c", "q")}
    systems = json.loads(Path("out/evaluation.json").read_text())["systems"]
    assert systems == [{"mapping": "amos15", "name": "p"}, {"mapping": "amos15", "name": "q"}]


def test_a_prediction_that_is_the_reference_itself_costs_its_case() -> None:
    Path("p/a.nii.gz").unlink()
    Path("p/a.nii.gz").symlink_to(Path("r/a.nii.gz").resolve())
    result = call("r", "--predictions", "p", *MAPPINGS, "--output", "out")
    assert "left out: 1 x the prediction is the file of the reference" in result.output


def test_swapped_sides_and_labels_are_named() -> None:
    swapped = AMOS | {"kidney_right": 3, "kidney_left": 2}
    write(Path("p/a.nii.gz"), label_map(swapped))
    result = call("r", "--predictions", "p", *MAPPINGS, "--output", "out")
    assert "evaluate: p: kidney_left is kidney_right of the reference in 1 cases: are its mapping" in result.output
    assert case_list()["mistaken"].tolist() == [
        "kidney_left is kidney_right of the reference, kidney_right is kidney_left of the reference",
        "",
    ]


def test_a_structure_that_was_asked_for_and_is_nowhere_is_listed() -> None:
    Path("classes.txt").write_text("liver\nhumerus_left\n")
    call("r", "--predictions", "p", *MAPPINGS, "--classes", "classes.txt", "--output", "out")
    left = pd.read_parquet("out/not_compared.parquet").set_index("structure")
    assert left.loc["humerus_left", "reason"] == "in_no_case"
    assert left.loc["humerus_left", "cases"] == 2


def test_a_mask_of_another_image_of_the_session_is_of_no_scan() -> None:
    write(Path("t/sub-1_ses-2_acq-T1map_dseg.nii.gz"), label_map(AMOS))
    write(Path("t/sub-1_ses-3_acq-HASTE_dseg.nii.gz"), label_map(AMOS))
    write(Path("u/sub-1_ses-2.nii.gz"), label_map(AMOS))
    write(Path("u/sub-1_ses-3_acq-haste.nii.gz"), label_map(AMOS))
    assert "1 of 3 cases compared" in call("t", "--predictions", "u", *MAPPINGS, "--output", "out").output
    assert set(case_list().query("status == 'compared'").index) == {("sub-1_ses-3_acq-haste", "u")}


def test_an_empty_label_map_is_no_reference_and_an_empty_prediction_has_missed_everything() -> None:
    write(Path("r/a.nii.gz"), label_map({}))
    write(Path("p/b.nii.gz"), label_map({}))
    call("r", "--predictions", "p", *MAPPINGS, "--output", "out")
    assert case_list()["reason"].tolist() == [
        "reference: the label map holds none of its structures: was it annotated?",
        "",
    ]
    assert set(pd.read_parquet("out/cases.parquet")["presence"]) == {"missed"}
