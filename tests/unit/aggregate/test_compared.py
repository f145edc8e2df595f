"""Agreement with another program's label maps in the tables: the check, the grades, and what does not count."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from synthetic_run import MODEL, Run, write_run

from dixonflow.aggregate.build import aggregate
from dixonflow.comparators.agreement_table import AGREEMENT, Presence
from dixonflow.execution.outcome import Outcome
from dixonflow.execution.records import Record, Records
from dixonflow.tables.grading import Grading, objections_of
from dixonflow.tables.parquet import write_table
from dixonflow.vocabulary import Reason, ScanId, ScanSequence, Stage, Status

MODELS_OF_RUN = {ScanSequence.DIXON: (MODEL,)}
OK = {ScanId("0001", "2"): "aaa", ScanId("0003", "2"): "aaa", ScanId("0002", "2"): "bbb", ScanId("0000", "2"): "ccc"}


@pytest.fixture
def run(tmp_path) -> Run:
    made = write_run(tmp_path / "results")
    for scan, shard in OK.items():
        outcome = Outcome(scan, Stage.POSTPROCESS, Status.OK, Reason.NONE, "", 1.0, 300.0, 0.0, 1, "0a")
        Records(made.results.records(Stage.POSTPROCESS, shard, MODEL.name)).finish(Record(outcome))
    return made


def write_agreement(run: Run, name: str, dice: dict[tuple[str, str], float], key: str = "0a") -> None:
    """Write a comparator: ten further participants set the threshold of muscle at 0.95 - 2 x 0.01054."""
    spread = {(f"9{number:03d}", "muscle"): 0.94 if number % 2 else 0.96 for number in range(10)}
    rows = []
    for (participant, structure), value in (spread | dice).items():
        row = dict.fromkeys(AGREEMENT.names) | {
            **{"participant_id": participant, "session_id": "2", "sequence": "dixon", "structure": structure},
            **{"model": MODEL.name, "dice": value, "run_ml": 9.0, "comparator_ml": 9.0, "outside_fraction": 0.0},
            **{"presence": Presence.BOTH if value else Presence.COMPARATOR_ONLY, "resampled": False},
            **{"label_map_key": key, "files_key": "f", "problem": ""},
        }
        rows.append(row)
    write_table(run.results.comparators / name / "agreement.parquet", AGREEMENT, pd.DataFrame(rows))


def tables(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    aggregate(run.results, MODELS_OF_RUN, 3)
    quality = run.table("quality").query("check == 'comparator_agreement'")
    return quality.set_index(["participant_id", "structure"]), run.table("measurements")


def test_values_below_the_threshold_ask_for_a_review(run):
    spread = 2 * np.std([0.94, 0.96] * 5 + [0.9, 0.955], ddof=1)
    mean = np.mean([0.94, 0.96] * 5 + [0.9, 0.955])
    write_agreement(run, "kart", {("0001", "muscle"): 0.9, ("0002", "muscle"): 0.955, ("0003", "spleen"): 0.0})
    quality, _ = tables(run)
    assert quality.at[("0001", "muscle"), "threshold"] == pytest.approx(mean - spread)
    assert quality["grade"].to_dict() == {
        ("0001", "muscle"): "review",
        ("0002", "muscle"): "pass",
        ("0003", "spleen"): "review",  # the other program alone has it; too few scans for a threshold
    }
    assert set(quality["place"]) == {"kart"}
    # by itself, since other checks object to these random images, too
    own = pq.read_table(run.results.tables / "quality.parquet", filters=pc.field("check") == "comparator_agreement")
    shard = pq.read_table(run.results.measurements("aaa")).append_column(
        "sequence", pa.array(["dixon"] * pq.read_metadata(run.results.measurements("aaa")).num_rows)
    )
    graded = Grading(objections_of(own), MODELS_OF_RUN).graded(shard).to_pandas()
    decided = graded[graded["decided_by"].eq("comparator_agreement")]
    assert set(decided["grade"]) == {"review"}
    assert {"muscle", "total_muscle"} <= set(decided.query("participant_id == '0001'")["structure"])
    assert "liver" not in set(decided["structure"])
    assert "comparator_agreement" in run.scan("0001")["scan_grade_decided_by"]
    assert "comparator_agreement" not in (run.scan("0002")["scan_grade_decided_by"] or "")


def test_of_several_programs_the_worst_counts(run):
    write_agreement(run, "kart", {("0001", "muscle"): 0.955})
    write_agreement(run, "other", {("0001", "muscle"): 0.5})
    quality, _ = tables(run)
    row = quality.loc[("0001", "muscle")]
    assert (row["value"], row["place"], row["grade"]) == (0.5, "other", "review")


def test_what_was_compared_with_an_earlier_label_map_counts_for_nothing(run):
    write_agreement(run, "kart", {("0001", "muscle"): 0.1}, key="0b")
    quality, measurements = tables(run)
    assert quality.empty
    assert not measurements["decided_by"].eq("comparator_agreement").any()


def test_without_comparators_nothing_changes(run):
    aggregate(run.results, MODELS_OF_RUN, 3)
    before = run.bytes()
    write_agreement(run, "kart", {("0001", "muscle"): 0.1})
    aggregate(run.results, MODELS_OF_RUN, 3)
    assert run.bytes()["quality.parquet"] != before["quality.parquet"]
    (run.results.comparators / "kart" / "agreement.parquet").unlink()
    aggregate(run.results, MODELS_OF_RUN, 3)
    assert run.bytes() == before
