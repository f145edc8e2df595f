"""How many scans without a defect are listed for a look, in a cohort as large as a study's."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from dixonflow.aggregate.graded_tables import write_quality
from dixonflow.models.model import Model
from dixonflow.paths import Results
from dixonflow.tables.definitions import SHARD_QUALITY
from dixonflow.tables.grading import scan_grades
from dixonflow.tables.parquet import write_table
from dixonflow.trials.defect_runs import Measured
from dixonflow.vocabulary import ScanId, Status

SCANS = 10_000
ALL = "any"
"""In place of the checks: all scans that are listed."""
_SCANS_PER_SHARD = 1000


def resampled_grades(model: Model, clean: Mapping[ScanId, Measured], scans: int = SCANS, seed: int = 0) -> pd.DataFrame:
    """Grade a cohort whose rows of `quality` are drawn from those of measured scans, as aggregation does.

    All rows of a check come from one measured scan, and the checks of a scan from different ones: what is extreme in
    one scan comes with what is extreme in another.

    Parameters
    ----------
    clean
        What was measured of scans without a defect.
    scans
        Size of the cohort.

    Returns
    -------
    `scan_grades` of the cohort: the scans that are listed.
    """
    rng = np.random.default_rng(seed)
    of_check = [dict(iter(found.quality.groupby("check", sort=False))) for found in clean.values()]
    listed = [found.listed for found in clean.values()]
    with TemporaryDirectory(prefix="dixonflow-") as name:
        results, parts = Results(Path(name)), []
        for start in range(0, scans, _SCANS_PER_SHARD):
            shard, rows = f"{start:012d}", []
            for number in range(start, min(start + _SCANS_PER_SHARD, scans)):
                ids = {"participant_id": f"{number:07d}", "session_id": "2"}
                drawn = rng.integers(len(of_check), size=len(of_check[0]))
                tables = [of_check[place][check] for place, check in zip(drawn, of_check[0], strict=True)]
                rows.append(pd.concat(tables, ignore_index=True).assign(**ids))
                row = listed[int(rng.integers(len(listed)))]
                parts.append(ids | row | {"sequence": model.sequence.value, "shard": shard, "status": Status.OK.value})
            write_table(results.quality(shard), SHARD_QUALITY, pd.concat(rows, ignore_index=True))
        cohort = pd.DataFrame(parts)
        ok = cohort[["participant_id", "session_id", "sequence", "shard"]]
        checked = write_quality(results, cohort, ok, {model.sequence: [model]}, {})
    return scan_grades(checked.objections)


def review_counts(grades: pd.DataFrame, scans: int) -> pd.DataFrame:
    """Columns checks, listed and scans: how many of `scans` are listed, at all and by each set of checks."""
    by_checks = grades["scan_grade_decided_by"].value_counts().sort_index()
    rows = [(ALL, len(grades), scans), *((str(name), int(count), scans) for name, count in by_checks.items())]
    return pd.DataFrame(rows, columns=["checks", "listed", "scans"])
