"""Citable versions of the tables: complete, described, checked, and there as a whole or not at all."""

import json
import subprocess
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic_cohort import draw_cohort, write_cohort

from dixonflow.errors import ConfigError
from dixonflow.export.frozen import Described, pack_release
from dixonflow.export.source import LINKING
from dixonflow.paths import Results
from dixonflow.privacy.traces import Ids, traces
from dixonflow.tables.definitions import DICTIONARY, QUALITY, SCANS
from dixonflow.tables.dictionary import datapackage, dictionary_rows
from dixonflow.tables.measurements import MEASUREMENTS
from dixonflow.tables.parquet import write_table
from dixonflow.tables.schema import TableError

DESCRIBED = Described({"versions": {"dixonflow": "0.2.0"}}, "# Methods\n", "@article{a,}\n")


@pytest.fixture
def results(tmp_path: Path) -> Results:
    found = Results(tmp_path / "results")
    write_cohort(found.tables, draw_cohort(12, {"liver": 0.0}, seed=1))
    (found.tables / "covariates.parquet").unlink()
    found.datapackage.write_text(json.dumps(datapackage([SCANS, MEASUREMENTS, QUALITY])))
    return found


def checked(folder: Path) -> str:
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], check=True, cwd=folder, capture_output=True, text=True
    )
    return done.stdout


def test_a_version_is_the_tables_byte_for_byte_with_checksums(results: Results) -> None:
    folder = pack_release(results, "2026.1", DESCRIBED)
    assert folder == results.root / "releases/2026.1"
    for path in results.tables.iterdir():
        assert (folder / "tables" / path.name).read_bytes() == path.read_bytes()
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    assert {line.partition(":")[0] for line in checked(folder).splitlines()} == files
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["version"] == "2026.1"
    assert provenance["versions"] == {"dixonflow": "0.2.0"}
    assert [path.name for path in results.releases.iterdir()] == ["2026.1"]


def test_a_bridge_replaces_all_ids_and_nothing_leads_back(results: Results) -> None:
    own = sorted(pd.read_parquet(results.tables / "scans.parquet")["participant_id"])
    bridge = {each: f"B{900 - number}" for number, each in enumerate(own[:9])}
    folder = pack_release(results, "other", DESCRIBED, bridge=bridge)
    checked(folder)
    assert traces(folder, Ids(own)) == []
    package = json.loads((folder / "tables/datapackage.json").read_text())
    for resource in package["resources"]:
        rows = pd.read_parquet(folder / "tables" / resource["path"])
        assert [field["name"] for field in resource["schema"]["fields"]] == list(rows.columns)
        assert not set(LINKING) & set(rows.columns)
        assert set(rows["participant_id"]) <= set(bridge.values())
    before = pd.read_parquet(results.tables / "measurements.parquet").set_index("participant_id")["value"]
    after = pd.read_parquet(folder / "tables/measurements.parquet").set_index("participant_id")["value"]
    assert after.to_dict() == {bridge[each]: before[each] for each in own[:9]}
    assert list(after.index) == sorted(after.index)
    left_out = json.loads((folder / "provenance.json").read_text())["rows_left_out_for_want_of_an_id"]
    assert left_out == {"scans": 3, "measurements": 3, "quality": 0}


@pytest.mark.parametrize("rows_of_a_group", [1, 5, 12, 1000])
def test_a_bridge_sorts_each_structure_again_however_a_table_is_cut(results: Results, rows_of_a_group: int) -> None:
    path = results.tables / "measurements.parquet"
    liver = pq.read_table(path)
    place = liver.schema.get_field_index("structure")
    structures = [
        liver.set_column(
            place, liver.schema.field(place), pa.array([each] * liver.num_rows).cast(liver["structure"].type)
        )
        for each in ("liver", "pancreas", "spleen")
    ]
    pq.write_table(pa.concat_tables(structures), path, row_group_size=rows_of_a_group)
    before = pq.read_table(path).to_pandas()
    bridge = {each: f"B{900 - number}" for number, each in enumerate(sorted(before["participant_id"].unique())[:9])}
    folder = pack_release(results, "other", DESCRIBED, bridge=bridge)
    after = pd.read_parquet(folder / "tables/measurements.parquet")
    keys = ["structure", "participant_id"]
    expected = before.assign(participant_id=before["participant_id"].map(bridge)).dropna(subset="participant_id")
    expected = expected.sort_values(keys)[[*keys, "value"]]
    assert after[[*keys, "value"]].to_numpy().tolist() == expected.to_numpy().tolist()
    left_out = json.loads((folder / "provenance.json").read_text())["rows_left_out_for_want_of_an_id"]
    assert left_out["measurements"] == 9


def test_a_version_is_never_written_over_and_never_half_there(results: Results) -> None:
    pack_release(results, "1", DESCRIBED)
    with pytest.raises(ConfigError, match="does not change, take another name"):
        pack_release(results, "1", DESCRIBED)
    (results.tables / "quality.parquet").write_bytes(b"PAR1")
    with pytest.raises(TableError, match=r"quality\.parquet cannot be read"):
        pack_release(results, "2", DESCRIBED, bridge={"1000000": "1"})
    assert [path.name for path in results.releases.iterdir()] == ["1"]
    for name in ("", "..", "a/b", "-x", "x" * 60):
        with pytest.raises(ConfigError, match="name of a version"):
            pack_release(results, name, DESCRIBED)
    results.datapackage.unlink()
    with pytest.raises(ConfigError, match="no finished tables"):
        pack_release(results, "3", DESCRIBED)


def test_who_has_withdrawn_is_in_no_version(results: Results) -> None:
    own = pd.read_parquet(results.tables / "scans.parquet")["participant_id"].iloc[0]
    with pytest.raises(ConfigError, match="who have withdrawn: run the workflow first"):
        pack_release(results, "1", DESCRIBED, {own})
    assert list(results.releases.iterdir()) == []


def test_a_damaged_table_is_in_no_version_and_what_a_killed_call_left_goes(results: Results) -> None:
    left = results.releases / ".0123456789ab.1"
    left.mkdir(parents=True)
    (left / "scans.parquet").write_text("half")
    (results.tables / "quality.parquet").write_bytes(b"PAR1 garbage")
    with pytest.raises(TableError, match="quality"):
        pack_release(results, "1", DESCRIBED)
    results.datapackage.write_text("{")
    with pytest.raises(TableError, match="datapackage"):
        pack_release(results, "1", DESCRIBED)
    assert list(results.releases.iterdir()) == []


def test_what_the_user_keeps_among_the_versions_stays(results: Results, tmp_path: Path) -> None:
    (results.releases / ".git").mkdir(parents=True)
    (results.releases / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (results.releases / ".DS_Store").write_bytes(b"\0")
    (results.releases / ".0123456789ab.2").symlink_to(tmp_path)
    (results.releases / ".0123456789ab.1").mkdir()
    pack_release(results, "1", DESCRIBED)
    there = {path.name for path in results.releases.iterdir()}
    assert there == {".git", ".DS_Store", ".0123456789ab.2", "1"}, "but for what a killed call has left"
    assert (results.releases / ".git/HEAD").read_text() == "ref: refs/heads/main\n"


def test_the_dictionary_of_other_ids_names_no_column_that_is_left_out(results: Results) -> None:
    write_table(results.tables / "dictionary.parquet", DICTIONARY, dictionary_rows([SCANS, MEASUREMENTS, DICTIONARY]))
    results.datapackage.write_text(json.dumps(datapackage([SCANS, MEASUREMENTS, DICTIONARY])))
    folder = pack_release(results, "1", DESCRIBED, bridge={"1000000": "B1"})
    rows = pd.read_parquet(folder / "tables/dictionary.parquet")
    for table in ("scans", "measurements"):
        there = set(pd.read_parquet(folder / f"tables/{table}.parquet").columns)
        assert set(rows.loc[rows["table_name"].eq(table), "name"]) == there
