"""Files for REGENIE and PLINK: one row per participant, and who is left out, by reason."""

import shutil

import numpy as np
import pandas as pd
import pytest
from exported import called
from scipy import stats

from dixonflow.analyse.covariates import COVARIATE_TABLE
from dixonflow.export.genetics import normal_scores
from dixonflow.tables.parquet import write_table


@pytest.mark.parametrize(("program", "head"), [("regenie", "FID"), ("plink", "#FID")])
def test_genetics_files_have_one_row_each_and_one_tab(program, head, tables, tmp_path):
    bridge = tmp_path / "bridge.csv"
    ids = pd.read_parquet(tables / "covariates.parquet")["participant_id"].tolist()
    bridge.write_text("own,other\n" + "".join(f"{own},9{own}\n" for own in ids[:30]))
    result = called(program, "--bridge", str(bridge), tables=tables, output=tmp_path)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "phenotypes.txt").read_text()
    lines = [line.split("\t") for line in text.splitlines()]
    assert lines[0] == [head, "IID", "liver_volume_ml_demo_dixon", "spleen_volume_ml_demo_dixon"]
    assert {len(line) for line in lines} == {4}
    assert [line[0] for line in lines[1:]] == sorted(f"9{own}" for own in ids[:30])
    rows = pd.read_parquet(tables / "measurements.parquet")
    liver = rows[rows["structure"].eq("liver")].set_index("participant_id")["value"]
    assert [float(line[2]) for line in lines[1:]] == [liver[line[0][1:]] for line in lines[1:]]
    people = [line.split("\t") for line in (tmp_path / "covariates.txt").read_text().splitlines()]
    assert people[0][:5] == [head, "IID", "age_years", "age_squared", "male"]
    lost = pd.read_csv(tmp_path / "exclusions.csv").set_index("reason")["n"]
    assert lost["not_in_bridge"] == 10


def test_normal_scores_are_bloms_and_ignore_what_is_missing():
    values = np.array([3.0, np.nan, 1.0, 2.0, 2.0])
    scores = normal_scores(values)
    assert np.isnan(scores[1])
    assert scores[[2, 3, 4, 0]] == pytest.approx(stats.norm.ppf((np.array([1, 2.5, 2.5, 4]) - 0.375) / 4.25))
    assert np.isnan(normal_scores(np.full(3, np.nan))).all()


def test_a_row_of_genetics_is_one_session(tables, tmp_path):
    """The first session has no HASTE scan: that of a later one has another age, and is left out and counted."""
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "quality.parquet").write_bytes((tables / "quality.parquet").read_bytes())
    for name in ("scans", "measurements", "covariates"):
        rows = pd.read_parquet(tables / f"{name}.parquet")
        first = rows["participant_id"].iloc[0]
        later = rows[rows["participant_id"].eq(first)].assign(session_id="3")
        if name == "covariates":
            later["age_years"] += 5
        else:
            later["sequence"] = "haste"
        both = pd.concat([rows, later], ignore_index=True)
        if name == "covariates":
            write_table(folder / "covariates.parquet", COVARIATE_TABLE, both)
        else:
            both.to_parquet(folder / f"{name}.parquet")
    result = called("regenie", tables=folder, output=tmp_path)
    assert result.exit_code == 0, result.output
    phenotypes = pd.read_csv(tmp_path / "phenotypes.txt", sep="\t", dtype={"IID": str}).set_index("IID")
    assert phenotypes.filter(like="_haste").isna().all(axis=None)
    people = pd.read_csv(tmp_path / "covariates.txt", sep="\t", dtype={"IID": str}).set_index("IID")
    ages = pd.read_parquet(tables / "covariates.parquet").set_index("participant_id")["age_years"]
    assert people.at[first, "age_years"] == ages[first]
    lost = pd.read_csv(tmp_path / "exclusions.csv").set_index("reason")["n"]
    assert lost["further_scan_of_participant"] == 1


def test_who_is_left_out_of_genetics_is_counted_by_reason(tables, tmp_path):
    folder = tmp_path / "tables"
    shutil.copytree(tables, folder)
    scans = pd.read_parquet(folder / "scans.parquet")
    scans.loc[:9, ["status", "reason", "scan_grade"]] = ["excluded", "missing_station", None]
    scans.to_parquet(folder / "scans.parquet")
    rows = pd.read_parquet(folder / "measurements.parquet")
    rows = rows[~rows["participant_id"].isin(scans["participant_id"].iloc[:10])].reset_index(drop=True)
    of_liver = rows.index[rows["structure"].eq("liver")]
    rows.loc[of_liver[:5], "grade"] = "review"
    rows.to_parquet(folder / "measurements.parquet")
    assert called("regenie", tables=folder, output=tmp_path).exit_code == 0
    lost = pd.read_csv(tmp_path / "exclusions.csv", keep_default_na=False)
    assert sorted(map(tuple, lost.to_numpy().tolist())) == [
        ("", "excluded: missing_station", 10),
        ("liver_volume_ml_demo_dixon", "to_review", 5),
    ]
