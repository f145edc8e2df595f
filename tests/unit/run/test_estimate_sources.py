"""What `dixonflow estimate` reads: files on disk, records of several models, and sources that are wrong."""

import pytest
from helpers.pilot_run import SECONDS, PilotRun, config_of, of, refused

from dixonflow.vocabulary import Reason, ScanId, Stage


@pytest.fixture
def pilot(tmp_path):
    run = PilotRun(tmp_path / "pilot")
    run.add(12)
    return run


def kinds(found):
    return {kind["name"]: kind for kind in found["storage"]["kept"]}


def test_disk_space_is_that_of_the_files_of_scans(pilot, estimated):
    pilot.add(12, Stage.COHORT, Reason.UNREADABLE_FILE)
    root = pilot.write()
    (root / "logs").mkdir()
    (root / "logs" / "x.log").write_bytes(b"x" * 240)
    (root / "report" / "report.html").write_bytes(b"x" * 100)
    found = estimated(root)  # half of 1000 scans have files
    one = sum(path.stat().st_size for path in (root / "derivatives/sub-7000001").rglob("*_VIBE.nii.gz"))
    assert kinds(found)["stitched images"]["bytes"]["value"] == pytest.approx(500 * one)
    assert kinds(found)["stitched images"]["pilot_files"] == 48
    assert kinds(found)["label maps demo"]["bytes"]["value"] == pytest.approx(500 * 300)
    assert kinds(found)["sidecars"]["bytes"]["value"] == pytest.approx(500 * 40)
    assert kinds(found)["overview pictures"]["bytes"]["value"] == pytest.approx(500 * 200)
    assert kinds(found)["logs"]["bytes"] == {"value": pytest.approx(240 * 1000 / 24), "low": None, "high": None}
    assert kinds(found)["other files"]["bytes"]["value"] is None  # the report and the configuration
    on_disk = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    assert sum(kind["pilot_bytes"] for kind in found["storage"]["kept"]) == on_disk
    assert found["storage"]["raw"]["value"] == pytest.approx(1000 * 5000)
    assert (
        found["storage"]["temporary_of_shard"] == 64 * 10**3 * 2 * 2
    )  # two label maps; the demo's grid is the image's


def test_lost_files_do_not_make_a_run_smaller(pilot, estimated):
    root = pilot.write()
    whole = kinds(estimated(root))["label maps demo"]["bytes"]["value"]
    pilot.results.labels(ScanId("7000003", "2"), "demo").unlink()
    for path in (root.parent / "raw").iterdir():
        path.unlink()
    found = estimated(root)
    assert kinds(found)["label maps demo"]["bytes"]["value"] == pytest.approx(whole)
    assert "label maps demo of 1 scans of the pilot are not there: these scans are not counted" in found["notes"]
    assert found["storage"]["raw"]["value"] is None
    assert any(note.startswith("raw data of the pilot cannot be looked at") for note in found["notes"])


def test_models_have_their_own_rows(pilot, tmp_path, estimated):
    both = ("demo", "vibesegmentator100")
    segment = config_of(tmp_path).segment.model_copy(update={"models": both})
    pilot.config = config_of(pilot.results.root, segment=segment)
    root = pilot.write()
    pilot.write_records({"demo": 0.25, "vibesegmentator100": 0.75})
    wanted = config_of(tmp_path / "results", segment=segment)
    found = estimated(root, config=wanted)
    seconds = {row["model"]: row["gpu_hours_allocated"]["value"] for row in found["work"] if row["stage"] == "segment"}
    hours = 1000 * SECONDS[Stage.SEGMENT] / 3600
    assert seconds == pytest.approx({"demo": hours / 4, "vibesegmentator100": hours * 3 / 4})
    assert of(found, Stage.STITCH)["model"] == ""
    assert "run a pilot with the same segment.models" in refused(estimated, root)
    pilot.write_records({"demo": 0.25, "vibesegmentator100": 0.5})
    assert "contradict each other" in refused(estimated, root, config=wanted)


def test_what_was_not_measured_is_not_taken_for_nothing(pilot, estimated):
    pilot.add(3, Stage.SEGMENT, Reason.TIMEOUT)
    for row in pilot.times[-9:]:
        if row["stage"] == "segment":
            row.update(seconds=0.0, peak_memory_mb=0.0, gpu_seconds=0.0)
    pilot.times[0]["attempt"] = 2
    found = estimated(pilot.write())
    row = of(found, Stage.SEGMENT)
    assert row["gpu_hours_allocated"]["value"] == pytest.approx(1000 * SECONDS[Stage.SEGMENT] / 3600)
    assert (row["pilot_scans"], row["pilot_not_ok"]) == (12, 3)
    assert any(note.startswith("3 times a scan of the pilot was stopped") for note in found["notes"])
    assert any(note.startswith("1 times the last of several attempts") for note in found["notes"])


def test_other_settings_are_named(pilot, tmp_path, estimated):
    segment = config_of(tmp_path).segment.model_copy(update={"threads": 2, "device": "cuda"})
    found = estimated(pilot.write(), config=config_of(tmp_path / "results", segment=segment, scan_minutes=30))
    named = found["notes"][-1]
    assert named.endswith("nothing is corrected for them: segment.device, segment.threads, scan_minutes")


def damaged(run):
    (run.results.tables / "timings.parquet").write_bytes(b"PAR1 cut off")


def without_a_stage(run):
    run.times = [row for row in run.times if (row["stage"], row["participant_id"]) != ("merge", "7000004")]
    run.write()


def with_foreign_times(run):
    run.times.append(run.times[-1] | {"participant_id": "7999999"})
    run.write()


def never_begun(run):
    run.rows, run.times, run.cohort = [], [], []
    run.add(2, Stage.COHORT, Reason.MISSING_STATION)
    run.write()


def without_tables(run):
    run.results.scan_table.unlink()


def without_configuration(run):
    run.results.config.write_text("{")


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (damaged, "timings"),
        (without_a_stage, "1 scans are ok and have no timings of stage merge"),
        (with_foreign_times, "timings of 1 scans and stages have no scan"),
        (never_begun, "went to a job"),
        (without_tables, "scans"),
        (without_configuration, "config"),
    ],
)
def test_a_broken_pilot_ends_in_one_line(pilot, estimated, breakage, message):
    pilot.write()
    breakage(pilot)
    assert message in refused(estimated, pilot.results.root)


def test_a_wrong_question_ends_in_one_line(pilot, tmp_path, estimated):
    root = pilot.write()
    assert "there is no results folder" in refused(estimated, tmp_path / "nowhere")
    assert "--scans must be from 1 to" in refused(estimated, root, scans=0)
    assert "--scans must be from 1 to" in refused(estimated, root, scans=10**12)
    assert "run the cohort stage of the configuration, or give --scans" in refused(estimated, root, scans=None)
