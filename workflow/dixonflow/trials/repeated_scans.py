"""Scans of phantom participants in whom nothing has changed: lying otherwise, breathing otherwise, with new noise."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dixonflow.imaging.station import Station
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.demo_cohort import DemoOptions
from dixonflow.phantom.demo_scans import DemoScan
from dixonflow.phantom.scanner.acquisition import acquire
from dixonflow.trials.defect_runs import PARTICIPANTS, SESSIONS, DefectRuns, clean_scan

BREATH_SD_MM = 5.0
"""Spread of the height of the diaphragm between breath holds of a person: an assumption of ours."""


def breathing_mm(item: DemoScan) -> float:
    """Height of the diaphragm above its usual place in a scan, mm; drawn for each session."""
    rng = np.random.default_rng([item.seed, item.session_number, 5])
    return float(rng.normal(0, BREATH_SD_MM))


class RepeatedRuns(DefectRuns):
    """Runs of the workflow over scans in each of which the participant holds breath at another height."""

    def stations(self, item: DemoScan) -> list[Station]:
        """What the scanner delivers of a participant in one session."""
        options = DemoOptions()
        anatomy = render_anatomy(item.participant, options.fine_spacing_mm, breathing_mm(item))
        return acquire(item.participant, anatomy, options.protocol(item.layout), session=item.session_number)


def repeated_scans() -> list[DemoScan]:
    """Every session of every participant."""
    return [clean_scan(participant, session) for participant in range(PARTICIPANTS) for session in range(SESSIONS)]


def repeated_values(runs: RepeatedRuns, scans: Sequence[DemoScan]) -> pd.DataFrame:
    """Measurements of scans, with their ids; what is finished in the folder of the runs is not done again."""
    parts = []
    for item in scans:
        rows = runs.clean(item).measurements
        parts.append(rows.assign(participant_id=item.scan.participant, session_id=item.scan.session))
    return pd.concat(parts, ignore_index=True)
