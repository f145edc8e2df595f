"""What may leave a protected environment, and what must not."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from planted_leaks import GROUPS, KINDS, figure_bytes, scan_picture
from synthetic_cohort import PUBLISHED, draw_cohort, write_cohort
from typer.testing import CliRunner

from dixonflow.analyse.page import PERSONAL
from dixonflow.errors import ConfigError
from dixonflow.paths import Results
from dixonflow.privacy.egress import check_release
from dixonflow.privacy.egress_figures import looks_like_scan
from dixonflow.privacy.known_people import KnownPeople, known_people

PROJECT = Path(__file__).parents[3]
EACH = 24
IDS = [f"{1_000_017 + 7_919 * number}" for number in range(200)]
PEOPLE = KnownPeople(IDS)


def problems(folder: Path, people: KnownPeople = PEOPLE) -> list[str]:
    return [finding.problem for finding in check_release(folder, people)[1]]


@pytest.mark.parametrize("kind", KINDS)
def test_no_planted_leak_passes(kind: str, tmp_path: Path) -> None:
    """43 kinds, 24 of each: more than 1,000."""
    assert len(KINDS) * EACH >= 1_000
    for seed in range(EACH):
        rng = np.random.default_rng(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        KINDS[kind](folder, IDS[int(rng.integers(len(IDS)))], rng)
        found = check_release(folder, PEOPLE)[1]
        assert found, seed
        assert not any(own in finding.path + finding.problem for finding in found for own in IDS)


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of 1,500 synthetic participants, and all studies of them."""
    import typer

    from dixonflow.cli.analyse import analyse_command
    from dixonflow.cli.main import main  # noqa: F401 - the command as users call it

    root = tmp_path_factory.mktemp("analysed")
    write_cohort(root / "tables", draw_cohort(1_500, PUBLISHED, seed=5))
    app = typer.Typer()
    app.command()(analyse_command)
    result = CliRunner().invoke(app, ["all", "--tables", str(root / "tables"), "--output", str(root / "analyses")])
    assert result.exit_code == 0, result.output
    return root


def test_a_clean_release_passes_and_what_has_rows_of_people_does_not(analysed: Path, tmp_path: Path) -> None:
    people = known_people(Results(analysed), frozenset())
    everything = check_release(analysed / "analyses", people)[1]
    assert {Path(finding.path).name for finding in everything} == set(PERSONAL)
    clean = tmp_path / "clean"
    shutil.copytree(analysed / "analyses", clean, ignore=shutil.ignore_patterns(*PERSONAL))
    files, findings = check_release(clean, people)
    assert findings == []
    assert len(files) > 20
    assert {path.suffix for path in files} == {".parquet", ".json", ".html", ".png", ".svg", ".pdf"}


def test_values_of_single_participants_are_known_again(analysed: Path, tmp_path: Path) -> None:
    values = pd.read_parquet(analysed / "tables/covariates.parquet")["bmi_kg_per_m2"]
    people = known_people(Results(analysed), frozenset())
    rows = pd.DataFrame({"group": ["a", "b"], "n": [20, 30], "largest": [values.max(), 31.25]})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    assert problems(tmp_path, people) == ["column largest holds values of single participants"]
    rows.rename(columns={"largest": "median"}).to_csv(tmp_path / "rows.csv", index=False)
    assert problems(tmp_path, people) == []


def test_numbers_that_only_look_like_ids_pass(tmp_path: Path) -> None:
    own = IDS[3]
    rows = GROUPS.assign(p=[float(f"0.{own}"), 0.5, 1.0], share=[1.0, 1.0, 1.0])
    rows.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "notes.txt").write_text(f"p = 0.{own}, r = -3.{own}e-5, code 9{own}1\n")
    assert problems(tmp_path) == []


def test_short_ids_are_counts_too_unless_they_are_said_to_be_ids(tmp_path: Path) -> None:
    people = KnownPeople(["17", "412"])
    GROUPS.to_csv(tmp_path / "rows.csv", index=False)
    assert problems(tmp_path, people) == []
    (tmp_path / "notes.md").write_text("see sub-17\n")
    assert problems(tmp_path, people) == ["it holds an id of a participant"]


def test_letters_and_leading_zeros_do_not_hide_an_id(tmp_path: Path) -> None:
    people = KnownPeople(["NAKO00123456", "0054321"])
    for text in ("nako00123456", "PAT0054321", "54321", "%4e%41%4b%4f00123456"):
        (tmp_path / "notes.txt").write_text(f"without {text}\n")
        assert problems(tmp_path, people) == ["it holds an id of a participant"], text


def test_drawings_are_no_scans_and_scans_are(tmp_path: Path) -> None:
    for size in (24, 60, 300):
        picture = scan_picture(np.random.default_rng(size), size)
        assert looks_like_scan(picture)
        assert looks_like_scan(picture.resize((4 * size, 4 * size), Image.Resampling.NEAREST))
    shown = list((PROJECT / "docs").rglob("*.png"))
    assert len(shown) > 40
    for path in shown:
        with Image.open(path) as picture:
            assert looks_like_scan(picture), path.name
    for ending in ("png", "svg", "pdf"):
        (tmp_path / f"figure.{ending}").write_bytes(figure_bytes(ending))
    assert problems(tmp_path) == []


def test_a_damaged_file_does_not_leave(tmp_path: Path) -> None:
    for ending in ("png", "pdf", "svg"):
        (tmp_path / f"figure.{ending}").write_bytes(figure_bytes(ending)[:-200])
    (tmp_path / "table.parquet").write_bytes(b"PAR1 and no more PAR1")
    (tmp_path / "table.csv").write_bytes(b"n,mean\n\xff\xfe,3\n")
    (tmp_path / "curves.json").write_text("{")
    found = {finding.path for finding in check_release(tmp_path, PEOPLE)[1]}
    assert found == {path.name for path in tmp_path.iterdir()}


def test_nothing_to_check_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is empty"):
        check_release(tmp_path, PEOPLE)
    with pytest.raises(ConfigError, match="not a folder"):
        check_release(tmp_path / "none", PEOPLE)
    with pytest.raises(ConfigError, match="no participant is known"):
        known_people(Results(tmp_path), frozenset())
