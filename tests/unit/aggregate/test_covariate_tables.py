"""Covariates of a run: tables of their own, which follow the file and the list of the withdrawn."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from synthetic_run import MODEL, WITHDRAWN, Run, write_run

from dixonflow.aggregate.build import aggregate
from dixonflow.aggregate.summary import Summary, format_summary
from dixonflow.config.cohort import CovariatesConfig
from dixonflow.errors import ConfigError
from dixonflow.tables.fat_comparison import FAT_FRACTION_COMPARISON
from dixonflow.vocabulary import ScanSequence

ROWS = {"0001": "70,f,160", "0002": "55,m,180", "0006": "44,m,175", "0099": "61,f,158", "0005": "33,f,x"}


def built(run: Run, path: Path | None) -> Summary:
    people = None if path is None else CovariatesConfig(file=path)
    return aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3, people, frozenset({WITHDRAWN.participant}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    lines = ["eid,age,sex,height_cm", *(f"{participant.lstrip('0')},{rest}" for participant, rest in ROWS.items())]
    (tmp_path / "people.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "people.csv"


def test_covariates_are_tables_of_their_own(tmp_path: Path, path: Path) -> None:
    run = write_run(tmp_path / "results")
    summary = built(run, path)
    rows = run.table("covariates").set_index(["participant_id", "session_id"])
    assert rows["sex"].to_dict() == {
        **{("0001", "2"): "female", ("0002", "2"): "male", ("0002", "3"): "male", ("0005", "2"): "female"},
    }
    assert rows["age_years"].dropna().to_dict() == {("0001", "2"): 70, ("0005", "2"): 33}
    problems = run.table("covariate_problems")
    unknown = problems[problems["problem"].eq("session_unknown")]
    assert set(unknown["participant_id"]) == {"0002"}, "two sessions, one age"
    assert set(unknown["covariate"]) == {"age_years", "height_cm"}
    assert set(problems.loc[problems["participant_id"].eq("0005"), "problem"]) == {"implausible_value"}
    assert set(problems.loc[problems["problem"].eq("no_scan"), "participant_id"]) == {"99"}
    for name in ("scans", "measurements", "volumes", "fat_compartments", "quality"):
        assert not {"age_years", "sex", "height_cm"} & set(pq.read_schema(run.results.tables / f"{name}.parquet").names)
    package = json.loads(run.results.datapackage.read_text())
    assert {"covariates.parquet", "covariate_problems.parquet"} <= {each["path"] for each in package["resources"]}
    described = run.table("dictionary")
    assert set(described.loc[described["table_name"].eq("covariates"), "name"]) == set(rows.reset_index().columns)
    lines = [line.split() for line in format_summary(summary).splitlines()]
    assert ["with", "covariates", "4"] in lines
    assert ["no_scan", "1"] in lines
    assert ["withdrawn", "1"] in lines


def test_who_has_withdrawn_is_in_neither_table(tmp_path: Path, path: Path) -> None:
    run = write_run(tmp_path / "results")
    built(run, path)
    for name in ("covariates", "covariate_problems"):
        assert not run.table(name)["participant_id"].str.lstrip("0").eq(WITHDRAWN.participant.lstrip("0")).any()


def test_without_a_file_there_are_no_such_tables(tmp_path: Path, path: Path) -> None:
    run = write_run(tmp_path / "results")
    built(run, path)
    summary = built(run, None)
    assert not list(run.results.tables.glob("covariate*"))
    assert summary.covariates == {}
    assert "covariates" not in format_summary(summary)
    assert FAT_FRACTION_COMPARISON.name not in {each.stem for each in run.results.tables.iterdir()}


def test_a_file_that_cannot_be_used_stops_the_tables_before_they_say_that_they_are_done(
    tmp_path: Path, path: Path
) -> None:
    run = write_run(tmp_path / "results")
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="participants' ids"):
        built(run, path)
    assert not run.results.datapackage.exists()
