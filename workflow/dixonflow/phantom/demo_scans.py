"""The scans of the demo, and of other cohorts of the phantom."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dixonflow.phantom.anatomy.breath import at_breath
from dixonflow.phantom.anatomy.participant import Participant, draw_participant
from dixonflow.phantom.breakages import Breakage
from dixonflow.phantom.writers.dicom import nako_zip_name, ukb_zip_name
from dixonflow.vocabulary import Layout, Reason, ScanId, Status

_FIRST_FURTHER_SEED = 400000
_REPOSITIONING_SD_MM = (4.0, 3.0, 8.0)


@dataclass(frozen=True)
class DemoScan:
    """One scan of the demo.

    Attributes
    ----------
    seed
        Participant of the phantom, of a range that training never draws from.
    session_number
        0 for a participant's first scan. Another number gives the same body another place on the table and other noise.
    breakage
        What is done to the zip after it was written.
    uneven
        Whether fat is unevenly spread inside structures.
    diaphragm_mm
        How much higher the diaphragm stands than in other scans: another breath.
    """

    scan: ScanId
    layout: Layout
    seed: int
    session_number: int = 0
    breakage: Breakage | None = None
    uneven: bool = False
    diaphragm_mm: float = 0.0

    @cached_property
    def participant(self) -> Participant:
        """Who is scanned."""
        person = dataclasses.replace(participant_in_session(self.seed, self.session_number), uneven=self.uneven)
        return at_breath(person, self.diaphragm_mm)

    @property
    def path(self) -> str:
        """Where the zip lies below the raw folder."""
        name = ukb_zip_name(self.scan) if self.layout is Layout.UKB else nako_zip_name(self.scan)
        return f"{self.layout}/{name}"

    @property
    def expected(self) -> tuple[Status, Reason]:
        """What the workflow has to make of it."""
        return (Status.EXCLUDED, self.breakage.reason) if self.breakage else (Status.OK, Reason.NONE)


DEMO_SCANS = (
    DemoScan(ScanId("1000017", "2"), Layout.UKB, seed=11),
    DemoScan(ScanId("1000017", "3"), Layout.UKB, seed=11, session_number=1),
    DemoScan(ScanId("1240365", "2"), Layout.UKB, seed=12),
    DemoScan(ScanId("2310482", "2"), Layout.UKB, seed=13),
    DemoScan(ScanId("3450591", "2"), Layout.UKB, seed=14),
    DemoScan(ScanId("4561608", "2"), Layout.UKB, seed=15),
    DemoScan(ScanId("5672719", "2"), Layout.UKB, seed=16, breakage=Breakage.CUT_OFF),
    DemoScan(ScanId("5783820", "2"), Layout.UKB, seed=17, breakage=Breakage.STATION),
    DemoScan(ScanId("000123", "30"), Layout.NAKO, seed=21),
    DemoScan(ScanId("000123", "60"), Layout.NAKO, seed=21, session_number=1),
    DemoScan(ScanId("010452", "30"), Layout.NAKO, seed=22),
    DemoScan(ScanId("100617", "30"), Layout.NAKO, seed=23),
    DemoScan(ScanId("101884", "30"), Layout.NAKO, seed=24),
    DemoScan(ScanId("102735", "30"), Layout.NAKO, seed=25),
    DemoScan(ScanId("103996", "30"), Layout.NAKO, seed=26, breakage=Breakage.PIXELS),
    DemoScan(ScanId("104128", "60"), Layout.NAKO, seed=27, breakage=Breakage.CONTRAST),
)
"""The scans of the demo. Two participants have two sessions; two scans of each cohort are broken, each in its way."""

UNEVEN_SCANS = (
    *(DemoScan(ScanId(f"20000{seed}", "2"), Layout.UKB, seed, uneven=True) for seed in range(31, 37)),
    *(DemoScan(ScanId(f"2000{seed}", "30"), Layout.NAKO, seed, uneven=True) for seed in range(41, 47)),
)
"""A second cohort, of bodies whose liver, pancreas and muscles are not even inside, so that estimators of the fat
fraction can differ."""


def further_scans(participants: int) -> tuple[DemoScan, ...]:
    """Whole scans of participants that neither the demo nor training knows, UK Biobank and NAKO in turn."""
    layouts = ((Layout.UKB, "40{:05d}", "2"), (Layout.NAKO, "2{:05d}", "30"))
    return tuple(
        DemoScan(ScanId(name.format(number), session), layout, _FIRST_FURTHER_SEED + number)
        for number in range(participants)
        for layout, name, session in (layouts[number % 2],)
    )


def participant_in_session(seed: int, session_number: int) -> Participant:
    """Draw a participant; in later sessions it is the same person, repositioned on the table."""
    participant = draw_participant(seed)
    if session_number == 0:
        return participant
    moved = np.random.default_rng([seed, session_number, 3]).normal(participant.table_offset_mm, _REPOSITIONING_SD_MM)
    return dataclasses.replace(participant, table_offset_mm=tuple(moved.tolist()))
