"""What was found when the raw data was read reaches the table `quality`."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from synthetic_run import MODEL, write_run

from dixonflow.aggregate.build import aggregate
from dixonflow.cohort.table import read_scans, write_scans
from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.rawdata.repeated_stations import chosen_in_words
from dixonflow.tables.definitions import SHARD_QUALITY
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.tables.raw_checks import raw_values
from dixonflow.vocabulary import ScanSequence


def test_stations_acquired_again_are_counted(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    readings = {"0001": "; ".join(["padding", *chosen_in_words({2: (1, 2), 6: (3, 3)})]), "0003": "padding"}
    cohort = [
        replace(row, reading=readings.get(row.scan.participant, "")) if row.scan else row
        for row in read_scans(run.results.scans)
    ]
    write_scans(run.results.scans, cohort)
    aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    quality = run.table("quality")
    rows = quality[quality["check"].eq("repeated_stations")].set_index("participant_id")
    ok = run.table("scans").query("status == 'ok'")["participant_id"]
    assert sorted(rows.index) == sorted(ok)
    assert rows.loc["0001", ["value", "structure", "model"]].tolist() == [2, "", "demo"]
    assert rows["threshold"].isna().all()
    assert set(rows.loc[rows.index != "0001", "value"]) == {0}
    assert set(rows["grade"]) == {"pass"}


def cohort_of(sizes: Mapping[str, list[list[float]] | None], layouts: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Rows of the list of scans, with the voxel sizes of their stations."""
    rows = []
    for name, stations in sizes.items():
        acquisitions = "" if stations is None else json.dumps([{"spacing_mm": size} for size in stations])
        layout = (layouts or {}).get(name, "ukb")
        rows.append((name, "2", "dixon", layout, "", acquisitions))
    names = ["participant_id", "session_id", "sequence", "layout", "reading", "acquisitions"]
    return pd.DataFrame(rows, columns=names)


def test_a_scan_with_other_voxels_than_all_others_is_for_review() -> None:
    usual = [[2.232, 2.232, 3.0], [2.232, 2.232, 4.5]]
    sizes: dict[str, list[list[float]] | None] = dict.fromkeys([f"{n:02d}" for n in range(12)], usual)
    sizes["no size"] = [[0.0, -2.232, 3.0], [2.232, 2.232, 4.5]]  # a header's, of a scan that is excluded
    sizes |= {"wide": [[2.3, 2.3, 3.0], [2.232, 2.232, 4.5]], "rounded": [[2.2322, 2.2319, 3.0], [2.232, 2.232, 4.5]]}
    shares = raw_values(cohort_of(sizes | {"unread": None}))["usual_voxel_size"].droplevel(["session_id", "sequence"])
    assert shares["wide"] == 0
    assert shares["00"] == shares["rounded"] == pytest.approx(12 / 14)
    assert pd.isna(shares["unread"])
    check = CHECKS["usual_voxel_size"]
    assert [check.grade(shares[name]).value for name in ("wide", "00")] == ["review", "pass"]
    # two protocols of one cohort are no error, and of few scans nothing is usual
    both = dict.fromkeys([f"{n:02d}" for n in range(12)], usual) | dict.fromkeys([f"n{n}" for n in range(8)], usual[1:])
    assert raw_values(cohort_of(both))["usual_voxel_size"].min() > 0.3
    few = raw_values(cohort_of(dict.fromkeys([f"{n}" for n in range(10)], usual)))
    assert few["usual_voxel_size"].isna().all()
    elsewhere = raw_values(cohort_of(sizes, {"wide": "nako"}))["usual_voxel_size"]
    assert elsewhere.xs("wide").isna().all()


def test_a_repair_is_a_note_of_its_scan(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    path = run.results.quality("aaa")
    rows = read_table(path, SHARD_QUALITY).to_pandas()
    repaired = rows["check"].eq("swaps_repaired") & rows["participant_id"].eq("0001")
    rows.loc[repaired, ["value", "place"]] = [2.0, "station 2 and the left half of station 5"]
    write_table(path, SHARD_QUALITY, rows)
    aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    assert run.scan("0001")["note"] == "water and fat of station 2 and the left half of station 5 were swapped back"
    assert run.scan("0003")["note"] == ""
    assert run.scan("0001")["scan_grade"] == run.scan("0003")["scan_grade"]
