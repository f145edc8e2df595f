"""How surely swapped water and fat are found and repaired: phantom scans with planted swaps, by body size and noise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal

import numpy as np
import pandas as pd

from dixonflow.errors import ScanExcluded
from dixonflow.imaging.station import Station
from dixonflow.phantom.anatomy.participant import Participant, draw_participant
from dixonflow.phantom.anatomy.render import render_anatomy
from dixonflow.phantom.demo_cohort import DemoOptions
from dixonflow.phantom.scanner.acquisition import ScannerOptions, acquire
from dixonflow.stitch.report import StitchedImages
from dixonflow.stitch.scan import stitch
from dixonflow.stitch.swap_evidence import swap_evidence
from dixonflow.stitch.swaps import Swap, half_sign, swapped_back
from dixonflow.vocabulary import Layout

FIRST_SEED = 400000
"""Participants of this evaluation; neither the demonstration nor training draws them."""

NOISE_SD = (4.0, 40.0)
"""Range of the scanner's noise (`ScannerOptions.noise_sd`, 9 in the demo), drawn evenly on the logarithm."""

LEAN_FAT = 0.3
"""Subcutaneous fat of the very lean relative to what the phantom draws, whose thinnest is 9 mm."""


@dataclass(frozen=True)
class BodySize:
    """Participants of one class of body mass index (kg/m2)."""

    name: str
    low: float
    high: float
    fat: float = 1.0


BODY_SIZES = (
    BodySize("very lean (under 20, fat of 3 mm)", 18, 20, LEAN_FAT),
    BodySize("20 to 25", 20, 25),
    BodySize("25 to 30", 25, 30),
    BodySize("30 to 35", 30, 35),
    BodySize("35 and more", 35, 45.1),
)

Planted = Literal["none", "station", "half", "scan"]
PLANTED: tuple[Planted, ...] = ("none", "station", "half", "scan")


def participant_of(number: int) -> tuple[Participant, BodySize, Layout, float]:
    """Who is scanned in scan `number`, from 0: the sizes take turns, and the layouts; and the noise."""
    size = BODY_SIZES[number % len(BODY_SIZES)]
    seeds = count(FIRST_SEED + 1000 * number)
    drawn = next(each for each in map(draw_participant, seeds) if size.low <= each.bmi < size.high)
    participant = replace(drawn, subcutaneous_mm=drawn.subcutaneous_mm * size.fat)
    low, high = np.log(NOISE_SD)
    noise = float(np.exp(np.random.default_rng([number, 282]).uniform(low, high)))
    return participant, size, (Layout.UKB, Layout.NAKO)[number // len(BODY_SIZES) % 2], noise


def evaluate_scan(number: int, options: DemoOptions | None = None) -> list[dict[str, Any]]:
    """Plant one swap of each kind in a scan, and stitch it.

    Returns
    -------
    One record per kind in `PLANTED`: who was scanned, the number of stations (`stations`), how many of them are named
    rightly after stitching (`right`), those of the others that were rightly named before (`made_wrong`), whether the
    scan was excluded, the margin, and the voxels in which the images differ from those of the scan without a swap.
    """
    participant, size, layout, noise = participant_of(number)
    options = options or DemoOptions()
    anatomy = render_anatomy(participant, options.fine_spacing_mm)
    scanner = ScannerOptions(noise_sd=noise)
    stations = acquire(participant, anatomy, options.protocol(layout), scanner)
    untouched: StitchedImages | None = None
    records = []
    for kind in PLANTED:
        planted = plant(kind, stations, np.random.default_rng([number, 283]))
        record: dict[str, Any] = {
            "scan": number,
            "layout": layout.value,
            "size": size.name,
            "bmi": round(participant.bmi, 1),
            "noise_sd": round(noise, 1),
            "planted": kind,
            "stations": len(stations),
        }
        try:
            stitched = stitch([swapped_back(station, planted) for station in stations])
        except ScanExcluded:
            records.append(record | {"right": 0, "made_wrong": 0, "excluded": True, "margin": None, "differing": None})
            continue
        wrong = [station.index for station in stations if not _settled(station.index, planted, stitched.report.swaps)]
        clean = [index for index in wrong if not any(swap.station == index for swap in planted)]
        differing = None
        if untouched is not None:
            pairs = ((stitched.images[each], image) for each, image in untouched.images.items())
            differing = int(sum(np.count_nonzero(one != other) for one, other in pairs))
        else:
            untouched = stitched
        right = len(stations) - len(wrong)
        outcome = {"right": right, "made_wrong": len(clean), "excluded": False, "margin": stitched.report.swap_margin}
        records.append(record | outcome | {"differing": differing})
    return records


def plant(kind: Planted, stations: Sequence[Station], rng: np.random.Generator) -> tuple[Swap, ...]:
    """Draw what is swapped: a station, a half of one, or all stations."""
    which = stations[int(rng.integers(len(stations)))]
    side: Literal["left", "right"] = "left" if rng.random() < 0.5 else "right"
    match kind:
        case "none":
            return ()
        case "station":
            return (Swap(which.index, "whole", 0.0),)
        case "half":
            return (Swap(which.index, side, swap_evidence(which.images, which).split_mm),)
        case "scan":
            return tuple(Swap(station.index, "whole", 0.0) for station in stations)


def _settled(station: int, planted: Sequence[Swap], undone: Sequence[Swap]) -> bool:
    return all(half_sign(planted, station, side) == half_sign(undone, station, side) for side in (0, 1))


def swap_rates(records: pd.DataFrame) -> pd.DataFrame:
    """Sensitivity and specificity by body size and over all.

    Parameters
    ----------
    records
        As `evaluate_scan` gives them, of any number of scans.

    Returns
    -------
    DataFrame
        One row per size, and one for all: `scans`, `stations`; the share of planted swaps of each kind after which
        every station is named rightly; the share of rightly named stations that stay so (`specificity`), an excluded
        scan counting as none; and the smallest margin.
    """
    rows = []
    for name in [*dict.fromkeys(records["size"]), "all"]:
        own = records if name == "all" else records[records["size"].eq(name)]
        row: dict[str, Any] = {"size": name, "scans": own["scan"].nunique()}
        clean = own[own["planted"].eq("none")]
        row["stations"] = int(clean["stations"].sum())
        for kind in PLANTED[1:]:
            of_kind = own[own["planted"].eq(kind)]
            row[kind] = float(of_kind["right"].eq(of_kind["stations"]).mean())
        touched = own["planted"].map({"none": 0, "station": 1, "half": 1}).fillna(own["stations"])
        named_rightly = own["stations"] - touched
        lost = own["made_wrong"].where(~own["excluded"].astype(bool), named_rightly)
        row["specificity"] = 1 - float(lost.sum()) / float(named_rightly.sum())
        row["smallest_margin"] = float(own["margin"].min())
        rows.append(row)
    return pd.DataFrame(rows)
