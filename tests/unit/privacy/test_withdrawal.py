"""`dixonflow withdraw` as it is called, on results of a few files: lists, folders, certificate."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from small_scans import trunk_stations
from typer.testing import CliRunner

from dixonflow.cli.results.withdraw import withdraw_command
from dixonflow.cohort.build import build_cohort, write_cohort
from dixonflow.errors import ConfigError
from dixonflow.paths import Results
from dixonflow.phantom.writers.bids import write_bids
from dixonflow.privacy.cohort_list import read_cohort_list
from dixonflow.rawdata.raw_scan import Source
from dixonflow.vocabulary import Layout, ScanId

NAMES = ("anna", "1000001", "1000002")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """Three participants with an image each, below the folder of the call."""
    monkeypatch.chdir(tmp_path)
    found = Results(tmp_path / "results")
    for name in NAMES:
        write_bids(tmp_path / "raw", ScanId(name, "2"), trunk_stations(0))
        folder = found.participant_placed(name, prefixed=False)
        folder.mkdir(parents=True)
        (folder / f"sub-{name}_ses-2_dseg.nii.gz").write_bytes(b"image")
    write_cohort(build_cohort([Source(Layout.BIDS, tmp_path / "raw")]), found.scans, found.shards)
    (tmp_path / "withdrawn.txt").touch()
    cohort = {"sources": [{"layout": "bids", "folder": "raw"}], "withdrawn": "withdrawn.txt"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"results": "results", "cohort": cohort}))
    return found


def withdraw(results: Results, listed: str) -> tuple[int, dict]:
    """Call the command with a list; return its exit code and the certificate."""
    before = set(results.root.glob("withdrawals/*"))
    Path("list.csv").write_text(listed)
    app = typer.Typer()
    app.command()(withdraw_command)
    result = CliRunner().invoke(app, ["--list", "list.csv"])
    (certificate,) = set(results.root.glob("withdrawals/*")) - before
    assert not any(name in certificate.read_text() for name in NAMES)
    return result.exit_code, json.loads(certificate.read_text())


@pytest.mark.parametrize(
    "listed", ["anna\n", "anna\n1000001\n", "1000001\nanna\n", "participant_id\nanna\n", "EID\nanna\n"]
)
def test_ids_of_letters_alone_count_on_every_line(listed: str, results: Results) -> None:
    code, certificate = withdraw(results, listed)
    gone = {"anna", *(["1000001"] if "1000001" in listed else [])}
    assert code == 0
    assert certificate["removed"]["images"] == len(gone)
    assert set(Path("withdrawn.txt").read_text().split()) == gone
    for name in NAMES:
        assert results.participant_placed(name, prefixed=False).exists() == (name not in gone)


def test_a_word_of_ours_on_a_list_removes_no_folder_of_ours(results: Results) -> None:
    (results.root / "records/stitch").mkdir(parents=True)
    (results.root / "records/stitch/a1.jsonl").write_text("{}")
    code, certificate = withdraw(results, "records\n")
    assert (results.root / "records/stitch/a1.jsonl").exists()
    assert code == 1
    assert certificate["files_that_still_hold_an_id"] == ["(id)/stitch/a1.jsonl"]


def test_a_heading_is_no_id_in_the_first_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    for heading in ("eid", "id", "participant_id", '"Subject"', "patient id"):
        path.write_text(f"{heading}\n7\nid\n-3\n")
        assert read_cohort_list(path) == (["7", "id"], 1)
    for text in ("no id", "7\nparticipant_id\n"):
        path.write_text(text)
        with pytest.raises(ConfigError, match="not a participant id"):
            read_cohort_list(path)


def test_folders_that_are_named_by_who_withdraws_go(results: Results, tmp_path: Path) -> None:
    old = results.root / "temporary/deadbeefdead"
    (old / "sub-1000001_ses-2/demo").mkdir(parents=True)
    (old / "sub-1000001_ses-2/demo/half.bin").write_bytes(b"half")
    (old / "sub-anna_ses-2/empty").mkdir(parents=True)
    (old / "sub-1000002_ses-2").mkdir()
    (results.root / "elsewhere").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/sub-1000001").mkdir(parents=True)
    (old / "sub-1000001_ses-3").symlink_to(tmp_path / "raw/sub-1000001")
    code, certificate = withdraw(results, "1000001\nanna\n")
    assert code == 0
    assert [path.name for path in old.iterdir()] == ["sub-1000002_ses-2"]
    assert list((tmp_path / "disk").iterdir()) == []
    assert certificate["removed"]["folders_named_by_participants"] == 4
    assert len(list((tmp_path / "raw/sub-1000001").rglob("*.nii.gz"))) > 0, "raw folders are the cohort's"


def test_the_certificate_says_where_a_file_is_that_is_left(results: Results) -> None:
    left = Path(".snakemake/log/sub-1000001_ses-2")
    left.mkdir(parents=True)
    (left / "of PAT1000001.d").mkdir()
    (left / "of PAT1000001.d/notes.json").write_text("{}")
    code, certificate = withdraw(results, "1000001\n")
    assert code == 1
    assert certificate["files_that_still_hold_an_id"] == ["sub-(id)_ses-2/of PAT(id).d/notes.json"]


def test_evaluations_go_because_they_hold_pictures_and_rows_of_all(results: Results) -> None:
    (results.root / "evaluation/masks/pictures").mkdir(parents=True)
    (results.root / "evaluation/masks/pictures/demo_liver_worst_1_case_00001.png").write_bytes(b"picture")
    (results.root / "evaluation/masks/case_list.csv").write_text("case,participant_id\nsub-anna_ses-2,anna\n")
    code, certificate = withdraw(results, "anna\n")
    assert code == 0
    assert certificate["removed"]["evaluation"] == 2
    assert not (results.root / "evaluation/masks").exists()


def test_the_lock_of_the_results_is_held_to_the_end(results: Results) -> None:
    """Files are searched that lie next to the lock: to open it would give it away."""
    program = (
        "import sys; from pathlib import Path; from dixonflow.paths import Results; "
        "from dixonflow.run.lock import RunLock; sys.exit(not RunLock(Results(Path(sys.argv[1]))).is_free())"
    )
    other = [sys.executable, "-c", program, str(results.root)]
    assert subprocess.run(other, check=False).returncode == 0
    assert withdraw(results, "anna\n")[0] == 0
    assert subprocess.run(other, check=False).returncode == 1, "this process has it until it ends"
