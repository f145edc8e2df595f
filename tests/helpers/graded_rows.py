"""Measurements of one scan with the grades that its checks decide."""

import pandas as pd
import pyarrow as pa

from dixonflow.measure.scan import ScanMeasurements
from dixonflow.models.model import Model
from dixonflow.tables.definitions import QUALITY
from dixonflow.tables.grading import Grading, objections_of
from dixonflow.tables.measurements import MEASUREMENTS, SHARD_MEASUREMENTS
from dixonflow.tables.schema import check_rows, to_arrow, to_pandas

_IDS = {"participant_id": "1", "session_id": "2"}


def graded(found: ScanMeasurements, model: Model) -> pd.DataFrame:
    """Rows as in the table `measurements`, checked against its rules."""
    sequence = model.sequence.value
    quality = to_arrow(found.quality.assign(**_IDS, sequence=sequence), QUALITY)
    rows = to_arrow(found.measurements.assign(**_IDS), SHARD_MEASUREMENTS)
    rows = rows.append_column("sequence", pa.array([sequence] * rows.num_rows, pa.string()))
    done = Grading(objections_of(quality), {model.sequence: [model]}).graded(rows)
    return to_pandas(check_rows(done.select(MEASUREMENTS.names), MEASUREMENTS))
