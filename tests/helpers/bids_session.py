"""BIDS sessions of synthetic stations, and the rows of a cohort as a table."""

from pathlib import Path

import pandas as pd

from dixonflow.cohort.build import CohortResult
from dixonflow.imaging.nifti import write_nifti
from dixonflow.imaging.station import Station
from dixonflow.vocabulary import DIXON, ScanId


def write_session(folder: Path, scan: ScanId, stations: list[Station]) -> Path:
    session = folder / f"sub-{scan.participant}" / f"ses-{scan.session}"
    for station in stations:
        for contrast in DIXON:
            name = f"{scan.name}_acq-{contrast.acq}_chunk-{station.index + 1}_VIBE.nii.gz"
            write_nifti(session / "anat" / name, station.images[contrast], station.affine)
    return session


def scans_frame(result: CohortResult) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "participant_id": [row.scan.participant if row.scan else None for row in result.scans],
            "session_id": [row.scan.session if row.scan else None for row in result.scans],
            "sequence": [row.scan.sequence.value if row.scan else "" for row in result.scans],
            "source": [str(row.entry.path) for row in result.scans],
            "status": [row.status.value for row in result.scans],
        }
    )
