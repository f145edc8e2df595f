"""The table of profiles: graded with their tissue, complete, and gone when nobody asks for it."""

from pathlib import Path

import pandas as pd
import pytest
from synthetic_run import MODEL, SHARDS, Run, write_run

from dixonflow.aggregate.build import aggregate
from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.tables.definitions import SHARD_QUALITY
from dixonflow.tables.measurements import SHARD_PROFILES
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.tables.schema import to_pandas
from dixonflow.vocabulary import Reason, ScanSequence

MODELS = {ScanSequence.DIXON: [MODEL]}
OF_ALL = next(each.name for each in CHECKS.values() if each.decides == "all")
TISSUE = "subcutaneous_fat_t9_l5"


def rows_of(participant: str, session: str) -> list[tuple[object, ...]]:
    own = 100.0 + int(participant)
    cut = (participant, session, TISSUE, MODEL.name, 2, None, None, "cut_by_field_of_view")
    return [*((participant, session, TISSUE, MODEL.name, place, own + place, 0.5, None) for place in (-1, 0, 1)), cut]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = write_run(tmp_path)
    for shard, scans in SHARDS.items():
        rows = [row for scan, end in scans.items() if end is None for row in rows_of(scan.participant, scan.session)]
        frame = pd.DataFrame(rows, columns=list(SHARD_PROFILES.names)).astype(
            {"area_cm2": "Float64", "fat_fraction": "Float64"}
        )
        write_table(run.results.profiles(shard), SHARD_PROFILES, frame)
    return run


def test_every_step_has_the_grade_of_its_tissue(run: Run) -> None:
    shard, scans = next(iter(SHARDS.items()))
    scan = next(scan for scan, end in scans.items() if end is None)
    path = run.results.quality(shard)
    quality = to_pandas(read_table(path, SHARD_QUALITY))
    own = quality["check"].eq(OF_ALL) & quality["participant_id"].eq(scan.participant)
    assert own.sum() == 1
    quality.loc[own, "grade"] = "fail"
    write_table(path, SHARD_QUALITY, quality)
    aggregate(run.results, MODELS, 3, with_profiles=True)
    table = run.table("body_profiles")
    assert len(table) == 4 * run.table("scans")["status"].eq("ok").sum()
    assert table["sequence"].eq("dixon").all()
    inside, cut = table[table["position_cm"].lt(2)], table[table["position_cm"].eq(2)]
    failed = inside["participant_id"].eq(scan.participant)
    assert inside.loc[failed, ["area_cm2", "fat_fraction"]].isna().all(axis=None)
    assert inside.loc[failed, "area_grade"].eq("fail").all()
    assert inside.loc[failed, "missing_reason"].eq("failed_check").all()
    assert inside.loc[~failed, "area_cm2"].notna().all()
    assert inside.loc[~failed, "area_grade"].isin(["pass", "review"]).all()
    # the fat of some of these random images fits no tissue: a check of fat fails the fraction and not the area
    of_fat = inside["fat_fraction_grade"].eq("fail")
    assert (of_fat & ~failed).any()
    assert (inside["fat_fraction"].isna() == (of_fat | failed)).all()
    assert cut["missing_reason"].eq("cut_by_field_of_view").all()
    assert cut[["area_cm2", "area_grade", "fat_fraction", "fat_fraction_grade"]].isna().all(axis=None)


def test_a_shard_without_its_profiles_is_made_again_and_its_scans_are_said_to_be_lost(run: Run) -> None:
    shard, scans = next(iter(SHARDS.items()))
    run.results.profiles(shard).unlink()
    summary = aggregate(run.results, MODELS, 3, with_profiles=True)
    lost = [scan for scan, end in scans.items() if end is None]
    assert summary.failed[Reason.INTERNAL_ERROR] >= len(lost)
    table = run.table("scans").set_index("participant_id")
    assert "body_profiles" in table.at[lost[0].participant, "message"]


def test_a_run_that_does_not_ask_for_profiles_has_no_such_table(run: Run) -> None:
    aggregate(run.results, MODELS, 3, with_profiles=True)
    path = run.results.tables / "body_profiles.parquet"
    assert path.exists()
    aggregate(run.results, MODELS, 3)
    assert not path.exists()
