"""What users do with the tables of the demo: covariates, all analyses, and the code of the page for day one."""

import re
import shutil

import duckdb
import pandas as pd
import pytest
from project_copy import ROOT


@pytest.fixture(scope="module")
def scans(demo_run) -> pd.DataFrame:
    return pd.read_parquet(demo_run.results / "tables/scans.parquet")


def test_covariates_of_the_demo_are_joined_to_every_scan(demo_run, scans):
    people = pd.read_parquet(demo_run.results / "tables/covariates.parquet")
    assert len(people) == 16
    assert people.notna().all(axis=None)
    problems = pd.read_parquet(demo_run.results / "tables/covariate_problems.parquet")
    assert problems.empty


def test_all_analyses_end_with_a_page_that_names_nobody(demo_run, scans):
    done = demo_run.call("python", "-m", "dixonflow", "analyse", "all")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "analyses  results/analyses/index.html"
    folder = demo_run.results / "analyses"
    page = (folder / "index.html").read_text()
    for heading in ("Who was lost", "Body composition", "Ageing", "Reference centiles", "Change between visits"):
        assert f"<h2>{heading}</h2>" in page
    links = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert links
    assert all((folder / link).is_file() for link in links)
    assert "://" not in page.replace("http://www.w3.org", "")
    shown = [page, *(path.read_text() for path in folder.rglob("*.svg"))]
    for participant in scans["participant_id"]:
        assert not any(re.search(rf"(?<![0-9A-Za-z]){participant}(?![0-9A-Za-z])", text) for text in shown)
    rows = pd.read_parquet(folder / "indices/indices.parquet")
    assert len(rows) == 12
    # values that a person should look at first do not count
    assert rows["vat_l"].notna().sum() >= 10
    assert rows["skeletal_muscle_index_l3_cm2_per_m2"].notna().sum() >= 8
    shutil.rmtree(folder)


def test_the_code_of_the_page_for_day_one_runs(demo_run, monkeypatch, capsys):
    page = (ROOT / "docs/day_one.md").read_text()
    blocks = re.findall(r"^```(python|sql)\n(.*?)^```", page, re.M | re.S)
    assert [kind for kind, _ in blocks].count("python") >= 5
    assert [kind for kind, _ in blocks].count("sql") >= 3
    monkeypatch.chdir(demo_run.folder)
    names: dict[str, object] = {}
    for kind, code in blocks:
        if kind == "python":
            exec(code, names)
        else:
            assert len(duckdb.sql(code).fetchall()) > 0 or "'review'" in code
    said = capsys.readouterr().out
    assert "female" in said
    assert re.search(r"[0-9]+ of 1[0-2]\n", said)
    assert "Volume of visceral fat t9 l5" in said
