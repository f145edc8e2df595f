"""The verification of published models, as its user calls it: real archives, a real run of the workflow."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from project_copy import copy_project
from published_weights import pinned, publish_model, train_model

from dixonflow.models.load import load_model

pytestmark = pytest.mark.usefixtures("alone")

MR, CT = "totalsegmentatormr3mm", "totalsegmentatorct3mm"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, and the archives of two models beside it."""
    folder = tmp_path_factory.mktemp("verify")
    (folder / "project").mkdir()
    copy_project(folder / "project")
    for name in (MR, CT):
        path = folder / "project" / "workflow" / "dixonflow" / "models" / "files" / f"{name}.yaml"
        model = load_model(path)
        publish_model(model, train_model(model, folder / "results" / name), folder / "archives")
        parts = [part.model_dump(mode="json", exclude_none=True) for part in pinned(model, folder / "archives").parts]
        content = yaml.safe_load(path.read_text()) | {"parts": parts}
        path.write_text(yaml.safe_dump(content, sort_keys=False))
    return folder / "project"


def verify(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call the script on the archives and a small scan."""
    given = ["--from", str(project.parent / "archives"), "--scale", "0.15", "--cores", "2"]
    paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(project / "workflow")}
    command = [sys.executable, "-m", "dixonflow", "verify-models", *words, *given]
    return subprocess.run(command, cwd=project, env=os.environ | paths, capture_output=True, text=True, check=False)


def assert_verified(project: Path, name: str) -> None:
    ended = verify(project, name)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    said = ended.stdout
    assert f"{name}: ok" in said
    model = load_model(project / "workflow" / "dixonflow" / "models" / "files" / f"{name}.yaml", project / "models")
    assert model.is_imported
    (archive,) = model.parts[0].archives
    content = (project.parent / "archives" / archive.file).read_bytes()
    assert f"{archive.file}: {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}" in said
    assert f"of {len(model.structures)} structures found, see verified/{name}/report/report.html" in said
    assert (project / "verified" / name / "report" / "report.html").exists()
    assert "folds 0, trained at 3 x 3 x 3 mm, patch 16 x 16 x 16" in said


@pytest.mark.slow
def test_a_model_is_imported_compared_and_run_and_a_ct_has_no_fat(project: Path) -> None:
    assert_verified(project, CT)
    rows = pd.read_parquet(project / "verified" / CT / "tables" / "measurements.parquet")
    assert {"volume", "coverage_fraction", "hounsfield_mean"} < set(rows["measure"])
    assert not [measure for measure in set(rows["measure"]) if "fat" in measure or "water" in measure]
    assert not (project / "verified" / CT / "tables" / "fat_compartments.parquet").exists()
    page = (project / "verified" / CT / "report" / "report.html").read_text()
    assert "Organ volumes from CT." in page
    assert "Fat compartments" not in page


@pytest.mark.slow
def test_a_model_for_mr_is_imported_compared_and_run(project: Path) -> None:
    assert_verified(project, MR)


def test_a_model_that_differs_fails_alone(project: Path) -> None:
    """Plans for another spacing than the model file resamples to, and a name that is no model's."""
    path = project / "workflow" / "dixonflow" / "models" / "files" / f"{MR}.yaml"
    content = yaml.safe_load(path.read_text()) | {"spacing_mm": [3.0, 3.0, 2.5]}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    ended = verify(project, MR, "nosuch", CT)
    assert ended.returncode == 1
    assert f"{MR}: FAILED" in ended.stdout
    assert "plans.json: trained at 3 x 3 x 3 mm (x, y, z), the model file resamples to (3.0, 3.0, 2.5)" in ended.stdout
    assert "nosuch: FAILED" in ended.stdout
    assert "nosuch.yaml" in ended.stdout
    assert f"{CT}: ok" in ended.stdout
