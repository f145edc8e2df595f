"""The whole workflow on the demo cohort: every scan accounted for, nothing done twice, what is lost made again."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from dixonflow.paths import Results
from dixonflow.vocabulary import Contrast, ScanId

STAGES = ("cohort", "stitch", "resample", "segment", "merge", "postprocess", "measure")


@pytest.fixture(scope="module")
def expected(project) -> pd.DataFrame:
    return pd.DataFrame(json.loads((project.demo / "expected.json").read_text()))


@pytest.fixture(scope="module")
def scans(project) -> pd.DataFrame:
    return pd.read_parquet(project.results / "tables/scans.parquet")


def test_every_scan_has_its_expected_outcome(scans, expected):
    keys = ["participant_id", "session_id"]
    both = expected.merge(scans, on=keys, how="outer", suffixes=("_expected", ""), validate="one_to_one")
    assert len(both) == 16
    assert both["status"].tolist() == both["status_expected"].tolist()
    assert both["reason"].tolist() == both["reason_expected"].tolist()
    assert both["status"].value_counts().to_dict() == {"ok": 12, "excluded": 4}
    broken = both[both["status"] == "excluded"]
    assert set(broken["reason"]) == {"unreadable_file", "missing_station", "truncated_pixels", "missing_contrast"}
    assert broken["message"].str.len().gt(10).all()


def test_every_stage_is_told_for_every_scan(scans):
    for stage in STAGES:
        assert scans[f"{stage}_status"].notna().all()
    ok = scans[scans["status"] == "ok"]
    assert all(ok[f"{stage}_status"].eq("ok").all() for stage in STAGES)


def test_the_run_ends_with_a_summary(project):
    tail = project.first_output
    for line in ("scans in", "excluded", "missing_station", "seconds", "results/tables/", "results/report/report.html"):
        assert line in tail
    assert (project.results / "report/report.html").stat().st_size > 10_000


def test_leading_zeros_survive(project, scans):
    assert {"000123", "010452"} <= set(scans["participant_id"])
    for table in ("measurements", "volumes", "fat_compartments", "quality"):
        ids = pd.read_parquet(project.results / f"tables/{table}.parquet", columns=["participant_id"])["participant_id"]
        assert "000123" in set(ids), table


def test_every_ok_scan_is_measured_in_full(project, scans):
    measurements = pd.read_parquet(project.results / "tables/measurements.parquet")
    per_scan = measurements.groupby(["participant_id", "session_id"]).size()
    assert len(per_scan) == 12
    assert per_scan.nunique() == 1
    assert (measurements["value"].isna() == measurements["missing_reason"].notna()).all()


def test_at_most_ten_files_a_scan_and_no_temporary_left(project, scans):
    for row in scans[scans["status"] == "ok"].itertuples():
        folder = project.results / "derivatives" / row.participant_id[:3] / f"sub-{row.participant_id}"
        files = [path for path in (folder / f"ses-{row.session_id}").rglob("*") if path.is_file()]
        assert 7 <= len(files) <= 10
    assert not [path for path in (project.results / "temporary").rglob("*") if path.is_file()]


def test_no_participant_id_in_logs_or_report_file_names(project, expected):
    ids = set(expected["participant_id"])
    names = [path.name for path in (project.results / "report").rglob("*")]
    texts = [path.read_text() for path in (project.results / "logs").rglob("*.log")]
    assert len(texts) >= 8
    for participant in ids:
        assert not any(participant in name for name in names)
        assert not any(participant in text for text in texts)


def test_a_second_run_computes_nothing(project):
    before = project.state()
    output = project.snakemake()
    assert project.state() == before
    assert "Nothing to be done" in output


def test_a_lost_label_map_is_found_and_made_again_alone(project):
    maps = sorted((project.results / "derivatives").rglob("*_seg-demo_dseg.nii.gz"))
    assert len(maps) == 12
    content = maps[5].read_bytes()
    before = {path: path.stat().st_mtime_ns for path in (project.results / "derivatives").rglob("*") if path.is_file()}
    tables = {path.name: path.read_bytes() for path in (project.results / "tables").iterdir()}
    maps[5].unlink()

    project.snakemake()  # by default nobody looks
    assert not maps[5].exists()

    project.snakemake("--config", "verify=true")
    assert maps[5].read_bytes() == content
    changed = {path for path, date in before.items() if path.stat().st_mtime_ns != date}
    assert changed == {maps[5], maps[5].with_name(maps[5].name.replace(".nii.gz", ".json"))}
    after = {path.name: path.read_bytes() for path in (project.results / "tables").iterdir()}
    assert [name for name in tables if tables[name] != after[name]] in ([], ["timings.parquet"])

    assert "Nothing to be done" in project.snakemake()


@pytest.mark.parametrize("kept", [True, False])
def test_a_changed_setting_redoes_what_it_touches_in_one_run(project, kept):
    """Also where the images that it needs were temporary, or are not kept."""
    name = f"kept-{kept}".lower()
    raw = project.folder / name / "raw"
    raw.mkdir(parents=True)
    shutil.copy(project.demo / "raw/ukb/1000017_20201_2_0.zip", raw)
    results = Results(Path(name) / "results")
    config = [
        f"results={results.root}",
        f"cohort={{sources: [{{layout: ukb, folder: {name}/raw}}]}}",
        f"keep={{stitched: {str(kept).lower()}, contact_sheets: false}}",
    ]
    scan = ScanId("1000017", "2")
    stitched = project.folder / results.stitched(scan, Contrast.WATER)

    def run(strategy: str) -> str:
        output = project.snakemake("--config", *config, f"merge={{strategy: {strategy}}}")
        assert stitched.exists() is kept
        return output

    assert re.search(r"ok +1\n", run("priority"))
    date = stitched.stat().st_mtime_ns if kept else 0
    labels = (project.folder / results.labels(scan, "demo")).read_bytes()
    assert re.search(r"ok +1\n", run("first"))
    assert (project.folder / results.labels(scan, "demo")).read_bytes() != labels
    assert not kept or stitched.stat().st_mtime_ns == date
    assert "Nothing to be done" in run("first")
    if kept:  # without Snakemake's records a change must not pass unseen
        shutil.rmtree(project.folder / ".snakemake")
        assert re.search(r"ok +1\n", run("priority"))
        assert (project.folder / results.labels(scan, "demo")).read_bytes() == labels
        assert "Nothing to be done" in run("priority")


def test_a_stage_runs_by_hand_on_one_scan(project):
    helped = project.call("python", "-m", "dixonflow", "stage", "stitch", "--help")
    assert helped.returncode == 0
    assert "--scan" in helped.stdout
    target = next((project.results / "derivatives").rglob("sub-000123_ses-30_acq-water_*.nii.gz"))
    content = target.read_bytes()
    target.unlink()
    run = project.call("python", "-m", "dixonflow", "stage", "stitch", "--scan", "sub-000123_ses-30")
    assert run.returncode == 0, run.stdout
    assert target.read_bytes() == content
    strange = project.call("python", "-m", "dixonflow", "stage", "stitch", "--scan", "sub-999_ses-1")
    assert strange.returncode == 1
    assert "Traceback" not in strange.stdout
    assert "no shard list" in strange.stdout


def test_a_wrong_configuration_is_one_clear_line(project):
    run = project.call("snakemake", "--cores", "2", "--config", "stich=1")
    assert run.returncode != 0
    assert "config: stich: unknown key" in run.stdout
    assert "Traceback" not in run.stdout
    run = project.call("snakemake", "--cores", "2", "--config", "cohort={sources: [{layout: ukb, folder: nowhere}]}")
    assert run.returncode != 0
    assert "there is no folder nowhere" in run.stdout
    assert "Traceback" not in run.stdout
