"""The package without the repository: built as a wheel, installed into a folder of its own, used from another."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from project_copy import ROOT
from published_weights import train_model
from small_scans import trunk_stations

from dixonflow.models.load import MODELS, load_model
from dixonflow.phantom.writers.bids import write_bids
from dixonflow.vocabulary import SHARD_STAGES, ScanId

MODEL = "mrsegmentatorbody"


class Wheel:
    """An installed wheel, and an empty folder to work in."""

    def __init__(self, folder: Path) -> None:
        self.site, self.folder = folder / "site", folder / "elsewhere"
        self.folder.mkdir()
        source = folder / "source"
        shutil.copytree(
            ROOT / "workflow", source / "workflow", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
        shutil.copy(ROOT / "pyproject.toml", source)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
        subprocess.run(build, check=True, capture_output=True)
        (wheel,) = folder.glob("dixonflow-*.whl")
        subprocess.run([*pip, "install", "--no-deps", "--target", self.site, wheel], check=True, capture_output=True)

    def python(self, *words: str) -> str:
        """Run Python on the installed package, in the empty folder; it must end well."""
        ended = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.site), "OMP_NUM_THREADS": "2"},
            text=True,
            capture_output=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    return Wheel(tmp_path_factory.mktemp("wheel"))


def test_the_commands_are_those_of_the_wheel(wheel: Wheel) -> None:
    place = wheel.python("-c", "import dixonflow; print(dixonflow.__file__)").strip()
    assert Path(place).is_relative_to(wheel.site)
    assert "--shard" in wheel.python("-m", "dixonflow", "stage", "--help")


def test_all_data_of_the_package_is_in_it(wheel: Wheel) -> None:
    endings = {".yaml", ".csv", ".json", ".j2", ".css", ".js", ".safetensors", ".typed"}
    package = ROOT / "workflow" / "dixonflow"
    wanted = {
        path.relative_to(package) for path in package.rglob("*") if path.suffix in endings or path.name == "py.typed"
    }
    assert len(wanted) > 20
    assert wanted <= {path.relative_to(wheel.site / "dixonflow") for path in (wheel.site / "dixonflow").rglob("*")}


def test_weights_are_imported_into_the_working_folder(wheel: Wheel, tmp_path: Path) -> None:
    train_model(load_model(MODELS / f"{MODEL}.yaml"), tmp_path)
    told = wheel.python("-m", "dixonflow", "import-model", MODEL, "--from", str(tmp_path))
    assert told == f"{wheel.folder / 'models' / MODEL}: imported\n"
    assert (wheel.folder / "models" / MODEL / "metadata.json").exists()
    assert not (wheel.site / "dixonflow" / "models" / "files" / MODEL).exists()


def test_a_scan_is_measured(wheel: Wheel) -> None:
    write_bids(wheel.folder / "raw", ScanId("0007", "2"), trunk_stations())
    config = {
        "results": "results",
        "cohort": {"sources": [{"layout": "bids", "folder": "raw"}]},
        "segment": {"device": "cpu", "threads": 2},
    }
    (wheel.folder / "config.yaml").write_text(yaml.safe_dump(config))
    wheel.python("-m", "dixonflow", "cohort")
    (shard,) = (wheel.folder / "results/cohort/shards.txt").read_text().split()
    for stage in SHARD_STAGES:
        wheel.python("-m", "dixonflow", "stage", stage.value, "--shard", shard)
    rows = pd.read_parquet(wheel.folder / f"results/measure/{shard}.measurements.parquet")
    assert set(rows["participant_id"]) == {"0007"}
    volumes = rows[rows["measure"].eq("volume")].set_index("structure")["value"]
    assert volumes["subcutaneous_fat"] > 0
