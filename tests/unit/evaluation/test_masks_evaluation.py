"""All cases of an evaluation: matched, compared, and none of them lost."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from reference_masks import affine_of, label_map, write

from dixonflow.evaluation.masks import all_cases
from dixonflow.evaluation.masks.all_cases import evaluate_all
from dixonflow.evaluation.masks.case_files import find_cases
from dixonflow.evaluation.masks.mapping_files import named_mapping
from dixonflow.evaluation.masks.one_case import CaseTask, evaluate_safely
from dixonflow.evaluation.masks.preparation import Options
from dixonflow.evaluation.masks.problem import EvaluationError
from dixonflow.evaluation.masks.systems import FolderSystem, open_system
from dixonflow.evaluation.statistics.case_rows import METRICS, checked_rows

AMOS = {"spleen": 1, "kidney_right": 2, "kidney_left": 3, "liver": 6, "pancreas": 10}
UKBB = {"liver": 1, "spleen": 2, "kidney_left": 3, "kidney_right": 4, "pancreas": 5}
GNC = {"liver": 1, "spleen": 2, "kidney_right": 3, "kidney_left": 4, "pancreas": 5}
NUMBERS = {"amos15": AMOS, "kartukbb": UKBB, "kartgnc": GNC}


def folder(path: Path, mapping="amos15", cases=("a", "b", "c"), shift=(0, 0, 0), **how) -> Path:
    for case in cases:
        write(path / f"{case}.nii.gz", label_map(NUMBERS[mapping], shift), **how)
    return path


def evaluated(reference, *systems, mapping="amos15", **options):
    cases = find_cases(reference, named_mapping(mapping))
    opened = [open_system(path, of, path.name) for path, of in systems]
    return evaluate_all(cases, opened, Options(surfaces=False), **options)


def dice(evaluation, structure, system):
    rows = evaluation.rows
    return rows.loc[rows["structure"].eq(structure) & rows["system"].eq(system), "dice"].tolist()


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "LAS"])
def test_the_sides_of_amos_and_kart_are_the_patients(tmp_path, orientation):
    reference = folder(tmp_path / "r")
    prediction = folder(tmp_path / "p", "kartukbb", orientation=orientation)
    found = evaluated(reference, (prediction, "kartukbb"))
    assert dice(found, "kidney_left", "p") == [1, 1, 1]
    assert dice(found, "kidney_right", "p") == [1, 1, 1]
    wrong = evaluated(reference, (prediction, "kartgnc"))
    assert dice(wrong, "kidney_left", "p") == [0, 0, 0]
    assert dice(wrong, "liver", "p") == [1, 1, 1]
    assert dice(evaluated(reference, (folder(tmp_path / "g", "kartgnc"), "kartgnc")), "kidney_left", "g") == [1, 1, 1]


def test_a_mirrored_prediction_swaps_what_is_sided(tmp_path):
    reference = folder(tmp_path / "r")
    for case in ("a", "b", "c"):
        write(tmp_path / "p" / f"{case}.nii.gz", label_map(AMOS)[::-1])
    found = evaluated(reference, (tmp_path / "p", "amos15"))
    assert max(dice(found, "kidney_left", "p")) == 0


def test_every_case_is_listed_with_what_became_of_it(tmp_path):
    reference = folder(tmp_path / "r", cases=("a", "b", "c", "d", "e"))
    prediction = folder(tmp_path / "p", cases=("a", "b", "c", "z"))
    write(reference / "b.nii.gz", np.full((4, 4, 4), 77, np.uint8))
    (prediction / "c.nii.gz").write_bytes(b"")
    write(reference / "d.nii.gz", label_map(AMOS))
    found = evaluated(reference, (prediction, "amos15"))
    cases = found.cases.set_index("case")
    assert set(found.rows["case"]) == {"a"}
    assert cases["status"].to_dict() == {
        "a": "compared", "b": "left_out", "c": "left_out", "d": "left_out", "e": "left_out", "z": "left_out",
    }  # fmt: skip
    assert cases.loc["b", "reason"].startswith("reference: labels that the mapping amos15 does not name: 77")
    assert cases.loc["c", "reason"].startswith("prediction: unreadable_file")
    assert cases.loc["d", "reason"] == "no prediction"
    assert cases.loc["z", "reason"] == "no reference"
    assert found.counts().startswith("1 of 6 cases compared; left out: 2 x no prediction")


def test_systems_are_compared_on_the_cases_that_all_have(tmp_path):
    reference = folder(tmp_path / "r")
    one, other = folder(tmp_path / "one"), folder(tmp_path / "other", "kartukbb", ("a", "c"), (1, 0, 0))
    found = evaluated(reference, (one, "amos15"), (other, "kartukbb"))
    assert sorted(set(found.rows["case"])) == ["a", "c"]
    assert dice(found, "liver", "one") == [1, 1]
    assert dice(found, "liver", "other") == [pytest.approx(7 / 8)] * 2
    missing = found.cases[found.cases["case"].eq("b")]
    assert missing["reason"].tolist() == ["other: no prediction"] * 2
    assert found.not_compared.set_index("structure").loc["aorta", "reason"] == "only_in_reference"


def test_a_structure_without_a_mask_is_unknown_in_its_case_and_not_missed(tmp_path):
    for name in ("liver", "spleen"):
        write(tmp_path / "r/a" / f"{name}.nii.gz", label_map({name: 1}))
    write(tmp_path / "r/b/liver.nii.gz", label_map({"liver": 1}))
    cases = find_cases(tmp_path / "r", named_mapping("vocabulary"))
    system = open_system(folder(tmp_path / "p", cases=("a", "b")), "amos15")
    found = evaluate_all(cases, [system], Options(surfaces=False))
    assert sorted(found.rows["structure"]) == ["liver", "liver", "spleen"]
    assert (found.rows["presence"] == "both").all()


def test_a_union_is_a_composite_in_all_cases_if_in_one(tmp_path):
    for name in ("kidney_left", "kidney_right"):
        write(tmp_path / "r/a" / f"{name}.nii.gz", label_map({name: 1}))
    kidneys = label_map({"kidney_left": 1}) + label_map({"kidney_right": 1})
    write(tmp_path / "r/b/kidneys.nii.gz", kidneys)
    cases = find_cases(tmp_path / "r", named_mapping("vocabulary"))
    found = evaluate_all(cases, [open_system(folder(tmp_path / "p", cases=("a", "b")), "amos15")], Options())
    kidneys = found.rows[found.rows["structure"].eq("kidneys")]
    assert kidneys["composite"].tolist() == [True, True]
    assert len(checked_rows(found.rows, list(METRICS))) == len(found.rows)


def test_another_grid_is_said_and_no_overlap_costs_its_case(tmp_path):
    reference = folder(tmp_path / "r")
    prediction = folder(tmp_path / "p", cases=("a",))
    write(prediction / "b.nii.gz", label_map(AMOS)[:, :, 1:], affine_of(origin=(-24, -20, -27)))
    write(prediction / "c.nii.gz", label_map(AMOS), affine_of(origin=(900, 0, 0)))
    found = evaluated(reference, (prediction, "amos15"))
    cases = found.cases.set_index("case")
    assert cases["grid"].fillna("").to_dict() == {"a": "same", "b": "resampled", "c": ""}
    assert "do not overlap" in cases.loc["c", "reason"]
    assert dice(found, "liver", "p") == [1, 1]


def test_nothing_to_compare_is_an_error_with_the_reasons(tmp_path):
    with pytest.raises(EvaluationError, match="3 x no prediction"):
        evaluated(folder(tmp_path / "r"), (folder(tmp_path / "p", cases=("z",)), "amos15"))


def test_systems_need_different_names(tmp_path):
    system = FolderSystem("s", {})
    with pytest.raises(EvaluationError, match="two systems are called s"):
        evaluate_all([], [system, FolderSystem("S", {})], Options())
    with pytest.raises(EvaluationError, match="two systems are called a b"):
        evaluate_all([], [FolderSystem("a b", {}), FolderSystem("a_b", {}), system], Options())


def fall_over(task: CaseTask):
    """End the process of the second case, as a lack of memory does, and fail in the third."""
    if task.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if task.number == 2:
        object.__setattr__(task, "reference", None)
    return evaluate_safely(task)


def test_a_case_that_ends_its_process_or_fails_costs_that_case(tmp_path, monkeypatch):
    monkeypatch.setattr(all_cases, "evaluate_safely", fall_over)
    seen = []
    reference, prediction = folder(tmp_path / "r"), folder(tmp_path / "p")
    found = evaluated(reference, (prediction, "amos15"), jobs=2, progress=lambda *each: seen.append(each))
    cases = found.cases.set_index("case")
    assert cases["status"].to_dict() == {"a": "compared", "b": "left_out", "c": "left_out"}
    assert "ended without a result" in cases.loc["b", "reason"]
    assert "unexpected error AttributeError" in cases.loc["c", "reason"]
    assert seen[-1] == (3, 3)
    monkeypatch.undo()
    alone = evaluated(reference, (prediction, "amos15"))
    assert found.rows.equals(alone.rows[alone.rows["case"].eq("a")])
