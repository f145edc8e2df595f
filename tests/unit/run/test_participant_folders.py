"""Folders of participants in one of two places, and the way between."""

from pathlib import Path

import pytest

from dixonflow.errors import ConfigError
from dixonflow.paths import Results
from dixonflow.run import participant_folders
from dixonflow.run.participant_folders import check_moved, move_folders
from dixonflow.vocabulary import ScanId

SCANS = [ScanId("1000017", "2"), ScanId("1000025", "2"), ScanId("12", "3")]


def write(results: Results) -> dict[str, bytes]:
    for scan in SCANS:
        path = results.labels(scan, "demo")
        path.parent.mkdir(parents=True)
        path.write_bytes(scan.name.encode())
    return contents(results)


def contents(results: Results) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in results.derivatives.rglob("*.nii.gz")}


@pytest.mark.parametrize("prefix", [False, True])
def test_new_results_are_as_asked_and_those_that_exist_stay_until_they_are_moved(tmp_path: Path, prefix: bool) -> None:
    made = write(Results(tmp_path, prefix_folders=prefix))
    first = tmp_path / "derivatives" / ("100/sub-1000017" if prefix else "sub-1000017")
    assert first.is_dir()
    (tmp_path / "derivatives/seg-demo_dseg.tsv").touch()
    (tmp_path / "derivatives/code").mkdir()  # a user's own

    other = Results(tmp_path, prefix_folders=not prefix)
    assert other.labels(SCANS[0], "demo").is_file(), "found where they are"
    assert move_folders(other) == 3
    assert not first.exists()
    again = Results(tmp_path, prefix_folders=prefix)  # whatever is asked, until they are moved
    assert all(again.labels(scan, "demo").read_bytes() == scan.name.encode() for scan in SCANS)
    assert again.has_prefix_folders is not prefix
    assert contents(again) == made
    assert sorted(path.name for path in (tmp_path / "derivatives").glob("sub-*")) == (
        ["sub-1000017", "sub-1000025", "sub-12"] if prefix else []
    )
    assert (tmp_path / "derivatives/code").is_dir()
    assert move_folders(Results(tmp_path, prefix_folders=not prefix)) == 0


def test_no_run_begins_on_folders_that_are_partly_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(tmp_path, prefix_folders=True)
    made = write(results)

    flat, rename, left = Results(tmp_path), Path.rename, [2]

    def cut_off(folder: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return rename(folder, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(participant_folders, "_move", cut_off)
        move_folders(flat)
    with pytest.raises(ConfigError, match="move-folders once more"):
        check_moved(flat)
    assert move_folders(flat) == 1
    check_moved(flat)
    assert contents(flat) == made
    assert move_folders(Results(tmp_path / "new")) == 0


def test_a_participant_in_both_places_is_not_overwritten(tmp_path: Path) -> None:
    write(Results(tmp_path, prefix_folders=True))
    (tmp_path / "derivatives/sub-12").mkdir()
    with pytest.raises(ConfigError, match="remove the one that is not used"):
        move_folders(Results(tmp_path))
