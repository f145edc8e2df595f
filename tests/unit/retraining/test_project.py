"""Settings of a project: written once, checked when read; one command at a time."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from dixonflow.retraining.project import SETTINGS, RetrainingError, Settings, open_project, start_project
from dixonflow.vocabulary import Contrast


def settings(folder: Path, **changes) -> Settings:
    plain = {"config": folder / "config.json", "model": "demo", "contrasts": ["water", "fat"], "labels": {"liver": 5}}
    return Settings.model_validate(plain | changes)


def test_settings_are_read_as_they_were_written(tmp_path):
    started = start_project(tmp_path / "retraining", settings(tmp_path, folds=3, seed=7))
    found = open_project(tmp_path / "retraining").settings
    assert found == started.settings
    assert found.contrasts == (Contrast.WATER, Contrast.FAT) and found.folds == 3 and found.seed == 7


def test_settings_are_final_once_there_is_a_ledger(tmp_path):
    start_project(tmp_path, settings(tmp_path))
    assert start_project(tmp_path, settings(tmp_path, seed=7)).settings.seed == 7  # nobody is frozen yet
    before = (tmp_path / SETTINGS).read_bytes()
    open_project(tmp_path).ledger.touch()
    start_project(tmp_path, settings(tmp_path, seed=7))
    with pytest.raises(RetrainingError, match="other settings"):
        start_project(tmp_path, settings(tmp_path, seed=8))
    assert (tmp_path / SETTINGS).read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"labels": {"liver": 5, "spleen": 5}}, "same number"),
        ({"labels": {"no_such_organ": 1}}, "vocabulary"),
        ({"labels": {"liver": 0}}, "greater than or equal to 1"),
        ({"labels": {}}, "at least 1"),
        ({"contrasts": ["water", "water"]}, "twice"),
        ({"contrasts": []}, "at least 1"),
        ({"harmonise": {"fill_holes": ["spleen"]}}, "without a label"),
        ({"harmonise": {"max_gap_mm": 0}}, "greater than 0"),
        ({"orientation": "RAX"}, "pattern"),
        ({"folds": 4}, "3 or 5"),
        ({"model": "../demo"}, "pattern"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(tmp_path, changes, problem):
    with pytest.raises(ValidationError, match=problem):
        settings(tmp_path, **changes)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "file"),
        ("model: demo", "config"),
        ("- 1", "file"),
        ("{", "cannot be read"),
        ("x: [" * 200, "cannot be read"),
        ("config: c\nmodel: demo\ncontrasts: [water]\nlabels: {liver: 5}\nextra: 1\n", "extra"),
    ],
)
def test_damaged_settings_are_one_clear_line(tmp_path, content, problem):
    (tmp_path / SETTINGS).write_text(content)
    with pytest.raises(RetrainingError, match=problem) as error:
        open_project(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_project_says_what_to_do(tmp_path):
    with pytest.raises(RetrainingError, match="retrain start"):
        open_project(tmp_path / "nothing")


def test_two_commands_do_not_change_a_project_at_once(tmp_path):
    project = start_project(tmp_path, settings(tmp_path))
    other = (
        "import sys\nfrom pathlib import Path\nfrom dixonflow.retraining.project import open_project\n"
        "with open_project(Path(sys.argv[1])).locked():\n    pass\n"
    )
    with project.locked():
        refused = subprocess.run([sys.executable, "-c", other, tmp_path], capture_output=True, text=True, check=False)
    assert refused.returncode and "wait until it has ended" in refused.stderr
    subprocess.run([sys.executable, "-c", other, tmp_path], check=True)
