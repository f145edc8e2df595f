"""Two stages in one job: a fault is told of the stage where it happened, and what was done stands."""

import pytest
from small_cohort import SCANS, make_small_cohort
from small_project import SmallProject

from dixonflow.execution.records import Records
from dixonflow.paths import Results
from dixonflow.vocabulary import SHARD_STAGES, Stage

GOOD, BAD = SCANS[:2]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> SmallProject:
    project = SmallProject(tmp_path_factory.mktemp("shared"))
    make_small_cohort(project.raw / "bids", dict.fromkeys((GOOD, BAD), 6.0))
    project.configure(["bids"])
    project.run("until_segment")
    return project


def results_of(project: SmallProject) -> Results:
    return Results(project.folder / "results")


def shard_of(project: SmallProject) -> str:
    return results_of(project).shard_names.read_text().strip()


def recorded(project: SmallProject) -> dict[tuple[str, str], bytes]:
    """Record of every scan at every stage; what is done again has other seconds."""
    found = {}
    for stage in SHARD_STAGES:
        path = results_of(project).records(stage, shard_of(project), "" if stage is Stage.STITCH else "demo")
        for scan, record in Records(path).load().items():
            found[stage.value, scan.participant] = record.to_json()
    return found


@pytest.mark.slow
def test_a_fault_at_the_first_stage_of_a_job_is_told_of_that_stage_and_costs_its_scan_alone(project):
    before = recorded(project)
    temporary = results_of(project).temporary(shard_of(project), BAD, "demo")
    damaged = next(path for path in sorted(temporary.glob("*.nii.gz")))
    damaged.write_bytes(damaged.read_bytes()[:100])
    project.run()
    scans = project.table("scans").set_index("participant_id")
    bad = scans.loc[BAD.participant]
    assert (bad["status"], bad["reason"], bad["last_stage"]) == ("failed", "internal_error", "merge")
    assert (bad["segment_status"], bad["merge_status"]) == ("ok", "failed")
    assert "damaged, remove it and run again" in bad["message"]
    assert scans.loc[GOOD.participant, "status"] == "ok"
    damaged.unlink()
    rows = results_of(project).outcomes(Stage.RESAMPLE, shard_of(project))
    rows.unlink()  # lost: they are written again from the records
    done = project.files("derivatives")
    project.run()
    assert set(project.status().values()) == {("ok", "none")}
    assert {name: project.files("derivatives")[name] for name in done} == done
    after = recorded(project)
    same = {key for key in before if key != ("segment", BAD.participant)}
    assert {key: after[key] for key in same} == {key: before[key] for key in same}
    assert rows.exists()
    assert not any(results_of(project).temporary(shard_of(project), scan, "demo").exists() for scan in (GOOD, BAD))
