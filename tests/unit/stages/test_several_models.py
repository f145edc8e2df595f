"""Several models in one run: what they share, what each has of its own, what becomes of a scan that one fails on."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from small_models import FOREIGN, ORGANS, SIDES
from synthetic_run import MODEL, STAGES, Run, write_run
from synthetic_tables import write_tables

from dixonflow.aggregate.build import aggregate
from dixonflow.cohort.shards import shard_of, write_shards
from dixonflow.config import demo_config, parse_config
from dixonflow.errors import ConfigError
from dixonflow.execution.content_keys import stage_key
from dixonflow.execution.outcome import Outcome, outcome_of_models, read_outcomes, write_outcomes
from dixonflow.models.comparison import shared_structures
from dixonflow.paths import Results
from dixonflow.report.page import ReportOptions, write_report
from dixonflow.run.retry import read_retry
from dixonflow.run.status import run_status
from dixonflow.stages import job as stage_command
from dixonflow.stages import merge, postprocess
from dixonflow.system.atomic import write_bytes, write_json
from dixonflow.tables.definitions import SHARD_QUALITY
from dixonflow.tables.measurements import SHARD_MEASUREMENTS
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.vocabulary import Reason, ScanId, ScanSequence, Stage, Status

SCAN = ScanId("1", "2")


def row(reason: Reason = Reason.NONE, **changes) -> Outcome:
    message = "" if reason is Reason.NONE else f"seen: {reason.value}"
    fresh = Outcome(SCAN, Stage.SEGMENT, reason.status, reason, message, 2.0, 100.0, 1.0, 1, "key")
    return replace(fresh, **changes)


class TestOutcome:
    def test_costs_are_added_up_and_the_key_is_of_all(self):
        one, other = row(), row(seconds=3.0, peak_memory_mb=70.0, gpu_seconds=0.5, attempt=2, content_key="b")
        both = outcome_of_models({"one": one, "other": other})
        assert (both.status, both.seconds, both.peak_memory_mb, both.gpu_seconds, both.attempt) == (
            *(Status.OK, 5.0, 100.0),
            *(1.5, 2),
        )
        assert len(both.content_key) == 64
        assert both.content_key != outcome_of_models({"other": other, "one": one}).content_key
        assert outcome_of_models({"one": one}) == one

    def test_the_first_failure_counts_and_names_its_model(self):
        failed = outcome_of_models({"a": row(), "b": row(Reason.TIMEOUT), "c": row(Reason.OUT_OF_MEMORY)})
        assert (failed.status, failed.reason) == (Status.FAILED, Reason.TIMEOUT)
        assert failed.message == "model b: seen: timeout"
        assert failed.content_key == "key"

    def test_an_exclusion_counts_before_a_failure(self):
        ended = outcome_of_models({"a": row(Reason.TIMEOUT), "b": row(Reason.EMPTY_IMAGE), "c": row()})
        assert (ended.status, ended.reason) == (Status.EXCLUDED, Reason.EMPTY_IMAGE)

    def test_what_was_carried_on_stays_as_it_is(self):
        carried = row(Reason.STATION_GAP, stage=Stage.STITCH)
        assert outcome_of_models({"a": carried, "b": carried}) == carried

    def test_outcomes_of_different_scans_are_refused(self):
        with pytest.raises(ValueError, match="one scan"):
            outcome_of_models({"a": row(), "b": row(scan=ScanId("2", "2"))})


class TestKeys:
    def test_a_further_model_touches_nothing_but_the_comparison(self, monkeypatch):
        monkeypatch.setattr("dixonflow.models.model.Model.weights_hash", "0" * 64)
        config = demo_config()

        def keys(model, models):
            return [stage_key(stage, "raw", config, model, models) for stage in STAGES]

        alone = keys(ORGANS, [ORGANS])
        assert keys(ORGANS, ()) == alone
        for further in (SIDES, FOREIGN):
            both = keys(ORGANS, [ORGANS, further])
            assert both[:-1] == alone[:-1]
            assert both[-1] != alone[-1]
        changed = SIDES.model_copy(update={"keep_largest": False})
        assert keys(ORGANS, [ORGANS, changed])[-1] != keys(ORGANS, [ORGANS, SIDES])[-1]
        not_compared = FOREIGN.model_copy(update={"keep_largest": False})
        assert keys(ORGANS, [ORGANS, not_compared]) == keys(ORGANS, [ORGANS, FOREIGN])

    def test_who_is_first_counts_for_the_picture(self, monkeypatch):
        monkeypatch.setattr("dixonflow.models.model.Model.weights_hash", "0" * 64)
        one, other = ([ORGANS, FOREIGN], [FOREIGN, ORGANS])
        first, second = (stage_key(Stage.MEASURE, "raw", demo_config(), ORGANS, models) for models in (one, other))
        assert first != second


def test_a_model_that_is_named_twice_or_not_at_all_is_refused():
    base = {"cohort": {"sources": [{"layout": "ukb", "folder": "raw"}]}}
    with pytest.raises(ConfigError, match=r"segment\.models: .*named twice"):
        parse_config(base | {"segment": {"models": ["demo", "mrsegmentator", "demo"]}})
    with pytest.raises(ConfigError, match=r"segment\.models"):
        parse_config(base | {"segment": {"models": []}})
    with pytest.raises(ConfigError, match=r"segment\.model: unknown key"):
        parse_config(base | {"segment": {"model": "demo"}})


class TwoModels:
    """A shard of two scans that are ok up to segment; at merge the second model cannot do one of them."""

    names = ("demo", "mrsegmentator")

    def __init__(self, folder: Path, make_scan, monkeypatch) -> None:
        self.results = Results(folder / "results")
        self.scans = [make_scan(ScanId(f"00{number}", "2")) for number in range(2)]
        self.shard = shard_of(self.scans).name
        write_shards(self.results.shards, [shard_of(self.scans)])
        rows = [replace(row(), scan=scan.scan) for scan in self.scans]
        write_outcomes(self.results.outcomes(Stage.SEGMENT, self.shard), rows)
        self.config = folder / "config.json"
        self.calls = folder / "calls"
        self.broken = folder / "broken"
        self.broken.touch()
        models = tuple(MODEL.model_copy(update={"name": name}) for name in self.names)
        monkeypatch.setattr(stage_command, "load_models", lambda config: models)
        calls, broken, results, shard = self.calls, self.broken, self.results, self.shard

        def process(work, scan):
            model = work.context.model
            with calls.open("a") as file:
                print(model.name, scan.scan.participant, file=file)
            if model.name == "mrsegmentator" and scan.scan.participant == "001" and broken.exists():
                raise RuntimeError("what this model cannot do")
            write_bytes(results.merged(shard, scan.scan, model.name), model.name.encode())
            return merge.StageResult()

        monkeypatch.setattr(merge.MergeWork, "process", process)
        monkeypatch.setattr(merge.MergeWork, "superseded", lambda work, scan: False)
        monkeypatch.setattr(merge.MergeWork, "result", lambda work, scan: "same")

    def run(self, *stages: Stage) -> list[Outcome]:
        """Run merge, or `stages`; give the rows of the last."""
        stages = stages or (Stage.MERGE,)
        content = json.loads(demo_config().model_dump_json())
        content["cohort"]["withdrawn"] = None
        content["segment"]["models"] = self.names
        write_json(self.config, content | {"results": str(self.results.root), "max_attempts": 2})
        stage_command.run_stages(stages, self.config, self.shard, None, None)
        return read_outcomes(self.results.outcomes(stages[-1], self.shard))

    def called(self) -> list[str]:
        lines = self.calls.read_text().splitlines()
        self.calls.unlink()
        return lines


def test_a_scan_that_one_model_fails_on_is_failed_and_that_model_alone_tries_again(
    tmp_path, make_shard_scan, monkeypatch
):
    two = TwoModels(tmp_path, make_shard_scan, monkeypatch)
    good, bad = two.run()
    assert (good.status, bad.status, bad.reason) == (Status.OK, Status.FAILED, Reason.INTERNAL_ERROR)
    assert bad.message == "model mrsegmentator: RuntimeError: what this model cannot do"
    assert two.called() == ["demo 000", "demo 001", "mrsegmentator 000", "mrsegmentator 001"]
    assert read_retry(two.results, two.shard).number(2) == 1
    two.broken.unlink()
    assert [each.status for each in two.run()] == [Status.OK, Status.OK]
    assert two.called() == ["mrsegmentator 001"]
    assert read_retry(two.results, two.shard).number(2) == 1
    assert two.results.merged(two.shard, two.scans[0].scan, "demo").read_bytes() == b"demo"
    assert two.results.merged(two.shard, two.scans[0].scan, "mrsegmentator").read_bytes() == b"mrsegmentator"


def test_a_scan_that_one_model_fails_on_at_the_first_stage_of_a_job_is_failed_there(
    tmp_path, make_shard_scan, monkeypatch
):
    two = TwoModels(tmp_path, make_shard_scan, monkeypatch)

    def process(work, scan):
        with two.calls.open("a") as file:
            print(work.context.model.name, scan.scan.participant, "postprocess", file=file)
        for path in work.outputs(scan):
            write_bytes(path, b"{}")
        return postprocess.StageResult()

    monkeypatch.setattr(postprocess.PostprocessWork, "process", process)
    monkeypatch.setattr(postprocess.PostprocessWork, "result", lambda work, scan: "same")
    good, bad = two.run(*Stage.POSTPROCESS.job)
    assert (good.stage, good.status) == (Stage.POSTPROCESS, Status.OK)
    assert (bad.stage, bad.status) == (Stage.MERGE, Status.FAILED)
    assert bad.message == "model mrsegmentator: RuntimeError: what this model cannot do"
    assert dict(read_retry(two.results, two.shard).failed) == {"merge": 1}
    two.called()
    two.broken.unlink()
    assert [each.status for each in two.run(*Stage.POSTPROCESS.job)] == [Status.OK, Status.OK]
    assert two.called() == ["mrsegmentator 001", "mrsegmentator 001 postprocess"]
    assert not read_retry(two.results, two.shard).failed


OTHER = MODEL.model_copy(update={"name": "second"})


@pytest.fixture
def run_of_two(tmp_path) -> Run:
    """A run whose second model has the same structures, each 1 mL larger, and agrees by 0.9 with the first."""
    run = write_run(tmp_path)
    for path, table in (
        *((run.results.measurements(shard), SHARD_MEASUREMENTS) for shard in ("aaa", "bbb", "ccc")),
        *((run.results.quality(shard), SHARD_QUALITY) for shard in ("aaa", "bbb", "ccc")),
    ):
        rows = read_table(path, table).to_pandas()
        others = rows.assign(model="second")
        if table is SHARD_MEASUREMENTS:
            others.loc[others["measure"].eq("volume"), "value"] += 1
            both = [rows, others]
        else:
            keys = rows[["participant_id", "session_id"]].drop_duplicates()
            agreement = [
                keys.assign(check="model_agreement", structure=name, model=model, value=0.9, threshold=None).assign(
                    grade="pass", place=""
                )
                for name in shared_structures(MODEL, [MODEL, OTHER])
                for model in ("demo", "second")
            ]
            both = [rows, others, *agreement]
        write_table(path, table, pd.concat(both, ignore_index=True)[list(table.names)])
    return run


def test_each_model_has_its_wide_tables_and_those_of_a_model_that_left_go(run_of_two):
    run = run_of_two
    assert aggregate(run.results, {ScanSequence.DIXON: [MODEL, OTHER]}, 3).ok == 5
    first, second = (run.table(name).set_index("participant_id") for name in ("volumes", "volumes_second"))
    assert (set(first["model"]), set(second["model"])) == ({"demo"}, {"second"})
    assert second["muscle_volume_ml"].to_list() == pytest.approx((first["muscle_volume_ml"] + 1).to_list())
    resources = json.loads(run.results.datapackage.read_text())["resources"]
    assert {path.name for path in run.results.tables.glob("*.parquet")} == {each["path"] for each in resources}
    assert {"volumes_second.parquet", "fat_compartments_second.parquet"} <= {each["path"] for each in resources}
    quality = run.table("quality")
    agreement = quality[quality["check"].eq("model_agreement")]
    assert set(agreement["model"]) == {"demo", "second"}
    assert set(agreement["structure"]) == {*MODEL.structures, *MODEL.composites}


def test_a_model_whose_rows_are_not_there_fails_the_scans(run_of_two):
    summary = aggregate(
        run_of_two.results, {ScanSequence.DIXON: [MODEL, OTHER, OTHER.model_copy(update={"name": "third"})]}, 3
    )
    assert summary.ok == 0
    assert summary.failed[Reason.INTERNAL_ERROR] == 5


def test_tables_of_a_model_that_left_the_run_go(tmp_path):
    run = write_run(tmp_path)
    stale = run.results.tables / "volumes_second.parquet"
    mine = run.results.tables / "my_notes.parquet"
    for path in (stale, mine):
        write_bytes(path, b"PAR1")
    aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    assert not stale.exists()
    assert mine.exists()


def test_the_report_shows_every_model_under_its_name(tmp_path):
    write_tables(tmp_path / "tables", further=("second",))
    output = tmp_path / "report.html"
    wide = ("volumes", "fat_compartments", "volumes_second", "fat_compartments_second")
    write_report(tmp_path / "tables", tmp_path / "none", output, ReportOptions(wide=wide))
    page = output.read_text()
    assert page.count("<h3>Model second</h3>") == 2
    assert "volumes_second.parquet" in page
    assert "kidney sides of demo" in page
    assert "kidney sides of second" in page


def test_a_running_job_counts_scans_that_are_done_for_all_models(tmp_path):
    run = write_run(tmp_path)
    results = run.results
    for stage in STAGES[STAGES.index(Stage.RESAMPLE) :]:
        for shard in ("aaa", "bbb", "ccc"):
            results.outcomes(stage, shard).unlink()
    content = json.loads(demo_config().model_dump_json())
    content["segment"]["models"] = ["demo", "second"]
    write_json(results.config, content)
    for name, scans in (("demo", ("0001", "0003")), ("second", ("0001",))):
        for participant in scans:
            scan = ScanId(participant, "2")
            loose = results.records(Stage.RESAMPLE, "aaa", name).with_name("aaa")
            record = {"outcome": replace(row(), scan=scan, stage=Stage.RESAMPLE).to_row(), "payload": {}}
            write_json(loose / f"{scan.name}.json", record)
        found = next(each for each in run_status(results, 1e9).stages if each.stage is Stage.RESAMPLE)
        assert found.ok == (0 if name == "demo" else 1), "what no further model has begun is not done"
