"""People who are scanned again, lying otherwise, at another depth of breath and with new noise."""

from dixonflow.phantom.demo_scans import DemoScan
from dixonflow.vocabulary import Layout, ScanId

SEEDS = (5000, 5003, 5004, 5005, 5007, 5008)
"""Participants of the phantom; in none of them does a breath cut bowel off, which would change its volume."""

DIAPHRAGM_MM = (0.0, 2.5, -2.5)
"""Where the diaphragm stands in the scans of a participant.

The range is that of people who are told to breathe out and hold their breath (95 % interval of 10 healthy people:
Plathow et al., Eur Radiol 2006, 16:173-179).
"""


def repeat_scans() -> list[DemoScan]:
    """All scans of all participants."""
    return [
        DemoScan(ScanId(f"{3100000 + seed}", str(2 + session)), Layout.UKB, seed, session, diaphragm_mm=diaphragm)
        for seed in SEEDS
        for session, diaphragm in enumerate(DIAPHRAGM_MM)
    ]
