"""Verdicts that follow from the whole cohort: who lies unusually far under it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cohort_bound import bound
from synthetic_run import MODEL, STAGES, measured, outcome, write_measured

from dixonflow.aggregate.build import aggregate
from dixonflow.cohort.table import CohortScan, write_scans
from dixonflow.cohort.table import read_scans as read_cohort
from dixonflow.execution.outcome import write_outcomes
from dixonflow.measure.checks.of_model import CHECKS
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.tables import shards as shards_module
from dixonflow.tables.cohort_verdicts import (
    cohort_thresholds,
    protocol_thresholds,
    with_verdicts,
    with_verdicts_of_protocol,
)
from dixonflow.tables.definitions import QUALITY, SHARD_QUALITY
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.tables.schema import to_arrow
from dixonflow.vocabulary import Layout, Reason, ScanId, ScanSequence, Stage

AGREEMENT = ("contrast_agreement", "liver")


def write_agreement(folder: Path, values: Mapping[str, float | None], shards: Mapping[str, list[str]]) -> Results:
    """A finished cohort whose contrasts agree so well about the liver; about nothing else there is a value."""
    results = Results(folder)
    one = measured(0)
    cohort, of = [], {participant: shard for shard, members in shards.items() for participant in members}
    for participant in values:
        raw = RawScan(ScanId(participant, "2"), Layout.UKB, Path(f"{participant}.zip"), "r")
        found = CohortScan(raw, "k", n_stations=6)
        cohort.append(replace(found, shard=of[participant]))
    write_scans(results.scans, cohort)
    for shard, members in shards.items():
        for stage in STAGES:
            write_outcomes(results.outcomes(stage, shard), [outcome(ScanId(each, "2"), stage) for each in members])
        rows = {}
        for participant in members:
            quality = one.quality.copy()
            at = quality["check"].eq(AGREEMENT[0]) & quality["structure"].eq(AGREEMENT[1])
            quality.loc[at, "value"] = pd.NA if values[participant] is None else values[participant]
            rows[ScanId(participant, "2")] = replace(one, quality=quality)
        write_measured(results, shard, rows)
    return results


def agreement_rows(results: Results) -> pd.DataFrame:
    quality = pq.read_table(results.tables / "quality.parquet").to_pandas()
    rows = quality[quality["check"].eq(AGREEMENT[0]) & quality["structure"].eq(AGREEMENT[1])]
    return rows.set_index("participant_id")


@pytest.fixture
def agreeing() -> dict[str, float | None]:
    """Twelve scans with a value, one of them low, and one without."""
    rng = np.random.default_rng(4)
    values: dict[str, float | None] = {f"{number:04d}": float(rng.normal(0.9, 0.02)) for number in range(12)}
    return values | {"0007": 0.6, "0012": None}


def test_a_scan_far_under_the_cohort_is_for_review(tmp_path: Path, agreeing: dict[str, float | None]) -> None:
    participants = list(agreeing)
    results = write_agreement(tmp_path, agreeing, {"aaa": participants[:5], "bbb": participants[5:]})
    before = {path: path.read_bytes() for path in (results.quality("aaa"), results.quality("bbb"))}
    aggregate(results, {ScanSequence.DIXON: [MODEL]}, 3)
    rows = agreement_rows(results)
    known = [value for value in agreeing.values() if value is not None]
    assert rows["threshold"].tolist() == pytest.approx([bound(known)] * 13, abs=1e-12)
    assert rows.index[rows["grade"].eq("review")].tolist() == ["0007"]
    assert set(rows["grade"]) == {"pass", "review"}
    assert pd.isna(rows.at["0012", "value"])
    assert {path: path.read_bytes() for path in before} == before  # the verdict is that of the cohort, not of the scan
    quality = pq.read_table(results.tables / "quality.parquet").to_pandas()
    others = quality[~(quality["check"].eq(AGREEMENT[0]) & quality["structure"].eq(AGREEMENT[1]))]
    by_all = [name for name, check in CHECKS.items() if check.of_raw_data or check.of_cohort or check.of_protocol]
    others = others[~others["check"].isin(by_all)]
    as_measured = measured(0).quality.set_index(["check", "structure"])
    for row in others.itertuples():
        wanted = as_measured.loc[(row.check, row.structure)]
        assert row.grade == wanted["grade"]
        assert (row.threshold == wanted["threshold"]) if pd.notna(wanted["threshold"]) else pd.isna(row.threshold)


def test_thresholds_do_not_depend_on_shards_and_their_order(
    tmp_path: Path, agreeing: dict[str, float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    participants = list(agreeing)
    mixed = [participants[place] for place in np.random.default_rng(1).permutation(len(participants))]
    cuts: dict[str, dict[str, list[str]]] = {
        "whole": {"aaa": participants},
        "in order": {"aaa": participants[:5], "bbb": participants[5:]},
        "the other way round": {"bbb": participants[:5], "aaa": participants[5:]},
        "mixed": {"ccc": sorted(mixed[:4]), "aaa": sorted(mixed[4:9]), "bbb": sorted(mixed[9:])},
    }
    tables = []
    for name, shards in cuts.items():
        results = write_agreement(tmp_path / name, agreeing, shards)
        aggregate(results, {ScanSequence.DIXON: [MODEL]}, 3)
        tables.append((results.tables / "quality.parquet").read_bytes())
    monkeypatch.setattr(shards_module, "SCANS_AT_ONCE", 2)
    aggregate(results, {ScanSequence.DIXON: [MODEL]}, 3)
    tables.append((results.tables / "quality.parquet").read_bytes())
    assert len(set(tables)) == 1


def test_a_small_cohort_has_no_threshold(tmp_path: Path, agreeing: dict[str, float | None]) -> None:
    few = {participant: agreeing[participant] for participant in (*list(agreeing)[:9], "0012")}
    results = write_agreement(tmp_path, few, {"aaa": list(few)})
    aggregate(results, {ScanSequence.DIXON: [MODEL]}, 3)
    rows = agreement_rows(results)
    assert rows["threshold"].isna().all()
    assert set(rows["grade"]) == {"pass"}


def test_only_scans_that_are_ok_make_the_cohort(tmp_path: Path, agreeing: dict[str, float | None]) -> None:
    values = agreeing | {"0020": 0.0, "0021": 0.0}
    results = write_agreement(tmp_path, values, {"aaa": list(agreeing), "bbb": ["0020", "0021"]})
    cohort = read_cohort(results.scans)
    gone = [
        replace(row, reason=Reason.CONSENT_WITHDRAWN) if row.scan and row.scan.participant == "0020" else row
        for row in cohort
    ]
    write_scans(results.scans, gone)
    results.outcomes(Stage.MERGE, "bbb").unlink()  # and the other one failed
    aggregate(results, {ScanSequence.DIXON: [MODEL]}, 3)
    known = [value for value in agreeing.values() if value is not None]
    assert agreement_rows(results)["threshold"].unique().tolist() == [pytest.approx(bound(known), abs=1e-12)]


def test_a_scan_without_all_rows_of_a_check_of_structures_is_failed(
    tmp_path: Path, agreeing: dict[str, float | None]
) -> None:
    results = write_agreement(tmp_path, agreeing, {"aaa": list(agreeing)})
    rows = read_table(results.quality("aaa"), SHARD_QUALITY).to_pandas()
    lost = rows["participant_id"].eq("0003") & rows["structure"].eq("spleen") & rows["check"].eq(AGREEMENT[0])
    assert lost.sum() == 1
    write_table(results.quality("aaa"), SHARD_QUALITY, rows[~lost])
    assert aggregate(results, {ScanSequence.DIXON: [MODEL]}, 3).failed == {Reason.INTERNAL_ERROR: 1}
    assert "0003" not in agreement_rows(results).index


@pytest.mark.parametrize("check", ["labelled_signal", "contrast_sum"])
def test_a_threshold_of_its_own_holds_where_it_is_stricter(tmp_path: Path, check: str) -> None:
    own, sign = CHECKS[check].threshold, 1 if CHECKS[check].passes == "at_least" else -1
    assert own is not None and CHECKS[check].of_cohort
    key = (check, "", "demo")

    def found(values: list[float]) -> tuple[float | None, list[str]]:
        rows = pd.DataFrame({"value": values}).assign(
            participant_id=[f"{number:03d}" for number in range(len(values))],
            session_id="2", check=check, structure="", model="demo", threshold=own, place="",
            grade=["pass" if sign * value >= sign * own else "review" for value in values],
        )  # fmt: skip
        path = tmp_path / "quality.parquet"
        write_table(path, SHARD_QUALITY, rows[list(SHARD_QUALITY.names)])
        scans = rows[["participant_id", "session_id"]].assign(shard="a", sequence="dixon")
        limits = cohort_thresholds({"a": path}, scans, [key])
        judged = with_verdicts(to_arrow(rows.assign(sequence="dixon")[list(QUALITY.names)], QUALITY), limits)
        return limits[key], judged["grade"].to_pylist()

    few = [own - sign * 0.01, own + sign * 0.01]
    assert found(few) == (own, ["review", "pass"])
    good = [own + sign * (0.15 + number / 1000) for number in range(30)]
    limit, grades = found([*good, own + sign * 0.05])
    assert limit is not None and sign * limit > sign * own
    assert grades == ["pass"] * 30 + ["review"]
    wide = [own + sign * number / 100 for number in range(-2, 30)]
    limit, grades = found(wide)
    assert (limit, grades.count("review")) == (own, 2)


@pytest.mark.parametrize(("check", "unusual"), [("unusually_small", "0003"), ("unusually_large", "0007")])
def test_each_side_of_the_median_has_a_check_of_its_own(tmp_path: Path, check: str, unusual: str) -> None:
    rng = np.random.default_rng(6)
    values = {f"{number:04d}": float(rng.normal(3, 0.05)) for number in range(14)} | {"0003": 2.0, "0007": 3.9}
    rows = pd.DataFrame(
        [(participant, "2", check, "liver", "demo", value, None, "pass", "") for participant, value in values.items()],
        columns=list(SHARD_QUALITY.names),
    ).astype({"value": float, "threshold": float})
    write_table(tmp_path / "aaa.parquet", SHARD_QUALITY, rows)
    scans = rows[["participant_id", "session_id"]].assign(sequence="dixon", shard="aaa")
    thresholds = cohort_thresholds({"aaa": tmp_path / "aaa.parquet"}, scans, [(check, "liver", "demo")])
    sign = -1 if check == "unusually_large" else 1
    assert thresholds[check, "liver", "demo"] == pytest.approx(sign * bound([sign * each for each in values.values()]))
    judged = with_verdicts(to_arrow(rows.assign(sequence="dixon"), QUALITY), thresholds).to_pandas()
    assert judged.loc[judged["grade"].eq("review"), "participant_id"].tolist() == [unusual]


class TestExtent:
    """Scans that end nearer to the hips than others of their layout."""

    def rows(self, values: Mapping[str, float | None]) -> pa.Table:
        return to_arrow(
            pd.DataFrame(
                [
                    (participant, "2", "dixon", "extent_below", "", "demo", value, None, "pass", "")
                    for participant, value in values.items()
                ],
                columns=list(QUALITY.names),
            ).astype({"value": float, "threshold": float}),
            QUALITY,
        )

    def judged(self, folder: Path, layouts: Mapping[str, str], values: Mapping[str, float | None]) -> pd.DataFrame:
        ids = pd.DataFrame({"participant_id": list(values), "session_id": "2", "sequence": "dixon"})
        rows = self.rows(values)
        write_table(folder / "aaa.parquet", SHARD_QUALITY, rows.drop_columns("sequence"))
        scans = ids.assign(shard="aaa")
        of_scans = ids.assign(layout=[layouts[participant] for participant in values])
        thresholds = protocol_thresholds({"aaa": folder / "aaa.parquet"}, scans, of_scans)
        return with_verdicts_of_protocol(rows, thresholds, of_scans).to_pandas().set_index("participant_id")

    def test_each_layout_has_its_own_threshold(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(2)
        values = {f"1{place:02d}": float(rng.normal(450, 10)) for place in range(12)}
        values |= {f"2{place:02d}": float(rng.normal(300, 10)) for place in range(12)}
        layouts = {participant: "ukb" if participant[0] == "1" else "nako" for participant in values}
        found = self.judged(tmp_path, layouts, values | {"103": 350.0, "205": None})
        assert found.index[found["grade"].eq("review")].tolist() == ["103"], "350 mm are much for NAKO, few for UKB"
        assert found["threshold"].nunique() == 2
        assert found.loc["103", "threshold"] == pytest.approx(450 - 3 * 10, abs=30)

    def test_few_scans_and_no_scans_have_none(self, tmp_path: Path) -> None:
        values = {f"1{place:02d}": 450.0 for place in range(9)} | {"109": None}
        found = self.judged(tmp_path, dict.fromkeys(values, "ukb"), values)
        assert found["threshold"].isna().all()
        assert set(found["grade"]) == {"pass"}
