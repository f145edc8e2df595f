"""Two models in one run, from raw data to the report: the second costs its own work and changes nothing of the first.

The second is the demo's network on water alone.
"""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from small_scans import nako_stations

from dixonflow.paths import Results
from dixonflow.phantom.writers.dicom import write_nako
from dixonflow.vocabulary import ScanId, Stage

SCAN = ScanId("100017", "30")
SECOND = "demowater"


class OneScan:
    """A results folder for one scan of the demo, in the project of the demo."""

    def __init__(self, project) -> None:
        self.project = project
        self.results = Results(Path("several/results"))
        raw = project.folder / "several" / "raw"
        write_nako(raw, SCAN, nako_stations())
        models = project.folder / "workflow" / "dixonflow" / "models" / "files"
        content = yaml.safe_load((models / "demo.yaml").read_text())
        water = {group: ["water"] for group in content["group_order"]}
        content |= {"name": SECOND, "input_contrasts": ["water"], "contrast_weights": {}, "group_contrasts": water}
        (models / f"{SECOND}.yaml").write_text(yaml.safe_dump(content))

    def run(self, *models: str) -> str:
        return self.project.snakemake(
            "--config",
            f"results={self.results.root}",
            "cohort={sources: [{layout: nako, folder: several/raw}]}",
            f"segment={{models: [{', '.join(models)}], threads: 1}}",
        )

    def path(self, path: Path) -> Path:
        return self.project.folder / path

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.path(self.results.tables / f"{name}.parquet"))

    def tables(self) -> dict[str, bytes]:
        folder = self.path(self.results.tables)
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "timings.parquet"}

    def dates(self, model: str) -> dict[str, int]:
        """When the stitched images and the label map of a model were written."""
        files = [*self.path(self.results.anat(SCAN)).glob("*stitched*"), self.labels(model)]
        return {path.name: path.stat().st_mtime_ns for path in files}

    def labels(self, model: str) -> Path:
        return self.path(self.results.labels(SCAN, model))


@pytest.fixture(scope="module")
def one_scan(demo_run) -> OneScan:
    return OneScan(demo_run)


@pytest.mark.slow
def test_a_further_model_joins_and_leaves(one_scan):
    one_scan.run("demo")
    alone, dates = one_scan.tables(), one_scan.dates("demo")
    segmented = one_scan.table("timings").set_index("stage").at["segment", "seconds"]

    one_scan.run("demo", SECOND)
    assert one_scan.dates("demo") == dates, "what the first model and the stitching made stands"
    assert one_scan.labels(SECOND).read_bytes() != one_scan.labels("demo").read_bytes()
    both = one_scan.table("timings").set_index("stage").at["segment", "seconds"]
    records = one_scan.path(one_scan.results.records(Stage.SEGMENT, "x", SECOND).parent)
    assert segmented < both
    assert len(list(records.glob("*.jsonl.gz"))) == 1
    for name in ("volumes.parquet", "fat_compartments.parquet"):
        assert one_scan.tables()[name] == alone[name]
    second = one_scan.table(f"volumes_{SECOND}").iloc[0]
    first = one_scan.table("volumes").iloc[0]
    assert (first["model"], second["model"]) == ("demo", SECOND)
    assert second["liver_volume_ml"] == pytest.approx(first["liver_volume_ml"], rel=0.1)
    assert second["liver_volume_ml"] != first["liver_volume_ml"]
    quality = one_scan.table("quality").set_index(["check", "structure", "model"])["value"]
    agreement = quality.loc["model_agreement"].unstack("model")
    assert list(agreement.columns) == ["demo", SECOND]
    pd.testing.assert_series_equal(agreement["demo"], agreement[SECOND], check_names=False)
    assert agreement.at["liver", "demo"] > 0.9
    assert agreement["demo"].dropna().between(0, 1).all()
    assert agreement["demo"].median() > 0.9
    assert agreement["demo"].notna().mean() > 0.9, "only what the scan does not show has none"
    assert "kidneys" in agreement.index, "composites are compared too"
    page = one_scan.path(one_scan.results.report / "report.html").read_text()
    assert page.count(f"<h3>Model {SECOND}</h3>") == 2

    tables, dates = one_scan.tables(), one_scan.dates(SECOND)
    assert "Nothing to be done" in one_scan.run("demo", SECOND)
    one_scan.labels(SECOND).unlink()
    one_scan.run("demo")
    assert one_scan.tables() == alone, "without the second model all is as it was"
    one_scan.run("demo", SECOND)
    assert one_scan.tables() == tables
    assert one_scan.dates(SECOND).keys() == dates.keys()
    assert not [path for path in one_scan.path(one_scan.results.root / "temporary").rglob("*") if path.is_file()]
