"""A folder of trials: clean scans and scans with defects, kept as long as the same code would make them."""

import json
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import dixonflow
from dixonflow.config import demo_config, parse_config
from dixonflow.models.load import MODELS, load_model
from dixonflow.phantom.defects.defect import Defect
from dixonflow.phantom.demo_scans import DemoScan
from dixonflow.system.atomic import write_bytes, write_json
from dixonflow.system.tree_digest import tree_digest
from dixonflow.trials.defect_cohort import Cohort
from dixonflow.trials.defect_outcomes import Baseline, spread_between_scans, values_of
from dixonflow.trials.defect_runs import (
    PARTICIPANTS,
    SESSIONS,
    WRITTEN,
    DefectRuns,
    Measured,
    clean_scan,
    clean_scans,
)
from dixonflow.vocabulary import ScanId


class DefectFolder:
    """Trials of the demo's network below a folder.

    Parameters
    ----------
    path
        For raw data and results; what is finished there is not done again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def runs(self) -> DefectRuns:
        """Runs of the workflow, one CPU thread each."""
        config = parse_config(demo_config().model_dump() | {"segment": {"threads": 1, "device": "cpu"}})
        return DefectRuns(self._path, config, load_model(MODELS / "demo.yaml", config.segment.weights))

    @cached_property
    def clean(self) -> dict[ScanId, Measured]:
        """What was measured of all scans without a defect."""
        return {item.scan: self.runs.clean(item) for item in clean_scans()}

    @cached_property
    def cohort(self) -> Cohort:
        """The scans without a defect as a cohort."""
        return Cohort(self.runs.model, self.clean)

    def baseline(self, item: DemoScan) -> Baseline:
        """Values of a scan without a defect, and how they vary between scans of one person."""
        _, objections = self.cohort.graded(item.scan, self.clean[item.scan])
        people = [
            [self.clean[clean_scan(person, each).scan] for each in range(SESSIONS)] for person in range(PARTICIPANTS)
        ]
        spread = spread_between_scans([[found.measurements for found in of_person] for of_person in people])
        return Baseline(values_of(self.clean[item.scan].measurements), spread, objections)

    def outcome_path(self, defect: Defect, strength: float) -> Path:
        """Where the outcome of a case is kept."""
        return self._path / "outcomes" / f"{defect.name.replace(' ', '_')}-{strength:g}.json"

    def keep(self, defect: Defect, strength: float, row: Mapping[str, Any]) -> None:
        """Keep the outcome of a case."""
        write_json(self.outcome_path(defect, strength), row)

    def kept(self, defect: Defect, strength: float) -> dict[str, Any]:
        """Read the outcome of a case."""
        row: dict[str, Any] = json.loads(self.outcome_path(defect, strength).read_text(encoding="utf-8"))
        return row

    def forget_if_changed(self) -> None:
        """Remove what other code found out, and raw data that another phantom wrote.

        Label maps stay, as long as the same network would see the same images.
        """
        package = Path(dixonflow.__file__).parent
        if self._changed("phantom.txt", package / "phantom"):
            for written in self._path.glob(f"*/*/{WRITTEN}"):
                written.unlink()
        if self._changed("code.txt", package):
            shutil.rmtree(self._path / "outcomes", ignore_errors=True)
            for measured in self._path.glob("clean/*/measured.json"):
                measured.unlink()

    def _changed(self, stamp: str, code: Path) -> bool:
        """Whether a stamp says otherwise than the code; it then says so."""
        now, path = tree_digest(code), self._path / stamp
        if path.exists() and path.read_text(encoding="utf-8") == now:
            return False
        write_bytes(path, now.encode())
        return True
