"""The cohort stage over sources, with all that has to hold for whatever they hold."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dixonflow.aggregate.scan_rows import StageRows, scan_rows
from dixonflow.analyse.loss import study_loss
from dixonflow.cohort.build import build_cohort, write_cohort
from dixonflow.cohort.conservation import check_conservation
from dixonflow.cohort.table import COHORT_SCANS, CohortScan, read_files, read_scans
from dixonflow.execution.outcome import OUTCOMES
from dixonflow.phantom.writers.deliveries import FORMS
from dixonflow.rawdata.raw_scan import ReadOptions, Source
from dixonflow.tables.definitions import SCANS
from dixonflow.tables.parquet import read_table, write_table
from dixonflow.vocabulary import SHARD_STAGES


def source_of(form: str, folder: Path, stations: int = 3, **more) -> Source:
    """A source of one form of delivery."""
    one = FORMS[form]
    return Source(one.layout, folder, one.name_pattern, options=ReadOptions(stations=stations), **more)


def accounted_for(sources: Sequence[Source], folder: Path, **build) -> tuple[CohortScan, ...]:
    """Rows of the cohort stage, after the conservation law was found to hold for files and scans."""
    result = build_cohort(sources, **build)
    write_cohort(result, folder / "scans.parquet", folder / "shards")
    table = read_table(folder / "scans.parquet", COHORT_SCANS).to_pandas()
    files = read_files(folder / "scans.parquet")
    check_conservation(sources, table, build.get("withdrawn", ()), included=build.get("included"), files=files)
    assert_flow_begins_with(len(files.used), len(files.left_out), table, folder)
    assert read_scans(folder / "scans.parquet") == list(result.scans)
    again = build_cohort(sources, previous=result.scans, shards=result.shards, **build)
    assert again.n_inspected == 0
    assert again.scans == result.scans
    return result.scans


def assert_flow_begins_with(used: int, left_out: int, cohort: pd.DataFrame, folder: Path) -> None:
    """The files at the top of the flow diagram are those of the conservation law, and entries without a scan."""
    none = StageRows(pd.DataFrame(columns=[*OUTCOMES.names, "shard"], dtype=object), {})
    rows = scan_rows(cohort, dict.fromkeys(SHARD_STAGES, none))
    write_table(folder / "tables/scans.parquet", SCANS, rows)
    flow = study_loss(folder / "tables", limit=1).flow
    files = flow.loc[flow["reason"].eq(""), "n_files"].dropna().tolist()
    used += int(cohort["participant_id"].isna().sum())
    assert files == [used + left_out, used]
