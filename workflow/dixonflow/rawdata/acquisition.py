"""What the headers of a station say about its acquisition, for the table `acquisitions`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from dixonflow.rawdata.geometry import Grid
from dixonflow.vocabulary import Contrast


@dataclass(frozen=True, slots=True)
class Scanner:
    """The machine and the measurement, as the header says; empty or None where it says nothing.

    Attributes
    ----------
    field_strength_t
        Tesla.
    repetition_time_ms, flip_angle_deg
        Of the sequence.
    date
        Of the scan, YYYY-MM-DD; kept only on request.
    age_years, sex
        Of the participant; read only on request.
    """

    manufacturer: str = ""
    model: str = ""
    software: str = ""
    field_strength_t: float | None = None
    repetition_time_ms: float | None = None
    flip_angle_deg: float | None = None
    date: str = ""
    age_years: float | None = None
    sex: str = ""


NO_SCANNER = Scanner()
"""Of a file that says nothing."""


@dataclass(frozen=True)
class StationAcquisition:
    """One station as it was acquired.

    Attributes
    ----------
    station
        Number from the head, from 1.
    manufacturer, model, software
        Of the scanner; empty where nothing says so.
    field_strength_t, repetition_time_ms, flip_angle_deg
        None where nothing says so.
    date, age_years, sex
        As in `Scanner`.
    echo_times_ms
        By contrast, where known.
    matrix, spacing_mm
        Voxels and voxel size (x, y, z).
    low_mm, high_mm
        Corners of the field of view (RAS mm).
    """

    station: int
    manufacturer: str
    model: str
    software: str
    field_strength_t: float | None
    repetition_time_ms: float | None
    flip_angle_deg: float | None
    date: str
    age_years: float | None
    sex: str
    echo_times_ms: Mapping[str, float]
    matrix: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    low_mm: tuple[float, float, float]
    high_mm: tuple[float, float, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; inverse of `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "StationAcquisition":
        """Make one from what `as_dict` gave."""
        values: dict[str, Any] = {field.name: content[field.name] for field in fields(cls)}
        plain: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in values.items()}
        return cls(**plain)


def triple(values: Any) -> tuple[float, float, float]:
    """Three plain numbers."""
    x, y, z = (float(value) for value in values)
    return x, y, z


def acquisition_of(
    station: int, grid: Grid, echo_times_ms: Mapping[Contrast, float | None], scanner: Scanner
) -> StationAcquisition:
    """Put together what is known of a station."""
    return StationAcquisition(
        station=station,
        manufacturer=scanner.manufacturer,
        model=scanner.model,
        software=scanner.software,
        field_strength_t=scanner.field_strength_t,
        repetition_time_ms=scanner.repetition_time_ms,
        flip_angle_deg=scanner.flip_angle_deg,
        date=scanner.date,
        age_years=scanner.age_years,
        sex=scanner.sex,
        echo_times_ms={contrast.value: time for contrast, time in echo_times_ms.items() if time is not None},
        matrix=grid.shape,
        spacing_mm=triple(grid.spacing_mm),
        low_mm=triple(grid.low_mm),
        high_mm=triple(grid.high_mm),
    )
