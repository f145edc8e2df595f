"""The whole workflow on the demo cohort: every scan accounted for, nothing done twice, lost files rebuilt."""

import json
import re
import shutil
from pathlib import Path

import frictionless
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from bids_validation import bids_issues
from project_copy import ROOT
from small_scans import trunk_stations

from dixonflow.paths import Results
from dixonflow.phantom.writers.dicom import write_ukb
from dixonflow.vocabulary import Contrast, ScanId

STAGES = ("cohort", "stitch", "resample", "segment", "merge", "postprocess", "measure")


@pytest.fixture(scope="module")
def expected(demo_run) -> pd.DataFrame:
    return pd.DataFrame(json.loads((demo_run.demo / "expected.json").read_text()))


@pytest.fixture(scope="module")
def scans(demo_run) -> pd.DataFrame:
    return pd.read_parquet(demo_run.results / "tables/scans.parquet")


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


def test_scans_without_a_fault_are_not_listed(scans):
    ok = scans[scans["status"] == "ok"]
    assert ok["scan_grade"].eq("pass").sum() >= 11, ok[["scan_grade", "scan_grade_decided_by"]]


def test_the_run_ends_with_a_summary(demo_run):
    tail = demo_run.first_output
    for line in ("scans in", "excluded", "missing_station", "seconds", "results/tables/", "results/report/report.html"):
        assert line in tail
    assert (demo_run.results / "report/report.html").stat().st_size > 10_000


def test_who_watches_sees_scans_rate_and_time_left_and_a_log_only_what_ended(demo_run):
    lines = [line for line in demo_run.first_output.splitlines() if line.startswith("dixonflow: ")]
    assert any(re.search(r"segment: \d+ of 12 scans, \d+\.\d per minute, \d+ (s|min) left", line) for line in lines), (
        lines
    )
    assert "has ended" not in demo_run.first_output


def test_leading_zeros_survive(demo_run, scans):
    assert {"000123", "010452"} <= set(scans["participant_id"])
    for table in ("measurements", "volumes", "fat_compartments", "quality"):
        ids = pd.read_parquet(demo_run.results / f"tables/{table}.parquet", columns=["participant_id"])[
            "participant_id"
        ]
        assert "000123" in set(ids), table


def test_every_ok_scan_is_measured_in_full(demo_run, scans):
    measurements = pd.read_parquet(demo_run.results / "tables/measurements.parquet")
    per_scan = measurements.groupby(["participant_id", "session_id"]).size()
    assert len(per_scan) == 12
    assert per_scan.nunique() == 1
    assert (measurements["value"].isna() == measurements["missing_reason"].notna()).all()


def test_at_most_ten_files_a_scan_and_no_temporary_left(demo_run, scans):
    for row in scans[scans["status"] == "ok"].itertuples():
        folder = demo_run.results / "derivatives" / f"sub-{row.participant_id}"
        files = [path for path in (folder / f"ses-{row.session_id}").rglob("*") if path.is_file()]
        assert 7 <= len(files) <= 10
    assert not [path for path in (demo_run.results / "temporary").rglob("*") if path.is_file()]


def test_programs_of_others_accept_images_and_tables(demo_run):
    assert bids_issues(demo_run.results / "derivatives") == []
    package = frictionless.validate(str(demo_run.results / "tables/datapackage.json"), limit_rows=2000)
    assert package.valid, package.flatten(["type", "note"])
    assert len(package.tasks) == len(list((demo_run.results / "tables").glob("*.parquet")))


def test_a_label_map_says_what_its_labels_are(demo_run):
    folder = demo_run.results / "derivatives"
    table = pd.read_csv(folder / "seg-demo_dseg.tsv", sep="\t", dtype=str)
    names = dict(zip(table["index"], table["name"], strict=True))
    path = next(folder.rglob("*_seg-demo_dseg.nii.gz"))
    image, sidecar = nib.load(path), json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert image.header.get_intent()[0] == "label"
    assert sidecar["labels"] == names
    assert {str(label) for label in np.unique(np.asarray(image.dataobj)) if label} <= set(names)
    for uri in (sidecar["SpatialReference"], *sidecar["Sources"]):
        source = nib.load(folder / uri.removeprefix("bids::"))
        assert np.allclose(source.affine, image.affine)
    stitched = json.loads(next(path.parent.glob("*_desc-stitched_VIBE.json")).read_text())
    description = json.loads((folder / "dataset_description.json").read_text())
    for uri in stitched["Sources"]:
        _, link, name = uri.split(":")
        raw = Path(description["DatasetLinks"][link].removeprefix("file://")) / name
        assert raw.is_file()
    kinds = {str(path) for path in folder.rglob("*_VIBE.nii.gz") if nib.load(path).header.get_intent()[0] != "none"}
    assert kinds == set()


def test_no_participant_id_in_logs_or_report_file_names(demo_run, expected):
    ids = set(expected["participant_id"])
    names = [path.name for path in (demo_run.results / "report").rglob("*")]
    texts = [path.read_text() for path in (demo_run.results / "logs").rglob("*.log")]
    assert len(texts) >= 8
    for participant in ids:
        assert not any(participant in name for name in names)
        assert not any(participant in text for text in texts)


def test_every_file_is_on_the_page_of_outputs_and_every_file_of_the_page_is_there(demo_run):
    """But for those that only some runs have: further models and sequences, jobs at work, what failed."""
    page = (ROOT / "docs/outputs.md").read_text(encoding="utf-8")
    images = re.search(r"In `(derivatives/.*?)`:", page)[1]
    named = []
    for section in page.split("\n## ")[1:]:
        folder = images if section.startswith("Images of") else ""
        tables = "".join(re.findall(r"^\| file \|.*\n(?:\|.*\n)*", section, re.M))
        cells = [row.split("|")[1] for row in re.findall(r"^\| `.*", tables, re.M)]
        named += [folder + name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    patterns = {name: re.compile(re.sub(r"<[^>]+>", "[^/]+", re.escape(name).replace(r"\ ", " "))) for name in named}
    files = [str(path.relative_to(demo_run.results)) for path in demo_run.results.rglob("*") if path.is_file()]
    assert [file for file in files if not any(pattern.fullmatch(file) for pattern in patterns.values())] == []
    absent = {name for name, pattern in patterns.items() if not any(map(pattern.fullmatch, files))}
    only_some = (
        "inspected",
        "_<model>.parquet",
        "_<sequence>",
        "<suffix>",
        "<image>",
        "fat_fraction_comparison",
        "calibration",
        "covariate",
        "ratings",
        "...",
        "<scan>.begun",
        "retry/",
        "departures",
        "before",
        "temporary/",
        "moving_folders",
        "withdraw",
        "analyses/",
        "evaluation/",
        "comparators/",
        "without_ids",
        "_<view>",
        "exports/",
        "releases/",
        "egress/",
        "close_ups",
    )
    assert [name for name in absent if not any(word in name for word in only_some)] == []


def test_a_second_run_computes_nothing(demo_run):
    before = demo_run.state()
    output = demo_run.snakemake()
    assert demo_run.state() == before
    assert "Nothing to be done" in output


def test_a_lost_label_map_is_found_and_made_again_alone(demo_run):
    maps = sorted((demo_run.results / "derivatives").rglob("*_seg-demo_dseg.nii.gz"))
    assert len(maps) == 12
    content = maps[5].read_bytes()
    before = {path: path.stat().st_mtime_ns for path in (demo_run.results / "derivatives").rglob("*") if path.is_file()}
    tables = {path.name: path.read_bytes() for path in (demo_run.results / "tables").iterdir()}
    maps[5].unlink()

    demo_run.snakemake()  # by default nobody looks
    assert not maps[5].exists()

    demo_run.snakemake("--config", "verify=true")
    assert maps[5].read_bytes() == content
    changed = {path for path, date in before.items() if path.stat().st_mtime_ns != date}
    assert changed == {maps[5], maps[5].with_name(maps[5].name.replace(".nii.gz", ".json"))}
    after = {path.name: path.read_bytes() for path in (demo_run.results / "tables").iterdir()}
    assert [name for name in tables if tables[name] != after[name]] in ([], ["timings.parquet"])

    assert "Nothing to be done" in demo_run.snakemake()


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False])
def test_a_changed_setting_redoes_what_it_touches_in_one_run(demo_run, kept):
    """Also where the images that it needs were temporary, or are not kept."""
    name = f"kept-{kept}".lower()
    raw = demo_run.folder / name / "raw"
    raw.mkdir(parents=True)
    scan = ScanId("1000017", "2")
    write_ukb(raw, scan, trunk_stations())
    results = Results(Path(name) / "results")
    config = [
        f"results={results.root}",
        f"cohort={{sources: [{{layout: ukb, folder: {name}/raw, stations: 2}}]}}",
        f"keep={{stitched: {str(kept).lower()}, contact_sheets: false}}",
    ]
    stitched = demo_run.folder / results.stitched(scan, Contrast.WATER)

    def run(strategy: str) -> str:
        output = demo_run.snakemake("--config", *config, f"merge={{strategy: {strategy}}}")
        assert stitched.exists() is kept
        return output

    assert re.search(r"ok +1\n", run("priority"))
    date = stitched.stat().st_mtime_ns if kept else 0
    labels = (demo_run.folder / results.labels(scan, "demo")).read_bytes()
    assert re.search(r"ok +1\n", run("first"))
    assert (demo_run.folder / results.labels(scan, "demo")).read_bytes() != labels
    assert not kept or stitched.stat().st_mtime_ns == date
    assert "Nothing to be done" in run("first")
    if kept:  # without Snakemake's records a change must not pass unseen
        shutil.rmtree(demo_run.folder / ".snakemake")
        assert re.search(r"ok +1\n", run("priority"))
        assert (demo_run.folder / results.labels(scan, "demo")).read_bytes() == labels
        assert "Nothing to be done" in run("priority")


def test_a_stage_runs_by_hand_on_one_scan(demo_run):
    helped = demo_run.call("python", "-m", "dixonflow", "stage", "stitch", "--help")
    assert helped.returncode == 0
    assert "--scan" in helped.stdout
    target = next((demo_run.results / "derivatives").rglob("sub-000123_ses-30_acq-water_*.nii.gz"))
    content = target.read_bytes()
    target.unlink()
    run = demo_run.call("python", "-m", "dixonflow", "stage", "stitch", "--scan", "sub-000123_ses-30")
    assert run.returncode == 0, run.stdout
    assert target.read_bytes() == content
    strange = demo_run.call("python", "-m", "dixonflow", "stage", "stitch", "--scan", "sub-999_ses-1")
    assert strange.returncode == 1
    assert "Traceback" not in strange.stdout
    assert "no shard list" in strange.stdout


def test_a_wrong_configuration_is_one_clear_line(demo_run):
    run = demo_run.call("snakemake", "--cores", "2", "--config", "stich=1")
    assert run.returncode != 0
    assert "config: stich: unknown key" in run.stdout
    assert "Traceback" not in run.stdout
    run = demo_run.call("snakemake", "--cores", "2", "--config", "cohort={sources: [{layout: ukb, folder: nowhere}]}")
    assert run.returncode != 0
    assert "there is no folder nowhere" in run.stdout
    assert "Traceback" not in run.stdout
