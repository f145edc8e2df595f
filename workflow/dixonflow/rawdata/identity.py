"""Whose a scan is, by the patient id in its files."""

import re


def matches(patient_id: str, participant: str) -> bool:
    """Whether a patient id is the participant's id, or begins with it and something that is no letter or digit."""
    return re.match(rf"{re.escape(participant)}(?![A-Za-z0-9])", patient_id) is not None
