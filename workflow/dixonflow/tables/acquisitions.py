"""The table acquisitions: what the headers of every station say."""

import json
from collections.abc import Iterator

import pandas as pd

from dixonflow.tables.columns import Column, ColumnType, Table, text_column
from dixonflow.tables.definitions import PARTICIPANT, SEQUENCE, SESSION
from dixonflow.vocabulary import Contrast

_AXES = ("x", "y", "z")
_WITH_ECHO = tuple(contrast for contrast in Contrast if not contrast.is_map)
_PERSONAL = "null if unknown, or if cohort.personal does not name it"
_NUMBERS = (
    ("field_strength_t", "T", "Field strength of the scanner"),
    ("repetition_time_ms", "ms", "Repetition time"),
    ("flip_angle_deg", "deg", "Flip angle"),
    *((f"echo_time_{contrast.value}_ms", "ms", f"Echo time of the {contrast.value} image") for contrast in _WITH_ECHO),
)

ACQUISITIONS = Table(
    "acquisitions",
    "One row per scan and station: what the headers of the raw data say.",
    ("participant_id", "session_id", "sequence", "station"),
    (
        PARTICIPANT,
        SESSION,
        SEQUENCE,
        Column("station", ColumnType.INT64, "Station, counted from the head, from 1", minimum=1),
        text_column("manufacturer", "Manufacturer of the scanner; empty if unknown"),
        text_column("scanner_model", "Model of the scanner; empty if unknown"),
        text_column("software_version", "Software of the scanner; empty if unknown"),
        *(
            Column(name, ColumnType.DOUBLE, f"{description}; null if unknown", unit, nullable=True)
            for name, unit, description in _NUMBERS
        ),
        *(Column(f"matrix_{axis}", ColumnType.INT64, f"Voxels along {axis}", minimum=1) for axis in _AXES),
        *(Column(f"spacing_{axis}_mm", ColumnType.DOUBLE, f"Voxel size along {axis}", "mm") for axis in _AXES),
        *(
            Column(
                f"field_of_view_{end}_{axis}_mm",
                ColumnType.DOUBLE,
                f"{'Lower' if end == 'low' else 'Upper'} edge of the field of view along {axis}",
                "mm",
                "patient coordinates: x to the right, y to the front, z to the head",
            )
            for axis in _AXES
            for end in ("low", "high")
        ),
        text_column(
            "scan_date",
            "Date of the scan, YYYY-MM-DD; null if unknown or cohort.personal does not name it",
            nullable=True,
        ),
        Column(
            "age_years",
            ColumnType.DOUBLE,
            f"Age at the scan in years; {_PERSONAL}",
            "years",
            nullable=True,
        ),
        text_column(
            "sex", "Sex as the header says; null if unknown or cohort.personal does not name it", nullable=True
        ),
    ),
)


def acquisition_rows(cohort: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table.

    Parameters
    ----------
    cohort
        Rows of the cohort stage, `acquisitions` as JSON; scans that are to be in no table left out.
    """
    rows = [row for scan in cohort.itertuples() for row in _of_scan(scan)]
    return pd.DataFrame(rows, columns=list(ACQUISITIONS.names))


def _of_scan(scan: tuple[object, ...]) -> Iterator[dict[str, object]]:
    for each in json.loads(str(scan.acquisitions) or "[]"):  # type: ignore[attr-defined]
        sides = {"low": each["low_mm"], "high": each["high_mm"]}
        yield {
            "participant_id": scan.participant_id,  # type: ignore[attr-defined]
            "session_id": scan.session_id,  # type: ignore[attr-defined]
            "sequence": scan.sequence,  # type: ignore[attr-defined]
            "station": each["station"],
            "manufacturer": each["manufacturer"],
            "scanner_model": each["model"],
            "software_version": each["software"],
            **{name: each[name] for name, _, _ in _NUMBERS[:3]},
            **{f"echo_time_{contrast.value}_ms": each["echo_times_ms"].get(contrast.value) for contrast in _WITH_ECHO},
            **{f"matrix_{axis}": each["matrix"][place] for place, axis in enumerate(_AXES)},
            **{f"spacing_{axis}_mm": each["spacing_mm"][place] for place, axis in enumerate(_AXES)},
            **{
                f"field_of_view_{end}_{axis}_mm": corner[place]
                for place, axis in enumerate(_AXES)
                for end, corner in sides.items()
            },
            "scan_date": each["date"] or None,
            "age_years": each["age_years"],
            "sex": each["sex"] or None,
        }
