"""Tables and pictures of a run that never was, for tests of the report."""

import numpy as np
import pandas as pd

from dixonflow.aggregate.graded_tables import Checked, value_counts, with_grades
from dixonflow.measure.compartments.compartment import compartments_of
from dixonflow.measure.structures import structures_of
from dixonflow.models.load import MODELS, load_model
from dixonflow.ratings.effects import GoodRatings
from dixonflow.report.contact_sheet import contact_sheet, sheet_name
from dixonflow.tables.definitions import DICTIONARY, QUALITY, SCANS, TIMINGS
from dixonflow.tables.dictionary import datapackage, dictionary_rows
from dixonflow.tables.grading import objections_of
from dixonflow.tables.measurements import MEASUREMENTS
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.tables.schema import to_arrow
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.tables.wide import wide_tables, widen
from dixonflow.vocabulary import Contrast, Reason, ScanId, Stage, Status

MODEL = load_model(MODELS / "demo.yaml")
LOW_AGREEMENT = {"kidney_left": {5, 7}, "liver": {7}, "spleen": set()}
"""Structures, and the places of the scans whose contrasts disagree about them."""
BROKEN = [
    (Status.EXCLUDED, Reason.UNREADABLE_FILE, Stage.COHORT, "central directory of the zip is missing"),
    (Status.EXCLUDED, Reason.MISSING_STATION, Stage.COHORT, "5 stations, the protocol has 6"),
    (Status.FAILED, Reason.OUT_OF_MEMORY, Stage.SEGMENT, "12 GB asked for <script>alert(1)</script>"),
    (Status.WITHDRAWN, Reason.CONSENT_WITHDRAWN, Stage.COHORT, "on the list"),
]


def scan_row(participant, status=Status.OK, reason=Reason.NONE, last=Stage.MEASURE, message=""):
    stages = {}
    for stage in Stage:
        ended = list(Stage).index(stage) >= list(Stage).index(last)
        stages[f"{stage.value}_status"] = status.value if ended else "ok"
        stages[f"{stage.value}_reason"] = reason.value if ended else "none"
    return {
        "participant_id": participant,
        "session_id": "2",
        "sequence": "dixon",
        "layout": "ukb",
        "source": f"{participant}_20201_2_0.zip",
        "raw_key": f"key of {participant}",
        "note": "only three contrasts" if participant == "1000004" else "",
        "shard": "a1",
        "n_stations": 6,
        "n_slices": 1424,
        "n_files": 1,
        "n_files_superseded": 0,
        "n_files_repeated": 0,
        "status": status.value,
        "reason": reason.value,
        "message": message,
        "last_stage": last.value,
        "content_key": "k",
        "scan_grade": "pass" if status is Status.OK else None,
        "scan_grade_decided_by": None,
        "values_failed": 0 if status is Status.OK else None,
        "values_to_review": 0 if status is Status.OK else None,
        **stages,
    }


def measured(participants, rng):
    """All measurement rows of some scans; the pancreas of the first is missing, that of the second is cut."""
    body = rng.lognormal(0, 0.2, len(participants))
    rows = []
    for number_, participant in enumerate(participants):
        for place, structure in enumerate([*structures_of(MODEL), *compartments_of(MODEL)]):
            volume = 40 * (1 + place % 17) ** 1.4 * body[number_] * rng.lognormal(0, 0.1)
            for measure in structure.measures:
                missing = number_ == 0 and structure.name == "pancreas" and measure.name == "volume"
                cut = number_ == 1 and structure.name == "pancreas"
                value = {
                    "mL": volume,
                    "cm2": volume,
                    "1": 0.05 + 0.1 * rng.random(),
                    "": 200.0,
                    "mm": 100.0,
                    "ratio": 1.2,
                }[measure.unit]
                if measure.name in ("coverage_fraction", "uncut_slices"):
                    value = 0.8 if cut else 1.0
                rows.append(
                    {
                        "participant_id": participant,
                        "session_id": "2",
                        "sequence": "dixon",
                        "structure": structure.name,
                        "measure": measure.name,
                        "value": np.nan if missing else value,
                        "unit": measure.unit,
                        "definition": measure.key,
                        "grade": None if missing else "review" if cut else "pass",
                        "missing_reason": "not_found" if missing else None,
                        "model": "demo",
                        "decided_by": "cut_by_field_of_view" if cut and not missing else None,
                        "value_before_grade": np.nan,
                    }
                )
    columns = list(MEASUREMENTS.names)
    return pd.DataFrame(rows, columns=columns).astype(
        {"value": float, "missing_reason": object, "grade": object, "decided_by": object, "value_before_grade": float}
    )


def write_tables(folder, ok=12, broken=tuple(BROKEN), further=()):
    """Tables of a small cohort: participants 1000000 and up are ok, 2000000 and up are not.

    Models named in `further` found the same as the demo's.
    """
    rng = np.random.default_rng(0)
    participants = [f"{1000000 + n}" for n in range(ok)]
    rows = [scan_row(p) for p in participants]
    rows += [scan_row(f"{2000000 + n}", *parts) for n, parts in enumerate(broken)]
    times = [
        (row["participant_id"], "2", "dixon", stage.value, rng.gamma(4, 1.0 + place), 900.0 + place, 0.0, 1)
        for row in rows
        for place, stage in enumerate(Stage)
        if row[f"{stage.value}_status"] == "ok"
    ]
    write_table(folder / "timings.parquet", TIMINGS, pd.DataFrame(times, columns=list(TIMINGS.names)))
    checks = [
        (p, "2", "dixon", check, structure, "demo", float(value), threshold, grade, "")
        for n, p in enumerate(participants)
        for check, structure, value, threshold, grade in (
            ("kidney_sides", "", rng.normal(1, 0.05), 1.5, "review" if n == 3 else "pass"),
            ("signal_to_noise", "", rng.random() / 10, 0.5, "fail" if n == 5 else "pass"),
            *(
                (
                    "contrast_agreement",
                    name,
                    0.2 if n in low else 0.9,
                    0.5 + place / 100,
                    "review" if n in low else "pass",
                )
                for place, (name, low) in enumerate(LOW_AGREEMENT.items())
            ),
        )
    ]
    quality = pd.DataFrame(checks, columns=list(QUALITY.names)).astype({"value": float, "threshold": float})
    models = [MODEL, *(MODEL.model_copy(update={"name": name}) for name in further)]
    write_table(folder / "quality.parquet", QUALITY, _for_each(quality, models))
    objections = objections_of(to_arrow(_for_each(quality, models), QUALITY))
    scan_rows = pd.DataFrame(rows, columns=list(SCANS.names))
    checked = Checked(objections, pd.DataFrame(columns=[*SCAN_KEYS, "repair"]), GoodRatings())
    write_table(folder / "measurements.parquet", MEASUREMENTS, _for_each(measured(participants, rng), models))
    long = read_table(folder / "measurements.parquet", MEASUREMENTS)
    write_table(folder / "scans.parquet", SCANS, with_grades(scan_rows, checked, value_counts(long)))
    wide = wide_tables(models)
    for each in wide:
        write_table(folder / f"{each.table.name}.parquet", each.table, widen(long, each))
    tables = (SCANS, TIMINGS, MEASUREMENTS, *(each.table for each in wide), QUALITY, DICTIONARY)
    write_table(folder / "dictionary.parquet", DICTIONARY, dictionary_rows(tables))
    assert datapackage(tables)
    return [ScanId(p, "2") for p in participants]


def _for_each(rows, models):
    return pd.concat([rows.assign(model=model.name) for model in models], ignore_index=True)


def draw_sheets(folder, scans):
    folder.mkdir(parents=True)
    image = np.arange(8 * 6 * 20, dtype=np.int16).reshape(8, 6, 20)
    png = contact_sheet({Contrast.WATER: image}, (image % 7).astype(np.uint8), np.diag([8.0, 8, 12, 1]))
    for scan in scans:
        (folder / sheet_name(scan, f"key of {scan.participant}")).write_bytes(png)
