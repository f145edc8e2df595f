"""A trained network is found in every layout in which systems hand theirs out, and what differs stops the import."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from published_weights import MRSEG, TOTAL, TRAINING, VIBE, models, write_zip
from trained_weights import dataset_of

from dixonflow.errors import ModelError
from dixonflow.importing.archive import ZipArchive
from dixonflow.importing.check import check_configuration, check_training
from dixonflow.importing.files import ArchiveFiles, FolderFiles
from dixonflow.importing.local import find_local
from dixonflow.importing.training import check_addenda, find_training, with_listed_archives
from dixonflow.models.model import Model

ALL = models(Path("weights"))
ORGANS, BONES = ALL[TOTAL].parts
TRAINER = "nnUNetTrainer__nnUNetPlans__3d_fullres"


def _make(
    folder: Path, folds: str = "0", dataset: dict[str, Any] | None = None, name: str = "checkpoint_final"
) -> Path:
    """A training's folder whose checkpoints are empty."""
    for fold in folds:
        (folder / f"fold_{fold}").mkdir(parents=True)
        (folder / f"fold_{fold}" / f"{name}.pth").touch()
    (folder / "plans.json").write_text("{}")
    (folder / "dataset.json").write_text(json.dumps(dataset or {}))
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """nnU-Net's results folder with trainings of several datasets."""
    for part in (ORGANS, BONES):
        _make(tmp_path / str(part.folder) / TRAINER)
    _make(tmp_path / "Dataset852_Other" / TRAINER)
    _make(tmp_path / str(ORGANS.folder) / "nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres")
    _make(tmp_path / str(ORGANS.folder) / "nnUNetTrainer__nnUNetPlans__3d_lowres")
    return tmp_path


def test_each_part_is_found_below_a_results_folder(results: Path) -> None:
    for part in (ORGANS, BONES):
        training = find_training(FolderFiles(results), part, best_as_well=False)
        assert training.folder == PurePosixPath(str(part.folder), TRAINER)
        assert training.checkpoints == {"0": training.folder / "fold_0" / "checkpoint_final.pth"}


def test_a_dataset_folder_and_a_training_folder_can_be_given(results: Path) -> None:
    for below in (Path(), Path(TRAINER)):
        training = find_training(FolderFiles(results / str(ORGANS.folder) / below), ORGANS, best_as_well=False)
        assert training.has("plans.json")
        with pytest.raises(
            ModelError, match=r"has no trained network Dataset851_Total_bones/nnUNetTrainer__nnUNetPlans"
        ):
            find_training(FolderFiles(results / str(ORGANS.folder) / below), BONES, best_as_well=False)


def test_a_missing_fold_is_named_with_its_file(tmp_path: Path) -> None:
    (part,) = ALL[MRSEG].parts
    _make(tmp_path, "0")
    with pytest.raises(
        ModelError, match=r"fold 1 is missing \(fold_1/checkpoint_final\.pth\); there is fold_0\. Fetch"
    ):
        find_training(FolderFiles(tmp_path), part, best_as_well=False)


def test_of_several_plans_the_authors_order_decides(tmp_path: Path) -> None:
    (part,) = ALL[VIBE].parts
    _make(tmp_path / "Dataset100" / "nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres", "012")
    _make(tmp_path / "Dataset100" / TRAINING, "012")
    training = find_training(FolderFiles(tmp_path), part, best_as_well=True)
    assert training.folder.name == TRAINING
    assert list(training.checkpoints) == ["0", "1", "2"]


def test_the_best_checkpoint_is_taken_only_where_the_authors_do(tmp_path: Path) -> None:
    (part,) = ALL[VIBE].parts
    _make(tmp_path, "012", name="checkpoint_best")
    assert find_training(FolderFiles(tmp_path), part, best_as_well=True).checkpoints["2"].name == "checkpoint_best.pth"
    with pytest.raises(ModelError, match=r"fold <k> is missing \(fold_<k>/checkpoint_final\.pth\); there are none"):
        find_training(FolderFiles(tmp_path), part, best_as_well=False)


def test_fewer_folds_than_archives_are_not_enough(tmp_path: Path) -> None:
    (part,) = ALL[VIBE].parts
    _make(tmp_path, "01")
    with pytest.raises(ModelError, match=r"there are fold_0, fold_1\. Fetch all of 100\.zip, 100_1\.zip, 100_2\.zip"):
        find_training(FolderFiles(tmp_path), part, best_as_well=True)


def test_two_that_fit_are_not_guessed_between(tmp_path: Path) -> None:
    (part,) = ALL[MRSEG].parts
    for name in ("base", "body_comp"):
        _make(tmp_path / name, "01")
    with pytest.raises(ModelError, match=r"several folders like .*: base, body_comp\. Give one"):
        find_training(FolderFiles(tmp_path), part, best_as_well=False)


@pytest.mark.parametrize(("content", "message"), [('["_1"]', "100_1.zip, the model"), ('["_1", "_2", "_3"]', "100_3")])
def test_addenda_that_the_model_file_does_not_know_stop(tmp_path: Path, content: str, message: str) -> None:
    (part,) = ALL[VIBE].parts
    path = write_zip(tmp_path / "100.zip", {"other_downloads.json": content.encode()})
    refused = pytest.raises(ModelError, match=rf"other_downloads\.json names the archives .*{message}")
    with ZipArchive(path) as archive, refused:
        check_addenda(ArchiveFiles([archive]), part)
    with ZipArchive(write_zip(tmp_path / "100.zip", {"other_downloads.json": b'["_2", "_1"]'})) as archive:
        check_addenda(ArchiveFiles([archive]), part)


def test_archives_that_the_first_one_lists_alone_are_taken_from_where_it_is(tmp_path: Path) -> None:
    """As VIBESegmentator publishes the folds of its models."""
    (part,) = ALL[VIBE].parts
    first = part.archives[0].model_copy(update={"url": "https://example.org/v1/100.zip"})
    part = part.model_copy(update={"archives": (first,), "further_archives": True})
    with ZipArchive(write_zip(tmp_path / "100.zip", {"other_downloads.json": b'["_2", "_1"]'})) as archive:
        found = with_listed_archives(ArchiveFiles([archive]), part)
    assert [each.url for each in found.archives[1:]] == [f"https://example.org/v1/100_{fold}.zip" for fold in (1, 2)]
    with ZipArchive(write_zip(tmp_path / "100.zip", {"plans.json": b"{}"})) as archive:
        assert with_listed_archives(ArchiveFiles([archive]), part) == part
    for name in ("/../../x", "_1.zip?", 3, ["_1"]):
        path = write_zip(tmp_path / "100.zip", {"other_downloads.json": json.dumps([name]).encode()})
        with ZipArchive(path) as archive, pytest.raises(ModelError, match="which is no archive of a fold"):
            with_listed_archives(ArchiveFiles([archive]), part)


def _check(folder: Path, model: Model, dataset: dict[str, Any], inference: dict[str, Any] | None = None) -> None:
    (part,) = model.parts
    _make(folder, "012", dataset)
    if inference is not None:
        (folder / "inference_config.json").write_text(json.dumps(inference))
    check_training(find_training(FolderFiles(folder), part, best_as_well=False), model, part)


GOOD = {1: "spleen", 2: "right_kidney"}


def test_the_published_label_table_passes(tmp_path: Path) -> None:
    _check(tmp_path / "a", ALL[MRSEG], dataset_of(GOOD))
    _check(tmp_path / "b", ALL[MRSEG], dataset_of(GOOD, labels={"background": 0, "right_kidney": "2", "spleen": "1"}))
    names = {1: "spleen", 2: "liver", 3: "muscle_other", 4: "rib (ct only)", 5: "ignore"}
    _check(tmp_path / "c", ALL[VIBE], dataset_of(names, orientation=["R", "A", "S"]))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            {1: "right_kidney", 2: "spleen"},
            "class 1 is 'right_kidney', in the model file 'spleen'; class 2 is 'spleen'",
        ),
        ({1: "spleen", 2: "left_kidney"}, "class 2 is 'left_kidney', in the model file 'right_kidney'"),
        ({1: "spleen"}, "class 2 is nothing, in the model file 'right_kidney'"),
        ({1: "spleen", 2: "right_kidney", 3: "new"}, "class 3 is 'new', in the model file nothing"),
    ],
)
def test_a_changed_label_table_stops_and_is_named(tmp_path: Path, names: dict[int, str], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        _check(tmp_path, ALL[MRSEG], dataset_of(names))
    assert f"{tmp_path}: dataset.json" in str(caught.value)
    assert "use the published ones" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"orientation": ["R", "A", "S"]}, "orientation RAS, the model file LPS"),
        ({"orientation": "RAS"}, "orientation RAS, the model file LPS"),
        ({"channel_names": {"0": "a", "1": "b"}}, "channels"),
        ({"labels": [1, 2]}, "has no labels"),
        ({"labels": {"background": 0, "spleen": [1, 2], "right_kidney": 2}}, "not one number"),
        ({"labels": {"background": 0, "spleen": 1, "right_kidney": 1}}, "are both 1"),
        ({"labels_mapping": {"1": 7}}, "renumbers"),
    ],
)
def test_other_differences_stop(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        _check(tmp_path, ALL[MRSEG], dataset_of(GOOD) | changes)


def test_what_lies_beside_dataset_json_overrules_it(tmp_path: Path) -> None:
    _check(
        tmp_path / "a", ALL[MRSEG], dataset_of(GOOD, orientation="RAS"), {"model_expected_orientation": ["L", "P", "S"]}
    )
    with pytest.raises(ModelError, match="orientation RAS"):
        _check(tmp_path / "b", ALL[MRSEG], dataset_of(GOOD), {"model_expected_orientation": "RAS"})


def test_the_configuration_may_build_upon_the_published_one() -> None:
    (part,) = ALL[MRSEG].parts
    plans = {"configurations": {"3d_fullres": {}, "3d_fullres_bs8": {"inherits_from": "3d_fullres"}, "2d": {}}}
    check_configuration(plans, "3d_fullres_bs8", part, "a.zip")
    check_configuration(plans, "2d", part.model_copy(update={"configuration": None}), "a.zip")
    for trained in ("2d", "other"):
        with pytest.raises(ModelError, match=rf"a\.zip was trained with '{trained}', the model file says '3d_fullres'"):
            check_configuration(plans, trained, part, "a.zip")


def test_local_copies_are_found_by_the_programs_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOTALSEG_WEIGHTS_PATH", "TOTALSEG_HOME_DIR", "MRSEG_WEIGHTS_PATH", "nnUNet_results"):
        monkeypatch.delenv(name, raising=False)
    organs = dataset_of({1: "spleen", 2: "liver"})
    home = tmp_path / "home"
    _make(home / "nnunet" / "results" / str(ORGANS.folder) / TRAINER, dataset=organs)
    assert find_local(ALL[TOTAL], ORGANS) is None
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(home))
    assert find_local(ALL[TOTAL], ORGANS) is not None
    assert find_local(ALL[TOTAL], BONES) is None
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    _make(tmp_path / "results" / str(BONES.folder) / TRAINER, dataset=dataset_of({1: "femur_left"}))
    assert find_local(ALL[TOTAL], BONES) is not None


def test_of_several_local_copies_the_one_with_the_right_labels_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MRSEG_WEIGHTS_PATH", str(tmp_path))
    monkeypatch.delenv("nnUNet_results", raising=False)
    _make(tmp_path / "base2", "01", dataset_of({1: "subcutanes Fett"}))
    _make(tmp_path / "other", "01", dataset_of(GOOD))
    training = find_local(ALL[MRSEG], ALL[MRSEG].parts[0])
    assert training is not None
    assert training.origin == str(tmp_path / "other")
    assert "ignoring a local copy" in caplog.text
