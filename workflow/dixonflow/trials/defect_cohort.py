"""The cohort of clean scans that a scan with a defect belongs to."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa

from dixonflow.aggregate.graded_tables import checks_of_models
from dixonflow.models.model import Model
from dixonflow.tables.cohort_verdicts import (
    cohort_thresholds,
    protocol_thresholds,
    with_verdicts,
    with_verdicts_of_protocol,
)
from dixonflow.tables.definitions import QUALITY, SHARD_QUALITY
from dixonflow.tables.grading import Grading, objections_of
from dixonflow.tables.measurements import SHARD_MEASUREMENTS
from dixonflow.tables.parquet import write_table
from dixonflow.tables.raw_checks import raw_values, with_raw_checks
from dixonflow.tables.schema import to_arrow
from dixonflow.trials.defect_runs import Measured
from dixonflow.vocabulary import Layout, ScanId

_SHARD = "defects"


def _ids(scan: ScanId) -> dict[str, str]:
    return {"participant_id": scan.participant, "session_id": scan.session}


class Cohort:
    """The clean scans as the cohort that a scan with a defect belongs to: its thresholds, and its variation.

    Parameters
    ----------
    model
        Their model.
    scans
        What was measured of each.
    """

    def __init__(self, model: Model, scans: dict[ScanId, Measured]) -> None:
        self._model = model
        self._models = {model.sequence: [model]}
        self._listed = {scan: found.listed for scan, found in scans.items()}
        parts = [found.quality.assign(**_ids(scan)) for scan, found in scans.items()]
        rows = [_ids(scan) | {"sequence": scan.sequence.value, "shard": _SHARD} for scan in scans]
        ok = pd.DataFrame(rows)
        self._layouts = ok[["participant_id", "session_id", "sequence"]].assign(layout=Layout.UKB.value)
        with TemporaryDirectory(prefix="dixonflow-") as folder:
            path = Path(folder) / "quality.parquet"
            write_table(path, SHARD_QUALITY, pd.concat(parts, ignore_index=True))
            self._thresholds = cohort_thresholds({_SHARD: path}, ok, checks_of_models([model]))
            self._extents = protocol_thresholds({_SHARD: path}, ok, self._layouts)

    def quality(self, scan: ScanId, found: Measured) -> pa.Table:
        """Rows of the table `quality` of a scan, with their verdicts."""
        ids = _ids(scan) | {"sequence": scan.sequence.value}
        quality = to_arrow(found.quality.assign(**ids), QUALITY)
        judged = with_verdicts_of_protocol(
            with_verdicts(quality, self._thresholds),
            self._extents,
            pd.DataFrame([ids | {"layout": Layout.UKB.value}]),
        )
        everyone = {**self._listed, scan: found.listed}
        listed = pd.DataFrame([_ids(each) | {"sequence": each.sequence.value} | row for each, row in everyone.items()])
        names = {self._model.sequence.value: [self._model.name]}
        return with_raw_checks(judged, raw_values(listed), names)

    def graded(self, scan: ScanId, found: Measured) -> tuple[pd.DataFrame, list[str]]:
        """Rows of measurements with their grades, and the checks that objected."""
        objections = objections_of(self.quality(scan, found))
        rows = to_arrow(found.measurements.assign(**_ids(scan)), SHARD_MEASUREMENTS)
        rows = rows.append_column("sequence", pa.array([scan.sequence.value] * rows.num_rows, pa.string()))
        graded = Grading(objections, self._models).graded(rows).to_pandas()
        return graded, sorted(set(objections["check"].to_pylist()))
