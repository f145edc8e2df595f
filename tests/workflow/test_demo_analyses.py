"""What users do with the tables of the demo: covariates, all analyses, and the code of the page for day one."""

import json
import re
import shutil
import subprocess

import duckdb
import pandas as pd
import pytest
from other_programs import needs_r, run_r
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


def test_profiles_add_up_to_the_volumes_between_the_same_levels(demo_run, scans):
    """Each tissue reaches its volume between L1 and L5 at the height of L1, which is one for all."""
    steps = pd.read_parquet(demo_run.results / "tables/body_profiles.parquet")
    keys = ["participant_id", "session_id"]
    body = pd.read_parquet(demo_run.results / "tables/body_composition.parquet").set_index(keys)
    heights: dict[tuple[str, ...], dict[str, float]] = {}
    for (structure, *scan), own in steps.groupby(["structure", *keys]):
        tissue = structure.removesuffix("_t9_l5").removesuffix("_l1_l5")
        volume = body.at[tuple(scan), f"{tissue}_l1_l5_volume_ml"]
        areas = own.set_index("position_cm")["area_cm2"].sort_index().loc[0:]
        sums = areas.cumsum()
        last = int((sums < volume).sum())
        assert areas.loc[:last].notna().all()
        heights.setdefault(tuple(scan), {})[tissue] = last + (volume - sums.iloc[last - 1]) / areas.iloc[last]
    found = pd.DataFrame(heights).T
    assert found.shape == (12, 3)
    assert found.notna().all(axis=None)
    assert found.min(axis=None) > 10
    assert (found.max(axis=1) - found.min(axis=1)).max() < 0.1


def test_what_has_rows_of_people_does_not_leave_and_groups_do(demo_run, scans):
    for study in ("indices", "vessels"):
        assert demo_run.call("python", "-m", "dixonflow", "analyse", study).returncode == 0
    folder = demo_run.results / "analyses"
    refused = demo_run.call("python", "-m", "dixonflow", "release", "results/analyses")
    assert refused.returncode == 1
    assert "indices/indices.parquet: column participant_id says whose a row is" in refused.stdout
    assert not any(participant in refused.stdout for participant in scans["participant_id"])
    rows = pd.read_parquet(folder / "vessels/consistency.parquet")
    aorta = rows[rows["structure"].eq("aorta")].set_index("contrast")
    assert set(aorta.index) == {"all", "water", "in_phase", "opposed_phase"}
    assert (aorta["images"] >= 11).all()
    groups = rows.loc[rows["images"] >= 5, ["structure", "contrast", "images", "consistency", "mean_pieces_of_others"]]
    assert len(groups) > 0
    shutil.rmtree(folder)
    (folder / "paper").mkdir(parents=True)
    groups.to_csv(folder / "paper/vessels.csv", index=False)
    passed = demo_run.call("python", "-m", "dixonflow", "release", "results/analyses/paper")
    assert passed.returncode == 0, passed.stdout
    receipt = demo_run.folder / passed.stdout.split("list with checksums: ")[1].strip()
    assert pd.read_csv(receipt)["path"].tolist() == ["vessels.csv"]
    shutil.rmtree(folder)
    receipt.unlink()


def test_a_citable_version_holds_all_tables_and_says_what_made_them(demo_run, scans):
    done = demo_run.call("python", "-m", "dixonflow", "release", "--pack", "2026.1")
    assert done.returncode == 0, done.stdout
    folder = demo_run.results / "releases/2026.1"
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=folder, check=True)
    tables = demo_run.results / "tables"
    assert {path.name for path in (folder / "tables").iterdir()} == {path.name for path in tables.iterdir()}
    provenance = json.loads((folder / "provenance.json").read_text())
    assert sum(each["n"] for each in provenance["scans"]) == len(scans)
    assert [each["name"] for each in provenance["models"]] == ["demo"]
    assert "structures were segmented" in (folder / "methods.md").read_text()
    assert "@" in (folder / "references.bib").read_text()
    shutil.rmtree(folder.parent)


def test_the_code_of_the_page_for_day_one_runs(demo_run, monkeypatch, capsys):
    page = (ROOT / "docs/day_one.md").read_text()
    blocks = re.findall(r"^```(python|sql)\n(.*?)^```", page, re.M | re.S)
    assert [kind for kind, _ in blocks].count("python") >= 5
    assert [kind for kind, _ in blocks].count("sql") == 5
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


@needs_r
def test_the_r_code_of_the_page_for_day_one_runs_and_says_the_same(demo_run):
    page = (ROOT / "docs/day_one.md").read_text()
    (call,) = re.findall(r"^    \.venv/bin/dixonflow (export .*)$", page, re.M)
    done = demo_run.call("python", "-m", "dixonflow", *call.split())
    assert done.returncode == 0, done.stdout
    blocks = re.findall(r"^```r\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) == 5
    said = run_r("\n".join(blocks), demo_run.folder)
    tables = demo_run.results / "tables"
    volumes = pd.read_parquet(tables / "volumes.parquet")
    assert said.splitlines()[0] == f"[1] {volumes['liver_volume_ml'].notna().sum()}"
    body = pd.read_parquet(tables / "body_composition.parquet")
    both = body.merge(pd.read_parquet(tables / "covariates.parquet"), on=["participant_id", "session_id"])
    passed = both[both["visceral_fat_t9_l5_volume_grade"].eq("pass")]
    for sex, median in passed.groupby("sex")["visceral_fat_t9_l5_volume_ml"].median().items():
        found = re.search(rf"\b{sex} +([0-9.]+)", said)
        assert found is not None
        assert float(found[1]) == pytest.approx(median, rel=1e-4)
    fat = pd.read_parquet(tables / "fat_compartments.parquet")
    liver = fat.loc[fat["liver_fat_fraction_grade"].eq("pass"), "liver_fat_fraction"]
    assert f"{(liver > 0.0556).sum()} of {len(liver)}" in said
    assert "Volume of visceral fat t9 l5" in said
    shutil.rmtree(demo_run.results / "exports")
