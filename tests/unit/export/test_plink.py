"""Phenotype and covariate files read by PLINK 2 itself, where it is installed (scripts/install_readers.sh)."""

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
from other_programs import needs_plink
from synthetic_cohort import draw_cohort, write_cohort

from dixonflow.analyse.study_data import read_study_data
from dixonflow.export.genetics import GeneticsFormat, genetics_files


def plink(folder: Path, *options: str) -> None:
    done = subprocess.run(
        ["plink2", "--threads", "1", *options], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_plink
def test_an_association_study_by_plink_uses_every_value(tmp_path: Path) -> None:
    n = 300
    cohort = draw_cohort(n, {"liver": 0.2, "spleen": -0.1}, seed=8)
    cohort.values["spleen"][:25] = np.nan
    data = read_study_data(write_cohort(tmp_path / "tables", cohort))
    files = genetics_files(data, GeneticsFormat.PLINK, {}, normalise=False)
    (tmp_path / "phenotypes.txt").write_text(files.phenotypes)
    (tmp_path / "covariates.txt").write_text(files.covariates)
    plink(tmp_path, "--dummy", str(n), "5", "acgt", "--seed", "1", "--make-bed", "--out", "drawn")
    # the drawn genomes get the ids of the cohort
    people = pd.read_csv(tmp_path / "drawn.fam", sep=r"\s+", header=None, dtype=str)
    people[0] = people[1] = cohort.people["participant_id"].to_numpy()
    people.to_csv(tmp_path / "drawn.fam", sep="\t", header=False, index=False)
    both = ["--bfile", "drawn", "--pheno", "phenotypes.txt", "--covar", "covariates.txt", "--out", "found"]
    plink(tmp_path, *both, "--write-covar", "cols=fid,phenos")
    read = pd.read_csv(tmp_path / "found.cov", sep="\t", dtype={"#FID": str, "IID": str}, na_values="NA")
    assert read["IID"].tolist() == cohort.people["participant_id"].tolist()
    for name, values in cohort.values.items():
        np.testing.assert_allclose(read[f"{name}_volume_ml_demo_dixon"], values, rtol=1e-5)
    own = cohort.people
    for name in ("age_years", "height_cm", "weight_kg"):
        np.testing.assert_allclose(read[name], own[name], rtol=1e-5)
    plink(tmp_path, *both, "--glm", "hide-covar", "--covar-variance-standardize", "--covar-name", "age_years", "male")
    result = pd.read_csv(tmp_path / "found.spleen_volume_ml_demo_dixon.glm.linear", sep="\t")
    assert result["OBS_CT"].eq(n - 25).all()
    assert result["P"].between(0, 1).all()
