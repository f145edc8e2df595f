"""Who was lost: numbers that add up, and small ones that nobody can work out."""

import shutil

import numpy as np
import pandas as pd
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import chi2_contingency
from synthetic_cohort import draw_cohort, write_cohort
from typer.testing import CliRunner

from dixonflow.analyse.covariates import COVARIATE_TABLE
from dixonflow.analyse.disclosure import LIMIT, suppressed
from dixonflow.analyse.loss import OTHER, study_loss
from dixonflow.analyse.loss_flow import KEPT, OF_SCANS
from dixonflow.analyse.shareable import SHAREABLE
from dixonflow.cli.results.analyse import analyse_command
from dixonflow.tables.definitions import FILE_COUNTS
from dixonflow.tables.parquet import write_table
from dixonflow.tables.schema import TableError


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """1,000 scans: 60 excluded for a station, 3 for contrasts, 7 failed, 20 failed a check, 4 withdrawn; mostly men.

    Of 12 scans files were replaced, of 6 some lie there again; 5 have four zips each.
    """
    folder = write_cohort(tmp_path_factory.mktemp("run") / "tables", draw_cohort(1000, {"liver": 0.0}))
    scans = pd.read_parquet(folder / "scans.parquet")
    people = pd.read_parquet(folder / "covariates.parquet").set_index("participant_id")
    men = scans.index[people.loc[scans["participant_id"], "sex"].eq("male").to_numpy()]
    places = [*men[:60], *scans.index.difference(men[:60])[:34]]
    changes = [("excluded", "missing_station", 60), ("excluded", "missing_contrast", 3), ("failed", "timeout", 7)]
    start = 0
    for status, reason, number in changes:
        scans.loc[places[start : start + number], ["status", "reason", "scan_grade"]] = [status, reason, None]
        start += number
    scans.loc[places[start : start + 20], "scan_grade"] = "fail"
    scans.loc[places[start + 20 :], ["status", "reason", "scan_grade"]] = ["withdrawn", "consent_withdrawn", None]
    scans.loc[100:111, "n_files_superseded"] = 2
    scans.loc[110:115, "n_files_repeated"] = 1
    scans.loc[:4, "n_files"] = 4
    scans.to_parquet(folder / "scans.parquet")
    return folder


def test_the_flow_adds_up_and_is_that_of_the_conservation_law(tables):
    flow = study_loss(tables, limit=1).flow
    files = flow[flow["n_files"].notna()]
    assert files["n_files"].tolist() == [1015 + 24 + 6, 24, 6, 1015]
    assert files["n_scans"].astype(object).where(files["n_scans"].notna(), None).tolist() == [None, 12, 6, None]
    assert flow["step"].tolist()[len(files)] == OF_SCANS
    flow = flow[len(files) :]
    totals = flow[flow["reason"].eq("")].set_index("step")["n_scans"]
    scans = pd.read_parquet(tables / "scans.parquet")
    assert totals[OF_SCANS] == len(scans) == 1000
    assert totals.tolist() == [1000, 996, 933, 926, 906]
    reasons = flow[flow["reason"].ne("")].groupby("step", sort=False)["n_scans"].sum()
    assert reasons.to_dict() == {"withdrawn": 4, "excluded": 63, "failed": 7, "failed a check of the whole scan": 20}
    assert totals.diff().dropna().mul(-1).tolist() == reasons.tolist()
    counts = scans["status"].value_counts()
    assert counts["ok"] + counts["excluded"] + counts["failed"] + counts["withdrawn"] == totals.iloc[0]


def test_values_are_counted_by_grade_and_reason_and_few_people_are_not_shown(tables, tmp_path):
    rows = pd.read_parquet(tables / "measurements.parquet", dtype_backend="pyarrow")
    rows.loc[:99, ["value", "grade", "missing_reason"]] = [None, None, "not_found"]
    rows.loc[100:102, ["value", "grade", "missing_reason"]] = [None, None, "cut_by_field_of_view"]
    rows.loc[103:152, "grade"] = "review"
    for name in ("scans", "covariates"):
        shutil.copy(tables / f"{name}.parquet", tmp_path)
    rows.to_parquet(tmp_path / "measurements.parquet")
    found = study_loss(tmp_path).values.set_index("outcome")["n_values"]
    assert found.dropna().to_dict() == {"pass": 847, "not_found": 100}
    assert found[found.isna()].index.tolist() == ["review", "cut_by_field_of_view"], "one would follow from the sum"
    assert study_loss(tmp_path, limit=1).values["n_values"].sum() == len(rows) == 1000
    (tmp_path / "measurements.parquet").unlink()
    assert study_loss(tmp_path).values is None


def test_small_numbers_of_the_flow_cannot_be_worked_out(tables):
    flow = study_loss(tables).flow
    flow = flow[flow["n_files"].isna()]
    hidden = flow[flow["suppressed"]]
    assert set(hidden["reason"]) >= {"missing_contrast", "withdrawn"}
    assert hidden["n_scans"].isna().all()
    shown = flow[flow["reason"].eq("") & ~flow["suppressed"]]["n_scans"].astype(int).tolist()
    # between two totals that are shown lies what is shown, and a rest of two small counts or more
    losses = flow[flow["reason"].ne("")]
    rest = shown[0] - shown[-1] - int(losses.loc[~losses["suppressed"], "n_scans"].sum())
    assert rest == 0 or (rest >= LIMIT and losses["suppressed"].sum() >= 2)


@pytest.mark.parametrize(
    ("superseded", "repeated", "shown"),
    [
        (12, 6, [1018, 12, 6, 1000]),
        (3, 6, [1009, None, None, 1000]),
        (3, 0, [None, None, 1000]),
        (3, 2, [None, None, None, 1000]),
    ],
)
def test_few_files_cannot_be_worked_out(tables, tmp_path, superseded, repeated, shown):
    scans = pd.read_parquet(tables / "scans.parquet")
    scans[list(FILE_COUNTS)] = [1, 0, 0]
    scans.loc[100 : 99 + superseded, "n_files_superseded"] = 1
    scans.loc[100 : 99 + repeated, "n_files_repeated"] = 1
    scans["status"] = scans["status"].where(scans["status"].ne("withdrawn"), "ok")
    scans.to_parquet(tmp_path / "scans.parquet")
    flow = study_loss(tmp_path).flow[: len(shown)]
    numbers = flow["n_files"].astype(object).where(flow["n_files"].notna(), None).tolist()
    assert numbers == shown
    assert flow["suppressed"].tolist() == [number is None for number in shown]
    assert flow.loc[flow["suppressed"], ["n_scans", "n_participants"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("changes", "hidden"),
    [
        ({("excluded", "missing_contrast"): 3, ("excluded", "missing_station"): 50}, True),
        ({("excluded", "missing_contrast"): 3}, True),
        ({("excluded", "missing_contrast"): 3, ("failed", "timeout"): 2, ("failed", "killed"): 30}, True),
        ({("withdrawn", "consent_withdrawn"): 3}, True),
        ({("excluded", "missing_contrast"): 30, ("failed", "timeout"): 20}, False),
    ],
)
def test_no_table_gives_back_what_another_hides(tables, tmp_path, changes, hidden):
    """The sums that can be made of what is published: each reason is shown in both tables or in none."""
    scans = pd.read_parquet(tables / "scans.parquet").assign(status="ok", reason="none", scan_grade="pass")
    scans[list(FILE_COUNTS)] = [1, 0, 0]
    place = 0
    for (status, reason), number in changes.items():
        scans.loc[place : place + number - 1, ["status", "reason", "scan_grade"]] = [status, reason, None]
        place += number
    scans.to_parquet(tmp_path / "scans.parquet")
    shutil.copy(tables / "covariates.parquet", tmp_path)
    loss = study_loss(tmp_path)
    flow, groups = loss.flow, loss.groups[loss.groups["variable"].eq("sex")]
    assert flow["suppressed"].any() == hidden
    shown = flow[flow["reason"].ne("") & ~flow["suppressed"]]
    named = {f"{row.step}: {row.reason}" for row in shown.itertuples()}
    assert set(groups["outcome"]) <= named | {KEPT, OTHER}
    totals = flow.loc[flow["reason"].eq("") & flow["n_scans"].notna(), "n_scans"].astype(int).tolist()
    if groups["n"].notna().all():
        totals.append(int(groups.loc[groups["outcome"].eq(KEPT), "n"].sum()))
        assert int(groups["n"].sum()) in totals
    unexplained = totals[0] - totals[-1] - int(shown["n_scans"].sum())
    assert unexplained == 0 or unexplained >= LIMIT


def test_few_levels_are_one(tables, tmp_path):
    shutil.copy(tables / "scans.parquet", tmp_path)
    people = pd.read_parquet(tables / "covariates.parquet", dtype_backend="pyarrow")
    people.loc[:2, "centre"] = "11026"
    people.loc[3:200, "centre"] = "11027"
    write_table(tmp_path / "covariates.parquet", COVARIATE_TABLE, people)
    groups = study_loss(tmp_path).groups
    assert set(groups.loc[groups["variable"].eq("centre"), "level"]) == {"11025", "11026, 11027"}


def test_tables_that_count_no_files_begin_with_scans(tables, tmp_path):
    scans = pd.read_parquet(tables / "scans.parquet")
    scans.drop(columns=list(FILE_COUNTS)).to_parquet(tmp_path / "scans.parquet")
    assert study_loss(tmp_path).flow["step"].iloc[0] == OF_SCANS


def test_groups_are_compared_with_the_right_test(tables):
    loss = study_loss(tables)
    groups = loss.groups[loss.groups["variable"].eq("sex")]
    assert set(groups["level"]) == {"female", "male"}
    scans = pd.read_parquet(tables / "scans.parquet")
    scans = scans[scans["status"].ne("withdrawn")]
    people = pd.read_parquet(tables / "covariates.parquet").set_index("participant_id")
    sex = people.loc[scans["participant_id"], "sex"].to_numpy()
    graded = scans["scan_grade"].astype(object).where(scans["scan_grade"].notna(), "")
    kept = np.array([status == "ok" and grade != "fail" for status, grade in zip(scans["status"], graded, strict=True)])
    expected = chi2_contingency(pd.crosstab(kept, sex), correction=False)
    row = loss.tests.set_index("variable").loc["sex"]
    assert row["p"] == pytest.approx(expected.pvalue)
    assert row["p"] < 0.05, "more men were lost"
    exact = study_loss(tables, limit=1).groups
    exact = exact[exact["variable"].eq("sex")]
    men = exact[exact["level"].eq("male") & exact["outcome"].eq(KEPT)].iloc[0]
    assert men["n"] == (kept & (sex == "male")).sum()
    small = groups[groups["outcome"].eq("excluded: missing_contrast")]
    assert small["suppressed"].all()
    assert small["share"].isna().all()
    for variable in ("age_group", "bmi_class", "centre"):
        assert loss.groups["variable"].eq(variable).any()


def intervals(counts: np.ndarray, hidden: np.ndarray) -> list[float]:
    """Width of what an attacker can say of each hidden count, who knows all totals."""
    places = np.argwhere(hidden)
    known = np.where(hidden, 0, counts)
    rows = [[float(place[0] == r) for place in places] for r in range(counts.shape[0])]
    rows += [[float(place[1] == c) for place in places] for c in range(counts.shape[1])]
    rest = [*(counts.sum(axis=1) - known.sum(axis=1)), *(counts.sum(axis=0) - known.sum(axis=0))]
    widths = []
    for number in range(len(places)):
        goal = np.zeros(len(places))
        goal[number] = 1
        low, high = (linprog(sign * goal, A_eq=rows, b_eq=rest, bounds=(0, None)) for sign in (1, -1))
        widths.append(-high.fun - low.fun)
    return widths


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 5),
    st.integers(2, 6),
    st.randoms(use_true_random=False),
)
def test_no_hidden_count_follows_from_the_totals(rows, columns, random):
    counts = np.array([[random.choice([0, 1, 2, 4, 5, 7, 20, 300]) for _ in range(columns)] for _ in range(rows)])
    hidden = suppressed(counts)
    assert hidden[(counts > 0) & (counts < LIMIT)].all()
    if hidden.any() and not hidden.all():
        assert min(intervals(counts, hidden)) >= LIMIT - 1e-6


def test_nothing_is_hidden_without_need():
    counts = np.array([[50, 20, 10], [80, 0, 6]])
    assert not suppressed(counts).any()


@pytest.mark.parametrize("people", [1, 4])
def test_a_count_of_few_people_is_small_whatever_their_scans(people):
    counts, of_people = np.array([[50, 9], [80, 30], [20, 40]]), np.array([[50, people], [80, 30], [20, 40]])
    assert not suppressed(counts).any()
    assert suppressed(counts, people=of_people)[0, 1]


def test_without_covariates_there_is_a_flow_and_no_groups(tables, tmp_path):
    (tmp_path / "scans.parquet").write_bytes((tables / "scans.parquet").read_bytes())
    loss = study_loss(tmp_path)
    assert len(loss.flow) > 5
    assert loss.groups.empty


def test_a_damaged_table_is_named(tables, tmp_path):
    (tmp_path / "scans.parquet").write_bytes((tables / "scans.parquet").read_bytes()[:5000])
    with pytest.raises(TableError, match=r"scans\.parquet cannot be read"):
        study_loss(tmp_path)


def test_the_command_draws_the_flow(tables, tmp_path):
    app = typer.Typer()
    app.command()(analyse_command)
    result = CliRunner().invoke(app, ["loss", "--tables", str(tables), "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    names = {path.name for path in tmp_path.iterdir()} - {SHAREABLE}
    assert names == {
        "flow.parquet",
        "values.parquet",
        "groups.parquet",
        "tests.parquet",
        "flow.svg",
        "flow.pdf",
        "flow.png",
    }
    svg = (tmp_path / "flow.svg").read_text()
    assert "files in the raw folders" in svg
    assert OF_SCANS in svg
    assert "996 scans" in svg
    assert "1,000 scans" not in svg, "with the number after it, it would say how many have withdrawn"
    assert "missing contrast: not shown" in svg


def test_all_studies_of_no_tables_are_an_error(tmp_path):
    app = typer.Typer()
    app.command()(analyse_command)
    answer = CliRunner().invoke(app, ["all", "--tables", str(tmp_path / "typo"), "--output", str(tmp_path / "out")])
    assert answer.exit_code == 1
    assert "analyse: no study could be done" in str(answer.exception) + answer.output
