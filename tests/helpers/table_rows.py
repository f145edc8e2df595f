"""Synthetic rows of the tables."""

import pandas as pd
import pyarrow as pa

from dixonflow.measure.definitions import MEASURES
from dixonflow.measure.missing_reason import MissingReason
from dixonflow.models.load import MODELS, load_model
from dixonflow.models.model import Model
from dixonflow.tables.definitions import DICTIONARY, QUALITY, SCANS, TIMINGS
from dixonflow.tables.measurements import MEASUREMENTS
from dixonflow.tables.schema import check_rows, to_arrow
from dixonflow.tables.wide import fat_compartments_table, volumes_table

MODEL: Model = load_model(MODELS / "demo.yaml")
VOLUMES, FAT = volumes_table(MODEL), fat_compartments_table(MODEL)
TABLES = (SCANS, TIMINGS, MEASUREMENTS, VOLUMES.table, FAT.table, QUALITY, DICTIONARY)


def timing(
    participant: str = "0012", session: str = "2", stage: str = "stitch", seconds: float = 1.5
) -> dict[str, object]:
    return {
        "participant_id": participant,
        "session_id": session,
        "sequence": "dixon",
        "stage": stage,
        "seconds": seconds,
        "peak_memory_mb": 400.0,
        "gpu_seconds": 0.0,
        "attempt": 1,
    }


def long_rows(cells: dict[tuple[str, str, str], dict[tuple[str, str], float | MissingReason]]) -> pd.DataFrame:
    """Measurement rows: model and scan, then structure and measure, to a value or a reason."""
    rows = []
    for (participant, session, model), values in cells.items():
        for (structure, measure), value in values.items():
            missing = isinstance(value, MissingReason)
            rows.append(
                {
                    "participant_id": participant,
                    "session_id": session,
                    "sequence": "dixon",
                    "structure": structure,
                    "measure": measure,
                    "value": None if missing else value,
                    "unit": MEASURES[measure].unit,
                    "definition": MEASURES[measure].key,
                    "grade": "fail" if value == MissingReason.FAILED_CHECK else None if missing else "pass",
                    "missing_reason": str(value) if missing else None,
                    "decided_by": "lower_cutoff" if value == MissingReason.FAILED_CHECK else None,
                    "value_before_grade": 1.0 if value == MissingReason.FAILED_CHECK else None,
                    "model": model,
                }
            )
    return pd.DataFrame(rows, columns=list(MEASUREMENTS.names)).astype(
        {"value": "Float64", "value_before_grade": "Float64"}
    )


def sorted_long(frame: pd.DataFrame) -> pa.Table:
    rows = to_arrow(frame, MEASUREMENTS).sort_by([(key, "ascending") for key in MEASUREMENTS.keys])
    return check_rows(rows, MEASUREMENTS)


# the definitions
