"""Rows of `quality` about the raw data of scans, made from the list of scans: nothing is measured again for them."""

from collections.abc import Mapping, Sequence

import pandas as pd
import pyarrow as pa

from dixonflow.measure.checks import CHECKS
from dixonflow.rawdata.repeated_stations import count_repeated
from dixonflow.tables.definitions import QUALITY
from dixonflow.tables.schema import to_arrow
from dixonflow.tables.shards import SCAN_KEYS
from dixonflow.vocabulary import Grade


def repeated_stations(cohort: pd.DataFrame) -> "pd.Series[int]":
    """Number of stations acquired more than once, by participant, session and sequence of the list of scans."""
    counts = cohort["reading"].fillna("").map(count_repeated)
    named = cohort["participant_id"].notna()
    return counts[named].set_axis(pd.MultiIndex.from_frame(cohort.loc[named, SCAN_KEYS]))


def with_raw_checks(rows: pa.Table, repeated: "pd.Series[int]", models: Mapping[str, Sequence[str]]) -> pa.Table:
    """Rows of `quality` of whole scans, with those of the checks of raw data.

    Parameters
    ----------
    rows
        Of any number of scans.
    repeated
        As `repeated_stations` gives it.
    models
        Names of the models, by the value of the sequence.
    """
    check = CHECKS["repeated_stations"]
    scans = rows.select(SCAN_KEYS).group_by(SCAN_KEYS).aggregate([]).to_pandas()
    scans = scans.assign(model=[list(models[sequence]) for sequence in scans["sequence"]]).explode("model")
    values = repeated.loc[pd.MultiIndex.from_frame(scans[SCAN_KEYS])].to_numpy(float)
    grades = [Grade.PASS.value if value <= (check.threshold or 0) else check.otherwise.value for value in values]
    added = scans.assign(check=check.name, structure="", value=values, threshold=check.threshold, grade=grades)
    return pa.concat_tables(
        [rows, to_arrow(added[list(QUALITY.names)], QUALITY).select(rows.column_names).cast(rows.schema)]
    )
