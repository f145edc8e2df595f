"""Label maps of another program for the scans of a run: what is compared, listed and counted, by the command."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import typer
from synthetic_tables import scan_row
from typer.testing import CliRunner

from dixonflow.cli.networks.compare import compare_command
from dixonflow.comparators.agreement_table import AGREEMENT
from dixonflow.config import Config
from dixonflow.config.cohort import CohortConfig, SourceConfig
from dixonflow.execution.outcome import Outcome
from dixonflow.execution.records import Record, Records
from dixonflow.imaging.nifti import write_labels
from dixonflow.paths import Results
from dixonflow.ratings.rating import Rating, time_now
from dixonflow.ratings.store import RatingStore
from dixonflow.system.atomic import write_json
from dixonflow.tables.definitions import SCANS
from dixonflow.tables.parquet import write_table
from dixonflow.vocabulary import Cause, Layout, Reason, ScanId, Stage, Status, Verdict

AFFINE = np.array([[2.0, 0, 0, -20], [0, 2.0, 0, -20], [0, 0, 3.0, 100], [0, 0, 0, 1]])
SHAPE = (20, 20, 20)
SCANS_OF_RUN = [ScanId(f"{2000 + number}", "2") for number in range(12)]
# demo: 1 spleen, 2 kidney_right, 3 kidney_left, 5 liver; kartukbb: 1 liver, 2 spleen, 3 kidney_left, 4 kidney_right
KART = {"liver": 1, "spleen": 2, "kidney_left": 3, "kidney_right": 4}
DEMO = {"liver": 5, "spleen": 1, "kidney_left": 3, "kidney_right": 2}
BOXES = {
    "liver": np.s_[10:18, 4:14, 10:18],
    "spleen": np.s_[2:6, 4:8, 10:16],
    "kidney_left": np.s_[2:6, 10:14, 2:8],
    "kidney_right": np.s_[12:16, 10:14, 2:8],
}


def labels_of(numbers: Mapping[str, int], cut: int = 0, without: str = "") -> np.ndarray:
    """Boxes of four organs; the liver without its `cut` lowest slices."""
    labels = np.zeros(SHAPE, np.uint8)
    for name, box in BOXES.items():
        if name != without:
            labels[box] = numbers[name]
    labels[..., 10 : 10 + cut][labels[..., 10 : 10 + cut] == numbers["liver"]] = 0
    return labels


class ComparedRun:
    """A finished run of twelve scans, and another program's label maps of them."""

    def __init__(self, root: Path) -> None:
        self.results = Results(root / "results")
        self.folder = root / "kart"
        source = SourceConfig(layout=Layout.UKB, folder=root / "raw")
        config = Config(results=self.results.root, cohort=CohortConfig(sources=(source,)))
        write_json(self.results.config, json.loads(config.model_dump_json()))
        write_table(self.results.scan_table, SCANS, pd.DataFrame([scan_row(scan.participant) for scan in SCANS_OF_RUN]))
        for number, scan in enumerate(SCANS_OF_RUN):
            self.write(scan)
            # one voxel layer more or less of the liver in every second scan: a spread of Dice
            self.write_foreign(scan, labels_of(KART, cut=number % 2))

    def write(
        self, scan: ScanId, labels: np.ndarray | None = None, key: str = "0a", stands_for: tuple[str, ...] = ()
    ) -> None:
        write_labels(self.results.labels(scan, "demo"), labels_of(DEMO) if labels is None else labels, AFFINE)
        outcome = Outcome(scan, Stage.POSTPROCESS, Status.OK, Reason.NONE, "", 1.0, 300.0, 0.0, 1, key)
        path = self.results.records(Stage.POSTPROCESS, "a1", "demo")
        Records(path).finish(Record(outcome, stands_for=stands_for))

    def write_foreign(self, scan: ScanId, labels: np.ndarray, affine: np.ndarray = AFFINE) -> None:
        write_labels(self.folder / f"{scan.name}_dseg.nii.gz", labels, affine)

    def compare(self, *options: str, mapping: str = "kartukbb") -> str:
        app = typer.Typer()
        app.command()(compare_command)
        arguments = ["kart", str(self.folder), "--mapping", mapping, "--config", str(self.results.config), "--jobs=1"]
        answer = CliRunner().invoke(app, [*arguments, *options])
        assert answer.exit_code == 0, answer.output
        return answer.output

    def agreement(self) -> pd.DataFrame:
        return pq.read_table(self.results.comparators / "kart" / "agreement.parquet").to_pandas()

    def csv(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.results.comparators / "kart" / f"{name}.csv", dtype={"participant_id": str})


@pytest.fixture
def run(tmp_path: Path) -> ComparedRun:
    return ComparedRun(tmp_path)


def test_agreement_per_structure_and_scan(run):
    assert "12 of 12 scans compared, 6 structures" in run.compare()
    found = run.agreement().set_index(["participant_id", "structure"])
    assert len(found) == 12 * 6  # both name five organs, and the kidneys together
    voxel_ml = 2 * 2 * 3 / 1000
    whole, cut = 8 * 10 * 8, 8 * 10 * 7
    assert found.at[("2000", "liver"), "dice"] == 1
    assert found.at[("2001", "liver"), "dice"] == pytest.approx(2 * cut / (whole + cut))
    assert found.at[("2001", "liver"), "comparator_ml"] == pytest.approx(cut * voxel_ml)
    assert found.at[("2001", "liver"), "run_ml"] == pytest.approx(whole * voxel_ml)
    assert (found.xs("kidney_left", level="structure")["dice"] == 1).all()


def test_the_sides_of_kidneys_are_those_of_the_cohort(run):
    run.compare(mapping="kartgnc")  # numbers of the left and the right kidney are swapped there
    found = run.agreement().set_index(["participant_id", "structure"])
    assert found.at[("2000", "kidney_left"), "dice"] == 0
    assert found.at[("2000", "kidneys"), "dice"] == 1


def test_scans_two_deviations_below_the_mean_are_listed_and_what_one_side_lacks(run):
    run.write_foreign(SCANS_OF_RUN[3], labels_of(KART, cut=6))
    run.write_foreign(SCANS_OF_RUN[4], labels_of(KART, without="spleen"))
    run.compare()
    summary = run.csv("summary").set_index("structure")
    dice = run.agreement().query("structure == 'liver'")["dice"]
    assert summary.at["liver", "threshold"] == pytest.approx(dice.mean() - 2 * dice.std(ddof=1))
    assert summary.at["spleen", "n_run_only"] == 1
    listed = run.csv("disagreements")
    assert set(zip(listed["participant_id"], listed["structure"], strict=True)) == {
        ("2003", "liver"),
        ("2004", "spleen"),
    }
    assert listed["dice"].iloc[0] == 0  # the largest disagreement first


def test_what_lies_outside_the_field_of_view_of_the_other_program_is_no_disagreement(run):
    lower = AFFINE.copy()
    run.write_foreign(SCANS_OF_RUN[0], labels_of(KART)[:, :, :14], lower)  # ends within liver and spleen
    run.compare()
    found = run.agreement().set_index(["participant_id", "structure"])
    assert found.at[("2000", "liver"), "dice"] == 1
    assert found.at[("2000", "liver"), "outside_fraction"] > 0
    assert found.at[("2000", "liver"), "run_ml"] == pytest.approx(8 * 10 * 4 * 0.012)


def test_the_rate_of_faulty_ones_after_rating(run):
    run.write_foreign(SCANS_OF_RUN[3], labels_of(KART, cut=6))
    run.compare()
    store = RatingStore(run.results.ratings, "anna")

    def rate(number: int, verdict: Verdict, structure: str | None, key: str = "0a") -> None:
        cause = Cause.NETWORK if verdict is Verdict.FAULTY else None
        store.add(Rating(SCANS_OF_RUN[number], "demo", structure, verdict, cause, "anna", time_now(), key))

    rate(3, Verdict.FAULTY, "liver")
    rate(1, Verdict.GOOD, None)  # the label map as a whole
    rate(2, Verdict.USABLE, "liver")
    rate(5, Verdict.FAULTY, "liver", key="0b")  # of an earlier label map
    rate(6, Verdict.FAULTY, "spleen")
    before = run.agreement()
    run.compare()
    pd.testing.assert_frame_equal(run.agreement(), before)
    liver = run.csv("summary").set_index("structure").loc["liver"]
    assert (liver["n_mined"], liver["n_rated_mined"], liver["n_faulty_mined"]) == (1, 1, 1)
    assert (liver["n_others"], liver["n_rated_others"], liver["n_faulty_others"]) == (11, 2, 0)
    assert liver["faulty_low_mined"] == pytest.approx(0.2065, abs=1e-3)  # Wilson, 1 of 1
    spleen = run.csv("summary").set_index("structure").loc["spleen"]
    assert (spleen["n_rated_others"], spleen["n_faulty_others"]) == (2, 1)


def test_a_later_word_on_an_equal_label_map_of_another_run_replaces_the_first(run):
    run.compare()
    store = RatingStore(run.results.ratings, "anna")
    store.add(Rating(SCANS_OF_RUN[2], "demo", "liver", Verdict.FAULTY, Cause.NETWORK, "anna", time_now(), "0a"))
    run.write(SCANS_OF_RUN[2], key="0d", stands_for=("0a",))  # computed again, and the same
    store.add(Rating(SCANS_OF_RUN[2], "demo", "liver", Verdict.GOOD, None, "anna", time_now(), "0d"))
    before = run.agreement()
    run.compare()
    pd.testing.assert_frame_equal(run.agreement(), before)  # nothing was compared again
    liver = run.csv("summary").set_index("structure").loc["liver"]
    assert (liver["n_rated_others"], liver["n_faulty_others"]) == (1, 0)
    assert (liver["n_mined"], liver["n_rated_mined"]) == (0, 0)
    assert np.isnan(liver["faulty_share_mined"])


def test_scans_without_a_label_map_of_the_model_are_counted(run):
    run.results.labels(SCANS_OF_RUN[4], "demo").unlink()
    output = run.compare()
    assert "11 of 11 scans compared" in output
    assert "1 scans of the run have no label map of this model" in output


def test_only_what_changed_is_compared_again(run, monkeypatch):
    run.compare()
    compared = []
    from dixonflow.comparators import comparison

    original = comparison.agreement_rows
    monkeypatch.setattr(comparison, "agreement_rows", lambda task: compared.append(task.scan) or original(task))
    run.compare()
    assert compared == []
    run.write(SCANS_OF_RUN[7], labels_of(DEMO, cut=2), key="0c")  # the run has another label map
    run.write_foreign(SCANS_OF_RUN[8], labels_of(KART, cut=3))
    run.compare()
    assert sorted(compared) == [SCANS_OF_RUN[7], SCANS_OF_RUN[8]]
    found = run.agreement().set_index(["participant_id", "structure"])
    assert found.at[("2007", "liver"), "label_map_key"] == "0c"
    compared.clear()
    run.compare(mapping="kartgnc")  # the same files mean something else
    assert len(compared) == 12


def test_no_scan_is_lost_and_a_wrong_file_costs_one_scan(run):
    path = run.folder / f"{SCANS_OF_RUN[0].name}_dseg.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    (run.folder / f"{SCANS_OF_RUN[1].name}_dseg.nii.gz").unlink()
    run.write_foreign(SCANS_OF_RUN[2], np.full(SHAPE, 77, np.uint8))
    far = AFFINE.copy()
    far[2, 3] = 5000
    run.write_foreign(SCANS_OF_RUN[5], labels_of(KART), far)
    run.write_foreign(ScanId("9999", "2"), labels_of(KART))
    output = run.compare()
    assert "8 of 12 scans compared" in output
    assert "1 label maps of the comparator are of no scan of the run that is ok" in output
    problems = run.agreement().query("problem != ''").set_index("participant_id")["problem"]
    assert list(problems.index) == ["2000", "2001", "2002", "2005"]
    assert "no prediction" in problems["2001"]
    assert "77" in problems["2002"]
    assert "do not overlap" in problems["2005"]
    assert not any(scan.participant in output for scan in SCANS_OF_RUN)


@pytest.mark.parametrize(
    ("name", "message"),
    [("Kart", "lower-case letters and digits"), ("../x", "lower-case letters and digits")],
)
def test_wrong_names_are_refused(run, name, message):
    app = typer.Typer()
    app.command()(compare_command)
    arguments = [name, str(run.folder), "--mapping", "kartukbb", "--config", str(run.results.config)]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code != 0
    assert message in str(answer.exception) + answer.output


def test_files_of_other_scans_alone_are_an_error(run):
    for path in run.folder.iterdir():
        path.unlink()
    run.write_foreign(ScanId("9999", "2"), labels_of(KART))
    app = typer.Typer()
    app.command()(compare_command)
    arguments = ["kart", str(run.folder), "--mapping", "kartukbb", "--config", str(run.results.config)]
    answer = CliRunner().invoke(app, arguments)
    assert "has no label map of any scan of the run" in str(answer.exception) + answer.output


def test_swapped_sides_are_listed_and_named_though_all_scans_have_them(run):
    output = run.compare(mapping="kartgnc")
    assert "compare: mean Dice under 0.5: kidney_left 0.00, kidney_right 0.00: is the mapping right?" in output
    assert run.csv("disagreements")["structure"].value_counts().to_dict() == {"kidney_left": 12, "kidney_right": 12}


def test_the_runs_own_label_maps_are_no_comparator(run):
    own = run.results.labels(SCANS_OF_RUN[0], "demo")
    path = run.folder / f"{SCANS_OF_RUN[0].name}_dseg.nii.gz"
    path.unlink()
    path.symlink_to(own)
    assert "1 not compared: the label map of the comparator is the file of the run" in run.compare()


def test_the_agreement_with_another_model_is_not_lost(run):
    run.compare()
    path = run.results.comparators / "kart" / "agreement.parquet"
    rows = run.agreement().assign(model="mrsegmentator")
    types = {"dice": "Float64", "run_ml": "Float64", "comparator_ml": "Float64", "outside_fraction": "Float64"}
    write_table(path, AGREEMENT, rows.astype(types))
    app = typer.Typer()
    app.command()(compare_command)
    given = ["kart", str(run.folder), "--mapping", "kartukbb", "--config", str(run.results.config), "--jobs=1"]
    answer = CliRunner().invoke(app, given)
    assert answer.exit_code == 1
    assert "has the agreement with the model mrsegmentator: give another name" in answer.output
    assert set(run.agreement()["model"]) == {"mrsegmentator"}
