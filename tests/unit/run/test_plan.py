"""The plan of a run: configuration in force, calls for another look."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dixonflow.cohort.shards import shard_of, write_shards
from dixonflow.config import demo_config
from dixonflow.errors import ConfigError
from dixonflow.execution.content_keys import STAGE_VERSIONS
from dixonflow.paths import Results
from dixonflow.run.plan import Plan
from dixonflow.run.resources import RULES, START_MINUTES
from dixonflow.run.retry import COHORT, MOST_MEMORY, request_retry
from dixonflow.vocabulary import ScanId, Stage


@pytest.fixture
def plan(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    content = json.loads(demo_config().model_dump_json())
    content["cohort"] |= {"sources": [{"layout": "ukb", "folder": str(raw)}], "withdrawn": None, "covariates": None}
    return Plan.from_config(content | {"results": str(tmp_path / "results"), "verify": True})


def test_the_configuration_in_force_is_written_once(plan):
    plan.write()
    path = plan.results.config
    date = path.stat().st_mtime_ns
    plan.write()
    assert path.stat().st_mtime_ns == date
    assert json.loads(path.read_text())["verify"] is False  # a switch of one run, not of its jobs
    path.write_bytes(path.read_bytes()[:50])
    plan.write()
    assert json.loads(path.read_text())["verify"] is False


def test_everything_is_looked_at_again_where_snakemake_has_no_records(plan, tmp_path):
    records, mark = tmp_path / ".snakemake", plan.results.look_again

    def looked_again(records=records):
        before = mark.stat().st_mtime_ns if mark.exists() else None
        plan.recheck_unknown_results(records)
        return mark.stat().st_mtime_ns != before

    assert looked_again()
    assert not looked_again()
    shutil.rmtree(records)
    assert looked_again()
    mark.unlink()
    assert looked_again()
    assert not looked_again()
    another_copy = tmp_path / "copy" / ".snakemake"  # of the project, on the same results
    assert looked_again(another_copy)
    assert not looked_again(another_copy)
    assert looked_again()  # it does not know what the other one has done


def test_results_that_lead_nowhere_are_named(plan, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    for name in ("loop", "file/results"):
        odd = replace(plan, results=Results(tmp_path / name))
        with pytest.raises(ConfigError, match=f"^config: results: \\S+/{name}/cohort/look_again cannot be written: "):
            odd.recheck_unknown_results(tmp_path / ".snakemake")
    with pytest.raises(ConfigError, match=r"^the project folder: \S+ cannot be written: "):
        plan.recheck_unknown_results(tmp_path / "file")


def test_another_look_is_asked_for_and_counted(plan):
    assert plan.retry("abc") == 0
    request_retry(plan.results, "abc")
    request_retry(plan.results, "abc")
    assert plan.retry("abc") == 2
    assert plan.retry("other") == 0


def test_memory_is_doubled_where_it_ran_out_and_stays_so(plan):
    usual = RULES["cohort"].mem_mb
    assert plan.mem_mb("cohort") == usual
    request_retry(plan.results, COHORT, more_memory=True)
    assert plan.mem_mb("cohort") == 2 * usual
    assert plan.mem_mb("cohort", attempt=2) == 4 * usual
    request_retry(plan.results, COHORT)
    assert plan.mem_mb("cohort") == 2 * usual
    for _ in range(5):
        request_retry(plan.results, COHORT, more_memory=True)
    assert plan.mem_mb("cohort") == MOST_MEMORY * usual
    assert plan.mem_mb("report") == RULES["report"].mem_mb


def test_the_listing_changes_with_the_raw_folder_and_only_then(plan):
    folder = plan.config.cohort.sources[0].folder
    before = plan.raw_listing()
    assert plan.raw_listing() == before
    (folder / "1000001_20201_2_0.zip").write_bytes(b"new")
    after = plan.raw_listing()
    assert after != before
    (folder / "1000001_20201_2_0.zip").write_bytes(b"newer")
    assert plan.raw_listing() != after


def test_time_and_memory_of_a_job_are_in_proportion_to_its_scans(plan, make_shard_scan):
    shards = [shard_of([make_shard_scan(ScanId(f"{size}{number}", "2")) for number in range(size)]) for size in (1, 60)]
    write_shards(plan.results.shards, shards)
    one, sixty = (plan.runtime("segment", shard.name) for shard in shards)
    minutes = RULES["resample"].minutes + RULES["segment"].minutes  # one job runs both
    assert sixty - one == 59 * minutes
    assert plan.runtime("segment", shards[0].name, attempt=2) == 2 * one
    assert plan.mem_mb("segment", shards[1].name) - plan.mem_mb("segment", shards[0].name) == 59
    request_retry(plan.results, shards[0].name, more_memory=True)
    more = plan.mem_mb("segment", shards[0].name) - plan.mem_mb("segment", shards[1].name) + 59
    assert more == RULES["segment"].mem_mb
    assert one > plan.config.scan_minutes  # a scan that hangs is ended by its own limit, not by the job's
    two_models = replace(plan, models=(*plan.models, plan.models[0].model_copy(update={"name": "other"})))
    assert two_models.runtime("segment", shards[1].name) - sixty == START_MINUTES + minutes * 60
    assert two_models.runtime("stitch", shards[1].name) == plan.runtime("stitch", shards[1].name)
    assert two_models.mem_mb("segment", shards[1].name) - plan.mem_mb("segment", shards[1].name) == 60
    assert {plan.threads(rule) for rule in RULES} == {1, 2, 4}


def test_a_further_model_has_every_shard_looked_at_but_for_stitching(plan):
    # under another name its files are others, be it of the same networks and rules
    segment = plan.config.segment.model_copy(update={"models": (*plan.config.segment.models, "other")})
    two_models = replace(
        plan,
        config=plan.config.model_copy(update={"segment": segment}),
        models=(*plan.models, plan.models[0].model_copy(update={"name": "other"})),
    )
    changed = [stage for stage in STAGE_VERSIONS if two_models.settings(stage) != plan.settings(stage)]
    assert changed == [stage for stage in STAGE_VERSIONS if stage is not Stage.STITCH]


def test_what_the_snakefile_imports_in_every_job_is_light():
    text = (Path(__file__).parents[3] / "Snakefile").read_text()
    imports = re.findall("^from dixonflow.*", text, re.M)
    assert len(imports) > 4
    program = "\n".join([*imports, "import sys", "print(*sorted(sys.modules))"])
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"numpy", "pandas", "pyarrow", "torch"} & set(run.stdout.split()) == set()


def test_the_tables_of_covariates_follow_the_file_its_settings_and_the_withdrawn(tmp_path):
    people, withdrawn, raw = tmp_path / "people.csv", tmp_path / "withdrawn.txt", tmp_path / "raw"
    raw.mkdir()
    people.write_text("eid,age\n1,50\n")
    withdrawn.write_text("")
    content = json.loads(demo_config().model_dump_json())
    content["cohort"] |= {
        "sources": [{"layout": "ukb", "folder": str(raw)}],
        "withdrawn": str(withdrawn),
        "covariates": None,
    }

    def plan_with(section):
        return Plan.from_config(content | {"cohort": content["cohort"] | {"covariates": section}})

    without, plan = plan_with(None), plan_with({"file": str(people)})
    assert (without.covariate_file, without.covariate_state()) == ([], "")
    assert plan.covariate_file == [str(people)]
    assert plan.raw_listing() == without.raw_listing(), "no scan is looked at again for covariates"
    states = [plan.covariate_state(), plan.covariate_state()]
    assert len(set(states)) == 1
    states.append(plan_with({"file": str(people), "columns": {"age": "age"}}).covariate_state())
    older = tmp_path / "older.csv"
    older.write_text("eid,age\n1,51\n")
    os.utime(older, ns=(0, 0))
    older.replace(people)  # has an older date than the file before
    states.append(plan.covariate_state())
    withdrawn.write_text("1\n")
    states.append(plan.covariate_state())
    assert len(set(states)) == 4


def test_a_file_of_covariates_that_is_not_there_is_said_at_the_start(tmp_path):
    content = json.loads(demo_config().model_dump_json())
    (tmp_path / "raw").mkdir()
    content["cohort"] |= {
        "sources": [{"layout": "ukb", "folder": str(tmp_path / "raw")}],
        "withdrawn": None,
        "covariates": None,
    }
    content["cohort"]["covariates"] = {"file": str(tmp_path / "none.csv")}
    with pytest.raises(ConfigError, match=r"cohort\.covariates\.file: there is no file"):
        Plan.from_config(content)
    content["cohort"]["covariates"] = {"file": "people_{instance}.csv"}
    with pytest.raises(ConfigError, match="the path holds"):
        Plan.from_config(content)


def test_a_new_verdict_is_a_new_state_of_the_tables(plan):
    assert (plan.rating_files(), plan.rating_state()) == ([], "")
    folder = plan.results.ratings
    folder.mkdir(parents=True)
    (folder / ".anna.lock").touch()
    (folder / "anna.jsonl").write_text("1\n")
    assert plan.rating_files() == [str(folder / "anna.jsonl")]
    states = [plan.rating_state(), plan.rating_state()]
    assert len(set(states)) == 1
    date = (folder / "anna.jsonl").stat()
    (folder / "anna.jsonl").write_text("2\n")
    os.utime(folder / "anna.jsonl", ns=(date.st_atime_ns, date.st_mtime_ns))
    states.append(plan.rating_state())
    os.mkfifo(folder / "ben.jsonl")
    states.append(plan.rating_state())
    assert len(set(states)) == 3
    shutil.rmtree(folder)
    folder.touch()
    assert (plan.rating_files(), plan.rating_state()) == ([], ""), "aggregate says what is wrong"
