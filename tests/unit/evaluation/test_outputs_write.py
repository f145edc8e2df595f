"""The folder of an evaluation: complete, with the metadata of the project's tables, and nothing of an earlier one."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from evaluated_cases import evaluated

from dixonflow.evaluation.outputs.case_pictures import choose_cases
from dixonflow.evaluation.outputs.definitions import BY_AGE, BY_SEX, CASES, COMPARISON, SUMMARY
from dixonflow.evaluation.outputs.write import write_evaluation
from dixonflow.evaluation.statistics.case_rows import StatisticsError
from dixonflow.evaluation.statistics.comparison import compare_systems
from dixonflow.evaluation.statistics.covariates import by_age, by_sex
from dixonflow.evaluation.statistics.summary import summarise
from dixonflow.tables import SCHEMA_VERSION
from dixonflow.tables.parquet import read_table
from dixonflow.tables.schema import TableError

DICE = np.linspace(0.7, 0.95, 20)
IDS = [f"10001{number:02}" for number in range(20)]


def rows():
    presence = ["missed", "neither", "invented"] + ["both"] * 17
    holes = [0, np.nan, 0, *DICE[3:]]
    return pd.concat(
        [
            evaluated(DICE, participants=IDS),
            evaluated(holes, participants=IDS, presence=presence, structure="spleen"),
            evaluated(DICE + 0.01, participants=IDS, system="theirs"),
        ]
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    made = rows()
    covariates = pd.DataFrame(
        {"participant_id": IDS, "session_id": "2", "sex": ["female", "male"] * 10, "age_years": np.linspace(45, 80, 20)}
    )
    pictures = dict.fromkeys(choose_cases(made, "ours", "liver", number=1), b"png")
    files = write_evaluation(
        folder,
        made,
        summarise(made, draws=200),
        [compare_systems(made, "ours", "theirs", draws=200)],
        of_sex=by_sex(made, covariates),
        of_age=by_age(made, covariates),
        pictures=pictures,
    )
    return folder, files


def test_every_file_is_there_and_listed(written):
    folder, files = written
    tables = ["summary", "comparison", "by_sex", "by_age"]
    expected = {
        "cases.parquet",
        "table.csv",
        "table.md",
        *(f"{name}.{end}" for name in tables for end in ("parquet", "csv")),
    }
    expected |= {f"box_plot_{metric}.{end}" for metric in ("dice", "nsd", "hd95_mm") for end in ("svg", "png")}
    expected |= {"pictures/ours_liver_worst_1_case_00001.png", "pictures/ours_liver_best_1_case_00020.png"}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == expected == {path.relative_to(folder).as_posix() for path in files}
    assert len(files) == len(set(files))


def test_tables_have_the_project_s_metadata_and_nulls(written):
    folder, _ = written
    for table in (CASES, SUMMARY, COMPARISON, BY_SEX, BY_AGE):
        found = read_table(folder / f"{table.name}.parquet", table)
        metadata = pq.read_schema(folder / f"{table.name}.parquet").metadata
        assert metadata[b"schema_version"].decode() == SCHEMA_VERSION
        assert found.schema.field("metric" if table is not CASES else "hd95_mm").metadata[b"description"]
    cases = pq.read_table(folder / "cases.parquet")
    assert cases.schema.field("hd95_mm").metadata[b"unit"] == b"mm"
    assert cases["hd95_mm"].null_count == 3
    assert sorted(set(cases["case_number"].to_pylist())) == list(range(1, 21))
    summary = pq.read_table(folder / "summary.parquet").to_pandas()
    hd95 = summary[summary["metric"].eq("hd95_mm") & summary["structure"].eq("spleen")].iloc[0]
    assert (hd95["n"], hd95["n_missed"], hd95["n_invented"], hd95["n_neither"]) == (17, 1, 1, 1)


def test_only_cases_name_participants(written):
    for path in written[1]:
        if path.name != "cases.parquet":
            assert not any(one.encode() in path.read_bytes() for one in IDS), path.name
            assert not any(one in path.name for one in IDS)


def test_csv_is_the_table(written):
    folder, _ = written
    csv = pd.read_csv(folder / "summary.csv")
    parquet = pq.read_table(folder / "summary.parquet").to_pandas()
    merged = csv.merge(parquet, on=["system", "structure", "metric"], suffixes=("", "_parquet"))
    assert len(merged) == len(csv) == len(parquet)
    np.testing.assert_allclose(merged["mean"].to_numpy(float), merged["mean_parquet"].to_numpy(float))


def test_the_page_explains_its_numbers(written):
    page = (written[0] / "table.md").read_text(encoding="utf-8")
    assert "19 (1 missed, 1 in the prediction alone)" in page
    assert "percentile bootstrap by participant" in page
    assert "Benjamini-Hochberg for" in page


def test_files_of_an_earlier_evaluation_go_and_those_of_users_stay(written, tmp_path):
    made = rows()[lambda each: each["system"].eq("ours")]
    summary = summarise(made, draws=200)
    for name in ("comparison.parquet", "by_sex.csv", "box_plot_hd95_mm.svg", "pictures/ours_x_worst_1_case_00001.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    write_evaluation(tmp_path, made.assign(hd95_mm=np.nan), summary)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    boxes = {f"box_plot_{metric}.{ending}" for metric in ("dice", "nsd") for ending in ("svg", "png")}
    assert left == {"cases.parquet", "summary.parquet", "summary.csv", "table.csv", "table.md", "notes.txt", *boxes}


def test_equal_evaluations_are_equal_files(written, tmp_path):
    made = rows()
    write_evaluation(tmp_path, made.sample(frac=1, random_state=1), summarise(made, draws=200))
    for name in ("cases.parquet", "summary.parquet", "summary.csv"):
        assert (tmp_path / name).read_bytes() == (written[0] / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda made: made.drop(columns="predicted_ml"), TableError, "predicted_ml"),
        (lambda made: made.assign(comment="x"), TableError, "comment"),
        (lambda made: made.assign(dice=np.inf), StatisticsError, "infinite"),
        (lambda made: pd.concat([made, made.iloc[:1]]), StatisticsError, "repeat"),
        (lambda made: made.replace({"system": {"ours": "a b", "theirs": "A/b"}}), StatisticsError, "become one"),
    ],
)
def test_wrong_rows_write_nothing(tmp_path, change, error, message):
    summary = summarise(rows(), draws=200)
    with pytest.raises(error, match=message):
        write_evaluation(tmp_path, change(rows()), summary)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_evaluation_of_dice_alone_is_written(tmp_path):
    made = evaluated(DICE).assign(nsd=None, hd95_mm=None, components_reference=None, session_id=None)
    write_evaluation(tmp_path, made, summarise(made, draws=200))
    cases = pq.read_table(tmp_path / "cases.parquet")
    assert cases["nsd"].null_count == cases["components_reference"].null_count == 20
    assert cases.schema.names == list(CASES.names)


def test_p_values_of_several_pairs_are_corrected_together(tmp_path):
    made = pd.concat([rows(), evaluated(DICE[::-1], participants=IDS, system="others")])
    pairs = [compare_systems(made, "ours", other, ["dice"], draws=200) for other in ("theirs", "others")]
    write_evaluation(tmp_path, made, summarise(made, draws=200), pairs)
    table = pd.read_parquet(tmp_path / "comparison.parquet")
    assert table["p"].notna().sum() == 2
    assert set(table["hypotheses"]) == {2}
    tested = table[table["p"].notna()]
    assert tested["p_bonferroni"].tolist() == pytest.approx((2 * tested["p"]).clip(upper=1).tolist())
