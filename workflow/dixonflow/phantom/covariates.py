"""Covariates of the phantom's participants, as a cohort delivers them: size is that of the body, age is drawn."""

from collections.abc import Iterable
from datetime import date, timedelta

import numpy as np
import pandas as pd

from dixonflow.phantom.demo_scans import DemoScan
from dixonflow.vocabulary import Layout

YEARS_BETWEEN_SESSIONS = 4
_FIRST_DAY = date(2020, 1, 6)
_CENTRES = {Layout.UKB: ("11025", "11027"), Layout.NAKO: ("Augsburg", "Neubrandenburg")}


def covariate_rows(scans: Iterable[DemoScan]) -> pd.DataFrame:
    """One row per scan: participant_id, session_id, age, sex, height_cm, weight_kg, centre, scan_date.

    Nothing in a body of the phantom follows from its age, which is drawn evenly between 45 and 75 years.
    """
    rows = []
    for item in scans:
        body = item.participant
        rng = np.random.default_rng([item.seed, 21003])
        age = round(float(rng.uniform(45, 75)), 1) + YEARS_BETWEEN_SESSIONS * item.session_number
        centres = _CENTRES[item.layout]
        days = int(rng.integers(0, 700)) + 365 * YEARS_BETWEEN_SESSIONS * item.session_number
        rows.append(
            (
                *(item.scan.participant, item.scan.session, age, body.sex, round(body.height_cm, 1)),
                *(round(body.bmi * (body.height_cm / 100) ** 2, 1), centres[item.seed % len(centres)]),
                (_FIRST_DAY + timedelta(days)).isoformat(),
            )
        )
    names = ["participant_id", "session_id", "age", "sex", "height_cm", "weight_kg", "centre", "scan_date"]
    return pd.DataFrame(rows, columns=names)
