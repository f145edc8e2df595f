"""Covariates: files as cohorts deliver them, matched to scans; what cannot be used is listed by reason."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dixonflow.analyse.covariates import COVARIATE_TABLE, PROBLEM_TABLE, Problem, covariates
from dixonflow.config.cohort import CovariatesConfig
from dixonflow.errors import ConfigError
from dixonflow.tables.schema import to_arrow, to_pandas

SCANS = pd.DataFrame(
    [("1000017", "2"), ("1000017", "3"), ("1000028", "2"), ("000123", "30")], columns=["participant_id", "session_id"]
)


def found(path: Path, withdrawn: tuple[str, ...] = (), scans: pd.DataFrame = SCANS, **section: Any):
    result = covariates(CovariatesConfig(file=path, **section), scans, withdrawn)
    rows = to_pandas(to_arrow(result.rows, COVARIATE_TABLE))  # also checks them against the table
    to_arrow(result.problems, PROBLEM_TABLE)
    problems = {
        (row.participant_id, row.session_id, row.covariate, row.problem) for row in result.problems.itertuples()
    }
    return rows.set_index(["participant_id", "session_id"]), problems, result


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


UKB = {
    "platform": ("eid,p31,p21003_i2,p21003_i3,p50_i2,p21002_i2,p53_i2,p54_i2", "Female"),
    "platform, with the entity": (
        "participant.eid,participant.p31,participant.p21003_i2,participant.p21003_i3,participant.p50_i2,"
        "participant.p21002_i2,participant.p53_i2,participant.p54_i2",
        "0",
    ),
    "csv": ("eid,31-0.0,21003-2.0,21003-3.0,50-2.0,21002-2.0,53-2.0,54-2.0", "0"),
    "R": ("f.eid,f.31.0.0,f.21003.2.0,f.21003.3.0,f.50.2.0,f.21002.2.0,f.53.2.0,f.54.2.0", "0.0"),
    "Stata": ("n_eid,n_31_0_0,n_21003_2_0,n_21003_3_0,n_50_2_0,n_21002_2_0,s_53_2_0,n_54_2_0", "Female"),
}


@pytest.mark.parametrize("form", UKB)
def test_names_and_codes_of_uk_biobank_are_known(form: str, tmp_path: Path) -> None:
    header, female = UKB[form]
    path = write(tmp_path / "c.csv", f"{header}\n1000017,{female},61,65,164,63.2,2016-05-04,11025\n")
    rows, problems, _ = found(path)
    first, second = rows.loc[("1000017", "2")], rows.loc[("1000017", "3")]
    assert first[["age_years", "sex", "height_cm", "weight_kg", "centre", "scan_date"]].tolist() == [
        *(61.0, "female", 164.0, 63.2, "11025", "2016-05-04"),
    ]
    assert first["bmi_kg_per_m2"] == pytest.approx(63.2 / 1.64**2)
    assert second["age_years"] == 65.0, "instance 3 is session 3"
    assert pd.isna(second["height_cm"]), "instance 2 says nothing of session 3"
    assert second["sex"] == "female"
    assert problems == {("1000028", "2", "", "not_in_file"), ("000123", "30", "", "not_in_file")}


def test_names_of_nako_hold_for_the_baseline_and_its_codes_must_be_said(tmp_path: Path) -> None:
    text = "ID;basis_age;basis_sex;basis_uort;anthro_groe;anthro_gew\n000123;44;2;7;181,5;80,25\n"
    path = write(tmp_path / "nako.csv", text)
    with pytest.raises(ConfigError, match=r"sex_codes"):
        found(path)
    codes = {"female": ("2",), "male": ("1",)}
    rows, _, _ = found(path, sex_codes=codes)
    row = rows.loc[("000123", "30")]
    assert row[["age_years", "sex", "centre", "height_cm", "weight_kg"]].tolist() == [44, "female", "7", 181.5, 80.25]
    followed = pd.DataFrame([("000123", "60")], columns=["participant_id", "session_id"])
    rows, _problems, _ = found(path, scans=followed, sex_codes=codes)
    assert rows["sex"].tolist() == ["female"]
    assert rows["age_years"].isna().all(), "the age at baseline is not that at the follow-up"


@pytest.mark.parametrize(
    "ids", [pa.array([123, 1000017]), pa.array([123.0, 1000017.0]), pa.array(["000123", "1000017"])]
)
def test_ids_are_text_whatever_they_are_in_the_file(ids: pa.Array, tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table({"eid": ids, "age": pa.array([44, 61]), "sex": pa.array(["male", "w"])}), path)
    rows, problems, _ = found(path, scans=SCANS[SCANS["session_id"].ne("3")])
    assert rows.loc[("000123", "30"), "age_years"] == 44
    assert rows.loc[("1000017", "2"), ["age_years", "sex"]].tolist() == [61, "female"]
    assert problems == {("1000028", "2", "", "not_in_file")}


def test_ids_that_could_be_two_participants_are_none(tmp_path: Path) -> None:
    scans = pd.DataFrame([("0123", "30"), ("00123", "30")], columns=["participant_id", "session_id"])
    rows, problems, _ = found(write(tmp_path / "c.csv", "eid,age\n123,50\n"), scans=scans)
    assert rows.empty
    assert problems == {
        ("123", "", "", "no_scan"),
        ("0123", "30", "", "not_in_file"),
        ("00123", "30", "", "not_in_file"),
    }


def test_what_is_wrong_with_a_value_is_said_and_the_value_left_out(tmp_path: Path) -> None:
    text = (
        "eid\tage\tsex\theight_cm\tweight_kg\tscan_date\n"
        "1000017\t-3\tfemale\t16.4\tabc\t04.05.2016\n"
        "1000028\t50\tmale\t180\t81\t2016-05-04T10:00:00\n"
        "1000028\t51\tmale\t\t81\t2016-05-04\n"
        "4000000\t50\tmale\t180\t81\t\n"
        "\t50\tmale\t180\t81\t\n"
        "-1\t50\tmale\t180\t81\t\n"
        "000123\t\tNA\t.\t\t\n"
    )
    rows, problems, result = found(write(tmp_path / "c.tsv", text), scans=SCANS[SCANS["session_id"].ne("3")])
    wrong = {("1000017", "2", name, "implausible_value") for name in
             ("age_years", "height_cm", "weight_kg", "scan_date")}  # fmt: skip
    assert problems == wrong | {
        ("1000028", "2", "age_years", "contradictory_values"),
        ("4000000", "", "", "no_scan"),
        ("", "", "", "unreadable_id"),
        ("-1", "", "", "unreadable_id"),
        ("000123", "30", "", "no_values"),
    }
    assert rows.loc[("1000017", "2"), "sex"] == "female"
    assert pd.isna(rows.loc[("1000028", "2"), "age_years"])
    assert rows.loc[("1000028", "2"), ["height_cm", "weight_kg", "scan_date"]].tolist() == [180, 81, "2016-05-04"]
    assert result.counts()[Problem.IMPLAUSIBLE] == len(wrong)


def test_nothing_is_kept_of_participants_who_have_withdrawn(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "eid,age\n1000017,61\n1000099,50\n1000028,40\n")
    rows, problems, result = found(
        path,
        withdrawn=("1000099", "1000028"),
        scans=SCANS[SCANS["participant_id"].ne("1000028") & SCANS["session_id"].ne("3")],
    )
    assert result.withdrawn == 2
    assert set(rows.index.get_level_values(0)) == {"1000017"}
    assert problems == {("000123", "30", "", "not_in_file")}


def test_a_row_per_session_and_names_from_the_configuration(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "who,visit,alter_2,alter_3,geschlecht\n1000017,2,61,65,w\n1000017,3,61,65,w\n")
    rows, problems, _ = found(
        path, participant="who", session="visit", columns={"age": "alter_{session}", "sex": "geschlecht"}
    )
    assert rows["age_years"].to_dict() == {("1000017", "2"): 61, ("1000017", "3"): 65}
    assert {problem for *_, problem in problems} == {"not_in_file"}


@pytest.mark.parametrize(
    ("text", "section", "match"),
    [
        ("a,age\n1,2\n", {}, "no column of participants' ids"),
        ("eid,age,p21003_i2\n1,2,3\n", {}, "columns p21003_i2, age: name the right one"),
        ("eid,ID,age\n1,2,3\n", {}, "columns eid, ID"),
        ("eid,Age, age\n1,2,3\n", {}, "columns Age, age: name the right one"),
        ("eid,age, age\n1,2,3\n", {}, "column age twice"),
        ("eid,alter,p21003_i0\n1,2,3\n", {}, r"no column of a covariate for session 2, 3, 30: .*age: alter"),
        ("eid,alter_1\n1,2\n", {"columns": {"age": "alter_{session}"}}, "no column of a covariate"),
        ("eid,p31\n1,0\n", {"sex_codes": {"female": (1,), "male": (0,)}}, "'0' for male, and UK Biobank"),
        ("eid,age\n1,2\n", {"columns": {"sex": "gender"}}, "no column 'gender'"),
        ("eid,age,age\n1,2,3\n", {}, "column age twice"),
        ("eid,age\n1,2,3,4\n", {}, "cannot be read"),
        ("eid,sex\n1000017,1\n1000028,2\n", {}, "sex_codes"),
        ("", {}, "no column of participants' ids"),
    ],
)
def test_a_file_that_is_not_clear_is_refused(text: str, section: dict[str, Any], match: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=match):
        found(write(tmp_path / "c.csv", text), **section)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        found(tmp_path / "none.csv")
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="cannot be read"):
        found(tmp_path / "c.parquet")
    (tmp_path / "c.csv").write_bytes(b"eid,age\n1000017,\xff\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        found(tmp_path / "c.csv")


def test_a_value_of_no_session_is_not_that_of_every_session(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "eid,age,sex,centre,weight_kg\n1000017,61,f,7,60\n1000028,50,m,7,80\n")
    rows, problems, _ = found(path)
    assert rows.loc["1000017", "age_years"].isna().all()
    assert rows.loc["1000017", "sex"].tolist() == ["female", "female"]
    assert rows.loc[("1000028", "2"), ["age_years", "weight_kg"]].tolist() == [50, 80]
    assert {problem for problem in problems if problem[0] == "1000017"} == {
        ("1000017", each, name, "session_unknown") for each in "23" for name in ("age_years", "weight_kg")
    }
    rows, _, _ = found(path, columns={"age": "age"})
    assert rows.loc["1000017", "age_years"].isna().all(), "a name from the configuration says no session either"


def test_an_empty_file_and_an_empty_cohort_are_no_trouble(tmp_path: Path) -> None:
    rows, problems, _ = found(write(tmp_path / "c.csv", "eid,age\n"))
    assert rows.empty
    assert {problem for *_, problem in problems} == {"not_in_file"}
    rows, problems, _ = found(write(tmp_path / "d.csv", "eid,age\n1000017,61\n"), scans=SCANS[:0])
    assert rows.empty


@pytest.mark.parametrize(
    ("codes", "shown"),
    [("1.0,2.0", "sex has 1.0, 2.0"), ("-1,1", "sex has -1, 1"), ("1000017,1000028", "many numbers")],
)
def test_numbers_for_the_sexes_stop_the_run_and_ids_are_not_shown(codes: str, shown: str, tmp_path: Path) -> None:
    one, other = codes.split(",")
    path = write(tmp_path / "c.csv", f"eid,sex\n1000017,{one}\n1000028,{other}\n")
    with pytest.raises(ConfigError, match="sex_codes") as caught:
        found(path)
    assert shown in str(caught.value)
    assert "1000017" not in str(caught.value)


def test_other_codes_are_unknown_once_the_codes_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "eid,sex\n1000017,1.0\n1000028,9\n")
    rows, problems, _ = found(path, sex_codes={"male": ("1",), "female": ("2",)})
    assert rows["sex"].tolist() == ["male", "male"]
    assert ("1000028", "2", "sex", "implausible_value") in problems


def test_every_row_of_the_file_that_no_scan_has_is_counted_and_listed(tmp_path: Path) -> None:
    """Rows of a session without a scan, of a participant without one, of no session; each as often as it is there."""
    lines = ["1000017,2,61", "1000017,4,65", "1000028,3,50", "4000000,2,50", "4000000,9,50", "4000000,9,51"]
    lines += ["1000028,,50", ",2,50", ",2,51", "5000000,2,1", "5000000,,1"]
    path = write(tmp_path / "c.csv", "\n".join(["eid,session_id,age", *lines, ""]))
    rows, problems, result = found(path, withdrawn=("5000000",))
    assert rows["age_years"].to_dict() == {("1000017", "2"): 61}
    assert problems == {
        *((who, when, "", "not_in_file") for who, when in (("1000017", "3"), ("1000028", "2"), ("000123", "30"))),
        *(("1000017", "4", "", "no_scan"), ("1000028", "3", "", "no_scan")),
        *(("4000000", "2", "", "no_scan"), ("4000000", "9", "", "no_scan")),
        *(("1000028", "", "", "unreadable_id"), ("", "2", "", "unreadable_id")),
    }
    counts = result.counts()
    assert (counts["no_scan"], counts["unreadable_id"], result.withdrawn) == (5, 3, 1)
    of_file = sum(counts[each] for each in ("no_scan", "unreadable_id"))
    assert of_file + len(rows) + 2 == len(lines), "two rows are of someone who has withdrawn"
    _, problems, result = found(write(tmp_path / "wide.csv", "eid,age\n7,1\n7,2\n,3\n,4\n"))
    assert result.counts()["no_scan"] == result.counts()["unreadable_id"] == 2, "not once per session of the scans"
    _, problems, _ = found(path, scans=SCANS[:0])
    assert ("1000017", "2", "", "no_scan") in problems


def test_ids_as_bids_writes_them_are_read(tmp_path: Path) -> None:
    scans = pd.DataFrame([("0012", "01"), ("0012", "02"), ("A7", "01")], columns=["participant_id", "session_id"])
    text = "participant_id\tsession_id\tage\tsex\nsub-0012\tses-01\t50\tF\nsub-0012\tses-02\t52\tn/a\nA7\t1\t60\tM\n"
    rows, problems, _ = found(write(tmp_path / "participants.tsv", text), scans=scans)
    assert rows["age_years"].to_dict() == {("0012", "01"): 50, ("0012", "02"): 52, ("A7", "01"): 60}
    assert rows["sex"].dropna().tolist() == ["female", "male"]
    assert problems == set()


def test_names_in_capitals_and_with_blanks_are_known(tmp_path: Path) -> None:
    scans = SCANS[SCANS["session_id"].eq("2")]
    text = "EID, P31, p21003_I2, Gewicht ,p54_i2\n1000017, 0, 61, 70.5,11025.0\n1000028,1,50,80,11025\n"
    rows, problems, _ = found(write(tmp_path / "c.csv", text), scans=scans, columns={"weight": "gewicht"})
    assert rows["sex"].tolist() == ["female", "male"]
    assert rows["age_years"].tolist() == [61, 50]
    assert rows["weight_kg"].tolist() == [70.5, 80]
    assert rows["centre"].tolist() == ["11025", "11025"]
    assert problems == set()
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table({" Eid": [1000017, 1000028], "Age ": [61.0, 50.0]}), path)
    assert found(path, scans=scans)[0]["age_years"].tolist() == [61, 50]


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_decimal_commas_are_read_whatever_is_between_the_columns(delimiter: str, tmp_path: Path) -> None:
    lines = [["eid", "age", "weight_kg", "sex", "centre"], ["1000028,0", "55,5", "70,50 ", "2,0", "11025,0"]]
    text = "\n".join(delimiter.join(f'"{value}"' for value in line) for line in lines)
    rows, _, _ = found(write(tmp_path / "c.txt", text), sex_codes={"female": ("2.0",)})
    assert rows.loc[("1000028", "2"), ["age_years", "weight_kg", "sex", "centre"]].tolist() == [
        *(55.5, 70.5, "female", "11025"),
    ]


@pytest.mark.parametrize("code", ["2", "2.0", 2, 2.0])
def test_a_code_is_the_same_with_a_fraction_of_zero(code: object, tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "eid,sex\n1000017,2\n1000028,2.0\n")
    assert found(path, sex_codes={"female": (code,)})[0]["sex"].tolist() == ["female"] * 3
