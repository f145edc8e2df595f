"""What was found when the raw data was read reaches the table `quality`."""

from dataclasses import replace
from pathlib import Path

from synthetic_run import MODEL, write_run

from dixonflow.aggregate.build import aggregate
from dixonflow.cohort.table import read_scans, write_scans
from dixonflow.rawdata.repeated_stations import chosen_in_words
from dixonflow.vocabulary import ScanSequence


def test_stations_acquired_again_are_counted_and_ask_for_a_review(tmp_path: Path) -> None:
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
    assert rows.loc["0001", ["value", "threshold", "grade", "structure", "model"]].tolist() == [
        2,
        0,
        "review",
        "",
        "demo",
    ]
    assert set(rows.loc[rows.index != "0001", "value"]) == {0}
    assert set(rows.loc[rows.index != "0001", "grade"]) == {"pass"}
