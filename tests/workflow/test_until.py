"""A run that ends after a stage, on a cohort that is new."""

import re

from small_project import SmallProject
from small_scans import trunk_stations

from dixonflow.phantom.writers.bids import write_bids
from dixonflow.vocabulary import ScanId


def test_a_new_cohort_runs_up_to_a_stage_and_goes_on_from_there(tmp_path):
    project = SmallProject(tmp_path)
    project.configure(["bids"])
    write_bids(project.raw / "bids", ScanId("1", "2"), trunk_stations())
    refused = project.call("--until", "stitch")
    assert refused.returncode != 0
    assert "Use the target until_stitch instead" in refused.stdout
    assert "Traceback" not in refused.stdout
    assert "Use the target until_postprocess instead" in project.call("--until", "merge").stdout

    project.run("until_stitch")
    results = project.folder / "results"
    assert len(list((results / "derivatives").rglob("*desc-stitched*.nii.gz"))) == 4
    assert not (results / "resample").exists()
    dates = project.files("derivatives")
    (shard,) = (results / "cohort" / "shards.txt").read_text().split()
    project.run("until_segment")
    assert (results / "resample" / f"{shard}.parquet").exists()
    assert not (results / "merge").exists()

    output = project.run()
    assert re.findall(r"^dixonflow: .*", output, re.M) == [f"dixonflow: shard {shard} has ended (1 of 1 in this run)"]
    assert project.status() == {"1": ("ok", "none")}
    assert {name: project.files("derivatives")[name] for name in dates} == dates
    assert "Nothing to be done" in project.run("until_stitch", "until_measure")

    # code that was moved or written otherwise makes nobody's results old: versions of stages do
    for path in (project.folder / "workflow/rules").glob("*.smk"):
        path.write_text(path.read_text().replace("python -m dixonflow ", "python  -m  dixonflow "))
    with (project.folder / "workflow/dixonflow/stages/merge.py").open("a") as module:
        module.write("\n# more code\n")
    assert "python  -m  dixonflow stage stitch" in (project.folder / "workflow/rules/stitch.smk").read_text()
    assert "Nothing to be done" in project.run()
