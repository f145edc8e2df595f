"""Verdicts that follow from the whole cohort: who lies two standard deviations under it."""

import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import MODEL, STAGES, measured, outcome, write_measured

from dixonflow.aggregate.build import aggregate
from dixonflow.cohort.table import CohortScan, write_scans
from dixonflow.cohort.table import read_scans as read_cohort
from dixonflow.execution.outcome import write_outcomes
from dixonflow.measure.cohort_threshold import cohort_threshold
from dixonflow.paths import Results
from dixonflow.rawdata.raw_scan import RawScan
from dixonflow.tables import shards as shards_module
from dixonflow.tables.definitions import SHARD_QUALITY
from dixonflow.tables.parquet import read_table, write_table
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


def test_a_scan_two_standard_deviations_under_the_cohort_is_for_review(
    tmp_path: Path, agreeing: dict[str, float | None]
) -> None:
    participants = list(agreeing)
    results = write_agreement(tmp_path, agreeing, {"aaa": participants[:5], "bbb": participants[5:]})
    before = {path: path.read_bytes() for path in (results.quality("aaa"), results.quality("bbb"))}
    aggregate(results, {ScanSequence.DIXON: [MODEL]}, 3)
    rows = agreement_rows(results)
    known = [value for value in agreeing.values() if value is not None]
    threshold = statistics.mean(known) - 2 * statistics.stdev(known)
    assert rows["threshold"].tolist() == pytest.approx([threshold] * 13, abs=1e-12)
    assert rows.index[rows["grade"].eq("review")].tolist() == ["0007"]
    assert set(rows["grade"]) == {"pass", "review"}
    assert pd.isna(rows.at["0012", "value"])
    assert {path: path.read_bytes() for path in before} == before  # the verdict is that of the cohort, not of the scan
    quality = pq.read_table(results.tables / "quality.parquet").to_pandas()
    others = quality[~(quality["check"].eq(AGREEMENT[0]) & quality["structure"].eq(AGREEMENT[1]))]
    others = others[others["check"].ne("repeated_stations")]
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
    threshold = statistics.mean(known) - 2 * statistics.stdev(known)
    assert agreement_rows(results)["threshold"].unique().tolist() == [pytest.approx(threshold, abs=1e-12)]


def test_a_scan_without_all_rows_of_a_check_of_structures_is_failed(
    tmp_path: Path, agreeing: dict[str, float | None]
) -> None:
    results = write_agreement(tmp_path, agreeing, {"aaa": list(agreeing)})
    rows = read_table(results.quality("aaa"), SHARD_QUALITY).to_pandas()
    lost = rows["participant_id"].eq("0003") & rows["structure"].eq("spleen")
    assert lost.sum() == 1
    write_table(results.quality("aaa"), SHARD_QUALITY, rows[~lost])
    assert aggregate(results, {ScanSequence.DIXON: [MODEL]}, 3).failed == {Reason.INTERNAL_ERROR: 1}
    assert "0003" not in agreement_rows(results).index


@given(st.lists(st.floats(0, 1), max_size=40), st.randoms(use_true_random=False))
def test_threshold_of_a_cohort(values: list[float], random: Random) -> None:
    threshold = cohort_threshold(values)
    assert (threshold is None) == (len(values) < 10)
    if threshold is None:
        return
    assert threshold == pytest.approx(statistics.mean(values) - 2 * statistics.stdev(values), abs=1e-12)
    again = random.sample(values, len(values))
    assert cohort_threshold(again) == threshold
    # Cantelli: at most 1 / (1 + 2 ** 2) of any values lie two standard deviations under their mean
    assert sum(value < threshold for value in values) <= len(values) / 5


@given(st.floats(0, 1), st.integers(10, 300))
def test_nobody_is_under_a_cohort_of_equals(value: float, count: int) -> None:
    threshold = cohort_threshold([value] * count)
    assert threshold == value
