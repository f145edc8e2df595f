"""What may leave a protected environment, and what must not."""

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from leaks_in_drawings import SEEN, figure_bytes
from PIL import Image
from planted_leaks import GROUPS, KINDS, SHORT_ID
from synthetic_cohort import PUBLISHED, draw_cohort, write_cohort
from typer.testing import CliRunner

from dixonflow.analyse.shareable import PERSONAL, SHAREABLE, shareable
from dixonflow.errors import ConfigError
from dixonflow.paths import Results
from dixonflow.privacy.egress import check_release
from dixonflow.privacy.known_people import KnownPeople, known_people

EACH = 18
IDS = [f"{1_000_017 + 7_919 * number}" for number in range(200)]
PEOPLE = KnownPeople([*IDS, SHORT_ID])


def problems(folder: Path, people: KnownPeople = PEOPLE) -> list[str]:
    return [finding.problem for finding in check_release(folder, people)[1]]


@pytest.mark.parametrize("kind", KINDS)
def test_no_planted_leak_passes(kind: str, tmp_path: Path) -> None:
    """More than 100 kinds, 18 of each: over 1,800."""
    assert len(KINDS) * EACH >= 1_800
    for seed in range(EACH):
        rng = np.random.default_rng(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        KINDS[kind](folder, IDS[int(rng.integers(len(IDS)))], rng)
        known = digests(folder) if kind in SEEN else frozenset()
        found = check_release(folder, PEOPLE, known=known)[1]
        assert found, seed
        assert not any(own in objection.path + objection.problem for objection in found for own in IDS)


def digests(folder: Path) -> frozenset[str]:
    return frozenset(hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of 1,500 synthetic participants, and all studies of them."""
    import typer

    from dixonflow.cli.main import main  # noqa: F401 - the command as users call it
    from dixonflow.cli.results.analyse import analyse_command

    root = tmp_path_factory.mktemp("analysed")
    write_cohort(root / "tables", draw_cohort(1_500, PUBLISHED, seed=5))
    app = typer.Typer()
    app.command()(analyse_command)
    result = CliRunner().invoke(app, ["all", "--tables", str(root / "tables"), "--output", str(root / "analyses")])
    assert result.exit_code == 0, result.output
    return root


def test_a_clean_release_passes_and_what_has_rows_of_people_does_not(analysed: Path, tmp_path: Path) -> None:
    people = known_people(Results(analysed), frozenset())
    known = shareable(analysed / "analyses")
    assert len(known) > 20
    everything = check_release(analysed / "analyses", people, known=known)[1]
    assert {Path(each.path).name for each in everything} == {*PERSONAL, SHAREABLE}
    clean = tmp_path / "clean"
    shutil.copytree(analysed / "analyses", clean, ignore=shutil.ignore_patterns(*PERSONAL, SHAREABLE))
    files, objections = check_release(clean, people, known=known)
    assert objections == []
    assert len(files) > 20
    assert {Path(each.path).suffix for each in files} == {".parquet", ".json", ".html", ".png", ".svg", ".pdf"}
    figure = next(clean.rglob("*.png"))
    with Image.open(figure) as image:
        image.rotate(180).save(figure)
    (objection,) = check_release(clean, people, known=known)[1]
    assert objection.path == str(figure.relative_to(clean))
    assert "no study of this run wrote it" in objection.problem
    assert check_release(clean, people, known=known | digests(clean))[1] == []


TEXTS = {
    "methods.md": "# Methods\n\n400 scans, 380 of which were measured (95.0 %); 20 failed.\n\nVersion: 3\n"
    "Each participant had a session of imaging\nin which 4 stations were acquired at 1.5 T and 224 slices.\n"
    "- see Table 2\n- see Figure 1\n- spleen missing: 0\n- age: 61.2 years\n",
    "page.md": "| structure | n | mean |\n|---|---|---|\n| liver | 400 | 1500.2 |\n| spleen | 380 | 210.7 |\n",
    "blanks.txt": "structure n mean\nliver 400 1500.2\nspleen 380 210.7\n",
    "latex.txt": "structure & n & mean \\\\\n\\hline\nliver & 400 & 1500.2 \\\\\nspleen & 380 & 210.7 \\\\\n",
    "references.bib": "@article{a,\n  year = {2020},\n  volume = {3},\n  number = {2},\n  pages = {1--4},\n}\n",
    "long.md": "-" * 400 + "\n" + "a word and " * 2_000 + "\n",
}
"""Texts of groups, in the forms that rows of people have elsewhere."""


def test_usual_tables_of_groups_pass(tmp_path: Path) -> None:
    for number, text in enumerate(
        (
            ",structure,n,beta,p\n0,liver,412,0.1,0.03\n1,spleen,400,-0.2,0.5\n",
            "group,n,women\na,400,190 (47.5%)\nb,<5,\nc,not shown,not shown\n",
            "sex,age_group,participants,mean\n0,1,50,1.5\n1,2,60,1.7\n",
            "term,estimate,df,n\nage,0.01,3,400\nmale,-0.2,1,400\n",
        )
    ):
        (tmp_path / f"{number}.csv").write_text(text)
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text)
    pd.DataFrame({"term": ["age"], "n": [412], "df_residual": [409], "estimate_(95%_CI)": ["1.2 (1, 2)"]}).to_parquet(
        tmp_path / "model.parquet"
    )
    assert [str(each) for each in check_release(tmp_path, PEOPLE)[1]] == []


def test_values_of_single_participants_are_known_again(analysed: Path, tmp_path: Path) -> None:
    values = pd.read_parquet(analysed / "tables/covariates.parquet")["bmi_kg_per_m2"]
    people = known_people(Results(analysed), frozenset())
    rows = pd.DataFrame({"group": ["a", "b"], "n": [20, 30], "largest": [values.max(), 31.25]})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    assert problems(tmp_path, people) == ["column largest holds values of single participants"]
    rows.to_csv(tmp_path / "rows.csv", index=False, float_format="%.15g")  # as R writes
    assert problems(tmp_path, people) == ["column largest holds values of single participants"]
    rows.rename(columns={"largest": "median"}).to_csv(tmp_path / "rows.csv", index=False)
    assert problems(tmp_path, people) == []


def test_numbers_that_only_look_like_ids_pass(tmp_path: Path) -> None:
    own = IDS[3]
    rows = GROUPS.assign(p=[float(f"0.{own}"), 0.5, 1.0], share=[1.0, 1.0, 1.0])
    rows.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "notes.txt").write_text(f"p = 0.{own}, r = -3.{own}e-5, code 9{own}1, part m{own[:3]}ab{own[3:]}cd\n")
    assert problems(tmp_path) == []


def test_short_ids_are_counts_too_unless_they_are_said_to_be_ids(tmp_path: Path) -> None:
    people = KnownPeople(["17", "412"])
    GROUPS.to_csv(tmp_path / "rows.csv", index=False)
    assert problems(tmp_path, people) == []
    (tmp_path / "notes.md").write_text("see sub-17\n")
    assert problems(tmp_path, people) == ["it holds an id of a participant"]


def test_short_ids_of_letters_and_digits_are_words(tmp_path: Path) -> None:
    people = KnownPeople(["P012", "anna", "B7"])
    (tmp_path / "notes.md").write_text("P0123, B7, anna, P01, XP012\n")
    assert problems(tmp_path, people) == []
    (tmp_path / "figure.png").write_bytes(figure_bytes("png"))
    for text in ("see p012", "sub-anna", "sub-B7_ses-2"):
        (tmp_path / "notes.md").write_text(text)
        found = check_release(tmp_path, people, known=digests(tmp_path))[1]
        assert [each.path for each in found] == ["notes.md"], text


def test_a_picture_in_a_page_passes_if_somebody_looked_at_it(tmp_path: Path) -> None:
    KINDS["picture_in_markdown"](tmp_path, "", np.random.default_rng(0))
    assert problems(tmp_path) == ["it has a picture or other bytes written in letters (data:, base 64)"]
    assert check_release(tmp_path, PEOPLE, known=digests(tmp_path))[1] == []


def test_letters_and_leading_zeros_do_not_hide_an_id(tmp_path: Path) -> None:
    people = KnownPeople(["NAKO00123456", "0054321"])
    for text in ("nako00123456", "PAT0054321", "54321", "%4e%41%4b%4f00123456"):
        (tmp_path / "notes.txt").write_text(f"without {text}\n")
        assert problems(tmp_path, people) == ["it holds an id of a participant"], text


def test_a_damaged_file_does_not_leave(tmp_path: Path) -> None:
    for ending in ("png", "pdf", "svg"):
        (tmp_path / f"figure.{ending}").write_bytes(figure_bytes(ending)[:-200])
    (tmp_path / "table.parquet").write_bytes(b"PAR1 and no more PAR1")
    (tmp_path / "table.csv").write_bytes(b"n,mean\n\xff\xfe,3\n")
    (tmp_path / "curves.json").write_text("{")
    found = {each.path for each in check_release(tmp_path, PEOPLE, known=digests(tmp_path))[1]}
    assert found == {path.name for path in tmp_path.iterdir()} - {"curves.json", "figure.svg"}, (
        "as long as it is looked at"
    )
    assert {each.path for each in check_release(tmp_path, PEOPLE)[1]} == {path.name for path in tmp_path.iterdir()}


def test_nothing_to_check_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is empty"):
        check_release(tmp_path, PEOPLE)
    with pytest.raises(ConfigError, match="not a folder"):
        check_release(tmp_path / "none", PEOPLE)
    with pytest.raises(ConfigError, match="no participant is known"):
        known_people(Results(tmp_path), frozenset())


def test_what_cannot_be_opened_or_named_does_not_leave(tmp_path: Path) -> None:
    (tmp_path / "fine.csv").write_text("structure,n\nliver,400\n")
    os.mkfifo(tmp_path / "pipe.csv")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.csv")).write_text("structure,n\nliver,400\n")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/t.csv").write_text("structure,n\nliver,400\n")
    found = {each.path for each in check_release(tmp_path, PEOPLE)[1]}
    assert found == {"pipe.csv", r"b\udcff.csv", ".cache/t.csv"}


def test_many_texts_and_many_ids_give_no_false_alarm(tmp_path: Path) -> None:
    many = KnownPeople([str(1_000_000 + 37 * number) for number in range(100_000)])
    rows = pd.DataFrame({"group": [f"text {number}" for number in range(100_000)], "n": 100})
    rows.to_parquet(tmp_path / "rows.parquet")
    assert problems(tmp_path, many) == []
