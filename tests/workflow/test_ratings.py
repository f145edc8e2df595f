"""A verdict of a rater changes tables and report on the next call, and nothing else is done again."""

import os
import re
import sys
from dataclasses import replace

import pandas as pd
import pytest
from project_copy import call_in
from small_cohort import SCANS, make_small_cohort
from small_project import SmallProject

from dixonflow.execution.label_map_keys import label_map_keys
from dixonflow.paths import Results
from dixonflow.ratings.rating import Rating, time_now
from dixonflow.ratings.store import RatingStore, read_ratings
from dixonflow.vocabulary import Cause, Verdict

SCAN = SCANS[0]
AT_THE_END = {"aggregate", "report", "all"}
ELSEWHERE = ("cohort", "stitch", "segment", "postprocess", "measure", "records", "derivatives")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """A cohort that was finished before there were ratings."""
    project = SmallProject(tmp_path_factory.mktemp("ratings"))
    make_small_cohort(project.raw / "bids", dict.fromkeys(SCANS[:2], 6.0))
    project.configure(["bids"])
    rule = project.folder / "workflow/rules/aggregate.smk"
    text = rule.read_text()
    lines = [line for line in text.splitlines(keepends=True) if "PLAN.rating" not in line]
    assert len(lines) == len(text.splitlines()) - 2
    rule.write_text("".join(lines))
    project.run()
    rule.write_text(text)
    return project


def jobs(output: str) -> set[str]:
    """Rules of the jobs that a call has run."""
    stats = output.partition("Job stats:")[2].partition("total")[0]
    return {found[1] for found in re.finditer(r"^(\w+) +\d+$", stats, re.MULTILINE)}


def elsewhere(project: SmallProject) -> dict[str, dict[str, tuple[int, bytes]]]:
    return {name: project.files(name) for name in ELSEWHERE}


def value(project: SmallProject, structure: str) -> pd.Series:
    rows = project.table("measurements")
    own = rows["participant_id"].eq(SCAN.participant) & rows["structure"].eq(structure) & rows["measure"].eq("volume")
    return rows[own].iloc[0]


def a_structure(project: SmallProject) -> str:
    rows = project.table("measurements")
    own = rows[rows["participant_id"].eq(SCAN.participant) & rows["measure"].eq("volume")]
    labels = project.table("structures").query("kind == 'label'")["structure"]
    usable = own[own["value"].notna() & own["structure"].isin(labels)]
    return str(usable.sort_values("value")["structure"].iloc[-1])


def test_a_new_verdict_reruns_aggregate_and_report_alone(project: SmallProject) -> None:
    results = Results(project.folder / "results")
    done = elsewhere(project)
    assert jobs(project.run()) <= AT_THE_END, "an upgrade computes no scan again"
    assert elsewhere(project) == done
    assert "Nothing to be done" in project.run()
    assert not (results.tables / "ratings.parquet").exists()

    structure, (shard,) = a_structure(project), set(project.table("scans")["shard"])
    before = value(project, structure)
    model = str(before["model"])
    keys = label_map_keys(results, str(shard), model)
    assert set(keys) == set(SCANS[:2])
    store = RatingStore(results.ratings, "anna")
    faulty = Rating(SCAN, model, structure, Verdict.FAULTY, Cause.NETWORK, "anna", time_now(), keys[SCAN].key)
    store.add(faulty)
    assert jobs(project.run()) == AT_THE_END
    found = value(project, structure)
    assert pd.isna(found["value"])
    assert found[["value_before_grade", "grade", "decided_by"]].tolist() == [before["value"], "fail", "rating"]
    assert elsewhere(project) == done
    assert "Nothing to be done" in project.run()

    usable = replace(faulty, verdict=Verdict.USABLE, cause=None, rated_at=time_now(), rating_id="second")
    store.add(usable)
    os.utime(results.ratings / "anna.jsonl", (1, 1))
    assert jobs(project.run()) == AT_THE_END, "content decides, whatever the date says"
    assert value(project, structure)[["value", "grade"]].tolist() == [before["value"], "review"]
    assert elsewhere(project) == done

    rerun = call_in(project.folder, sys.executable, "-m", "dixonflow", "rerun", SCAN.name)
    assert rerun.returncode == 0, rerun.stdout
    project.run()
    assert elsewhere(project)["measure"] != done["measure"]
    assert read_ratings(results.ratings) == [faulty, usable]
    assert project.table("ratings")["label_map"].tolist() == ["current", "current"], "it was made of the same again"


def test_a_damaged_file_is_said_in_one_line(project: SmallProject) -> None:
    path = project.folder / "results/ratings/anna.jsonl"
    before = path.read_bytes()
    path.write_bytes(b"{}\n" + before)
    failed = project.call()
    assert failed.returncode != 0
    assert "anna.jsonl, line 1 is damaged" in failed.stdout
    assert "Traceback" not in failed.stdout
    path.write_bytes(before)
    project.run()
    assert "Nothing to be done" in project.run()
