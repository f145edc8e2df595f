"""Every word in the rows of measurements and quality is explained by a row of another table."""

import json
from pathlib import Path

import pandas as pd
import pytest
from synthetic_run import MODEL, Run, write_run

from dixonflow.aggregate.build import aggregate
from dixonflow.evaluation.repeatability import phantom_repeatability
from dixonflow.measure.definitions import MEASURES
from dixonflow.vocabulary import ScanSequence


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = write_run(tmp_path_factory.mktemp("explained"))
    aggregate(run.results, {ScanSequence.DIXON: [MODEL]}, 3)
    return run


def joined(run: Run, rows: str, explaining: str, keys: list[str]) -> pd.DataFrame:
    found = run.table(rows).merge(run.table(explaining), on=keys, how="left", indicator=True, validate="many_to_one")
    assert len(found) > 0
    return found


def test_each_value_has_its_definition_and_unit(run: Run) -> None:
    found = joined(run, "measurements", "measures", ["structure", "measure", "unit", "definition"])
    assert found["_merge"].eq("both").all()
    assert found["defined"].eq(found["measure"].map(lambda name: MEASURES[name].definition)).all()


def test_each_structure_and_check_is_explained(run: Run) -> None:
    found = joined(run, "measurements", "structures", ["model", "sequence", "structure"])
    assert found["_merge"].eq("both").all()
    kinds = found.drop_duplicates("structure").set_index("structure")["kind"]
    assert kinds["liver"] == "label"
    assert kinds["kidneys"] == "composite"
    assert kinds["subcutaneous_fat_t9_l5"] == "compartment"
    rows = run.table("structures").set_index("structure")
    assert rows.at["kidneys", "parts"] == "kidney_left; kidney_right"
    assert "endplate of T9" in rows.at["subcutaneous_fat_t9_l5", "parts"]
    assert rows.at["liver", "label"] == 5
    assert rows.at["liver", "lower_cutoff_ml"] == 100
    assert rows.at["liver", "snomed_ct"] == "10200004"
    assert joined(run, "quality", "checks", ["check"])["_merge"].eq("both").all()
    assert run.table("checks")[["definition", "advice"]].ne("").all(axis=None)


def test_repeatability_stands_with_its_measure_and_what_was_repeated(run: Run) -> None:
    rows = run.table("measures").set_index(["structure", "measure"])
    known = phantom_repeatability().set_index(["structure", "measure"])
    liver = rows.loc[("liver", "volume")]
    assert liver["sd_within"] == known.at[("liver", "volume"), "sd_within"]
    assert liver["cv_within"] == pytest.approx(known.at[("liver", "volume"), "cv_percent"] / 100)
    assert "phantoms" in liver["repeated_in"]
    unknown = rows[rows["sd_within"].isna()]
    assert len(unknown) > 0
    assert unknown["repeated_in"].eq("").all()
    assert unknown["cv_within"].isna().all()


def test_no_cell_of_the_dictionary_is_a_book(run: Run) -> None:
    rows = run.table("dictionary")
    assert rows["definition"].str.len().max() < 2_500, rows.loc[rows["definition"].str.len().idxmax(), "name"]
    package = json.loads(Path(run.results.datapackage).read_text())
    assert {"structures", "measures", "checks"} <= {each["name"] for each in package["resources"]}
